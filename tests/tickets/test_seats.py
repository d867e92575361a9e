"""Who sits in a conversation, what they may read, and what becomes of those who go."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tickets.access import (
    Viewer,
    access_conversation,
    visible_conversations,
    visible_messages,
    visitor,
)
from tickets.models import (
    Conversation,
    EmailAddress,
    Inbox,
    Message,
    OutgoingEmail,
    Participant,
    Person,
    Team,
    Ticket,
)
from tickets.operations import post_note, post_reply, seats
from tickets.operations.seats import Guests, add_people, leave, mute, remove_person, rename
from tickets.operations.seats import set_rank as give_rank
from tickets.queries import search_tickets

JULIE = "julie@mail.example"


def add(
    viewer: Viewer, ticket: Ticket, *addresses: str, sees_all: bool = False, rank: str = "member"
) -> list[Participant]:
    guests = Guests(addresses=addresses)
    return add_people(viewer, ticket.conversation_id, guests, sees_all=sees_all, rank=rank)


def who(seat: Participant) -> Viewer:
    return visitor(seat.person)


def bodies(viewer: Viewer, ticket: Ticket) -> list[str]:
    messages = visible_messages(viewer, ticket.conversation)
    return [message.body for message in messages if message.kind != Message.Kind.CHANGE]


def lines(ticket: Ticket) -> list[tuple[str, object, object]]:
    changes = Message.objects.filter(conversation=ticket.conversation_id, kind="change")
    found = [message.change or {} for message in changes.order_by("seq")]
    return [(change["field"], change["old"], change["new"]) for change in found]


# --- Adding ---


def test_a_customer_is_added_by_address_and_reads_from_there(alice: Viewer, chat: Ticket) -> None:
    make.say(alice, chat, "Said before")
    (seat,) = add(alice, chat, f" {JULIE.upper()} ")
    make.say(alice, chat, "Said after")
    assert EmailAddress.objects.get(person=seat.person).address == JULIE
    assert (seat.role, seat.reach, seat.rank) == ("customer", "email", "member")
    assert bodies(who(seat), chat) == ["Said after"]
    assert lines(chat)[-1] == ("member", None, "julie")
    assert Conversation.objects.get().is_group


def test_who_is_to_see_all_reads_it_from_the_beginning(alice: Viewer, chat: Ticket) -> None:
    post_note(alice, chat.conversation_id, body="Between us", via="web")
    (seat,) = add(alice, chat, JULIE, sees_all=True)
    assert bodies(who(seat), chat) == ["Which filter fits?"]


def test_what_is_said_to_a_group_is_mailed_to_those_reached_by_mail(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    add(alice, chat, JULIE)
    make.say(carol, chat, "It is the glass one")
    make.say(alice, chat, "Then it is 02")
    mails = OutgoingEmail.objects.filter(message__kind="reply").order_by("pk")
    assert [(mail.address, mail.message.body) for mail in mails] == [
        (JULIE, "It is the glass one"),
        (JULIE, "Then it is 02"),
    ]


def test_adding_the_same_people_again_changes_nothing(alice: Viewer, chat: Ticket) -> None:
    add(alice, chat, JULIE)
    before = lines(chat)
    assert add(alice, chat, JULIE, sees_all=True) == []
    assert lines(chat) == before


def test_colleagues_and_whole_teams_are_added_by_their_logins(
    alice: Viewer, bob: Viewer, mallory: Viewer, team: Team, chat: Ticket
) -> None:
    assert bob.user
    assert mallory.user
    elsewhere = mallory.user.teams.get()
    guests = Guests(user_ids=[bob.user.pk], team_ids=[elsewhere.pk])
    given = add_people(alice, chat.conversation_id, guests)
    assert {seat.person for seat in given} == {bob.person, mallory.person}
    assert {(seat.role, seat.reach) for seat in given} == {("staff", "live")}


def test_a_guest_from_another_team_reads_from_where_they_joined_notes_too(
    alice: Viewer, mallory: Viewer, chat: Ticket
) -> None:
    assert mallory.user
    post_note(alice, chat.conversation_id, body="Before you came", via="web")
    add_people(alice, chat.conversation_id, Guests(user_ids=[mallory.user.pk]))
    post_note(alice, chat.conversation_id, body="Have a look", via="web")
    assert bodies(mallory, chat) == ["Have a look"]
    assert bodies(alice, chat) == ["Which filter fits?", "Before you came", "Have a look"]
    assert search_tickets(mallory, "filter") == []
    assert [hit.ticket for hit in search_tickets(mallory, "look")] == [chat]


def test_only_staff_who_see_it_add_people(
    carol: Viewer, mallory: Viewer, chat: Ticket, bob: Viewer
) -> None:
    for stranger in (carol, mallory):
        with pytest.raises(NotFound):
            add(stranger, chat, JULIE)
    assert not Person.objects.filter(addresses__address=JULIE).exists()


@pytest.mark.parametrize("address", ["julie", "", "hello@shop.example", "a@b@c"])
def test_an_address_nobody_can_be_reached_at_is_refused(
    address: str, alice: Viewer, chat: Ticket
) -> None:
    with pytest.raises(Refused):
        add(alice, chat, JULIE, address)
    assert chat.conversation.participants.count() == 1


def test_an_inbox_without_an_address_mails_nobody(alice: Viewer, chat: Ticket) -> None:
    Inbox.objects.update(address=None)
    with pytest.raises(Refused, match="has no address to write from"):
        add(alice, chat, JULIE)


def test_nobody_chosen_is_a_sentence(alice: Viewer, chat: Ticket) -> None:
    with pytest.raises(Refused, match="Choose somebody"):
        add_people(alice, chat.conversation_id, Guests())


def test_a_conversation_has_room_for_so_many(
    alice: Viewer, chat: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "SEATS_MAX", 3)
    add(alice, chat, "a@mail.example", "b@mail.example")
    with pytest.raises(Refused, match="room for 3 people; this would be 4"):
        add(alice, chat, "c@mail.example")


def test_a_person_is_in_so_many_groups_at_once(
    alice: Viewer, carol: Viewer, inbox: object, chat: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "GROUPS_MAX", 1)
    add(alice, chat, JULIE)
    second = make.ticket(carol, chat.inbox, "Another", channel="chat")
    with pytest.raises(Refused, match="julie is in 1 group already"):
        add(alice, second, JULIE)


# --- Ranks ---


def test_a_reader_reads_and_does_not_write(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE, rank="reader")
    make.say(alice, chat, "For you to read")
    with pytest.raises(Refused, match="read here, and not write"):
        make.say(who(seat), chat, "May I?")
    assert bodies(who(seat), chat) == ["For you to read"]
    give_rank(alice, chat.conversation_id, seat.person_id, "member")
    make.say(who(seat), chat, "Now I may")
    assert lines(chat)[-1] == ("rank", "reader", "member")


def test_a_guest_colleague_who_reads_only_neither_writes_nor_adds(
    alice: Viewer, mallory: Viewer, chat: Ticket
) -> None:
    assert mallory.user
    guests = Guests(user_ids=[mallory.user.pk])
    add_people(alice, chat.conversation_id, guests, rank="reader")
    for act in (
        lambda: make.say(mallory, chat, "Hi"),
        lambda: post_note(mallory, chat.conversation_id, body="Hi", via="web"),
        lambda: add(mallory, chat, JULIE),
    ):
        with pytest.raises(Refused):
            act()


def test_members_neither_remove_nor_rename_and_owners_do(alice: Viewer, chat: Ticket) -> None:
    julie, ken = add(alice, chat, JULIE, "ken@mail.example")
    for act in (
        lambda: remove_person(who(julie), chat.conversation_id, ken.person_id),
        lambda: rename(who(julie), chat.conversation_id, "Ours"),
        lambda: give_rank(who(julie), chat.conversation_id, julie.person_id, "owner"),
    ):
        with pytest.raises(Refused, match="Only an owner"):
            act()
    give_rank(alice, chat.conversation_id, julie.person_id, "owner")
    rename(who(julie), chat.conversation_id, "  Our   kettle ")
    remove_person(who(julie), chat.conversation_id, ken.person_id)
    assert lines(chat)[-2:] == [("title", "", "Our kettle"), ("member", "ken", None)]


def test_an_unknown_rank_is_refused(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE)
    with pytest.raises(Refused):
        give_rank(alice, chat.conversation_id, seat.person_id, "king")


# --- Going ---


def test_who_is_removed_sees_and_hears_nothing_more(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE)
    make.say(alice, chat, "Still with us")
    remove_person(alice, chat.conversation_id, seat.person_id)
    make.say(alice, chat, "Now between us")
    assert not visible_conversations(who(seat)).exists()
    assert bodies(who(seat), chat) == []
    with pytest.raises(NotFound):
        make.say(who(seat), chat, "Am I here?")
    assert [mail.message.body for mail in OutgoingEmail.objects.all()] == ["Still with us"]
    assert lines(chat)[-1] == ("member", "julie", None)


def test_removing_twice_is_once(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE)
    first = remove_person(alice, chat.conversation_id, seat.person_id)
    before = lines(chat)
    again = remove_person(alice, chat.conversation_id, seat.person_id)
    assert (again.left_at, lines(chat)) == (first.left_at, before)


def test_each_lost_seat_raises_the_version_that_events_carry(alice: Viewer, chat: Ticket) -> None:
    julie, ken = add(alice, chat, JULIE, "ken@mail.example")
    remove_person(alice, chat.conversation_id, julie.person_id)
    leave(who(ken), chat.conversation_id)
    assert Conversation.objects.get().seats_version == 2


def test_who_is_added_again_reads_from_then_on(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE, sees_all=True)
    remove_person(alice, chat.conversation_id, seat.person_id)
    make.say(alice, chat, "Without Julie")
    (again,) = add(alice, chat, JULIE)
    make.say(alice, chat, "With Julie")
    assert (again.pk, again.barred) == (seat.pk, False)
    assert bodies(who(seat), chat) == ["With Julie"]


def test_one_who_leaves_hears_no_more(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE)
    leave(who(seat), chat.conversation_id)
    assert lines(chat)[-1] == ("left", None, None)
    make.say(alice, chat, "She has gone")
    assert not OutgoingEmail.objects.exists()


def test_whose_ticket_it_is_stays(alice: Viewer, carol: Viewer, chat: Ticket) -> None:
    with pytest.raises(Refused):
        leave(carol, chat.conversation_id)
    with pytest.raises(Refused):
        remove_person(alice, chat.conversation_id, carol.person.pk)
    assert access_conversation(carol, chat.conversation_id)


def test_nobody_is_removed_by_strangers(alice: Viewer, mallory: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE)
    with pytest.raises(NotFound):
        remove_person(mallory, chat.conversation_id, seat.person_id)
    with pytest.raises(NotFound):
        remove_person(alice, chat.conversation_id, mallory.person.pk)


def test_one_who_mutes_a_conversation_is_not_mailed(alice: Viewer, chat: Ticket) -> None:
    (seat,) = add(alice, chat, JULIE)
    mute(who(seat), chat.conversation_id, muted=True)
    make.say(alice, chat, "Not by mail")
    mute(who(seat), chat.conversation_id, muted=False)
    make.say(alice, chat, "By mail")
    replies = OutgoingEmail.objects.filter(message__kind="reply")
    assert [mail.message.body for mail in replies] == ["By mail"]
    assert bodies(who(seat), chat) == ["Not by mail", "By mail"]


def test_muting_is_for_those_inside(mallory: Viewer, alice: Viewer, chat: Ticket) -> None:
    for stranger in (mallory, alice):  # who sees it by her inbox has no seat to mute
        with pytest.raises(NotFound):
            mute(stranger, chat.conversation_id, muted=True)


def test_a_name_that_is_too_long_is_a_sentence(alice: Viewer, chat: Ticket) -> None:
    with pytest.raises(Refused, match="at most 120"):
        rename(alice, chat.conversation_id, "x" * 121)


def test_a_new_name_is_one_line_however_often(alice: Viewer, chat: Ticket) -> None:
    rename(alice, chat.conversation_id, "Kettles")
    rename(alice, chat.conversation_id, "Kettles ")
    assert lines(chat) == [("title", "", "Kettles")]


def test_the_database_refuses_one_who_was_removed_and_has_not_left(
    alice: Viewer, chat: Ticket
) -> None:
    with pytest.raises(IntegrityError, match="participant_barred_has_left"), transaction.atomic():
        Participant.objects.update(barred=True)


def test_post_reply_by_a_reader_among_staff_of_the_inbox_goes_by_the_inbox(
    alice: Viewer, bob: Viewer, chat: Ticket
) -> None:
    assert bob.user
    add_people(alice, chat.conversation_id, Guests(user_ids=[bob.user.pk]), rank="reader")
    assert post_reply(bob, chat.conversation_id, body="I may", via="web")
