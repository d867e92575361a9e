"""Staff move a mail to the ticket where it belongs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tests.fakes.mails import mail
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in, sent_to
from tests.together import at_once
from tickets import events
from tickets.access import Viewer, visible_messages
from tickets.mail.addresses import reply_address
from tickets.models import InboundEmail, Inbox, Message, Participant, Person, Ticket
from tickets.operations import move_message, post_note, solve_ticket
from tickets.queries import search_tickets

pytestmark = pytest.mark.django_db


def arrives(where: Ticket, body: str = "It also leaks.", **more: Any) -> Message:
    """A mail that answers a ticket, as the message it became."""
    row = come_in(mail(body, to=reply_address("hello@shop.example", where.conversation_id), **more))
    assert row.message is not None
    return row.message


def now_of(ticket: Ticket) -> Ticket:
    return Ticket.objects.select_related("conversation").get(pk=ticket.pk)


def entries(ticket: Ticket) -> list[tuple[int, str]]:
    """Place and words of each entry."""
    found = ticket.conversation.messages.order_by("seq")
    return [(m.seq, m.body or str((m.change or {})["field"])) for m in found]


@pytest.fixture
def other(carol: Viewer, inbox: Inbox) -> Ticket:
    return make.ticket(carol, inbox, "Where is my order?")


@pytest.fixture(autouse=True)
def _invariants_hold(db: None) -> Any:
    yield
    call_command("check_invariants", verbosity=0)


def test_a_mail_moves_to_the_end_of_another_ticket_with_all_that_belongs_to_it(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    raw_quote = "New one.\n\nOn 1 March 2025, Maya <hello@shop.example> wrote:\n> Really?\n"
    moved = arrives(ticket, raw_quote, files={"slip.pdf": ("application/pdf", b"%PDF-1.4 x")})
    before = Message.objects.values("author", "body", "quoted", "created_at").get(pk=moved.pk)
    assert move_message(alice, ticket.number, moved.seq, to=other.number) == other
    after = other.conversation.messages.order_by("seq").last()
    assert after is not None
    assert (after.seq, after.kind, after.file_count) == (2, "reply", 1)
    assert [f.attachment.name for f in after.files.all()] == ["slip.pdf"]
    told = {name: getattr(after, name) for name in ("body", "quoted", "created_at")}
    assert {**told, "author": after.author_id} == before
    mailed = InboundEmail.objects.get(message=after)
    assert mailed.conversation_id == other.conversation_id
    assert mailed.reason.startswith(f"Alice moved it here from #{ticket.number}. The reply address")
    line = ticket.conversation.messages.get(seq=moved.seq)
    assert (line.kind, line.audience, line.author) == ("change", "staff", alice.person)
    assert line.change is not None
    assert (line.change["new"], line.change["by"]) == (other.number, "Carol")
    again = come_in(mail("And?", in_reply_to=f"<{mailed.rfc_message_id}>"))
    assert again.conversation_id == other.conversation_id


def test_both_tickets_show_what_is_in_them(alice: Viewer, ticket: Ticket, other: Ticket) -> None:
    make.say(alice, ticket, "Bring it in.")
    make.say(alice, other, "It left on Monday.")
    solve_ticket(alice, other.number)
    moved = arrives(ticket, "Where is my other order?")
    assert (now_of(ticket).status, now_of(ticket).unread) == ("open", True)
    move_message(alice, ticket.number, moved.seq, to=other.number)
    old, new = now_of(ticket), now_of(other)
    assert (old.status, old.unread, old.last_preview) == ("waiting", False, "Bring it in.")
    assert (new.status, new.unread, new.last_preview) == ("open", True, "Where is my other order?")
    assert new.waiting_since == moved.created_at
    assert old.conversation.last_public_seq == 2


def test_a_ticket_that_a_mail_opened_again_is_solved_again_without_it(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    make.say(alice, ticket, "Bring it in.")
    solve_ticket(alice, ticket.number)
    moved = arrives(ticket)
    move_message(alice, ticket.number, moved.seq, to=other.number)
    assert now_of(ticket).status == "solved"


def test_a_ticket_that_waits_for_another_answer_stays_open(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    asked_since = now_of(ticket).waiting_since
    moved = arrives(ticket)
    move_message(alice, ticket.number, moved.seq, to=other.number)
    old = now_of(ticket)
    assert (old.status, old.unread, old.waiting_since) == ("open", True, asked_since)


def test_a_mail_becomes_a_ticket_of_its_own(alice: Viewer, ticket: Ticket) -> None:
    moved = arrives(ticket, subject="My kettle", cc="Dave <dave@mail.example>")
    new = move_message(alice, ticket.number, moved.seq, to=None)
    new = now_of(new)
    assert (new.subject, new.inbox_id, new.status) == ("My kettle", ticket.inbox_id, "open")
    assert (new.requester.name, new.last_preview) == ("Carol", "It also leaks.")
    assert entries(new)[0] == (1, "It also leaks.")
    seats = Participant.objects.filter(conversation=new.conversation).order_by("pk")
    assert [(s.person.name, s.copied, s.sees_after_seq) for s in seats] == [
        ("Carol", False, 0),
        ("Dave", True, 0),
    ]
    assert [hit.ticket for hit in search_tickets(alice, "kettle leaks")] == [new]
    left = Participant.objects.get(conversation=ticket.conversation, person__name="Dave")
    assert left.left_at is not None


def test_the_only_message_of_a_ticket_leaves_it_solved_by_itself(
    alice: Viewer, other: Ticket, inbox: Inbox
) -> None:
    row = come_in(mail(subject="Order 7"))
    ticket = Ticket.objects.get(conversation=row.conversation)
    move_message(alice, ticket.number, 1, to=other.number)
    old = now_of(ticket)
    assert (old.status, old.unread, old.last_preview) == ("solved", False, "")
    assert old.conversation.last_public_seq == 0
    assert entries(ticket) == [(1, "moved"), (2, "status")]
    assert [hit.ticket for hit in search_tickets(alice, "order 7")] == [old]


def test_a_stranger_who_is_moved_hears_no_more_of_the_old_ticket(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    make.say(alice, ticket, "Between us.")
    moved = arrives(ticket, "I forward this.", sender="dave@mail.example")
    make.say(alice, other, "Private.")
    move_message(alice, ticket.number, moved.seq, to=other.number)
    dave = Person.objects.get(name="dave")
    assert [m.body for m in visible_messages(Viewer(dave), other.conversation)] == [
        "I forward this."
    ]
    assert not visible_messages(Viewer(dave), ticket.conversation).exists()
    make.say(alice, ticket, "Still between us.")
    assert [m.address for m in sent_to(ticket).message.outgoing_emails.all()] == [
        "carol@mail.example"
    ]
    make.say(alice, other, "Hello Dave.")
    assert "dave@mail.example" in {m.address for m in sent_to(other).message.outgoing_emails.all()}


def test_who_moves_it_twice_moves_it_once(alice: Viewer, ticket: Ticket, other: Ticket) -> None:
    third = make.ticket(make.customer("Erin"), ticket.inbox, "Third")
    moved = arrives(ticket)
    for _ in range(2):
        assert move_message(alice, ticket.number, moved.seq, to=other.number) == other
    assert move_message(alice, ticket.number, moved.seq, to=None) == other
    assert Ticket.objects.count() == 3
    with pytest.raises(Refused, match=f"It was moved to #{other.number} already"):
        move_message(alice, ticket.number, moved.seq, to=third.number)


def test_a_note_by_mail_moves_and_wakes_nobody(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    make.say(alice, other, "It left on Monday.")
    moved = arrives(ticket, "From my phone.", sender="alice@desk.example")
    assert moved.kind == "note"
    with pytest.raises(Refused, match="note"):
        move_message(alice, ticket.number, moved.seq, to=None)
    move_message(alice, ticket.number, moved.seq, to=other.number)
    assert now_of(other).status == "waiting"
    assert entries(other)[-1] == (4, "From my phone.")
    assert not Participant.objects.filter(person=alice.person).exists()


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_only_what_came_by_mail_can_be_moved(
    alice: Viewer, ticket: Ticket, other: Ticket, seq: int
) -> None:
    make.say(alice, ticket, "Hello.")
    post_note(alice, ticket.conversation_id, body="Careful.", via="web")
    with pytest.raises(Refused):
        move_message(alice, ticket.number, seq, to=other.number)
    assert (ticket.conversation.messages.count(), other.conversation.messages.count()) == (3, 1)


def test_a_mail_cannot_move_to_where_it_is(alice: Viewer, ticket: Ticket) -> None:
    moved = arrives(ticket)
    with pytest.raises(Refused, match="already"):
        move_message(alice, ticket.number, moved.seq, to=ticket.number)


def test_who_sees_one_of_two_tickets_can_move_nothing_between_them(
    alice: Viewer, carol: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    moved = arrives(ticket)
    theirs = make.ticket(carol, Inbox.objects.get(name="Elsewhere"), "Elsewhere")
    refusals = []
    for number in (theirs.number, theirs.number + 1_000):
        with pytest.raises(Refused) as refused:
            move_message(alice, ticket.number, moved.seq, to=number)
        refusals.append(str(refused.value).replace(str(number), "N"))
    assert refusals[0] == refusals[1] == "There is no ticket #N."
    for viewer in (mallory, carol):
        for to in (theirs.number, ticket.number + 1_000, None):
            with pytest.raises(NotFound):
                move_message(viewer, ticket.number, moved.seq, to=to)
    assert Message.objects.filter(change__field="moved").count() == 0


def test_the_page_moves_and_says_what_is_wrong(
    enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket, other: Ticket
) -> None:
    moved = arrives(ticket)
    address = f"/tickets/{ticket.number}/messages/{moved.seq}/move/"
    assert Client().post(address, {"to": other.number}).status_code == 302
    assert enter(mallory).post(address, {"to": other.number}).status_code == 404
    assert enter(alice).get(address).status_code == 405
    for wrong in ("", "abc", "99999", str(ticket.number)):
        response = enter(alice).post(address, {"to": wrong})
        assert response.status_code == 422
        assert "data-sentence" in response.content.decode()
    assert Message.objects.get(pk=moved.pk).conversation_id == ticket.conversation_id
    response = enter(alice).post(address, {"to": f" #{other.number} "}, follow=True)
    link = f'<a href="/tickets/{other.number}/">#{other.number}</a>'
    assert f"moved a message by <b><bdi>Carol</bdi></b> to {link}" in response.content.decode()


def test_open_pages_of_both_tickets_are_told(
    alice: Viewer, ticket: Ticket, other: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = arrives(ticket)
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        events, "ring_on_commit", lambda group, event: told.append((event["type"], event))
    )
    move_message(alice, ticket.number, moved.seq, to=other.number)
    posted = next(event for kind, event in told if kind == "message.posted")
    assert (posted["conversation"], posted["seq"], posted["after"]) == (other.conversation_id, 2, 1)
    again = next(event for kind, event in told if kind == "delivery.changed")
    assert (again["conversation"], again["seq"]) == (ticket.conversation_id, moved.seq)
    changed = {event["number"] for kind, event in told if kind == "ticket.changed"}
    assert changed == {ticket.number, other.number}


@pytest.mark.django_db(transaction=True)
def test_two_who_move_a_mail_at_once_move_it_once(
    alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    moved = arrives(ticket)

    def move(who: Viewer) -> int:
        return move_message(who, ticket.number, moved.seq, to=None).number

    answers = at_once(*(partial(move, who) for who in (alice, bob, alice)))
    assert len(set(answers)) == 1
    assert Ticket.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_who_move_mails_to_and_fro_do_not_wait_for_each_other(
    alice: Viewer, bob: Viewer, ticket: Ticket, other: Ticket
) -> None:
    for _ in range(5):
        one, two = arrives(ticket), arrives(other)
        there, back = ticket.number, other.number
        moves = [(alice, there, one.seq, back), (bob, back, two.seq, there)]
        answers = at_once(
            *(partial(move_message, who, of, seq, to=to) for who, of, seq, to in moves)
        )
        assert {str(each) for each in answers} == {str(ticket), str(other)}


def test_that_a_mail_arrived_does_not_keep_an_empty_ticket_open(
    alice: Viewer, other: Ticket, inbox: Inbox
) -> None:
    Inbox.objects.update(acknowledges=True)
    row = come_in(mail(subject="Order 7").replace(b"Mon, 03 Mar 2025", b"Fri, 03 Mar 2125"))
    ticket = Ticket.objects.get(conversation=row.conversation)
    assert ticket.conversation.messages.filter(via="system", kind="reply").exists()
    move_message(alice, ticket.number, 1, to=other.number)
    assert now_of(ticket).status == "solved"
