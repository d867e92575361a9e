"""@Bob: who is named, who learns of it, and until when."""

from __future__ import annotations

import pytest

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Mention, Person, Ticket
from tickets.operations import mark_seen, post_note
from tickets.operations.mentions import named_in
from tickets.operations.seats import Guests, add_people
from tickets.queries import list_tickets

pytestmark = pytest.mark.django_db


def note(viewer: Viewer, ticket: Ticket, body: str) -> None:
    post_note(viewer, ticket.conversation_id, body=body, via="web")


def named(ticket: Ticket) -> set[str]:
    rows = Mention.objects.filter(message__conversation=ticket.conversation_id)
    return set(rows.values_list("person__name", flat=True))


def numbers(viewer: Viewer) -> list[int]:
    return [ticket.number for ticket in list_tickets(viewer, "mentions").tickets]


def test_a_colleague_who_is_named_finds_it_until_they_have_read_it(
    alice: Viewer, bob: Viewer, ticket: Ticket, enter: Enter
) -> None:
    note(alice, ticket, "Could you look, @Bob?")
    assert (numbers(bob), numbers(alice)) == ([ticket.number], [])
    page = enter(bob).get("/tickets/?view=mentions")
    assert page.context["counts"]["mentions"] == 1
    assert 'data-count="mentions"' in page.content.decode()
    ticket.conversation.refresh_from_db()
    mark_seen(bob, ticket.number, ticket.conversation.last_seq)
    assert numbers(bob) == []
    page = enter(bob).get("/tickets/?view=mentions")
    assert "Nobody asks for you" in page.content.decode()


def test_what_comes_after_what_was_read_names_again(
    alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    note(alice, ticket, "@bob?")
    mark_seen(bob, ticket.number, 1)  # the mail, not the note below
    assert numbers(bob) == [ticket.number]


def test_a_reply_names_too_and_a_customer_names_nobody(
    alice: Viewer, bob: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Dear @Bob, it broke.")
    assert named(ticket) == set()
    make.say(alice, ticket, "@Bob will call you.")
    assert named(ticket) == {"Bob"}


def test_who_cannot_see_it_is_not_named_until_they_can(
    alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    note(alice, ticket, "@Mallory?")
    assert named(ticket) == set()
    assert mallory.user
    add_people(alice, ticket.conversation_id, Guests(user_ids=[mallory.user.pk]))
    note(alice, ticket, "@Mallory!")
    assert named(ticket) == {"Mallory"}
    assert numbers(mallory) == [ticket.number]


def test_nobody_names_themselves_and_a_note_sent_twice_names_once(
    alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    note(alice, ticket, "@Alice and @Bob")
    assert named(ticket) == {"Bob"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Bob", ["Bob Okafor"]),
        ("Ask @bob okafor.", ["Bob Okafor"]),
        ("@Maya", []),  # two have that name
        ("@Maya Lind and @Maya Berg", ["Maya Lind", "Maya Berg"]),
        ("bob@mail.example", []),
        ("me@Bob", []),
        ("@Bobby", []),
        ("@Zoë", ["Zoë Q"]),
    ],
)
def test_names_are_whole_words(text: str, found: list[str]) -> None:
    names = ("Bob Okafor", "Maya Lind", "Maya Berg", "Zoë Q")
    assert [one.name for one in named_in(text, [Person(name=name) for name in names])] == found
