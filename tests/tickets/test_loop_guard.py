"""Automatic mail is sent only so often, whatever answers it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils.timezone import now

from tests import make
from tests.tickets.test_mail_acknowledge import fresh
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer
from tickets.models import Inbox, Message, OutgoingEmail, Ticket
from tickets.operations.loop_guard import CAPS, let_through
from tickets.operations.timeline import Hearer

pytestmark = pytest.mark.django_db

CAROL = "carol@mail.example"


def automatic(ticket: Ticket, count: int, minutes_ago: float, address: str = CAROL) -> None:
    """So many automatic mails that were written then."""
    message = ticket.conversation.messages.order_by("seq").first()
    last = ticket.conversation.messages.count() + 1_000 + OutgoingEmail.objects.count()
    for number in range(count):
        one = Message.objects.create(
            conversation=ticket.conversation,
            seq=last + number,
            kind="reply",
            audience="everyone",
            via="system",
            body="Hello",
        )
        row = OutgoingEmail.objects.create(
            message=one,
            person=message.author,  # type: ignore[union-attr, misc]
            address=address,
            is_automatic=True,
            rfc_message_id=f"{uuid4().hex}@x.example",
        )
        moment = now() - timedelta(minutes=minutes_ago)
        OutgoingEmail.objects.filter(pk=row.pk).update(created_at=moment)


def passes(ticket: Ticket, address: str = CAROL) -> bool:
    return bool(let_through(ticket, [Hearer(ticket.requester_id, address)]))


def held_back() -> list[str]:
    return [line.change["new"] for line in Message.objects.filter(change__field="held_back")]  # type: ignore[index]


@pytest.mark.parametrize(("most", "minutes"), CAPS)
def test_a_ticket_gets_so_many_within_a_time(ticket: Ticket, most: int, minutes: int) -> None:
    automatic(ticket, most - 1, minutes - 0.2, "somebody@else.example")
    assert passes(ticket)
    automatic(ticket, 1, minutes - 0.1, "somebody@else.example")
    assert not passes(ticket)
    assert held_back() == [CAROL]


@pytest.mark.parametrize(("most", "minutes"), CAPS)
def test_an_address_gets_so_many_within_a_time(
    carol: Viewer, inbox: Inbox, ticket: Ticket, most: int, minutes: int
) -> None:
    elsewhere = make.ticket(carol, inbox, "Another matter")
    automatic(elsewhere, most - 1, minutes - 0.2)
    assert passes(ticket)
    automatic(elsewhere, 1, minutes - 0.1)
    assert not passes(ticket)
    assert passes(ticket, "somebody@else.example")


@pytest.mark.parametrize(("most", "minutes"), CAPS)
def test_what_was_sent_before_that_time_counts_no_more(
    ticket: Ticket, most: int, minutes: int
) -> None:
    shorter = [cap for cap, within in CAPS if within > minutes]
    if not shorter or most < min(shorter):
        automatic(ticket, most, minutes + 0.5)
        assert passes(ticket)


def test_what_people_write_is_not_counted(alice: Viewer, ticket: Ticket) -> None:
    for number in range(15):
        make.say(alice, ticket, f"Reply {number}")
    assert passes(ticket)


def test_two_machines_that_answer_each_other_come_to_rest(inbox: Inbox) -> None:
    inbox.acknowledges = True
    inbox.save()
    for number in range(14):  # each of them with a new subject, marked as nothing
        come_in(fresh(f"Your mail arrived, {number}.", subject=f"Got it {number}"))
    assert Ticket.objects.count() == 14
    assert OutgoingEmail.objects.count() == 10
    assert held_back() == [CAROL] * 4
