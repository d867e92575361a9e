"""Whose an email address is. The caller holds the address (`related.hold_address`)."""

from __future__ import annotations

from django.db import connection
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from tickets.models import EmailAddress, Person
from tickets.models.people import NAME_MAX_CHARS

NEW_PERSON = """
WITH person AS (
    INSERT INTO tickets_person (name, is_assistant, created_at) VALUES (%s, false, %s) RETURNING id
)
INSERT INTO tickets_emailaddress (person_id, address, is_primary) SELECT id, %s, true FROM person
RETURNING person_id
"""


def person_at(address: str, *, name: str = "") -> Person:
    """Whoever has this address, in its comparable form; someone new, called `name`, if nobody
    has."""
    # Not `iexact`, which asks for upper case: no index knows that.
    person = Person.objects.filter(Exact(Lower("addresses__address"), address)).first()
    if person is not None:
        return person
    staff = Person.objects.filter(Exact(Lower("user__email"), address)).first()
    return give_address(staff, address) if staff else new_person(name, address)


def new_person(name: str, address: str) -> Person:
    """A customer we have not heard of."""
    person = Person(name=(name or address.partition("@")[0])[:NAME_MAX_CHARS])
    with connection.cursor() as cursor:
        cursor.execute(NEW_PERSON, [person.name, person.created_at, address])
        (person.pk,) = cursor.fetchall()[0]
    return person


def give_address(person: Person, address: str) -> Person:
    """Let someone on staff be reached by mail at their login, as anyone is."""
    is_primary = not person.addresses.filter(is_primary=True).exists()
    EmailAddress.objects.create(person=person, address=address, is_primary=is_primary)
    return person
