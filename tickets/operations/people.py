"""Whose an email address is. Who asks, or gives one, holds it (`related.hold_address`)."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils.encoding import punycode
from django.utils.translation import gettext as _

from helpdesk.lib.errors import Refused
from helpdesk.lib.text import clean
from tickets.mail.addresses import is_address, normal, without_tag
from tickets.models import EmailAddress, Inbox, Person
from tickets.models.people import NAME_MAX_CHARS

NEW_PERSON = """
WITH person AS (
    INSERT INTO tickets_person (name, is_assistant, created_at) VALUES (%s, false, %s) RETURNING id
)
INSERT INTO tickets_emailaddress (person_id, address, is_primary) SELECT id, %s, true FROM person
RETURNING person_id
"""


def checked_address(address: str) -> str:
    """An address as we store and write to it. Raises Refused with a sentence if nobody can be
    reached there, or only we ourselves."""
    local, _at, host = normal(clean(address)).rpartition("@")
    try:
        address = f"{local}@{punycode(host)}"
        validate_email(address)
    except (UnicodeError, ValidationError):
        address = ""
    if not is_address(address):
        raise Refused(_("Write an email address such as name@example.org."))
    # Mail to a tagged address comes in by the door without the tag.
    ours = Inbox.objects.filter(address__iexact=address)
    if (ours | Inbox.objects.filter(address__iexact=without_tag(address))).exists():
        raise Refused(_("This is an address of your own desk. Write to a customer's."))
    return address


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
