"""Cc and Bcc as the composer sends them, and who may take somebody out of copy."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.forms import Addresses
from tickets.models import Message, OutgoingEmail, Participant, Ticket
from tickets.operations.copies import leave_out

pytestmark = pytest.mark.django_db

DAVE, ERIN = "dave@mail.example", "erin@mail.example"


def write(browser: Client, ticket: Ticket, kind: str = "reply", **fields: str) -> int:
    form = {"body": "Dear all,", "client_token": str(uuid4()), **fields}
    return browser.post(f"/tickets/{ticket.number}/{kind}/", form).status_code


def seat_of_dave(ticket: Ticket) -> Participant:
    return ticket.conversation.participants.get(person__addresses__address=DAVE)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", []),
        (DAVE, [DAVE]),
        (f"{DAVE},{ERIN}", [DAVE, ERIN]),
        (f" {DAVE} ; {ERIN}; ", [DAVE, ERIN]),
        (f"{DAVE} {ERIN}", [DAVE, ERIN]),
        (f'"Dave, the Miller" <{DAVE}>, {ERIN}', [DAVE, ERIN]),
        (f"Erin Ó Sé <{ERIN}>", [ERIN]),
        (f"{DAVE}, nobody", [DAVE, "nobody"]),
    ],
)
def test_addresses_are_read_as_people_write_them(written: str, read: list[str]) -> None:
    assert Addresses(required=False).clean(written) == read


def test_the_form_puts_people_in_copy(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert write(enter(alice), ticket, cc=f"Dave <{DAVE}>", bcc=ERIN) == 302
    rows = OutgoingEmail.objects.values_list("address", "field")
    assert set(rows) == {("carol@mail.example", "to"), (DAVE, "cc"), (ERIN, "bcc")}


def test_a_wrong_address_is_said_and_the_form_keeps_everything(
    enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    browser = enter(alice)
    form = {"body": "Dear all,", "client_token": str(uuid4()), "cc": f"{DAVE}, nobody"}
    page = browser.post(f"/tickets/{ticket.number}/reply/", form)
    assert "nobody: Write an email address" in page.content.decode()
    assert not OutgoingEmail.objects.exists()


def test_a_note_ignores_them(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert write(enter(alice), ticket, "note", cc=DAVE) == 302
    assert not OutgoingEmail.objects.exists()


def test_who_is_taken_out_hears_no_more(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    browser = enter(alice)
    write(browser, ticket, cc=DAVE)
    address = f"/tickets/{ticket.number}/copies/{seat_of_dave(ticket).pk}/leave-out/"
    assert browser.post(address).status_code == 302
    assert browser.post(address).status_code == 302, "a second call changes nothing"
    lines = Message.objects.filter(change__field="copied", change__new=None)
    assert [line.change and line.change["old"] for line in lines] == [DAVE]
    make.say(alice, ticket, "Only Carol hears this.")
    last = OutgoingEmail.objects.filter(message__body="Only Carol hears this.")
    assert [mail.address for mail in last] == ["carol@mail.example"]


def test_the_customer_cannot_be_taken_out(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    seat = ticket.conversation.participants.get(person=ticket.requester)
    address = f"/tickets/{ticket.number}/copies/{seat.pk}/leave-out/"
    assert enter(alice).post(address).status_code == 404


def test_others_take_nobody_out(
    enter: Enter, client: Client, alice: Viewer, carol: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    write(enter(alice), ticket, cc=DAVE)
    address = f"/tickets/{ticket.number}/copies/{seat_of_dave(ticket).pk}/leave-out/"
    assert enter(mallory).post(address).status_code == 404
    assert client.post(address)["Location"].startswith("/?next")
    for who in (mallory, carol):
        with pytest.raises(Exception, match=r"^$"):
            leave_out(who, ticket.number, seat_of_dave(ticket).pk)
    assert seat_of_dave(ticket).left_at is None
