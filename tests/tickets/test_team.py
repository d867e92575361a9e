"""What colleagues talk about among themselves: who starts it, who may see it, who is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from helpdesk.lib.errors import NotFound, Refused
from helpdesk.management.commands.check_invariants import problems
from tests import make
from tickets.access import (
    Viewer,
    access_file,
    access_team,
    access_ticket,
    side_conversations,
    visible_conversations,
    visible_messages,
    visible_tickets,
)
from tickets.models import Conversation, Inbox, Mention, Message, Participant, Team, Ticket
from tickets.operations import (
    ask_colleagues,
    join_beside,
    mark_team_read,
    merge_tickets,
    post_reply,
    quote_back,
    seats,
    start_direct,
    start_group,
)
from tickets.operations.seats import Guests, add_people, leave, mute, remove_person, rename
from tickets.operations.timeline import open_ticket
from tickets.queries import search_tickets
from tickets.team_queries import (
    loud_seats,
    search_team,
    sides_of,
    team_calls,
    team_rows,
    unread_seats,
)

pytestmark = pytest.mark.django_db


def pk(who: Viewer) -> int:
    assert who.user
    return who.user.pk


def guests(*people: Viewer) -> Guests:
    return Guests(user_ids=[pk(one) for one in people])


def titles(who: Viewer) -> list[str]:
    return [row.title for row in team_rows(who)]


def bodies(who: Viewer, where: Conversation) -> list[str]:
    return [message.body for message in visible_messages(who, where) if message.kind != "change"]


def lines(where: Conversation) -> list[tuple[str, object]]:
    changes = Message.objects.filter(conversation=where, kind="change").order_by("seq")
    return [(change.change["field"], change.change["new"]) for change in changes if change.change]


@pytest.fixture
def group(alice: Viewer, bob: Viewer) -> Conversation:
    """Alice's, with Bob in it."""
    return start_group(alice, guests(bob), title="Roasters")


@pytest.fixture
def dana(db: None) -> Viewer:
    """She does the books, and sees no inbox."""
    return make.staff("Dana", Team.objects.create(name="Finance"))


@pytest.fixture
def side(alice: Viewer, dana: Viewer, ticket: Ticket) -> Conversation:
    return ask_colleagues(alice, ticket.number, guests(dana), question="Was it refunded?")


# --- Direct messages ---


def test_a_direct_message_is_one_whoever_starts_it(alice: Viewer, bob: Viewer) -> None:
    first = start_direct(alice, pk(bob))
    assert start_direct(alice, pk(bob)) == start_direct(bob, pk(alice)) == first
    assert Conversation.objects.count() == 1
    assert not first.is_group


@pytest.mark.django_db(transaction=True)
def test_two_who_start_it_at_once_have_one(alice: Viewer, bob: Viewer) -> None:
    def start(who: Viewer, other: Viewer) -> int:
        try:
            return start_direct(who, pk(other)).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        pairs = [(alice, bob), (bob, alice)] * 4
        found = list(threads.map(lambda pair: start(*pair), pairs))
    assert len(set(found)) == 1
    assert Participant.objects.count() == 2


def test_the_database_refuses_a_second_one(alice: Viewer, bob: Viewer) -> None:
    pair = start_direct(alice, pk(bob)).pair
    with pytest.raises(IntegrityError), transaction.atomic():
        Conversation.objects.create(channel="internal", pair=pair)


def test_a_direct_message_needs_a_colleague_who_works_here(
    alice: Viewer, bob: Viewer, carol: Viewer
) -> None:
    with pytest.raises(Refused):
        start_direct(alice, pk(alice))
    with pytest.raises(Refused):
        start_direct(alice, 999_999)
    with pytest.raises(NotFound):
        start_direct(carol, pk(alice))
    assert bob.user
    bob.user.is_active = False
    bob.user.save()
    with pytest.raises(Refused):
        start_direct(alice, pk(bob))
    assert not Conversation.objects.exists()


def test_a_direct_message_stays_between_two(alice: Viewer, bob: Viewer, mallory: Viewer) -> None:
    direct = start_direct(alice, pk(bob))
    with pytest.raises(Refused, match="between two"):
        add_people(alice, direct.pk, guests(mallory))
    with pytest.raises(Refused, match="stays with both"):
        leave(alice, direct.pk)
    with pytest.raises(Refused):
        remove_person(alice, direct.pk, bob.person.pk)
    with pytest.raises(Refused):
        rename(alice, direct.pk, "Ours")
    assert Participant.objects.filter(left_at=None).count() == 2


def test_an_empty_direct_message_shows_to_nobody_until_somebody_writes(
    alice: Viewer, bob: Viewer
) -> None:
    direct = start_direct(alice, pk(bob))
    assert (titles(alice), titles(bob)) == ([], [])
    assert [row.title for row in team_rows(alice, open_id=direct.pk)] == ["Bob"]
    make.say(alice, direct, "Lunch?")
    assert (titles(alice), titles(bob)) == (["Bob"], ["Alice"])


# --- Groups ---


def test_a_group_has_its_owner_its_people_and_a_line_that_says_so(
    alice: Viewer, bob: Viewer, group: Conversation
) -> None:
    ranks = dict(group.participants.values_list("person__name", "rank"))
    assert ranks == {"Alice": "owner", "Bob": "member"}
    assert lines(group) == [("member", "Bob")]
    assert (group.channel, group.is_group, group.title) == ("internal", True, "Roasters")
    assert titles(bob) == ["Roasters"]


def test_whole_teams_are_in_it_without_naming_each(
    alice: Viewer, bob: Viewer, mallory: Viewer, team: Team
) -> None:
    made = start_group(alice, Guests(team_ids=[team.pk], user_ids=[pk(mallory)]))
    assert set(made.participants.values_list("person__name", flat=True)) == {
        *("Alice", "Bob", "Mallory")
    }
    assert titles(alice) == ["Bob, Mallory"]
    assert titles(mallory) == ["Alice, Bob"]


def test_a_form_that_is_sent_twice_starts_one_group(alice: Viewer, bob: Viewer) -> None:
    token = uuid4()
    made = [start_group(alice, guests(bob), title="Roasters", token=token) for _ in range(2)]
    assert made[0] == made[1]
    assert Conversation.objects.count() == 1
    with pytest.raises(NotFound):
        start_group(make.staff("Eve"), guests(bob), token=token)


def test_a_group_of_nobody_or_with_too_long_a_name_is_refused(
    alice: Viewer, bob: Viewer, carol: Viewer
) -> None:
    with pytest.raises(Refused):
        start_group(alice, Guests())
    with pytest.raises(Refused):
        start_group(alice, guests(alice))
    with pytest.raises(Refused):
        start_group(alice, guests(bob), title="x" * 121)
    with pytest.raises(NotFound):
        start_group(carol, guests(bob))
    assert not Conversation.objects.exists()


def test_nobody_is_in_more_groups_than_the_limit_and_sides_do_not_count(
    alice: Viewer, bob: Viewer, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "GROUPS_MAX", 1)
    eve = make.staff("Eve")
    for asked in (bob, bob, eve):
        ask_colleagues(alice, ticket.number, guests(asked), question="Yes?")
    start_group(alice, guests(eve))
    ask_colleagues(alice, ticket.number, guests(eve), question="And now?")
    with pytest.raises(Refused, match="Alice is in 1 group"):
        start_group(alice, guests(bob))
    with pytest.raises(Refused, match="Alice is in 1 group"):
        start_group(bob, guests(alice))


# --- Who sees and hears it ---


def test_only_a_seat_opens_it_to_administrators_too(
    group: Conversation, alice: Viewer, mallory: Viewer, carol: Viewer
) -> None:
    make.say(alice, group, "A secret blend")
    assert mallory.user
    mallory.user.is_superuser = True
    mallory.user.save()
    for stranger in (mallory, carol):
        with pytest.raises(NotFound):
            access_team(stranger, group.pk)
        with pytest.raises(NotFound):
            post_reply(stranger, group.pk, body="Me too", via="web")
        with pytest.raises(NotFound):
            mark_team_read(stranger, group.pk, 1)
        assert not visible_conversations(stranger).exists()
        assert not visible_messages(stranger, group).exists()
    assert search_team(mallory, "secret") == []


def test_a_tickets_conversation_is_none_of_the_teams(alice: Viewer, ticket: Ticket) -> None:
    with pytest.raises(NotFound):
        access_team(alice, ticket.conversation_id)


def test_who_is_removed_reads_nothing_and_hears_nothing(
    group: Conversation, alice: Viewer, bob: Viewer
) -> None:
    file = make.upload(alice)
    make.say(alice, group, "@Bob look", files=[file.uuid])
    assert access_file(bob, file.uuid) == file
    remove_person(alice, group.pk, bob.person.pk)
    make.say(alice, group, "@Bob is gone")
    with pytest.raises(NotFound):
        access_team(bob, group.pk)
    with pytest.raises(NotFound):
        access_file(bob, file.uuid)
    with pytest.raises(NotFound):
        post_reply(bob, group.pk, body="Hello?", via="web")
    assert (titles(bob), search_team(bob, "gone"), team_calls(bob)) == ([], [], [])
    assert not loud_seats(bob).exists()


def test_customers_are_never_added(group: Conversation, alice: Viewer) -> None:
    with pytest.raises(Refused, match="among colleagues"):
        add_people(alice, group.pk, Guests(addresses=["carol@mail.example"]))


def test_who_leaves_last_of_the_owners_hands_it_on(
    group: Conversation, alice: Viewer, bob: Viewer
) -> None:
    leave(alice, group.pk)
    assert group.participants.get(person=bob.person).rank == "owner"
    assert titles(alice) == []


def test_a_group_has_no_ticket_no_mail_and_breaks_nothing(
    group: Conversation, alice: Viewer, bob: Viewer
) -> None:
    make.say(alice, group, "One @Bob")
    make.say(bob, group, "Two")
    assert not Ticket.objects.exists()
    assert list(problems()) == []


def test_what_must_not_be_among_colleagues_is_found(
    group: Conversation, alice: Viewer, bob: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    Participant.objects.create(conversation=group, person=carol.person, role="customer")
    direct = start_direct(alice, pk(bob))
    direct.participants.filter(person=bob.person).delete()
    open_ticket(group, inbox_id=inbox.pk, requester=carol.person, subject="?")
    assert list(problems()) == [
        f"conversation {group.pk}: it is among colleagues, and has a ticket",
        f"conversation {group.pk}: it is among colleagues, and has a customer",
        f"conversation {direct.pk}: a direct message of 1",
    ]


def test_a_message_takes_so_many_files_and_no_more(
    group: Conversation, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickets.operations.conversations.FILES_MAX", 1)
    files = [make.upload(alice, name).uuid for name in ("a.png", "b.png")]
    with pytest.raises(Refused, match="1 file"):
        make.say(alice, group, "Both", files=files)
    assert make.say(alice, group, "", files=files[:1]).file_count == 1
    assert team_rows(alice)[0].line == "a.png"


# --- Unread, and who is called ---


def test_what_others_say_is_unread_until_it_was_read(
    group: Conversation, alice: Viewer, bob: Viewer
) -> None:
    assert not unread_seats(bob).exists()  # that one was added is no word
    said = make.say(alice, group, "Who is in?")
    assert unread_seats(bob).exists()
    assert not unread_seats(alice).exists()
    assert [row.is_unread for row in team_rows(bob)] == [True]
    mark_team_read(bob, group.pk, said.seq)
    assert not unread_seats(bob).exists()
    mark_team_read(bob, group.pk, 1)  # it never goes back
    mark_team_read(bob, group.pk, 2**31 - 1)
    assert group.participants.get(person=bob.person).last_read_seq == said.seq


def test_in_a_group_one_is_called_by_name_in_a_direct_message_by_every_word(
    group: Conversation, alice: Viewer, bob: Viewer
) -> None:
    direct = start_direct(alice, pk(bob))
    make.say(alice, group, "Good morning")
    assert team_calls(bob) == []
    make.say(alice, group, "And you, @Bob?")
    make.say(alice, group, "Anybody?")
    make.say(alice, direct, "Psst")
    calls = {row.title: message.body for row, message in team_calls(bob)}
    assert calls == {"Roasters": "And you, @Bob?", "Alice": "Psst"}
    assert [(row.title, row.is_named) for row in team_rows(bob)] == [
        *(("Alice", False), ("Roasters", True))
    ]
    group.refresh_from_db()
    mark_team_read(bob, group.pk, group.last_seq)
    mark_team_read(bob, direct.pk, 1)
    assert team_calls(bob) == []
    assert not Mention.objects.filter(seen_at=None).exists()


def test_what_is_muted_calls_nobody_and_is_not_counted(
    group: Conversation, alice: Viewer, bob: Viewer
) -> None:
    direct = start_direct(alice, pk(bob))
    for where in (group, direct):
        mute(bob, where.pk, muted=True)
        make.say(alice, where, "@Bob!")
    assert team_calls(bob) == []
    assert not loud_seats(bob).exists()
    assert [(row.is_unread, row.is_muted) for row in team_rows(bob)] == [(True, True)] * 2
    mute(bob, group.pk, muted=False)
    assert loud_seats(bob).count() == 1


# --- Beside a ticket ---


def test_asking_opens_a_conversation_beside_and_a_line_on_the_ticket(
    side: Conversation, dana: Viewer, ticket: Ticket
) -> None:
    assert side.side_of_id == ticket.conversation_id
    assert bodies(dana, side) == ["Was it refunded?"]
    line = Message.objects.get(conversation=ticket.conversation_id, kind="change")
    assert (line.audience, lines(ticket.conversation)) == ("staff", [("side", "Dana")])
    ticket.refresh_from_db()
    assert (ticket.status, ticket.unread) == ("open", True)  # nobody answered the customer


def test_who_is_asked_gets_no_access_to_the_ticket(
    side: Conversation, dana: Viewer, ticket: Ticket
) -> None:
    with pytest.raises(NotFound):
        access_ticket(dana, ticket.number)
    assert not visible_tickets(dana).exists()
    assert not visible_messages(dana, ticket.conversation).exists()
    assert search_tickets(dana, "grinder") == []
    assert [row.number for row in team_rows(dana)] == [ticket.number]
    with pytest.raises(NotFound):
        quote_back(dana, side.pk, 2)
    with pytest.raises(NotFound):
        ask_colleagues(dana, ticket.number, guests(dana), question="And?")


def test_a_question_that_is_sent_twice_is_asked_once(
    alice: Viewer, dana: Viewer, ticket: Ticket
) -> None:
    token = uuid4()
    for _ in range(2):
        ask_colleagues(alice, ticket.number, guests(dana), question="Paid?", token=token)
    assert Conversation.objects.filter(channel="internal").count() == 1
    assert Message.objects.filter(body="Paid?").count() == 1
    assert len(lines(ticket.conversation)) == 1


def test_a_question_needs_words_people_and_a_ticket_one_may_write_in(
    alice: Viewer, mallory: Viewer, dana: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    with pytest.raises(Refused):
        ask_colleagues(alice, ticket.number, guests(dana), question=" ")
    with pytest.raises(Refused):
        ask_colleagues(alice, ticket.number, Guests(), question="Paid?")
    for stranger in (mallory, carol):
        with pytest.raises(NotFound):
            ask_colleagues(stranger, ticket.number, guests(dana), question="Paid?")
    add_people(alice, ticket.conversation_id, guests(dana), rank="reader")
    with pytest.raises(Refused):
        ask_colleagues(dana, ticket.number, guests(alice), question="Paid?")
    assert not Conversation.objects.filter(channel="internal").exists()


def test_who_sees_the_ticket_sees_that_it_is_there_and_no_word_of_it(
    side: Conversation, alice: Viewer, bob: Viewer, dana: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    make.say(dana, side, "Yes, on Monday.")
    (mine,), (his,) = sides_of(alice, ticket), sides_of(bob, ticket)
    assert (mine.line, mine.has_seat, mine.is_answered) == ("Yes, on Monday.", True, True)
    assert (his.line, his.has_seat, his.is_answered) == ("", False, True)
    assert [str(one) for one in his.people] == ["Dana"]
    assert his.asker == alice.person
    assert sides_of(mallory, ticket) == []
    with pytest.raises(NotFound):
        access_team(bob, side.pk)


def test_who_works_on_the_ticket_may_join_and_it_says_so(
    side: Conversation, bob: Viewer, mallory: Viewer, dana: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    for stranger in (mallory, carol):
        with pytest.raises(NotFound):
            join_beside(stranger, side.pk)
    join_beside(bob, side.pk)
    join_beside(bob, side.pk)
    assert bodies(bob, side) == ["Was it refunded?"]
    assert lines(side) == [("member", "Dana"), ("member", "Bob")]
    with pytest.raises(NotFound):
        join_beside(bob, ticket.conversation_id)


def test_who_was_removed_does_not_join_again(
    side: Conversation, alice: Viewer, bob: Viewer
) -> None:
    join_beside(bob, side.pk)
    remove_person(alice, side.pk, bob.person.pk)
    with pytest.raises(NotFound):
        join_beside(bob, side.pk)


def test_a_group_is_no_conversation_to_join(group: Conversation, mallory: Viewer) -> None:
    with pytest.raises(NotFound):
        join_beside(mallory, group.pk)


def test_the_outcome_is_quoted_once_with_its_author_named(
    side: Conversation, alice: Viewer, bob: Viewer, dana: Viewer, ticket: Ticket
) -> None:
    answer = make.say(dana, side, "Yes.\nOn Monday.")
    join_beside(bob, side.pk)
    note = quote_back(alice, side.pk, answer.seq, words="I tell her.")
    assert quote_back(alice, side.pk, answer.seq) == note
    assert quote_back(bob, side.pk, answer.seq, words="Me too") == note
    assert (note.kind, note.author, note.conversation_id) == (
        *("note", alice.person, ticket.conversation_id),
    )
    assert note.body == "**Dana** said:\n\n> Yes.\n> On Monday.\n\nI tell her."
    assert Message.objects.filter(kind="note").count() == 1
    assert [one.is_quoted for one in sides_of(alice, ticket)] == [True]


def test_what_is_beside_a_ticket_goes_on_beside_the_one_it_was_merged_into(
    side: Conversation, alice: Viewer, dana: Viewer, carol: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    early, late = make.say(dana, side, "On Monday."), make.say(dana, side, "Or on Tuesday.")
    quoted = quote_back(alice, side.pk, early.seq)
    goes_on = make.ticket(carol, inbox, "The same again")
    merge_tickets(alice, ticket.number, goes_on.number)
    goes_on.conversation.refresh_from_db()
    assert [one.pk for one in side_conversations(alice, goes_on)] == [side.pk]
    assert quote_back(alice, side.pk, early.seq) == quoted
    assert quote_back(alice, side.pk, late.seq).conversation_id == goes_on.conversation_id


def test_only_what_one_may_read_is_quoted(
    side: Conversation, group: Conversation, alice: Viewer, bob: Viewer, dana: Viewer
) -> None:
    before = make.say(dana, side, "Not for Bob")
    add_people(alice, side.pk, guests(bob))
    for seq in (1, before.seq, 99):
        with pytest.raises(NotFound):
            quote_back(bob, side.pk, seq)
    with pytest.raises(NotFound):  # a line, no word
        quote_back(alice, side.pk, 1)
    said = make.say(alice, group, "Beside nothing")
    with pytest.raises(NotFound):
        quote_back(alice, group.pk, said.seq)
    assert not Message.objects.filter(kind="note").exists()


def test_a_conversation_outlives_its_ticket(
    side: Conversation, dana: Viewer, ticket: Ticket
) -> None:
    Ticket.objects.all().delete()
    ticket.conversation.delete()
    assert bodies(dana, side) == ["Was it refunded?"]
    assert [(row.title, row.number) for row in team_rows(dana)] == [("Alice", None)]


# --- Search ---


def test_search_finds_what_one_may_read_apart_from_tickets(
    group: Conversation, alice: Viewer, bob: Viewer, dana: Viewer, ticket: Ticket
) -> None:
    make.say(alice, group, "The grinder costs 40.")
    make.say(alice, group, "Yes, the GRINDER.")
    add_people(alice, group.pk, guests(dana))
    (hit,) = search_team(bob, "grin")
    assert (hit.title, hit.line) == ("Roasters", "Yes, the GRINDER.")
    assert [found.ticket.number for found in search_tickets(bob, "grinder")] == [ticket.number]
    assert search_team(dana, "grinder") == []
    assert search_team(bob, "") == search_team(bob, "zebra") == []


def test_the_conversation_of_a_wrong_token_is_nobodys(bob: Viewer, alice: Viewer) -> None:
    token = UUID(int=7)
    start_group(alice, guests(make.staff("Eve")), token=token)
    with pytest.raises(NotFound):
        start_group(bob, guests(alice), token=token)


def test_an_inbox_is_not_needed_for_the_counter(
    dana: Viewer, side: Conversation, inbox: Inbox
) -> None:
    assert loud_seats(dana).count() == 1
