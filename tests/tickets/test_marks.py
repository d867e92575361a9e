"""How far words have come: who has read them, and whose browser has them."""

from __future__ import annotations

from typing import Any

import pytest

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Participant, Team, Ticket
from tickets.operations import mark_got, mark_read, mark_seen, post_note
from tickets.operations.seats import Guests, add_people
from tickets.queries import with_marks
from tickets.views.marks import ReadMark, read_marks

SCRIPT = {"HX-Request": "true"}


def marks(viewer: Viewer, ticket: Ticket) -> list[tuple[int, str]]:
    taken = Participant.objects.filter(conversation=ticket.conversation_id, left_at=None)
    found = read_marks(viewer, with_marks(taken.select_related("person")).order_by("pk"))
    return [(mark.seq, mark.sentence) for mark in found]


def seat_of(viewer: Viewer, ticket: Ticket) -> Participant:
    return Participant.objects.get(conversation=ticket.conversation_id, person=viewer.person)


@pytest.fixture
def group(alice: Viewer, bob: Viewer, carol: Viewer, chat: Ticket) -> Ticket:
    """Alice and Bob with seats in Carol's chat."""
    assert alice.user
    assert bob.user
    guests = Guests(user_ids=[alice.user.pk, bob.user.pk])
    add_people(alice, chat.conversation_id, guests, sees_all=True)
    return chat


def test_the_last_reply_that_the_customer_has_read_says_so(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    first = make.say(alice, chat, "Size 02.")
    second = make.say(alice, chat, "Of paper.")
    assert marks(alice, chat) == []
    mark_read(carol, chat.conversation_id, first.seq)
    assert marks(alice, chat) == [(first.seq, "Read")]
    mark_read(carol, chat.conversation_id, second.seq)
    assert marks(alice, chat) == [(second.seq, "Read")]


def test_what_a_browser_has_and_nobody_has_read_is_delivered(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    first = make.say(alice, chat, "Size 02.")
    second = make.say(alice, chat, "Of paper.")
    mark_read(carol, chat.conversation_id, first.seq)
    mark_got(carol, chat.conversation_id, second.seq)
    assert marks(alice, chat) == [(first.seq, "Read"), (second.seq, "Delivered")]
    mark_read(carol, chat.conversation_id, second.seq)
    assert marks(alice, chat) == [(second.seq, "Read")]


def test_ones_own_words_are_not_read_by_oneself(alice: Viewer, carol: Viewer, chat: Ticket) -> None:
    answer = make.say(alice, chat, "Size 02.")
    thanks = make.say(carol, chat, "Thank you.")
    mark_read(carol, chat.conversation_id, thanks.seq)
    assert marks(alice, chat) == [(answer.seq, "Read")]


def test_what_was_delivered_never_moves_back_nor_past_the_end(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    answer = make.say(alice, chat, "Size 02.")
    mark_got(carol, chat.conversation_id, answer.seq)
    mark_got(carol, chat.conversation_id, answer.seq - 1)
    mark_got(carol, chat.conversation_id, answer.seq + 1)
    assert seat_of(carol, chat).got_seq == answer.seq


def test_in_a_group_each_is_named_where_they_stand(
    alice: Viewer, bob: Viewer, carol: Viewer, group: Ticket
) -> None:
    first = make.say(alice, group, "Size 02.")
    mark_read(carol, group.conversation_id, first.seq)
    mark_seen(bob, group.number, first.seq)
    assert marks(alice, group) == [(first.seq, "Read by Carol, Bob")]
    second = make.say(alice, group, "Of paper.")
    mark_seen(bob, group.number, second.seq)
    assert marks(alice, group) == [(first.seq, "Read by Carol"), (second.seq, "Read by Bob")]
    mark_got(carol, group.conversation_id, second.seq)
    assert (second.seq, "Delivered to Carol") in marks(alice, group)


def test_a_note_is_read_by_staff_alone(
    alice: Viewer, bob: Viewer, carol: Viewer, group: Ticket
) -> None:
    answer = make.say(alice, group, "Size 02.")
    note = post_note(alice, group.conversation_id, body="She is kind.", via="web")
    mark_read(carol, group.conversation_id, note.seq)
    mark_seen(bob, group.number, note.seq)
    assert marks(alice, group) == [(answer.seq, "Read by Carol"), (note.seq, "Read by Bob")]


def test_whoever_reads_by_an_inbox_and_has_no_seat_leaves_no_mark(
    alice: Viewer, bob: Viewer, carol: Viewer, chat: Ticket
) -> None:
    mark_seen(bob, chat.number, 1)
    assert marks(alice, chat) == []
    chat.refresh_from_db()
    assert chat.read_seq == 1


def test_many_names_are_counted() -> None:
    names = ("Carol", "Bob", "Dana", "Erin")
    assert ReadMark(3, "read", names).sentence == "Read by Carol, Bob and 2 others"


def test_the_page_shows_marks_and_a_script_gets_them_alone(
    enter: Enter, alice: Viewer, bob: Viewer, carol: Viewer, group: Ticket
) -> None:
    answer = make.say(alice, group, "Size 02.")
    mark_read(carol, group.conversation_id, answer.seq)
    browser = enter(bob)
    for address in (f"/tickets/{group.number}/", f"/chats/?open={group.number}"):
        page = browser.get(address).content.decode()
        assert "Read by Carol" in page
        assert "data-unread" in page  # Bob has a seat, and not read it yet
    alone = browser.get(f"/tickets/{group.number}/marks/", headers=SCRIPT).content.decode()
    assert f'data-mark="{answer.seq}"' in alone
    mark_seen(bob, group.number, answer.seq)
    group.refresh_from_db()
    assert not group.unread
    assert "data-unread" not in browser.get(f"/tickets/{group.number}/").content.decode()


def test_marks_of_many_cost_one_query(
    alice: Viewer, team: Team, group: Ticket, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        user = make.staff(f"Colleague{number}", team).user
        assert user
        add_people(alice, group.conversation_id, Guests(user_ids=[user.pk]))
    with django_assert_num_queries(1):
        marks(alice, group)
