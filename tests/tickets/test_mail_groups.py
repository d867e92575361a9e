"""A group, some of whose members are reached by mail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from tests import make
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.test_mail_copies import named, sent
from tests.tickets.test_mail_in import come_in
from tests.tickets.test_mail_joining import token
from tickets.access import Viewer, visitor
from tickets.models import InboundEmail, Message, OutgoingEmail, Participant, Ticket
from tickets.operations.seats import Guests, add_people, leave, remove_person

pytestmark = pytest.mark.django_db

JULIE, KEN = "julie@mail.example", "ken@mail.example"


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


@pytest.fixture
def group(alice: Viewer, chat: Ticket) -> list[Participant]:
    """Carol in the widget, Julie and Ken by mail."""
    given = add_people(alice, chat.conversation_id, Guests(addresses=[JULIE, KEN]))
    chat.conversation.refresh_from_db()
    OutgoingEmail.objects.all().delete()  # of what they are told at first: see test_mail_inviting
    return given


def answers(ticket: Ticket, sender: str, text: str, **more: Any) -> InboundEmail:
    return come_in(mail(text, sender=sender, to=token(ticket), **more))


def mailed(message: Message) -> set[str]:
    return set(message.outgoing_emails.values_list("address", flat=True))


def test_a_members_mail_lands_in_the_group_and_is_passed_on_to_the_others(
    group: list[Participant], chat: Ticket
) -> None:
    row = answers(chat, JULIE, "A point, they say 1x4.")
    message = row.message
    assert message is not None
    assert (message.conversation_id, message.author) == (chat.conversation_id, group[0].person)
    assert mailed(message) == {KEN}


def test_whom_the_writer_addressed_themselves_gets_no_second_mail(
    group: list[Participant], chat: Ticket
) -> None:
    row = answers(chat, JULIE, "Ken, look.", cc=KEN)
    assert row.message is not None
    assert mailed(row.message) == set()


def test_an_automatic_answer_is_passed_on_to_nobody(group: list[Participant], chat: Ticket) -> None:
    row = answers(chat, JULIE, "I am away.", auto_submitted="auto-replied")
    assert row.message is not None
    assert not OutgoingEmail.objects.exists()


def test_in_a_conversation_that_is_no_group_nothing_is_passed_on(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "It ships.", cc=[JULIE])
    OutgoingEmail.objects.all().delete()
    answers(ticket, JULIE, "Good.")
    assert not OutgoingEmail.objects.exists()


def test_what_is_passed_on_is_in_the_writers_name_and_words_and_names_nobody_else(
    group: list[Participant], chat: Ticket, server: Server
) -> None:
    row = answers(chat, JULIE, "It is *not* bold.\n\n# No heading")
    assert row.message is not None
    arrived = sent(row.message, server)[KEN]
    assert arrived["From"].addresses[0].display_name == "julie via The Shop"
    assert named(arrived, "To") == [KEN]
    assert arrived["Cc"] is None
    assert JULIE not in arrived.as_string()
    html = arrived.get_body(("html",))
    assert html is not None
    assert "It is *not* bold." in html.get_content()


def test_an_inbox_may_show_members_each_others_addresses(
    group: list[Participant], chat: Ticket, alice: Viewer, server: Server
) -> None:
    chat.inbox.shows_addresses = True
    chat.inbox.save()
    message = make.say(alice, chat, "To both of you.")
    arrived = sent(message, server)
    assert set(named(arrived[KEN], "To")) == {JULIE, KEN}
    chat.inbox.shows_addresses = False
    chat.inbox.save()
    message = make.say(alice, chat, "And again.")
    assert named(sent(message, server)[KEN], "To") == [KEN]


def test_a_removed_members_mail_is_refused_there_and_lost_nowhere(
    group: list[Participant], chat: Ticket, alice: Viewer
) -> None:
    remove_person(alice, chat.conversation_id, group[0].person_id)
    row = answers(chat, JULIE, "Let me in.")
    assert row.message is not None
    assert row.message.conversation_id != chat.conversation_id
    assert row.decision == "filed"
    assert "was removed from" in row.reason
    seat = Participant.objects.get(pk=group[0].pk)
    assert (seat.barred, seat.left_at is None) == (True, False)
    make.say(alice, chat, "Without Julie")
    assert mailed(Message.objects.filter(body="Without Julie").get()) == {KEN}


def test_a_readers_mail_opens_a_ticket_of_its_own(
    group: list[Participant], chat: Ticket, alice: Viewer
) -> None:
    Participant.objects.filter(pk=group[0].pk).update(rank="reader")
    row = answers(chat, JULIE, "May I?")
    assert row.message is not None
    assert row.message.conversation_id != chat.conversation_id


def test_one_who_left_comes_back_by_writing(
    group: list[Participant], chat: Ticket, alice: Viewer
) -> None:
    leave(visitor(group[0].person), chat.conversation_id)
    row = answers(chat, JULIE, "I am back.")
    assert row.message is not None
    assert row.message.conversation_id == chat.conversation_id
    assert Participant.objects.get(pk=group[0].pk).left_at is None


def test_who_was_removed_does_not_come_back_by_being_put_in_copy(
    group: list[Participant], chat: Ticket, alice: Viewer
) -> None:
    remove_person(alice, chat.conversation_id, group[0].person_id)
    answers(chat, KEN, "Julie should see this.", cc=JULIE)
    assert Participant.objects.get(pk=group[0].pk).left_at is not None
