"""Chats whose visitor waits for a person now stand before everything else that is open."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from tests import make
from tests.tickets.conftest import Enter
from tickets import queries
from tickets.access import Viewer
from tickets.models import Inbox, Ticket
from tickets.operations import (
    assign_ticket,
    hand_over,
    nobody_waits,
    post_note,
    reopen_ticket,
    solve_ticket,
)
from tickets.queries import Cursor, View, list_tickets

pytestmark = pytest.mark.django_db


def is_live(ticket: Ticket) -> bool:
    return Ticket.objects.get(pk=ticket.pk).live


def test_a_chat_waits_live_from_the_visitors_words_to_the_answer(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    assert is_live(chat)
    post_note(alice, chat.conversation_id, body="Hm.", via="web")
    assert is_live(chat)
    make.say(alice, chat, "The flat one.")
    assert not is_live(chat)
    make.say(carol, chat, "Thank you!")
    assert is_live(chat)
    solve_ticket(alice, chat.number)
    reopen_ticket(alice, chat.number)
    assert not is_live(chat)


def test_mail_never_waits_live(carol: Viewer, ticket: Ticket, chat: Ticket) -> None:
    make.say(carol, ticket, "Hello?")
    assert not is_live(ticket)


def test_what_the_assistant_answers_waits_live_once_it_hands_over(
    alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    inbox.assistant_on = True
    inbox.save()
    chat = make.ticket(carol, inbox, "Which filter?", channel="chat")
    assert chat.handler == "assistant"
    assert not is_live(chat)
    hand_over(chat.conversation_id, reason="asked")
    assert is_live(chat)


def test_a_visitor_who_has_gone_waits_no_more_unless_they_wrote_meanwhile(
    carol: Viewer, chat: Ticket
) -> None:
    make.say(carol, chat, "Anybody?")
    assert not nobody_waits(chat.conversation_id, last_seq=1)
    assert is_live(chat)
    assert nobody_waits(chat.conversation_id, last_seq=2)
    assert not is_live(chat)
    assert not nobody_waits(chat.conversation_id, last_seq=2)


@pytest.mark.parametrize("view", ["open", "unassigned", "yours"])
def test_they_come_first_across_pages_without_gap_or_repeat(
    view: View, alice: Viewer, carol: Viewer, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_ROWS", 2)
    mails = [make.ticket(carol, inbox, f"mail {n}") for n in range(5)]
    chats = [make.ticket(carol, inbox, f"chat {n}", channel="chat") for n in range(5)]
    if view == "yours":
        assert alice.user
        for each in (*mails, *chats):
            assign_ticket(alice, each.number, alice.user.pk)
    long_ago = now() - timedelta(days=1)
    Ticket.objects.filter(pk__in=[mails[3].pk, mails[4].pk]).update(waiting_since=long_ago)
    Ticket.objects.filter(pk__in=[chats[3].pk, chats[4].pk]).update(waiting_since=long_ago)
    expected = [chats[n].pk for n in (3, 4, 0, 1, 2)] + [mails[n].pk for n in (3, 4, 0, 1, 2)]
    seen: list[int] = []
    after = None
    for _ in range(6):
        page = list_tickets(alice, view, after=after, rows=2)
        seen += [each.pk for each in page.tickets]
        if page.next is None:
            break
        after = Cursor.parse(str(page.next))
        assert after == page.next
    assert seen == expected


def test_a_view_shows_them_alone_and_the_navigation_counts_them(
    enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket, chat: Ticket
) -> None:
    page = enter(alice).get("/tickets/?view=live")
    assert [hit.ticket.pk for hit in page.context["hits"]] == [chat.pk]
    assert page.context["counts"]["live"] == 1
    other = enter(mallory).get("/tickets/?view=live")
    assert other.context["hits"] == []
    assert other.context["counts"]["live"] == 0


PLANS = {
    "open": "ticket_open_live",
    "unassigned": "ticket_open_live_unassigned",
    "yours": "ticket_open_live_by_assignee",
}


@pytest.mark.parametrize("view", PLANS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_page_is_one_walk_along_an_index(
    view: View, deep: bool, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    one = make.ticket(carol, inbox, "Hello?")
    assert alice.user
    fill = (
        "WITH made AS (INSERT INTO tickets_conversation (channel, last_seq, last_public_seq, "
        "created_at) SELECT 'email', 0, 0, now() FROM generate_series(1, 4000) RETURNING id) "
        "INSERT INTO tickets_ticket (conversation_id, subject, requester_id, inbox_id, assignee_id,"
        " status, handler, opened_at, waiting_since, last_message_at, last_preview, "
        "last_author_name, unread, live) SELECT id, '', %s, %s, CASE WHEN id %% 3 = 0 THEN %s END, "
        "'open', 'staff', now(), now() - id * interval '1 second', now(), '', '', false, "
        "id %% 500 = 0 FROM made"
    )
    with connection.cursor() as cursor:
        cursor.execute(fill, [one.requester_id, inbox.pk, alice.user.pk])
        cursor.execute("ANALYZE tickets_ticket, tickets_conversation")
    after = None
    if deep:
        middle = Ticket.objects.order_by("waiting_since", "number")[2000]
        after = Cursor(middle.waiting_since or now(), middle.number)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        page = list_tickets(alice, view, after=after)
    assert len(page.tickets) == queries.PAGE_ROWS
    (query,) = [each["sql"] for each in asked if "waiting_since" in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + query.replace("%", "%%"))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert f"Index Scan using {PLANS[view]} " in plan, plan
    assert "Sort" not in plan, plan
