from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from attachments.models import Attachment, Blob
from tests import make
from tickets import queries
from tickets.access import Viewer
from tickets.models import Inbox, Message, MessageFile, Ticket, TicketCount
from tickets.operations import assign_ticket, post_note, solve_ticket
from tickets.operations.counts import fold_counts
from tickets.queries import (
    SIGNATURE_MAX_BYTES,
    SIGNATURE_MAX_PX,
    Cursor,
    count_tickets,
    list_tickets,
    looks_like_signature,
    search_tickets,
)

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


LARGE_BYTES = SIGNATURE_MAX_BYTES + 1


def blob(size_bytes: int, width: int = 0, height: int = 0, kind: str = "image/png") -> Blob:
    return Blob.objects.create(
        sha256=f"{Blob.objects.count():064}",
        size_bytes=size_bytes,
        type=kind,
        preview_width=width,
        preview_height=height,
    )


def folded(message: Message, of: Blob, *, inline: bool = True) -> bool:
    """Show these bytes with a message; is that a signature?"""
    attachment = Attachment.objects.create(name="image001.png", blob=of)
    file = MessageFile.objects.create(message=message, attachment=attachment, inline=inline)
    found = MessageFile.objects.annotate(is_signature=looks_like_signature()).get(pk=file.pk)
    return bool(vars(found)["is_signature"])


def test_a_small_picture_inside_the_text_is_a_signature(carol: Viewer, ticket: Ticket) -> None:
    said = make.say(carol, ticket, "With kind regards")
    assert folded(said, blob(SIGNATURE_MAX_BYTES))
    assert folded(said, blob(LARGE_BYTES, SIGNATURE_MAX_PX, SIGNATURE_MAX_PX))
    assert not folded(said, blob(LARGE_BYTES, SIGNATURE_MAX_PX + 1, 20))
    assert not folded(said, blob(LARGE_BYTES, 20, SIGNATURE_MAX_PX + 1))
    assert not folded(said, blob(LARGE_BYTES))  # nothing is known of its sides


def test_what_comes_with_every_mail_is_one_from_the_second_on(
    carol: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    logo = blob(LARGE_BYTES, 640, 200)
    elsewhere = make.ticket(carol, inbox, "Something else.")
    make.say(carol, ticket, "Later than anything elsewhere.")
    first, second = make.say(carol, ticket, "One."), make.say(carol, ticket, "Two.")
    assert not folded(make.say(carol, elsewhere, "Another conversation."), logo)
    assert not folded(first, logo)
    assert folded(second, logo)
    assert not folded(second, blob(LARGE_BYTES, 640, 200))


def test_what_is_attached_or_no_picture_is_no_signature(carol: Viewer, ticket: Ticket) -> None:
    first, second = make.say(carol, ticket, "One."), make.say(carol, ticket, "Two.")
    small = blob(100, 10, 10)
    assert not folded(first, small, inline=False)
    assert not folded(second, small, inline=False)
    assert not folded(second, blob(100, kind="application/pdf"))


def test_of_a_file_without_bytes_nothing_is_said(carol: Viewer, ticket: Ticket) -> None:
    said = make.say(carol, ticket, "One.")
    waiting = Attachment.objects.create(name="a.png", state="checking")
    file = MessageFile.objects.create(message=said, attachment=waiting, inline=True)
    found = MessageFile.objects.annotate(is_signature=looks_like_signature()).get(pk=file.pk)
    assert not vars(found)["is_signature"]
