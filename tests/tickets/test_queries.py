from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from tests import make
from tickets import queries
from tickets.access import Viewer
from tickets.models import Inbox, Ticket, TicketCount
from tickets.operations import assign_ticket, post_note, solve_ticket
from tickets.operations.counts import fold_counts
from tickets.queries import Cursor, count_tickets, list_tickets, search_tickets

pytestmark = pytest.mark.django_db


def test_who_waits_longest_comes_first(alice: Viewer, carol: Viewer, inbox: Inbox) -> None:
    old, new = (make.ticket(carol, inbox, body) for body in ("old", "new"))
    Ticket.objects.filter(pk=old.pk).update(waiting_since=now() - timedelta(days=2))
    assert [t.pk for t in list_tickets(alice, "open").tickets] == [old.pk, new.pk]


def test_pages_follow_each_other_without_gap_or_repeat(
    alice: Viewer, carol: Viewer, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_ROWS", 3)
    made = [make.ticket(carol, inbox, f"{n}").pk for n in range(7)]
    moment = now()
    Ticket.objects.filter(pk__in=made[2:5]).update(waiting_since=moment, last_message_at=moment)
    for ticket in made[::2]:
        solve_ticket(alice, ticket)
    Ticket.objects.filter(status="solved").update(solved_at=moment)
    for view in ("open", "solved"):
        seen, after = [], None
        for _ in range(5):
            page = list_tickets(alice, view, after=after)
            seen += [t.pk for t in page.tickets]
            if page.next is None:
                break
            after = Cursor.parse(str(page.next))
            assert after == page.next
        expected = Ticket.objects.filter(status=view).values_list("pk", flat=True)
        assert len(seen) == len(set(seen)) == len(expected)
        assert set(seen) == set(expected)


@pytest.mark.parametrize("text", ["", "x", "2024-01-01_1", "_", "2024-01-01T00:00:00+00:00_x"])
def test_a_cursor_that_is_none_of_ours_is_no_cursor(text: str) -> None:
    assert Cursor.parse(text) is None


def test_counters_follow_every_change(
    alice: Viewer, bob: Viewer, carol: Viewer, mallory: Viewer, inbox: Inbox
) -> None:
    one, two, three = (make.ticket(carol, inbox, body) for body in "abc")
    assign_ticket(alice, one.number, alice.user.pk)  # type: ignore[union-attr]
    make.say(bob, two, "Answered.")
    solve_ticket(bob, three.number)
    for _ in range(2):
        counts = count_tickets(alice)
        assert (counts.yours, counts.unassigned, counts.open, counts.waiting) == (1, 0, 1, 1)
        assert counts.by_inbox == {inbox.pk: 1}
        fold_counts()
    assert TicketCount.objects.count() == 3
    assert count_tickets(mallory).open == 0
    three.conversation.delete()
    Ticket.objects.filter(pk=one.pk).update(inbox=make.inbox("Other"))
    assert count_tickets(alice).open == 1


def test_search_finds_beginnings_without_accents_or_case(
    alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    ticket = make.ticket(carol, inbox, "Die Mühle macht Geräusche")
    make.ticket(carol, inbox, "Something else")
    for words in ("muhle", "MÜHLE ger", "gerausche die", f"#{ticket.number}", "carol mühl"):
        assert [hit.ticket for hit in search_tickets(alice, words)] == [ticket], words
    for words in ("muhle else", "", "&|!:*", "'"):
        assert search_tickets(alice, words) == []


def test_search_shows_only_what_one_may_see(
    alice: Viewer, mallory: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    post_note(alice, ticket.conversation_id, body="confidential plum", via="web")
    assert search_tickets(alice, "plum")
    for text in ("plum", "grinder", str(ticket.number)):
        assert search_tickets(mallory, text) == []
        assert search_tickets(carol, text) == []
