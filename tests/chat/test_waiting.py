"""Chats that wait are given to who is free, and let go of when their visitor has gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from chat import presence, waiting
from chat.tasks import look_after_waiting
from helpdesk.lib.redis_client import redis_client
from tests import make
from tests.together import at_once
from tickets.access import Viewer
from tickets.models import Inbox, Message, Ticket, User
from tickets.operations import share_chat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody() -> None:
    redis_client().flushdb()


@pytest.fixture
def sharing(inbox: Inbox) -> Inbox:
    inbox.assigns_chats = True
    inbox.save()
    return inbox


def at_desk(*people: Viewer) -> None:
    presence.mark([presence.mark_at_desk(who.person, "tab") for who in people])


def owner(chat: Ticket) -> User | None:
    return Ticket.objects.get(pk=chat.pk).assignee


def chats(carol: Viewer, inbox: Inbox, count: int) -> list[Ticket]:
    return [make.ticket(carol, inbox, f"Hello {n}?", channel="chat") for n in range(count)]


def test_a_new_chat_goes_to_who_is_at_the_desk(
    sharing: Inbox, alice: Viewer, bob: Viewer, chat: Ticket
) -> None:
    look_after_waiting()
    assert owner(chat) is None, "nobody is here"
    at_desk(bob)
    look_after_waiting()
    assert owner(chat) == bob.user
    line = Message.objects.filter(conversation=chat.conversation_id).latest("seq")
    assert line.change == {"field": "assignee", "old": None, "new": "Bob", "reason": "shared"}
    look_after_waiting()
    assert Message.objects.filter(conversation=chat.conversation_id).latest("seq") == line


def test_an_inbox_that_does_not_want_it_keeps_its_chats(alice: Viewer, chat: Ticket) -> None:
    at_desk(alice)
    look_after_waiting()
    assert owner(chat) is None


def test_who_is_away_or_may_not_see_it_is_given_none(
    sharing: Inbox, alice: Viewer, mallory: Viewer, chat: Ticket
) -> None:
    User.objects.filter(person=alice.person).update(away=True)
    at_desk(alice, mallory)
    look_after_waiting()
    assert owner(chat) is None


def test_they_go_round_by_load_and_stop_at_the_cap(
    sharing: Inbox, alice: Viewer, bob: Viewer, carol: Viewer
) -> None:
    User.objects.update(chat_cap=2)
    at_desk(alice, bob)
    made = chats(carol, sharing, 5)
    look_after_waiting()
    assert [owner(each) for each in made] == [alice.user, bob.user, alice.user, bob.user, None]
    make.say(alice, made[0], "Here you are.")
    look_after_waiting()
    assert owner(made[4]) is None, "it goes on"
    hours_ago = now() - timedelta(hours=1)
    Ticket.objects.filter(pk=made[0].pk).update(last_message_at=hours_ago)
    look_after_waiting()
    assert owner(made[4]) == alice.user


def test_of_equals_it_is_the_turn_of_who_waited_longest_for_one(
    sharing: Inbox, alice: Viewer, bob: Viewer, carol: Viewer
) -> None:
    at_desk(alice, bob)
    User.objects.filter(person=alice.person).update(chat_given_at=now())
    (chat,) = chats(carol, sharing, 1)
    look_after_waiting()
    assert owner(chat) == bob.user


@pytest.mark.django_db(transaction=True)
def test_run_twice_at_once_each_chat_is_given_once_and_no_cap_is_passed(
    sharing: Inbox, alice: Viewer, bob: Viewer, carol: Viewer
) -> None:
    User.objects.update(chat_cap=2)
    at_desk(alice, bob)
    made = chats(carol, sharing, 6)
    for _ in range(4):
        assert at_once(*[look_after_waiting] * 3) == [None] * 3
    owners = [owner(each) for each in made]
    assert [owners.count(who) for who in (alice.user, bob.user, None)] == [2, 2, 2]
    assert Message.objects.filter(change__field="assignee").count() == 4


@pytest.mark.django_db(transaction=True)
def test_one_who_is_given_two_chats_at_the_same_moment_gets_one(
    sharing: Inbox, alice: Viewer, carol: Viewer
) -> None:
    User.objects.update(chat_cap=1)
    here = [alice.person.pk]
    one, two = chats(carol, sharing, 2)
    came = at_once(
        lambda: share_chat(one.conversation_id, at_desk=here),
        lambda: share_chat(two.conversation_id, at_desk=here),
    )
    assert sorted(str(each) for each in came) == ["None", "alice@desk.example"]


def test_what_somebody_took_is_not_given_to_another(
    sharing: Inbox, alice: Viewer, bob: Viewer, chat: Ticket
) -> None:
    Ticket.objects.filter(pk=chat.pk).update(assignee=alice.user)
    assert share_chat(chat.conversation_id, at_desk=[bob.person.pk]) is None
    User.objects.update(away=True)
    at_desk(bob)
    look_after_waiting()
    assert owner(chat) == alice.user, "she went away; she keeps it"


def test_a_chat_whose_visitor_has_gone_waits_no_more(
    carol: Viewer, chat: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = now() - timedelta(minutes=5)
    tab = presence.mark_in(chat.conversation_id, carol.person, "customer", "tab")

    def is_live() -> bool:
        look_after_waiting()
        return Ticket.objects.get(pk=chat.pk).live

    assert is_live(), "she wrote a moment ago"
    Ticket.objects.filter(pk=chat.pk).update(last_message_at=long_ago)
    assert is_live(), "Redis knows nobody yet"
    presence.mark([tab])
    redis_client().set(presence.SINCE_KEY, long_ago.timestamp())
    assert is_live(), "she is here"
    presence.unmark([tab])
    assert is_live(), "she left a moment ago"
    monkeypatch.setattr(waiting, "GONE_SECONDS", -1)
    assert not is_live()


def test_while_redis_is_away_nobody_is_taken_for_gone(
    chat: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise ConnectionError("Redis is away")

    Ticket.objects.filter(pk=chat.pk).update(last_message_at=now() - timedelta(minutes=5))
    monkeypatch.setattr(presence, "redis_client", away)
    look_after_waiting()
    assert Ticket.objects.get(pk=chat.pk).live
