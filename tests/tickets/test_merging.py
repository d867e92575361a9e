"""Two tickets become one: what was said stays where it was said, and goes on in one place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.management.commands.check_invariants import problems
from tests import make
from tests.fakes.mails import mail
from tests.tickets.test_mail_bounced import GONE, report, sent
from tests.tickets.test_mail_in import come_in, sent_to
from tests.together import at_once
from tickets import events
from tickets.access import Merged, Viewer, access_conversation, access_ticket, visible_messages
from tickets.mail.addresses import reply_address
from tickets.models import (
    Conversation,
    EmailAddress,
    InboundEmail,
    Inbox,
    Message,
    OutgoingEmail,
    Participant,
    Team,
    Ticket,
)
from tickets.operations import (
    assign_ticket,
    filing,
    mark_seen,
    merge_tickets,
    move_message,
    post_note,
    post_reply,
    related,
    reopen_ticket,
    solve_ticket,
    take_back,
)
from tickets.operations.email import deliver_email
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound
from tickets.operations.letters import letter_for
from tickets.operations.seats import Guests, add_people, remove_person
from tickets.queries import Counts, count_tickets, list_tickets, search_tickets
from tickets.views.entries import earlier_entries, latest_entries

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _invariants_hold(db: None) -> Iterator[None]:
    yield
    call_command("check_invariants", verbosity=0)


@pytest.fixture
def other(carol: Viewer, inbox: Inbox) -> Ticket:
    """Carol wrote once more about the same."""
    return make.ticket(carol, inbox, "Is anybody there?")


@pytest.fixture
def dave(db: None) -> Viewer:
    return make.customer("Dave", "dave@mail.example")


@pytest.fixture
def daves(dave: Viewer, inbox: Inbox) -> Ticket:
    return make.ticket(dave, inbox, "We share a grinder.")


def now_of(ticket: Ticket) -> Ticket:
    return Ticket.objects.select_related("conversation", "assignee").get(pk=ticket.pk)


def fields_of(ticket: Ticket) -> list[str]:
    """Of each entry its words, or what its change line is about."""
    found = ticket.conversation.messages.order_by("seq")
    return [m.body or str((m.change or {})["field"]) for m in found]


def shown(viewer: Viewer, ticket: Ticket) -> list[str]:
    """What the page shows, entry by entry."""
    timeline = latest_entries(viewer, now_of(ticket).conversation, unread=False)
    return [_words(entry.message) for entry in timeline.entries]


def _words(message: Message) -> str:
    return message.body or str((message.change or {})["field"])


def seen_by(who: Viewer, ticket: Ticket) -> list[str]:
    return [_words(message) for message in visible_messages(who, now_of(ticket).conversation)]


def answer_to(ticket: Ticket, body: str = "And it leaks.", **more: Any) -> InboundEmail:
    """A mail to the address that the mails of a ticket are answered at."""
    return come_in(
        mail(body, to=reply_address("hello@shop.example", ticket.conversation_id), **more)
    )


# --- What becomes of the two -------------------------------------------------------------------


def test_what_was_said_stays_and_both_say_who_merged_them(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    before = list(Message.objects.order_by("pk").values("pk", "conversation", "seq", "body"))
    assert merge_tickets(alice, other.number, ticket.number) == ticket
    kept = Message.objects.filter(pk__in=[row["pk"] for row in before]).order_by("pk")
    assert list(kept.values("pk", "conversation", "seq", "body")) == before
    assert fields_of(ticket) == ["My grinder arrived broken.", "merged"]
    assert fields_of(other) == ["Is anybody there?", "merged_into"]
    lines = Message.objects.filter(kind="change").order_by("conversation")
    assert {(line.author, line.audience) for line in lines} == {(alice.person, "staff")}
    old = now_of(other)
    assert (old.status, old.unread, old.live) == ("solved", False, False)
    assert old.conversation.merged_into_id == ticket.conversation_id
    assert now_of(ticket).conversation.merged_from == [other.conversation_id]


def test_the_page_shows_both_in_one_order(
    alice: Viewer, carol: Viewer, ticket: Ticket, other: Ticket
) -> None:
    make.say(carol, ticket, "It is blue.")
    make.say(carol, other, "Hello again?")
    post_note(alice, other.conversation_id, body="The same one.", via="web")
    make.say(carol, ticket, "Dark blue.")
    merge_tickets(alice, other.number, ticket.number)
    make.say(carol, ticket, "Thanks.")
    assert shown(alice, ticket) == [
        "My grinder arrived broken.",
        "Is anybody there?",
        "It is blue.",
        "Hello again?",
        "The same one.",
        "Dark blue.",
        "merged",
        "Thanks.",
    ]


def test_pages_of_both_have_every_entry_once_whatever_their_lengths(
    alice: Viewer, carol: Viewer, ticket: Ticket, other: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        make.say(carol, ticket, f"here {n}")
        if n % 3:
            make.say(carol, other, f"there {n}")
    third = make.ticket(carol, ticket.inbox, "Third")
    merge_tickets(alice, third.number, other.number)
    merge_tickets(alice, other.number, ticket.number)
    conversation = now_of(ticket).conversation
    whole = shown(alice, ticket)
    # But for the lines at the end of both that say what the lines in the others say.
    assert len(whole) == Message.objects.count() - 2
    for rows in (1, 2, 3, 5, 8):
        monkeypatch.setattr("tickets.views.entries.PAGE_ENTRIES", rows)
        timeline = latest_entries(alice, conversation, unread=False)
        pages = [timeline.entries]
        while timeline.before is not None:
            timeline = earlier_entries(
                alice, conversation, before=timeline.before, joint=timeline.joint
            )
            pages.insert(0, timeline.entries)
        assert {len(page) for page in pages[1:]} == {rows}
        assert [_words(entry.message) for page in pages for entry in page] == whole


def test_nobody_is_thrown_by_a_place_that_is_none(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    merge_tickets(alice, other.number, ticket.number)
    conversation = now_of(ticket).conversation
    for joint in ("x", "1:", ":2", "99999999:1", f"{other.conversation_id}:99999999999999", "٣:٣"):
        timeline = earlier_entries(alice, conversation, before=2, joint=joint)
        assert timeline.entries[0].message.body == "My grinder arrived broken."


def test_it_asks_for_what_either_asked_for(
    alice: Viewer, bob: Viewer, carol: Viewer, inbox: Inbox, other: Ticket
) -> None:
    survivor = make.ticket(carol, inbox, "First")
    make.say(alice, survivor, "Done.")
    mark_seen(alice, survivor.number, 2)
    solve_ticket(alice, survivor.number)
    assert bob.user is not None
    Ticket.objects.filter(pk=survivor.pk).update(assignee=None)
    assign_ticket(alice, other.number, bob.user.pk)
    merge_tickets(alice, other.number, survivor.number)
    after, old = now_of(survivor), now_of(other)
    assert (after.status, after.unread, after.solved_at) == ("open", True, None)
    assert after.waiting_since == other.waiting_since
    assert after.assignee == bob.user
    assert after.last_preview == "Done."
    assert old.waiting_since is None
    assert "status" in fields_of(survivor)


def test_what_is_answered_opens_nothing(alice: Viewer, ticket: Ticket, other: Ticket) -> None:
    make.say(alice, ticket, "Bring it in.")
    solve_ticket(alice, ticket.number)
    make.say(alice, other, "See the other one.")
    merge_tickets(alice, other.number, ticket.number)
    assert now_of(ticket).status == "solved"
    assert now_of(ticket).last_preview == "See the other one."


def test_the_lists_count_one(alice: Viewer, ticket: Ticket, other: Ticket) -> None:
    counts = count_tickets(alice)
    merge_tickets(alice, other.number, ticket.number)
    after: Counts = count_tickets(alice)
    assert (counts.open, after.open) == (2, 1)
    assert [one.number for one in list_tickets(alice, "open").tickets] == [ticket.number]
    assert list_tickets(alice, "solved").tickets == []
    solve_ticket(alice, ticket.number)
    assert [one.number for one in list_tickets(alice, "solved").tickets] == [ticket.number]


def test_words_and_number_of_the_old_one_lead_to_the_one_that_goes_on(
    alice: Viewer, mallory: Viewer, ticket: Ticket, other: Ticket
) -> None:
    merge_tickets(alice, other.number, ticket.number)
    for words in ("anybody", f"#{other.number}", str(other.number), "grinder"):
        assert [hit.ticket.number for hit in search_tickets(alice, words)] == [ticket.number], words
        assert search_tickets(mallory, words) == []


# --- Who sees what -----------------------------------------------------------------------------


def test_somebody_new_reads_from_here_on_and_the_others_nothing_of_theirs(
    alice: Viewer, carol: Viewer, dave: Viewer, ticket: Ticket, daves: Ticket
) -> None:
    Inbox.objects.update(quotes_history=True)
    merge_tickets(alice, daves.number, ticket.number)
    make.say(alice, ticket, "To both of you.")
    assert seen_by(dave, ticket) == ["member", "To both of you."]
    assert seen_by(dave, daves) == ["We share a grinder."]
    assert seen_by(carol, ticket) == ["My grinder arrived broken.", "member", "To both of you."]
    with pytest.raises(NotFound):
        access_conversation(carol, daves.conversation_id)
    line = ticket.conversation.messages.get(change__field="member")
    assert (line.audience, (line.change or {})["new"]) == ("everyone", "Dave")
    assert now_of(ticket).conversation.is_group
    mails = OutgoingEmail.objects.filter(message__body="To both of you.")
    assert {one.address for one in mails} == {"carol@mail.example", "dave@mail.example"}
    quoted = {
        one.address: [said.words for said in letter_for(one, one.message, now_of(ticket)).history]
        for one in mails
    }
    assert quoted == {
        "carol@mail.example": ["My grinder arrived broken."],
        "dave@mail.example": [],
    }


def test_whoever_merges_may_let_them_read_what_was_said_before(
    alice: Viewer, dave: Viewer, carol: Viewer, ticket: Ticket, daves: Ticket
) -> None:
    merge_tickets(alice, daves.number, ticket.number, sees_all=True)
    assert seen_by(dave, ticket)[0] == "My grinder arrived broken."
    with pytest.raises(NotFound):
        access_conversation(carol, daves.conversation_id)


def test_two_tickets_of_one_customer_are_no_group(
    alice: Viewer, carol: Viewer, ticket: Ticket, other: Ticket
) -> None:
    merge_tickets(alice, other.number, ticket.number)
    assert not now_of(ticket).conversation.is_group
    assert seen_by(carol, ticket) == ["My grinder arrived broken."]
    assert Participant.objects.filter(conversation=ticket.conversation).count() == 1


def test_each_hears_as_before_and_who_left_stays_away(
    alice: Viewer, bob: Viewer, ticket: Ticket, daves: Ticket
) -> None:
    erin, frank = make.customer("Erin", "erin@mail.example"), make.customer("Frank")
    for who, more in (
        (erin, {"copied": True, "reach": "email", "muted": True, "rank": "reader"}),
        (frank, {"left_at": daves.opened_at}),
    ):
        Participant.objects.create(
            conversation=daves.conversation, person=who.person, role="customer", **more
        )
    Participant.objects.create(conversation=daves.conversation, person=bob.person, role="staff")
    merge_tickets(alice, daves.number, ticket.number)
    seats = {
        seat.person.name: (seat.role, seat.reach, seat.copied, seat.muted, seat.rank)
        for seat in Participant.objects.filter(conversation=ticket.conversation)
    }
    assert seats == {
        "Carol": ("customer", "email", False, False, "member"),
        "Dave": ("customer", "email", False, False, "member"),
        "Erin": ("customer", "email", True, True, "reader"),
        "Bob": ("staff", "live", False, False, "member"),
    }


def test_who_was_removed_from_one_does_not_come_into_the_other_by_mail(
    alice: Viewer, ticket: Ticket, daves: Ticket
) -> None:
    add_people(alice, daves.conversation_id, Guests(addresses=["erin@mail.example"]))
    erin = EmailAddress.objects.get(address="erin@mail.example").person
    remove_person(alice, daves.conversation_id, erin.pk)
    merge_tickets(alice, daves.number, ticket.number)
    make.say(alice, ticket, "Not for Erin.")
    row = answer_to(daves, "Let me in.", sender="erin@mail.example")
    assert row.conversation_id not in (ticket.conversation_id, daves.conversation_id)
    assert "was removed from" in row.reason
    assert not visible_messages(Viewer(erin), ticket.conversation).exists()


def test_nobody_is_brought_back_into_what_they_were_removed_from(
    alice: Viewer, dave: Viewer, ticket: Ticket, daves: Ticket
) -> None:
    add_people(alice, ticket.conversation_id, Guests(addresses=["dave@mail.example"]))
    remove_person(alice, ticket.conversation_id, dave.person.pk)
    with pytest.raises(Refused, match=f"Dave was removed from #{ticket.number}"):
        merge_tickets(alice, daves.number, ticket.number)
    erins = make.ticket(make.customer("Erin", "erin@mail.example"), ticket.inbox, "Erin's")
    add_people(alice, erins.conversation_id, Guests(addresses=["dave@mail.example"]))
    merge_tickets(alice, erins.number, ticket.number)
    seat = Participant.objects.get(conversation=ticket.conversation, person=dave.person)
    assert seat.barred
    assert seen_by(dave, ticket) == []


def test_colleagues_of_the_inbox_that_goes_on_read_both(
    alice: Viewer, bob: Viewer, mallory: Viewer, team: Team, carol: Viewer, ticket: Ticket
) -> None:
    both = make.staff("Grace", team, Team.objects.get(name="Elsewhere"))
    theirs = make.ticket(carol, Inbox.objects.get(name="Elsewhere"), "Elsewhere")
    with pytest.raises(NotFound):
        access_ticket(bob, theirs.number)
    merge_tickets(both, theirs.number, ticket.number)
    assert access_ticket(bob, theirs.number).number == theirs.number
    assert "Elsewhere" in shown(bob, ticket)
    assert [hit.ticket.number for hit in search_tickets(bob, "elsewhere")] == [ticket.number]
    # Mallory reads what she could read before, finds it, and nothing of the other.
    assert seen_by(mallory, theirs) == ["Elsewhere", "merged_into"]
    assert [hit.ticket.number for hit in search_tickets(mallory, "elsewhere")] == [theirs.number]
    assert search_tickets(mallory, "grinder") == []
    with pytest.raises(NotFound):
        access_ticket(mallory, ticket.number)


def test_who_sees_one_of_two_tickets_cannot_merge_them(
    alice: Viewer, mallory: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    theirs = make.ticket(carol, Inbox.objects.get(name="Elsewhere"), "Elsewhere")
    refusals = []
    for number in (theirs.number, theirs.number + 1_000):
        with pytest.raises(Refused) as refused:
            merge_tickets(alice, ticket.number, number)
        refusals.append(str(refused.value).replace(str(number), "N"))
    assert refusals[0] == refusals[1] == "There is no ticket #N."
    for viewer in (mallory, carol):
        for number in (ticket.number, ticket.number + 1_000):
            with pytest.raises(NotFound):
                merge_tickets(viewer, number, theirs.number)
    # A seat among others opens a ticket, and not the inbox that all would read it in.
    Participant.objects.create(conversation=theirs.conversation, person=alice.person, role="staff")
    with pytest.raises(Refused, match="the inboxes of both"):
        merge_tickets(alice, theirs.number, ticket.number)
    assert not Message.objects.filter(kind="change").exists()


# --- What still arrives ------------------------------------------------------------------------


def test_a_mail_that_answers_the_old_one_is_filed_in_the_one_that_goes_on(
    alice: Viewer, carol: Viewer, inbox: Inbox, ticket: Ticket
) -> None:
    first = come_in(mail("My kettle, too."))
    old = Ticket.objects.get(conversation=first.conversation)
    make.say(alice, old, "Which one?")
    asked = sent_to(old).rfc_message_id
    solve_ticket(alice, ticket.number)
    merge_tickets(alice, old.number, ticket.number)
    make.say(alice, ticket, "Bring both.")
    for how in (
        mail("By reference.", in_reply_to=f"<{first.rfc_message_id}>"),
        mail("To ours.", in_reply_to=f"<{asked}>"),
        mail("By address.", to=reply_address("hello@shop.example", old.conversation_id)),
    ):
        row = come_in(how)
        assert row.conversation_id == ticket.conversation_id
        assert f"#{ticket.number}" in row.reason
    assert [words for words in fields_of(ticket) if words.endswith(".")][2:] == [
        "By reference.",
        "To ours.",
        "By address.",
    ]
    assert fields_of(old)[-1] == "merged_into"
    assert now_of(ticket).status == "open"


def test_a_mail_that_waited_for_the_merging_is_looked_at_anew(
    alice: Viewer, ticket: Ticket, other: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = mail("Late.", to=reply_address("hello@shop.example", other.conversation_id))
    row = record_inbound(raw)
    assert row is not None
    look_up = related.look_up

    def looked_up_before_the_merging(*args: Any) -> Any:
        facts = look_up(*args)
        monkeypatch.setattr(filing, "look_up", look_up)
        merge_tickets(alice, other.number, ticket.number)
        return facts

    monkeypatch.setattr(filing, "look_up", looked_up_before_the_merging)
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    assert (row.state, row.message) == ("queued", None)
    # The merging went with the attempt here; it is another's in life.
    merge_tickets(alice, other.number, ticket.number)
    InboundEmail.objects.update(due_at=row.received_at)
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    assert (row.state, row.conversation_id) == ("done", ticket.conversation_id)


def test_a_bounce_of_an_old_mail_is_told_where_it_goes_on(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    make.say(alice, other, "Which one?")
    make.say(alice, ticket, "Bring it.")
    outgoing = sent(other)
    merge_tickets(alice, other.number, ticket.number)
    assert now_of(ticket).status == "waiting"
    row = come_in(report(GONE, of=outgoing))
    outgoing.refresh_from_db()
    assert outgoing.bounce_hard
    assert row.conversation_id == ticket.conversation_id
    assert now_of(ticket).status == "open"
    assert "delivery" in fields_of(ticket)


def test_a_mail_of_the_old_one_that_cannot_be_sent_opens_the_one_that_goes_on(
    alice: Viewer, ticket: Ticket, other: Ticket, inbox: Inbox
) -> None:
    make.say(alice, ticket, "Bring it.")
    make.say(alice, other, "Which one?")
    outgoing = sent_to(other)
    merge_tickets(alice, other.number, ticket.number)
    Inbox.objects.filter(pk=inbox.pk).update(address="")
    OutgoingEmail.objects.filter(pk=outgoing.pk).update(due_at=other.opened_at)
    deliver_email(outgoing.pk)
    outgoing.refresh_from_db()
    assert outgoing.state == "failed"
    assert now_of(ticket).status == "open"
    undelivered = list_tickets(alice, "undelivered").tickets
    assert [one.number for one in undelivered] == [ticket.number]


def test_what_a_customer_says_in_the_old_one_is_said_where_it_goes_on(
    alice: Viewer, carol: Viewer, ticket: Ticket, other: Ticket
) -> None:
    merge_tickets(alice, other.number, ticket.number)
    said = make.say(carol, other, "Hello?", client_token=uuid4())
    assert (said.conversation_id, said.seq) == (ticket.conversation_id, 3)


def test_what_was_stored_before_and_is_sent_again_is_not_doubled(
    alice: Viewer, carol: Viewer, ticket: Ticket, other: Ticket
) -> None:
    token = uuid4()
    said = make.say(carol, other, "Hello?", client_token=token)
    merge_tickets(alice, other.number, ticket.number)
    for where in (other, ticket):
        again = make.say(carol, where, "Hello?", client_token=token)
        assert again.pk == said.pk
    assert Message.objects.filter(body="Hello?").count() == 1


def test_staff_are_told_and_write_nothing_in_the_old_one(
    alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    reply = make.say(alice, other, "Which one?")
    merge_tickets(alice, other.number, ticket.number)
    for act in (
        lambda: post_reply(alice, other.conversation_id, body="Hello", via="web"),
        lambda: post_note(alice, other.conversation_id, body="Hello", via="web"),
        lambda: reopen_ticket(alice, other.number),
        lambda: assign_ticket(alice, other.number, None),
        lambda: take_back(alice, other.number, reply.seq),
        lambda: move_message(alice, other.number, 1, to=None),
        lambda: add_people(alice, other.conversation_id, Guests(addresses=["x@mail.example"])),
    ):
        with pytest.raises(Merged):
            act()
    assert now_of(other).status == "solved"
    assert fields_of(other)[-1] == "merged_into"


def test_a_mail_moves_to_the_one_that_goes_on(
    alice: Viewer, ticket: Ticket, other: Ticket, daves: Ticket
) -> None:
    moved = answer_to(daves, "I forward this.", sender="dave@mail.example").message
    assert moved is not None
    merge_tickets(alice, other.number, ticket.number)
    assert move_message(alice, daves.number, moved.seq, to=other.number) == ticket
    assert move_message(alice, daves.number, moved.seq, to=other.number) == ticket
    assert fields_of(ticket)[-1] != "merged_into"
    assert "I forward this." in fields_of(ticket)


def test_answers_of_the_one_that_goes_on_follow_the_old_mails_of_their_reader(
    alice: Viewer, dave: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    first = come_in(mail("We share it.", sender="dave@mail.example", message_id="<d1@d.example>"))
    old = Ticket.objects.get(conversation=first.conversation)
    merge_tickets(alice, old.number, ticket.number)
    make.say(alice, ticket, "To both.")
    mails = OutgoingEmail.objects.filter(message__body="To both.").select_related(
        "message__conversation"
    )
    ids = {one.address: letter_for(one, one.message, now_of(ticket)).earlier_ids for one in mails}
    assert "d1@d.example" in ids["dave@mail.example"]
    assert "d1@d.example" not in ids["carol@mail.example"]


# --- Twice, at once, and in chains -------------------------------------------------------------


def test_merging_again_changes_nothing(alice: Viewer, ticket: Ticket, other: Ticket) -> None:
    for _ in range(3):
        assert merge_tickets(alice, other.number, ticket.number) == ticket
    assert fields_of(ticket) == ["My grinder arrived broken.", "merged"]
    assert now_of(ticket).conversation.merged_from == [other.conversation_id]


def test_a_ticket_is_not_merged_with_itself_and_not_twice(
    alice: Viewer, ticket: Ticket, other: Ticket, daves: Ticket
) -> None:
    with pytest.raises(Refused, match="with itself"):
        merge_tickets(alice, ticket.number, ticket.number)
    merge_tickets(alice, other.number, ticket.number)
    sentence = f"#{other.number} was merged into #{ticket.number} already"
    with pytest.raises(Refused, match=sentence):
        merge_tickets(alice, other.number, daves.number)
    with pytest.raises(Refused, match=sentence):
        merge_tickets(alice, ticket.number, other.number)


def test_what_was_merged_stands_for_the_one_that_goes_on(
    alice: Viewer, ticket: Ticket, other: Ticket, daves: Ticket, carol: Viewer
) -> None:
    merge_tickets(alice, other.number, daves.number)
    assert merge_tickets(alice, daves.number, ticket.number) == ticket
    last = make.ticket(carol, ticket.inbox, "Last")
    assert merge_tickets(alice, last.number, other.number) == ticket
    assert merge_tickets(alice, other.number, ticket.number) == ticket
    root = now_of(ticket).conversation
    assert set(root.merged_from) == {one.conversation_id for one in (other, daves, last)}
    assert Conversation.objects.filter(merged_into=root).count() == 3
    assert answer_to(other).conversation_id == ticket.conversation_id
    assert len(shown(alice, ticket)) == Message.objects.count() - 3


@pytest.mark.django_db(transaction=True)
def test_of_two_who_merge_in_opposite_directions_one_wins(
    alice: Viewer, bob: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    for _ in range(5):
        one, two = (make.ticket(carol, inbox, words) for words in ("One", "Two"))
        answers = at_once(
            partial(merge_tickets, alice, one.number, two.number),
            partial(merge_tickets, bob, two.number, one.number),
        )
        refused = [each for each in answers if isinstance(each, Refused)]
        assert len(refused) == 1, answers
        assert "already" in str(refused[0])
        assert len({one, two} & set(answers)) == 1
        assert Message.objects.filter(change__field="merged").count() == _ + 1


@pytest.mark.django_db(transaction=True)
def test_many_who_merge_the_same_merge_it_once(
    alice: Viewer, bob: Viewer, ticket: Ticket, other: Ticket
) -> None:
    answers = at_once(
        *(partial(merge_tickets, who, other.number, ticket.number) for who in (alice, bob, alice))
    )
    assert answers == [ticket] * 3
    assert fields_of(ticket).count("merged") == 1


@pytest.mark.django_db(transaction=True)
def test_a_ring_of_merges_ends_in_one_ticket(alice: Viewer, carol: Viewer, inbox: Inbox) -> None:
    for _ in range(4):
        three = [make.ticket(carol, inbox, words) for words in ("One", "Two", "Three")]
        ring = zip(three, [*three[1:], three[0]], strict=True)
        answers = at_once(
            *(partial(merge_tickets, alice, one.number, to.number) for one, to in ring)
        )
        assert all(isinstance(each, Ticket | Refused) for each in answers), answers
        assert any(isinstance(each, Ticket) for each in answers)
        assert list(problems()) == []


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_of_what_is_said_while_it_is_merged(
    alice: Viewer, carol: Viewer, ticket: Ticket, other: Ticket
) -> None:
    tokens = [uuid4() for _ in range(6)]

    def say(token: Any) -> Message:
        return make.say(carol, other, str(token), client_token=token)

    raw = mail("By mail.", to=reply_address("hello@shop.example", other.conversation_id))
    row = record_inbound(raw)
    assert row is not None
    answers = at_once(
        *(partial(say, token) for token in tokens[:3]),
        partial(merge_tickets, alice, other.number, ticket.number),
        partial(work.perform, InboundEmail, row.pk, file_inbound),
        *(partial(say, token) for token in tokens[3:]),
    )
    assert not [each for each in answers if isinstance(each, Exception)]
    assert set(Message.objects.filter(author=carol.person).values_list("body", flat=True)) >= {
        str(token) for token in tokens
    }
    InboundEmail.objects.update(due_at=row.received_at)
    work.perform(InboundEmail, row.pk, file_inbound)
    assert Message.objects.filter(body="By mail.").count() == 1


# --- What open pages are told ------------------------------------------------------------------


def test_open_pages_and_widgets_are_told(
    alice: Viewer, ticket: Ticket, other: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        events, "ring_on_commit", lambda group, event: told.append((event["type"], event))
    )
    merge_tickets(alice, other.number, ticket.number)
    assert [event["conversation"] for kind, event in told if kind == "conversation.merged"] == [
        other.conversation_id
    ]
    grew = {event["conversation"] for kind, event in told if kind == "timeline.grew"}
    assert grew == {ticket.conversation_id, other.conversation_id}
    changed = {event["number"] for kind, event in told if kind == "ticket.changed"}
    assert changed == {ticket.number, other.number}


@pytest.mark.parametrize(
    ("which", "broken", "said"),
    [
        ("into", {"merged_from": []}, "does not know"),
        ("into", {"merged_from": [7]}, "does not know"),
        ("old", {"merged_seq": 1}, "goes on"),
    ],
    ids=["forgotten", "another", "elsewhere"],
)
def test_what_is_merged_by_half_is_found(
    alice: Viewer, ticket: Ticket, other: Ticket, which: str, broken: dict[str, Any], said: str
) -> None:
    merge_tickets(alice, other.number, ticket.number)
    row = ticket if which == "into" else other
    conversations = Conversation.objects.filter(pk=row.conversation_id)
    right = conversations.values(*broken)[0]
    conversations.update(**broken)
    assert any(said in line for line in problems())
    conversations.update(**right)
