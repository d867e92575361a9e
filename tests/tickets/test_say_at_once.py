"""The one statement for a visitor's next message leaves behind what `post_reply` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from channels.db import database_sync_to_async

from helpdesk.lib import direct, live
from tests import make
from tests.together import at_once
from tickets.access import Viewer
from tickets.models import Conversation, Inbox, Message, Participant, Ticket
from tickets.operations import merge_tickets, reply_at_once, solve_ticket
from tickets.operations.seats import Guests, add_people

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = "  Ça va?\x00 50 % of <b>it</b> — %(person)s 🫖 "


def says(who: Viewer, ticket: Ticket, body: str = WORDS, token: UUID | None = None) -> Any:
    return asyncio.run(
        reply_at_once(
            who,
            ticket.conversation_id,
            body=body,
            client_token=token or uuid4(),
            inbox_id=ticket.inbox_id,
        )
    )


def rows(ticket: Ticket) -> list[dict[str, Any]]:
    """All that a message touches, without what is another's by right: keys, moments, tokens."""
    pk = ticket.conversation_id
    found = [
        *Conversation.objects.filter(pk=pk).values(),
        *Ticket.objects.filter(conversation=pk).values(),
        *Message.objects.filter(conversation=pk).order_by("seq").values(),
        *Participant.objects.filter(conversation=pk).order_by("pk").values(),
    ]
    others = {"id", "number", "conversation_id", "client_token", "author_id", "person_id"}
    others |= {"requester_id"}
    return [
        {
            name: "a moment" if isinstance(value, datetime) else value
            for name, value in row.items()
            if name not in others
        }
        for row in found
    ]


def as_it_was(_alice: Viewer, _ticket: Ticket) -> None:
    """Staff have not answered: it is open, and waits live."""


def answered(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "The flat one.")


def left(_alice: Viewer, ticket: Ticket) -> None:
    """Nobody waits there any more, as `chat.waiting` notes."""
    Ticket.objects.filter(pk=ticket.pk).update(live=False, unread=False)


@pytest.mark.parametrize("before", [as_it_was, answered, left])
def test_both_ways_leave_the_same_rows_and_ring_the_same_bells(
    alice: Viewer,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Viewer, Ticket], None],
) -> None:
    rung: list[tuple[str, dict[str, Any]]] = []

    async def note_all(bells: Any) -> None:
        rung.extend(bells)

    one, other = (make.customer("Carol") for _ in range(2))
    slow, fast = (make.ticket(who, inbox, "Which filter?", channel="chat") for who in (one, other))
    for ticket in (slow, fast):
        before(alice, ticket)
    monkeypatch.setattr(live, "ring", lambda group, event: rung.append((group, event)))
    monkeypatch.setattr("tickets.operations.at_once.ring_all_async", note_all)

    make.say(one, slow, WORDS, inbox_id=inbox.pk)
    by_post_reply, rung = rung, []
    message = says(other, fast)

    assert rows(slow) == rows(fast)
    stored = Message.objects.get(pk=message.pk)
    assert (message.seq, message.body) == (stored.seq, stored.body)
    assert [_without_keys(bell) for bell in rung] == [_without_keys(bell) for bell in by_post_reply]


def _without_keys(bell: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    group, event = bell
    message = event.get("message")
    if message:
        author = {**message["author"], "id": 0}
        message = {**message, "author": author, "client_token": "", "created_at": ""}
    plain = {**event, "conversation": 0, "number": 0, "message": message}
    return ".".join(part for part in group.split(".") if not part.isdigit()), plain


def solved(alice: Viewer, _carol: Viewer, chat: Ticket) -> None:
    solve_ticket(alice, chat.number)


def with_the_assistant(_alice: Viewer, _carol: Viewer, chat: Ticket) -> None:
    Ticket.objects.filter(pk=chat.pk).update(handler=Ticket.Handler.ASSISTANT)


def a_group(alice: Viewer, _carol: Viewer, chat: Ticket) -> None:
    add_people(alice, chat.conversation_id, Guests(addresses=("dora@mail.example",)))


def with_somebody_who_hears_by_mail(_alice: Viewer, _carol: Viewer, chat: Ticket) -> None:
    dora = make.customer("Dora", "dora@mail.example")
    Participant.objects.create(
        conversation=chat.conversation, person=dora.person, role="customer", reach="email"
    )


def who_only_reads(_alice: Viewer, carol: Viewer, chat: Ticket) -> None:
    seats = Participant.objects.filter(conversation=chat.conversation, person=carol.person)
    seats.update(rank=Participant.Rank.READER)


def who_left(_alice: Viewer, carol: Viewer, chat: Ticket) -> None:
    seats = Participant.objects.filter(conversation=chat.conversation, person=carol.person)
    seats.update(left_at=chat.opened_at)


def of_a_mail(_alice: Viewer, _carol: Viewer, chat: Ticket) -> None:
    Conversation.objects.filter(pk=chat.conversation_id).update(channel="email")


def in_another_inbox(_alice: Viewer, _carol: Viewer, chat: Ticket) -> None:
    Ticket.objects.filter(pk=chat.pk).update(inbox=make.inbox("Another"))


@pytest.mark.parametrize(
    "otherwise",
    [
        solved,
        with_the_assistant,
        a_group,
        with_somebody_who_hears_by_mail,
        who_only_reads,
        who_left,
        of_a_mail,
        in_another_inbox,
    ],
)
def test_whatever_is_not_plain_is_left_alone(
    alice: Viewer,
    carol: Viewer,
    chat: Ticket,
    otherwise: Callable[[Viewer, Viewer, Ticket], None],
) -> None:
    otherwise(alice, carol, chat)
    before = rows(chat)
    assert says(carol, chat) is None
    assert rows(chat) == before


def test_nobody_writes_in_what_is_anothers(mallory: Viewer, carol: Viewer, chat: Ticket) -> None:
    before = rows(chat)
    assert says(make.customer("Eve"), chat) is None
    assert says(mallory, chat) is None
    assert rows(chat) == before


def test_a_text_of_nothing_and_one_that_is_too_long_are_left_alone(
    carol: Viewer, chat: Ticket
) -> None:
    before = rows(chat)
    assert says(carol, chat, " \u200b ") is None
    assert says(carol, chat, "x" * 100_001) is None
    assert rows(chat) == before


def test_the_same_token_is_one_message(carol: Viewer, chat: Ticket) -> None:
    token = uuid4()
    first = says(carol, chat, token=token)
    before = rows(chat)
    assert says(carol, chat, token=token) is None
    again = make.say(carol, chat, WORDS, client_token=token)
    assert again.pk == first.pk
    assert rows(chat) == before


def test_many_at_once_stand_in_one_line(carol: Viewer, chat: Ticket) -> None:
    """Whoever finds that others spoke since their statement began says it by `post_reply`."""

    def say() -> None:
        if says(carol, chat) is None:
            make.say(carol, chat, WORDS, client_token=uuid4())

    at_once(*[say] * 8)
    seqs = Message.objects.filter(conversation=chat.conversation_id).values_list("seq", flat=True)
    assert sorted(seqs) == list(range(1, 10))
    chat.conversation.refresh_from_db()
    assert (chat.conversation.last_seq, chat.conversation.last_public_seq) == (9, 9)


async def test_a_store_that_is_away_is_no_message_and_no_fault(
    carol: Viewer, chat: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(direct, "fetched", away)
    said = reply_at_once(
        carol, chat.conversation_id, body="Hi", client_token=uuid4(), inbox_id=chat.inbox_id
    )
    assert await said is None
    count = database_sync_to_async(Message.objects.filter(conversation=chat.conversation_id).count)
    assert await count() == 1


def test_where_tickets_were_merged_the_same_words_are_looked_for_first(
    alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    here, there = (make.ticket(carol, inbox, words, channel="chat") for words in ("One", "Two"))
    token = uuid4()
    said = make.say(carol, here, "Hello?", client_token=token)
    merge_tickets(alice, here.number, there.number)
    assert says(carol, here, "Hello?", token) is None
    assert says(carol, there, "Hello?", token) is None
    assert make.say(carol, there, "Hello?", client_token=token).pk == said.pk
    assert Message.objects.filter(body="Hello?").count() == 1
