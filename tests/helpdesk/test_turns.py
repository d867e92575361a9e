"""So many requests are under way at once, and nobody waits for a slow line."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from helpdesk import turns
from helpdesk.turns import in_turn

WHOLE = {"type": "http.request", "body": b"", "more_body": False}
PART = {"type": "http.request", "body": b"x", "more_body": True}
START = {"type": "http.response.start", "status": 200}
END = {"type": "http.response.body", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


class Desk:
    """An application that works on a request until it is told, and counts those at work."""

    def __init__(self) -> None:
        self.at_work: list[str] = []
        self.most = 0
        self.done = asyncio.Event()
        self.taken = asyncio.Event()  # the end of an answer by a slow browser

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (part := await receive()).get("more_body"):
            pass
        if part == GONE:
            return
        self.at_work.append(scope["path"])
        self.most = max(self.most, len(self.at_work))
        try:
            await self.done.wait()
            if scope["path"] == "/broken":
                raise RuntimeError("a fault")
        finally:
            self.at_work.remove(scope["path"])
        await send(START)
        await self.taken.wait()
        await send(END)


class Browser:
    def __init__(self, *parts: Mapping[str, Any]) -> None:
        self.parts: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        for part in parts:
            self.parts.put_nowait(part)
        self.heard: list[str] = []

    async def hear(self, message: Mapping[str, Any]) -> None:
        self.heard.append(message["type"])

    def ask(self, application: Any, path: str = "/") -> asyncio.Task[None]:
        scope = {"type": "http", "path": path}
        return asyncio.create_task(application(scope, self.parts.get, self.hear))


async def a_moment() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_only_so_many_are_worked_on_and_all_are_answered() -> None:
    desk = Desk()
    application = in_turn(desk, 2)
    browsers = [Browser(WHOLE) for _ in range(5)]
    asked = [browser.ask(application) for browser in browsers]
    await a_moment()
    assert len(desk.at_work) == 2
    desk.done.set()
    desk.taken.set()
    await asyncio.gather(*asked)
    assert desk.most == 2
    assert all(browser.heard == [START["type"], END["type"]] for browser in browsers)


async def test_a_slow_upload_takes_no_place() -> None:
    desk = Desk()
    application = in_turn(desk, 1)
    slow = Browser(PART)
    asked = [slow.ask(application, "/slow"), Browser(WHOLE).ask(application, "/quick")]
    await a_moment()
    assert desk.at_work == ["/quick"]
    slow.parts.put_nowait(WHOLE)
    desk.done.set()
    desk.taken.set()
    await asyncio.gather(*asked)


async def test_a_long_download_keeps_no_place() -> None:
    desk = Desk()
    desk.done.set()
    application = in_turn(desk, 1)
    browsers = [Browser(WHOLE) for _ in range(3)]
    asked = [browser.ask(application) for browser in browsers]
    await a_moment()
    assert all(browser.heard == [START["type"]] for browser in browsers)
    desk.taken.set()
    await asyncio.gather(*asked)


async def test_a_fault_and_one_who_is_shown_out_give_their_places_back() -> None:
    desk = Desk()
    application = in_turn(desk, 1)
    broken = Browser(WHOLE).ask(application, "/broken")
    await a_moment()
    desk.done.set()
    with pytest.raises(RuntimeError):
        await broken
    desk.done.clear()
    shown_out = Browser(WHOLE).ask(application)
    await a_moment()
    shown_out.cancel()
    last = Browser(WHOLE).ask(application, "/last")
    await a_moment()
    assert desk.at_work == ["/last"]
    desk.done.set()
    desk.taken.set()
    await last


async def test_who_leaves_before_their_turn_has_none() -> None:
    desk = Desk()
    application = in_turn(desk, 1)
    first = Browser(WHOLE).ask(application, "/first")
    await a_moment()
    leaving = Browser(WHOLE)
    left = leaving.ask(application, "/left")
    last = Browser(WHOLE).ask(application, "/last")
    await a_moment()
    leaving.parts.put_nowait(GONE)
    await a_moment()
    desk.done.set()
    desk.taken.set()
    await asyncio.gather(first, last)
    await left
    assert leaving.heard == []


async def test_one_that_waits_for_something_else_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "SLOW_SECONDS", 0.05)
    desk = Desk()
    application = in_turn(desk, 1)
    slow = Browser(WHOLE).ask(application, "/slow")
    quick = Browser(WHOLE).ask(application, "/quick")
    await a_moment()
    assert desk.at_work == ["/slow"]
    await asyncio.sleep(0.1)
    assert desk.at_work == ["/slow", "/quick"]
    desk.done.set()
    desk.taken.set()
    await asyncio.gather(slow, quick)
    await a_moment()
    third = [Browser(WHOLE).ask(application) for _ in range(2)]  # no place was given back twice
    desk.done.clear()
    await a_moment()
    assert len(desk.at_work) == 1
    desk.done.set()
    await asyncio.gather(*third)


async def test_a_place_and_a_goodbye_at_the_same_moment_leave_the_place_free() -> None:
    places = asyncio.Semaphore(1)
    await places.acquire()
    gone: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    waiting = asyncio.create_task(turns.place_or_gone(places, gone.get, lambda _: None))
    await a_moment()
    places.release()
    gone.put_nowait(GONE)
    assert not await waiting
    await a_moment()
    assert not places.locked()


async def test_what_came_while_one_waited_is_kept_and_who_is_shown_out_takes_no_place() -> None:
    places = asyncio.Semaphore(1)
    await places.acquire()
    parts: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    heard: list[Mapping[str, Any]] = []
    waiting = asyncio.create_task(turns.place_or_gone(places, parts.get, heard.append))
    parts.put_nowait({"type": "websocket.receive", "text": "early"})
    await a_moment()
    waiting.cancel()
    await a_moment()
    places.release()
    await a_moment()
    assert [part["text"] for part in heard] == ["early"]
    assert not places.locked()
