"""What a visitor types is shown to staff where their inbox wants that, and kept nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from chat import consumers
from tests import make
from tests.chat.conftest import Visitor
from tests.chat.test_sockets import (
    _one_store_thread,  # noqa: F401 - a fixture
    desk,
    everything,
    heard_until,
    said,
    stored,
    widget,
)
from tickets.access import Viewer
from tickets.models import Inbox, Message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def previewing(inbox: Inbox) -> Inbox:
    inbox.previews_typing = True
    inbox.save()
    return inbox


def typed(text: str) -> dict[str, Any]:
    return {"type": "typing", "typing": True, "text": text}


async def test_staff_see_what_is_typed_and_nobody_keeps_it(
    previewing: Inbox, visitor: Visitor, alice: Viewer
) -> None:
    async with widget(visitor) as tab, widget(visitor) as other_tab:
        await said(tab, "Hello?")
        async with desk(alice, visitor.session.conversation_id) as page:
            await everything(other_tab)
            for text in ("Wh", "Whi", "Which fil"):
                await tab.send_json_to(typed(text))
            first = await heard_until(page, "typing.preview")
            assert (first["text"], first["person"]) == ("Wh", visitor.session.person_id)
            last = await heard_until(page, "typing.preview")
            assert last["text"] == "Which fil", "the one between was passed over"
            assert "Which" not in str(await everything(other_tab))
            assert "Which" not in str(await everything(tab))
    assert not await stored(Message.objects.filter(body__contains="Which").exists)


async def test_an_inbox_that_does_not_want_it_shows_nothing(
    visitor: Visitor, alice: Viewer
) -> None:
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, visitor.session.conversation_id) as page:
            await tab.send_json_to(typed("Which fil"))
            kinds = {event["type"] for event in await everything(page)}
            assert "typing.changed" in kinds
            assert "typing.preview" not in kinds


async def test_the_switch_holds_for_sockets_that_are_open(
    previewing: Inbox, visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0)
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, visitor.session.conversation_id) as page:
            await tab.send_json_to(typed("Which fil"))
            await heard_until(page, "typing.preview")
            await stored(Inbox.objects.update, previews_typing=False)
            await tab.send_json_to(typed("My secret"))
            assert "secret" not in str(await everything(page))


async def test_only_pages_that_show_the_conversation_see_it(
    previewing: Inbox, visitor: Visitor, alice: Viewer, carol: Viewer, mallory: Viewer
) -> None:
    other = await stored(make.ticket, carol, previewing, "Another", channel="chat")
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, other.conversation_id) as page, desk(mallory) as hers:
            await tab.send_json_to(typed("Which fil"))
            assert "Which" not in str(await everything(page))
            assert await everything(hers) == []
