"""Who is here: told to staff as it changes, forgotten when nobody keeps it alive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chat import consumers, heartbeat, presence
from helpdesk.lib import redis_client as redis_module
from helpdesk.lib.redis_client import redis_client
from tests import make
from tests.chat.conftest import Visitor
from tests.chat.test_sockets import (
    _one_store_thread,  # noqa: F401 - a fixture
    desk,
    everything,
    heard,
    heard_until,
    message,
    said,
    stored,
    widget,
)
from tickets.access import Viewer
from tickets.models import Inbox, Team, Ticket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    redis_client().flushdb()
    monkeypatch.setattr(redis_module, "rests_until", 0.0)


async def names(conversation: int) -> list[str]:
    found = await asyncio.to_thread(presence.viewing, conversation)
    return [one.name for one in found]


async def told(socket: Any) -> Any:
    return await heard_until(socket, "presence.changed")


async def test_who_looks_is_told_to_the_others_and_who_leaves_too(
    chat: Ticket, alice: Viewer, bob: Viewer
) -> None:
    conversation = chat.conversation_id
    async with desk(alice, conversation) as page:
        async with desk(bob, conversation):
            event = await told(page)
            assert [one["name"] for one in event["viewing"]] == ["Alice", "Bob"]
            assert await names(conversation) == ["Alice", "Bob"]
        event = await told(page)
        assert [one["name"] for one in event["viewing"]] == ["Alice"]
    assert await names(conversation) == []
    assert presence.at_desk() == set()


async def test_a_page_behind_another_looks_at_nothing_but_is_at_the_desk(
    chat: Ticket, alice: Viewer
) -> None:
    async with desk(alice, chat.conversation_id) as page:
        await page.send_json_to({"type": "visible", "visible": False})
        assert (await told(page))["viewing"] == []
        assert presence.at_desk() == {alice.person.pk}
        await page.send_json_to({"type": "visible", "visible": True})
        assert len((await told(page))["viewing"]) == 1


async def test_two_pages_of_one_person_are_one_and_the_last_counts(
    chat: Ticket, alice: Viewer
) -> None:
    async with desk(alice, chat.conversation_id):
        async with desk(alice, chat.conversation_id):
            assert await names(chat.conversation_id) == ["Alice"]
        assert await names(chat.conversation_id) == ["Alice"]
    assert await names(chat.conversation_id) == []


async def test_staff_see_whether_the_visitor_is_here_and_since_when_not(
    visitor: Visitor, alice: Viewer
) -> None:
    conversation, person = visitor.session.conversation_id, visitor.session.person_id
    assert not presence.is_here(conversation, person)
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, conversation) as page:
            await wait_until(lambda: presence.is_here(conversation, person))
            assert presence.gone_since(conversation, person) is None
            await tab.disconnect()
            event = await told(page)
            while event["customers"][0]["here"]:
                event = await told(page)
            assert event["customers"][0]["person"] == person
            assert event["customers"][0]["gone_at"]
    assert not presence.is_here(conversation, person)
    assert presence.gone_since(conversation, person) is not None


async def wait_until(true: Any) -> None:
    for _ in range(200):
        if await asyncio.to_thread(true):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never became true")


async def test_a_visitor_hears_nothing_of_who_looks(visitor: Visitor, alice: Viewer) -> None:
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, visitor.session.conversation_id):
            assert await tab.receive_nothing()
        assert await tab.receive_nothing()


async def test_whoever_nobody_keeps_alive_is_gone_by_itself(
    visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "ALIVE_SECONDS", 0.3)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    conversation, person = visitor.session.conversation_id, visitor.session.person_id
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
    ghost = presence.mark_in(conversation, visitor.session.person, "customer", "killed")
    async with desk(alice, conversation) as page:
        await asyncio.to_thread(presence.mark, [ghost])  # by a process that dies now
        assert (await told(page))["customers"][0]["here"]
        event = await told(page)  # no bell was rung
        assert event["customers"] == [
            {"person": person, "here": False, "gone_at": event["customers"][0]["gone_at"]}
        ]
        await asyncio.sleep(0.5)
        assert await names(conversation) == ["Alice"], "she is kept alive"


async def test_after_redis_lost_everything_everybody_is_back(
    visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    conversation, person = visitor.session.conversation_id, visitor.session.person_id
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, conversation):
            await wait_until(lambda: presence.is_here(conversation, person))
            redis_client().flushdb()  # it takes a beat; then each is back by themselves
            await wait_until(lambda: presence.is_here(conversation, person))
            await wait_until(lambda: presence.at_desk() == {alice.person.pk})
            await wait_until(
                lambda: [one.name for one in presence.viewing(conversation)] == ["Alice"]
            )


async def test_a_page_shows_several_conversations_and_hears_of_each(
    chat: Ticket, carol: Viewer, alice: Viewer, inbox: Inbox
) -> None:
    other = await stored(make.ticket, carol, inbox, "Another", channel="chat")
    both = sorted([chat.conversation_id, other.conversation_id])
    async with desk(alice) as page:
        await page.send_json_to({"type": "watch", "conversations": both})
        assert await heard(page) == {"type": "watching", "conversations": both}
        for pk in both:
            assert await names(pk) == ["Alice"]
        await everything(page)
        await stored(make.say, carol, chat, "To the first")
        assert (await heard_until(page, "message.posted"))["message"]["body"] == "To the first"
        await stored(make.say, carol, other, "To the second")
        assert (await heard_until(page, "message.posted"))["message"]["body"] == "To the second"
        await page.send_json_to({"type": "watch", "conversations": [other.conversation_id]})
        await heard_until(page, "watching")
        assert await names(chat.conversation_id) == []


async def test_of_several_conversations_only_those_one_may_see_are_watched(
    chat: Ticket, carol: Viewer, mallory: Viewer, alice: Viewer
) -> None:
    elsewhere = await stored(Inbox.objects.get, name="Elsewhere")
    hers = await stored(make.ticket, carol, elsewhere, "Another", channel="chat")
    async with desk(mallory) as page:
        pks = [chat.conversation_id, hers.conversation_id]
        await page.send_json_to({"type": "watch", "conversations": pks})
        assert await heard(page) == {"type": "gone", "conversation": chat.conversation_id}
        assert await heard(page) == {"type": "watching", "conversations": [hers.conversation_id]}
        assert (await told(page))["conversation"] == hers.conversation_id
        await stored(make.say, carol, chat, "Secret")
        assert await everything(page) == []
        assert await names(chat.conversation_id) == []
    async with desk(mallory) as page:
        await page.send_json_to({"type": "watch", "conversations": [chat.conversation_id]})
        assert await heard(page) == {"type": "gone", "conversation": chat.conversation_id}


async def test_who_may_see_it_no_longer_is_no_longer_told(
    chat: Ticket, bob: Viewer, team: Team, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bob.user
    async with desk(bob, chat.conversation_id) as page:
        await stored(team.members.remove, bob.user)
        monkeypatch.setattr(consumers, "RECHECK_MAX_SECONDS", 0)
        async with desk(alice, chat.conversation_id):
            await heard_until(page, "gone")


async def test_without_redis_nobody_is_known_and_nothing_breaks(
    chat: Ticket, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(presence, "redis_client", away)
    assert presence.viewing(chat.conversation_id) == []
    assert presence.at_desk() == set()
    presence.mark([presence.mark_at_desk(alice.person, "x")])
    presence.unmark([presence.mark_at_desk(alice.person, "x")])


async def test_one_who_wrote_without_a_ticket_is_here_too(visitor: Visitor) -> None:
    conversation, person = visitor.session.conversation_id, visitor.session.person_id
    async with widget(visitor) as tab:
        await wait_until(lambda: presence.is_here(conversation, person))
        async with widget(visitor):
            pass
        assert presence.is_here(conversation, person), "the other tab is open still"
        await tab.send_json_to(message("Hello?"))
