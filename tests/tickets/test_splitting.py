"""One of two matters becomes a ticket of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest
from django.core.management import call_command

from attachments.models import Attachment, Blob
from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tests.fakes.mails import mail
from tests.tickets.test_mail_in import come_in
from tests.together import at_once
from tickets.access import Viewer, access_file, visible_messages
from tickets.models import Inbox, Message, MessageHtml, OutgoingEmail, Participant, Ticket
from tickets.operations import (
    merge_tickets,
    open_ticket_by_mail,
    post_note,
    solve_ticket,
    split_ticket,
)
from tickets.operations.seats import Guests, add_people
from tickets.queries import search_tickets

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _invariants_hold(db: None) -> Iterator[None]:
    yield
    call_command("check_invariants", verbosity=0)


def now_of(ticket: Ticket) -> Ticket:
    return Ticket.objects.select_related("conversation").get(pk=ticket.pk)


def split(who: Viewer, ticket: Ticket, *seqs: int, subject: str = "") -> Ticket:
    places = [(ticket.number, seq) for seq in seqs]
    return split_ticket(who, ticket.number, places, client_token=uuid4(), subject=subject)


def fields_of(ticket: Ticket) -> list[str]:
    found = ticket.conversation.messages.order_by("seq")
    return [m.body or str((m.change or {})["field"]) for m in found]


def test_a_message_begins_a_ticket_and_stays_where_it_was(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    said = make.say(carol, chat, "And where is my order?")
    new = split(alice, chat, said.seq)
    assert (new.requester, new.inbox_id, new.status) == (carol.person, chat.inbox_id, "open")
    assert (new.subject, new.last_preview) == ("And where is my order?", "And where is my order?")
    assert fields_of(new) == ["And where is my order?", "split_from"]
    assert fields_of(chat) == ["Which filter fits?", "And where is my order?", "split"]
    copy = new.conversation.messages.get(seq=1)
    assert (copy.author, copy.created_at, copy.kind) == (carol.person, said.created_at, "reply")
    lines = Message.objects.filter(kind="change").order_by("conversation")
    assert [(line.change or {})["new"] for line in lines] == [new.number, chat.number]
    assert not OutgoingEmail.objects.exists()
    assert new.waiting_since == said.created_at


def test_who_has_an_address_hears_the_answer_by_mail(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    new = split(alice, chat, 1)
    make.say(alice, new, "The small one.")
    assert [m.address for m in OutgoingEmail.objects.all()] == ["carol@mail.example"]
    assert [m.body for m in visible_messages(carol, new.conversation)] == [
        "Which filter fits?",
        "The small one.",
    ]


def test_its_files_are_shown_twice_and_kept_once(alice: Viewer, inbox: Inbox) -> None:
    row = come_in(mail("See this.", files={"slip.pdf": ("application/pdf", b"%PDF-1.4 x")}))
    ticket = Ticket.objects.get(conversation=row.conversation)
    Attachment.objects.update(state="ready")
    new = split(alice, ticket, 1)
    old_file, new_file = (
        one.conversation.messages.get(seq=1).files.get().attachment for one in (ticket, new)
    )
    assert (old_file.name, old_file.blob) == (new_file.name, new_file.blob)
    assert (old_file.uuid != new_file.uuid, Blob.objects.count()) == (True, 1)
    assert access_file(alice, new_file.uuid) == new_file
    assert [hit.ticket for hit in search_tickets(alice, "slip")] == [new, ticket]


def test_a_file_that_is_looked_into_is_waited_for(alice: Viewer, inbox: Inbox) -> None:
    row = come_in(mail("See this.", files={"slip.pdf": ("application/pdf", b"%PDF-1.4 x")}))
    ticket = Ticket.objects.get(conversation=row.conversation)
    Attachment.objects.update(state="checking")
    with pytest.raises(Refused, match="checked"):
        split(alice, ticket, 1)


def test_a_mail_looks_as_it_did(alice: Viewer, inbox: Inbox) -> None:
    row = come_in(mail("Kettle, 39 €"))
    ticket = Ticket.objects.get(conversation=row.conversation)
    Message.objects.update(has_html=True)
    MessageHtml.objects.create(message=Message.objects.get(), visible="<p>Kettle, <b>39 €</b></p>")
    new = split(alice, ticket, 1)
    looks = MessageHtml.objects.order_by("pk").values_list("visible", flat=True)
    assert len(looks) == 2
    assert looks[0] == looks[1]
    assert new.conversation.messages.get(seq=1).has_html


def test_several_keep_their_order_and_their_kind(
    alice: Viewer, bob: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "My order is late.")
    make.say(bob, ticket, "Which one?")
    post_note(alice, ticket.conversation_id, body="Number 7.", via="web")
    new = split(alice, ticket, 4, 2, 3, 2, subject="  Late\norder ")
    assert fields_of(new) == ["My order is late.", "Which one?", "Number 7.", "split_from"]
    kinds = new.conversation.messages.order_by("seq").values_list("kind", "audience")
    assert list(kinds)[1:3] == [("reply", "everyone"), ("note", "staff")]
    assert (new.subject, new.status, new.requester) == ("Late order", "waiting", carol.person)
    assert OutgoingEmail.objects.exclude(message__conversation=ticket.conversation).count() == 0


def test_of_words_of_staff_it_is_a_ticket_of_the_same_customer(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    note = post_note(alice, ticket.conversation_id, body="Ask the maker.", via="web")
    new = split(alice, ticket, note.seq)
    assert new.requester == carol.person
    assert list(visible_messages(carol, new.conversation)) == []


def test_nobody_reads_by_it_what_they_could_not_read_before(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    add_people(alice, ticket.conversation_id, Guests(addresses=["dave@mail.example"]))
    seat = Participant.objects.get(conversation=ticket.conversation, person__name="dave")
    dave = Viewer(seat.person)
    said = make.say(dave, ticket, "Mine too.")
    new = split(alice, ticket, 1, said.seq)
    assert [m.body for m in visible_messages(carol, new.conversation)] == [
        "My grinder arrived broken.",
        "Mine too.",
    ]
    assert list(visible_messages(dave, new.conversation)) == []


def test_what_was_merged_can_be_split_again(
    alice: Viewer, carol: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    other = make.ticket(carol, inbox, "Where is my order?")
    merge_tickets(alice, other.number, ticket.number)
    new = split_ticket(alice, ticket.number, [(other.number, 1)], client_token=uuid4())
    assert fields_of(new) == ["Where is my order?", "split_from"]
    assert fields_of(ticket)[-1] == "split"
    assert fields_of(other)[-1] == "merged_into"


def test_the_same_form_opens_one_ticket(alice: Viewer, bob: Viewer, ticket: Ticket) -> None:
    token, places = uuid4(), [(ticket.number, 1)]
    first = split_ticket(alice, ticket.number, places, client_token=token)
    assert split_ticket(alice, ticket.number, places, client_token=token) == first
    with pytest.raises(Refused, match="sent already"):
        split_ticket(bob, ticket.number, places, client_token=token)
    assert Ticket.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_same_form_at_once_opens_one_ticket(alice: Viewer, ticket: Ticket) -> None:
    token, places = uuid4(), [(ticket.number, 1)]
    act = partial(split_ticket, alice, ticket.number, places, client_token=token)
    answers = at_once(act, act, act)
    assert len({str(each) for each in answers}) == 1
    assert Ticket.objects.count() == 2


def test_what_is_no_message_is_not_split(alice: Viewer, ticket: Ticket, chat: Ticket) -> None:
    solve_ticket(alice, ticket.number)
    for places, error in (
        ([], Refused),
        ([(ticket.number, 2)], Refused),
        ([(ticket.number, 99)], NotFound),
        ([(chat.number, 1)], NotFound),
        ([(ticket.number, n) for n in range(60)], Refused),
    ):
        with pytest.raises(error):
            split_ticket(alice, ticket.number, places, client_token=uuid4())
    assert Ticket.objects.count() == 2


def test_who_does_not_see_a_ticket_splits_nothing(
    mallory: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    for who in (mallory, carol):
        with pytest.raises(NotFound):
            split(who, ticket, 1)
    assert Ticket.objects.count() == 1


# --- A ticket that continues a solved one ------------------------------------------------------


def follow(who: Viewer, ticket: Ticket, **more: object) -> Ticket:
    words = {
        "inbox_id": ticket.inbox_id,
        "address": "carol@mail.example",
        "name": "",
        "subject": "Your grinder",
        "body": "Does it still work?",
        "client_token": uuid4(),
        "continues": ticket.number,
        **more,
    }
    return open_ticket_by_mail(who, **words)  # type: ignore[arg-type]


def test_a_solved_ticket_is_continued_and_both_say_so(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    solve_ticket(alice, ticket.number)
    token = uuid4()
    new = follow(alice, ticket, client_token=token)
    assert follow(alice, ticket, client_token=token) == new
    assert (new.continues, new.requester, new.status) == (ticket, carol.person, "waiting")
    assert fields_of(new) == ["Does it still work?", "continues"]
    assert fields_of(ticket)[-1] == "continued"
    assert now_of(ticket).status == "solved"


def test_only_a_solved_ticket_of_the_same_customer_is_continued(
    alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    with pytest.raises(Refused, match="not solved"):
        follow(alice, ticket)
    solve_ticket(alice, ticket.number)
    with pytest.raises(Refused, match="a ticket of Carol"):
        follow(alice, ticket, address="dave@mail.example")
    theirs = Inbox.objects.get(name="Elsewhere")
    Inbox.objects.filter(pk=theirs.pk).update(address="elsewhere@shop.example")
    with pytest.raises(NotFound):
        follow(mallory, ticket, inbox_id=theirs.pk)
    assert Ticket.objects.count() == 1
