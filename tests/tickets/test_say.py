from __future__ import annotations

import threading
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now
from pytest_django import Settings

from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tickets.access import Viewer, visible_messages
from tickets.models import Inbox, Message, OutgoingEmail, Ticket
from tickets.operations import post_note, reopen_ticket, solve_ticket, start_chat

pytestmark = pytest.mark.django_db


def test_a_note_never_leaves_the_desk(alice: Viewer, carol: Viewer, ticket: Ticket) -> None:
    post_note(alice, ticket.conversation_id, body="She wrote three times.", via="web")

    assert not OutgoingEmail.objects.exists()
    bodies = [m.body for m in visible_messages(carol, ticket.conversation)]
    assert bodies == ["My grinder arrived broken."]


def test_a_customer_cannot_write_a_note(carol: Viewer, ticket: Ticket) -> None:
    with pytest.raises(Refused):
        post_note(carol, ticket.conversation_id, body="Hidden", via="widget")


def test_the_database_refuses_a_note_for_everyone(ticket: Ticket) -> None:
    with pytest.raises(IntegrityError, match="message_notes_are_for_staff"), transaction.atomic():
        ticket.conversation.messages.create(
            seq=99, kind="note", audience="everyone", via="web", body="leak"
        )


def test_a_resend_with_the_same_token_is_one_message(carol: Viewer, ticket: Ticket) -> None:
    token = uuid4()
    first = make.say(carol, ticket, "Once", client_token=token)
    again = make.say(carol, ticket, "Once", client_token=token)
    assert first == again
    assert Message.objects.filter(body="Once").count() == 1


def test_a_reply_by_staff_is_one_email_for_each_customer_reached_by_email(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "A new one is on its way.")
    assert [o.address for o in OutgoingEmail.objects.all()] == ["carol@mail.example"]


def test_a_customer_is_not_mailed_their_own_words(carol: Viewer, ticket: Ticket) -> None:
    make.say(carol, ticket, "And the box was dented.")
    assert not OutgoingEmail.objects.exists()


def test_a_reply_makes_it_the_others_turn(alice: Viewer, carol: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Sorry!")
    ticket.refresh_from_db()
    assert (ticket.status, ticket.waiting_since, ticket.unread) == ("waiting", None, False)
    message = make.say(carol, ticket, "Thanks.")
    ticket.refresh_from_db()
    assert (ticket.status, ticket.waiting_since) == ("open", message.created_at)
    assert ticket.unread


def test_who_waits_longest_keeps_their_place(carol: Viewer, ticket: Ticket) -> None:
    since = ticket.waiting_since
    make.say(carol, ticket, "Hello? Anyone?")
    ticket.refresh_from_db()
    assert ticket.waiting_since == since


def test_a_customer_who_writes_reopens_a_solved_ticket(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    solve_ticket(alice, ticket.number)
    make.say(carol, ticket, "It broke again.")
    ticket.refresh_from_db()
    assert (ticket.status, ticket.solved_at) == ("open", None)
    kinds = [m.kind for m in visible_messages(alice, ticket.conversation)]
    assert kinds == ["reply", "change", "reply", "change"]


def test_a_ticket_that_opens_again_keeps_its_place_in_the_queue(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    asked_at = ticket.conversation.messages.get(seq=1).created_at
    make.say(carol, ticket, "Are you there?")
    solve_ticket(alice, ticket.number)
    assert reopen_ticket(alice, ticket.number).waiting_since == asked_at

    make.say(alice, ticket, "Yes.")
    solve_ticket(alice, ticket.number)
    again = reopen_ticket(alice, ticket.number)  # nothing is unanswered: it is our turn from now on
    assert again.waiting_since is not None
    assert again.waiting_since > ticket.conversation.messages.get(body="Yes.").created_at


def test_solving_twice_is_one_change(alice: Viewer, ticket: Ticket) -> None:
    solve_ticket(alice, ticket.number)
    solve_ticket(alice, ticket.number)
    assert ticket.conversation.messages.filter(kind="change").count() == 1
    assert reopen_ticket(alice, ticket.number).status == "open"


def test_nobody_from_another_team_or_conversation_may_write(
    mallory: Viewer, ticket: Ticket
) -> None:
    stranger = make.customer("Dave")
    for who in (mallory, stranger):
        with pytest.raises(NotFound):
            make.say(who, ticket, "Let me in.")
    with pytest.raises(NotFound):
        solve_ticket(mallory, ticket.number)


@pytest.mark.parametrize("body", ["", "   \n ", "\x00\x01", "\u200b\u200d\ufeff"])
def test_an_empty_message_is_refused_with_a_sentence(
    carol: Viewer, ticket: Ticket, body: str
) -> None:
    with pytest.raises(Refused, match="Write something"):
        make.say(carol, ticket, body)


def test_an_over_long_message_is_refused_with_its_limit(
    carol: Viewer, ticket: Ticket, settings: Settings
) -> None:
    settings.MESSAGE_MAX_CHARS = 10
    with pytest.raises(Refused, match=r"11 characters\. At most 10"):
        make.say(carol, ticket, "x" * 11)
    assert make.say(carol, ticket, "x" * 10).body == "x" * 10


def test_a_message_survives_nul_and_lone_surrogates(carol: Viewer, ticket: Ticket) -> None:
    assert make.say(carol, ticket, "a\x00b\ud800c\r\nd").body == "ab?c\nd"


def test_the_first_words_of_a_chat_open_its_ticket(inbox: Inbox) -> None:
    seat = start_chat()
    visitor = Viewer(seat.person)
    assert not Ticket.objects.exists()
    message = make.say(visitor, seat.conversation, "Do you ship to Malta?", inbox_id=inbox.pk)
    opened = Ticket.objects.get()
    assert (opened.subject, opened.inbox) == ("Do you ship to Malta?", inbox)
    assert (message.seq, opened.last_preview) == (1, "Do you ship to Malta?")


def test_whoever_on_staff_answers_first_takes_the_ticket(bob: Viewer, chat: Ticket) -> None:
    make.say(bob, chat, "The round one.")
    chat.refresh_from_db()
    assert (chat.assignee, chat.status) == (bob.user, "waiting")
    assert chat.first_reply_at is not None


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_gapless_places(carol: Viewer, chat: Ticket) -> None:
    def write(n: int) -> None:
        for i in range(5):
            make.say(carol, chat, f"{n} {i}")
        connection.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seqs = list(chat.conversation.messages.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, 22))


@pytest.mark.django_db(transaction=True)
def test_one_token_sent_twice_at_once_is_one_message(carol: Viewer, chat: Ticket) -> None:
    token, results = uuid4(), []

    def write() -> None:
        results.append(make.say(carol, chat, "Twice?", client_token=token).pk)
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1


def test_the_database_refuses_an_open_ticket_that_waits_for_no_one(ticket: Ticket) -> None:
    with pytest.raises(IntegrityError, match="ticket_open_is_waiting"), transaction.atomic():
        Ticket.objects.update(status="open", waiting_since=None)
    with pytest.raises(IntegrityError, match="ticket_solved_has_time"), transaction.atomic():
        Ticket.objects.update(status="waiting", waiting_since=None, solved_at=now())
