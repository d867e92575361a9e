"""Browsers in Python: they keep to the same rules as the widget and the desk's pages.

Keep what was sent until it is acknowledged; send it again, in order, with the same token, by
whichever way is open; after every (re)connection and now and then ask what was missed.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

ASK_SECONDS = 3.0  # as a browser asks every 30 s; shorter, because a test ends sooner
ANSWER_SECONDS = 10.0  # longest wait for an answer
PULSE_SECONDS = 3.0  # between questions of a widget without a socket
AWAY = (OSError, httpx.HTTPError, WebSocketException, TimeoutError)


class Trouble(Exception):
    """It was not acknowledged. `wait_seconds`: how long the server wants to be left alone."""

    def __init__(self, wait_seconds: float = 0) -> None:
        self.wait_seconds = wait_seconds


@dataclass
class Sent:
    """Something a person wrote, from then on; the clock is `time.monotonic`."""

    token: str
    body: str
    written_at: float = field(default_factory=time.monotonic)
    acknowledged_at: float | None = None
    seq: int | None = None  # its place, where the acknowledgement names it


@dataclass
class Journal:
    """When something came through, to whichever of the clients that share it."""

    acknowledged: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)  # by a socket, of what another page wrote


@dataclass(frozen=True)
class Habits:
    """How browsers behave. Without `resume` they neither catch up nor send again: what is left of
    a chat when only the socket carries it."""

    ask_seconds: float = ASK_SECONDS
    sure_seconds: float = ASK_SECONDS  # beside an open socket
    resume: bool = True


class Page:
    """What both kinds of pages are: work that goes on side by side until the page is left."""

    _group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Go on until cancelled. Raises what any of the work raises."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self.begin()
        finally:
            self._group = None

    def begin(self) -> None:
        raise NotImplementedError

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Begin something, if the page is there."""
        if self._group is None:
            return False
        self._group.create_task(work())
        return True


async def persist(act: Callable[[], Awaitable[httpx.Response]], *expected: int) -> httpx.Response:
    """Try until the server answers with one of these statuses; it may be down meanwhile."""
    for _ in range(200):
        try:
            response = await act()
            if response.status_code in expected:
                return response
            if response.status_code < 500 and response.status_code != 429:
                raise AssertionError(f"{response.status_code}: {response.text[:300]}")
        except AWAY:
            pass
        await asyncio.sleep(0.2 + random.random() * 0.3)
    raise AssertionError("the server did not come back")


class Visitor:
    """One browser of a visitor: its tabs share the token and the queue, as they share storage."""

    def __init__(
        self,
        base_url: str,
        key: str,
        http: httpx.AsyncClient,
        *,
        tabs: int = 1,
        habits: Habits | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.base_url = base_url
        self.api = f"{base_url}/widget/{key}"
        self.socket_url = f"{base_url.replace('http', 'ws', 1)}/ws/widget/{key}/"
        self.http = http
        self.habits = habits or Habits()
        self.journal = journal or Journal()
        self.token = ""
        self.you = 0
        self.sent: dict[str, Sent] = {}
        self.unsent: list[Sent] = []  # oldest first
        self.one_tab_at_a_time = asyncio.Lock()
        self.tabs = [Tab(self) for _ in range(tabs)]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Origin": self.base_url}

    @property
    def seen(self) -> list[dict[str, Any]]:
        """What the first tab shows."""
        return self.tabs[0].shown

    @property
    def acknowledged(self) -> list[Sent]:
        return [sent for sent in self.sent.values() if sent.acknowledged_at is not None]

    async def start(self) -> None:
        """Begin as the widget does with the first words."""
        headers = {"Origin": self.base_url}
        url = f"{self.api}/sessions"
        answer = (await persist(lambda: self.http.post(url, json={}, headers=headers), 201)).json()
        self.token, self.you = answer["token"], answer["you"]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        async with asyncio.TaskGroup() as group:
            for tab in self.tabs:
                group.create_task(tab.run())

    def say(self, body: str, *, tab: int = 0) -> Sent:
        """Write something in a tab. It leaves when it can."""
        sent = Sent(str(uuid4()), body)
        self.sent[sent.token] = sent
        self.unsent.append(sent)
        self.tabs[tab].written.add(sent.token)
        self.tabs[tab].flush()
        return sent

    def hear_of(self, token: str | None, seq: int) -> None:
        """Something of ours is stored, as an acknowledgement says or the timeline shows."""
        sent = self.sent.get(token or "")
        if sent is None or sent.acknowledged_at is not None:
            return
        sent.acknowledged_at, sent.seq = time.monotonic(), seq
        self.journal.acknowledged.append(sent.acknowledged_at)
        if sent in self.unsent:
            self.unsent.remove(sent)


class Tab(Page):
    """One page with the widget open: chat.js without what it draws."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.cursor = 0
        self.messages: dict[int, dict[str, Any]] = {}  # by seq, as the widget keeps them
        self.written: set[str] = set()  # here: tokens
        # Every entry that ever came: its conversation (0 where it does not say) and itself.
        self.delivered: list[tuple[int, dict[str, Any]]] = []
        self.socket: ClientConnection | None = None
        self.let_in: list[float] = []  # when
        self._ready = False
        self._tries = 0
        self._in_flight: tuple[str, asyncio.Future[dict[str, Any]]] | None = None
        self._flushing = False
        self._asking = False
        self._ask_again = False
        self._wait_until = 0.0
        self._pulse_at = 0.0
        self._pulse_moved = asyncio.Event()

    @property
    def shown(self) -> list[dict[str, Any]]:
        return [self.messages[seq] for seq in sorted(self.messages)]

    def begin(self) -> None:
        self.beside(self._stay_connected)
        if self.visitor.habits.resume:
            self.beside(self._pulse)

    def flush(self) -> None:
        """Send what waits, one after the other."""
        if not self._flushing:
            self._flushing = self.beside(self._flush)

    def ask(self) -> None:
        """Ask for everything after the cursor. Who comes while we ask makes us ask once more."""
        self._ask_again = True
        if not self._asking and self.visitor.habits.resume:
            self._asking = self.beside(self._ask)

    def cut(self) -> bool:
        """Break the line without a word. False if there is none."""
        if self.socket is None or not self._ready:
            return False
        self.socket.transport.abort()
        return True

    # --- the socket: a bell that carries ---

    async def _stay_connected(self) -> None:
        while True:
            with suppress(*AWAY):
                await self._connection()
            self._lost()
            most = min(ANSWER_SECONDS, 0.6 * 2**self._tries)
            self._tries += 1
            await asyncio.sleep(0.3 + random.random() * most)

    async def _connection(self) -> None:
        async with connect(
            self.visitor.socket_url,
            origin=Origin(self.visitor.base_url),
            open_timeout=3 * ANSWER_SECONDS,
            ping_interval=None,  # nor do browsers
            close_timeout=0.5,
            compression=None,
        ) as socket:
            self.socket = socket
            await socket.send(json.dumps({"type": "hello", "token": self.visitor.token}))
            async with asyncio.timeout(3 * ANSWER_SECONDS) as patience:
                async for text in socket:
                    self._hear(json.loads(text))
                    if self._ready:
                        patience.reschedule(None)

    def _lost(self) -> None:
        if self._ready:
            self._pulse_in(2 * ANSWER_SECONDS)
        self.socket = None
        self._ready = False
        if self._in_flight and not self._in_flight[1].done():
            self._in_flight[1].set_exception(Trouble())

    def _hear(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "ready":
                self._ready = True
                self.let_in.append(time.monotonic())
                self._tries = 0
                if not self.visitor.habits.resume:
                    self.cursor = event["upto"]
                elif event["upto"] != self.cursor:
                    self.ask()
                self.flush()
                self._rest()
            case "upto":
                if event["upto"] > self.cursor:
                    self.ask()
            case "message.posted":
                if event["after"] == self.cursor:
                    self.cursor = event["seq"]
                elif event["seq"] > self.cursor:
                    self.ask()
                if event["message"]["client_token"] not in self.written:
                    self.visitor.journal.heard.append(time.monotonic())
                self._take([event["message"]], event["conversation"])
            case "ack" | "refused" if self._in_flight:
                token, answer = self._in_flight
                if event["client_token"] == token and not answer.done():
                    if event["type"] == "ack":
                        answer.set_result(event["message"])
                    else:
                        assert event["code"] == "slow_down", event
                        answer.set_exception(Trouble(event["retry_after_seconds"]))

    def _take(self, messages: list[dict[str, Any]], conversation: int = 0) -> None:
        for message in messages:
            self.delivered.append((conversation, message))
            self.messages[message["seq"]] = message
            self.visitor.hear_of(message["client_token"], message["seq"])

    # --- asking ---

    def _pulse_in(self, seconds: float) -> None:
        self._pulse_at = time.monotonic() + seconds * (0.8 + random.random() / 5)
        self._pulse_moved.set()

    async def _pulse(self) -> None:
        """Asks and sends whatever the socket says or does not say."""
        while True:
            self._rest()
            while (rest := self._pulse_at - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest):
                        await self._pulse_moved.wait()
                self._pulse_moved.clear()
            self.flush()
            self.ask()

    def _rest(self) -> None:
        habits = self.visitor.habits
        if self._ready and not self._ask_again:
            rest = habits.sure_seconds
        else:
            rest = PULSE_SECONDS if self.visitor.unsent else habits.ask_seconds
        self._pulse_in(rest)

    async def _ask(self) -> None:
        try:
            while self._ask_again:
                self._ask_again = False
                url = f"{self.visitor.api}/messages?after={self.cursor}"
                response = await self.visitor.http.get(url, headers=self.visitor.headers)
                page = response.raise_for_status().json()
                self.cursor = max(self.cursor, page["upto"])
                self._ask_again |= page["more"]
                self._take(page["messages"])
        except AWAY:
            self._ask_again = True
            self._pulse_in(PULSE_SECONDS)
        finally:
            self._asking = False

    # --- the queue ---

    async def _flush(self) -> None:
        try:
            more = True
            while more:
                async with self.visitor.one_tab_at_a_time:
                    more = await self._send_next()
        finally:
            self._flushing = False

    async def _send_next(self) -> bool:
        if not self.visitor.unsent or time.monotonic() < self._wait_until:
            return False
        sent = self.visitor.unsent[0]
        try:
            if not self.visitor.habits.resume:
                self.visitor.unsent.pop(0)  # once, and never again
            message = await (self._by_socket if self._ready else self._by_post)(sent)
        except Trouble as trouble:
            if trouble.wait_seconds:
                self._wait_until = time.monotonic() + trouble.wait_seconds
            if self.visitor.habits.resume:
                self.beside(partial(self._flush_in, (trouble.wait_seconds or 1) + 0.05))
            return not self.visitor.habits.resume
        self._take([message])
        return True

    async def _flush_in(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.flush()

    async def _by_socket(self, sent: Sent) -> dict[str, Any]:
        assert self.socket
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._in_flight = sent.token, answer
        frame = {"type": "send", "client_token": sent.token, "body": sent.body}
        socket = self.socket
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await socket.send(json.dumps(frame))
                return await answer
        except AWAY as error:
            socket.transport.abort()  # at once: a dead one may take minutes to close
            raise Trouble from error
        finally:
            self._in_flight = None
            if answer.done() and not answer.cancelled():
                answer.exception()  # perhaps the line broke while we wrote: nobody waited yet

    async def _by_post(self, sent: Sent) -> dict[str, Any]:
        if not self.visitor.habits.resume:
            raise Trouble
        content = {"client_token": sent.token, "body": sent.body}
        try:
            response = await self.visitor.http.post(
                f"{self.visitor.api}/messages", json=content, headers=self.visitor.headers
            )
            if response.status_code == 429:
                raise Trouble(float(response.headers["Retry-After"]))
            message: dict[str, Any] = response.raise_for_status().json()["message"]
        except AWAY as error:
            raise Trouble from error
        return message


@dataclass
class Staff:
    """Someone at the desk, who reads tickets as its pages do."""

    base_url: str
    http: httpx.AsyncClient
    shown: dict[int, list[tuple[int, str]]] = field(default_factory=dict)  # ticket → (seq, html)
    journal: Journal = field(default_factory=Journal)

    async def log_in(self, email: str, password: str) -> None:
        page = await persist(lambda: self.http.get(f"{self.base_url}/"), 200)
        match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert match, "no login form"
        form = {"username": email, "password": password, "csrfmiddlewaretoken": match[1]}
        await persist(lambda: self.http.post(f"{self.base_url}/", data=form), 302)

    async def reply(
        self, number: int, body: str, *, kind: str = "reply", once: bool = False
    ) -> Sent:
        """Send, and send again with the same token until it is answered; or only `once`."""
        sent = Sent(str(uuid4()), body)
        await self.send(number, sent, kind=kind, once=once)
        return sent

    async def send(
        self, number: int, sent: Sent, *, kind: str = "reply", once: bool = False
    ) -> None:
        form = {
            "body": sent.body,
            "client_token": sent.token,
            "csrfmiddlewaretoken": self.http.cookies["csrftoken"],
        }
        url = f"{self.base_url}/tickets/{number}/{kind}/"
        headers = {"HX-Request": "true", "Referer": self.base_url}
        if once:
            try:
                response = await self.http.post(url, data=form, headers=headers)
            except AWAY:
                return
            if response.status_code != 204:
                return
        else:
            await persist(lambda: self.http.post(url, data=form, headers=headers), 204)
        sent.acknowledged_at = time.monotonic()
        self.journal.acknowledged.append(sent.acknowledged_at)

    async def read(self, number: int) -> None:
        """Ask for the entries after the last one shown, as an open ticket page does.

        Raises one of AWAY if there is no answer."""
        entries = self.shown.setdefault(number, [])
        more = True
        while more:
            after = entries[-1][0] if entries else 0
            url = f"{self.base_url}/tickets/{number}/timeline/?after={after}"
            answer = (await self.http.get(url)).raise_for_status()
            parts = re.split(r'<div data-seq="(\d+)"', answer.text)[1:]
            fresh = [(int(seq), html) for seq, html in zip(parts[::2], parts[1::2], strict=True)]
            entries += fresh
            more = "X-More" in answer.headers


class DeskPage(Page):
    """One page of the desk, with one ticket open at a time: live.js and timeline.js."""

    def __init__(self, staff: Staff, habits: Habits | None = None) -> None:
        self.staff = staff
        self.habits = habits or Habits()
        self.number: int | None = None
        self.conversation: int | None = None
        # Every entry that a bell carried: its conversation and itself.
        self.delivered: list[tuple[int, dict[str, Any]]] = []
        self.socket: ClientConnection | None = None
        self.let_in: list[float] = []
        self._growing = False
        self._grow_again = False
        self._retry_seconds = 0.4

    def begin(self) -> None:
        self.beside(self._stay_connected)
        if self.habits.resume:
            self.beside(self._look_again)

    async def open(self, number: int, conversation: int) -> None:
        """Show another ticket."""
        self.number, self.conversation = number, conversation
        await self._watch()
        self.grow()

    def grow(self) -> None:
        """Ask for what is after the last entry. Who comes while we ask makes us ask once more."""
        self._grow_again = True
        if not self._growing:
            self._growing = self.beside(self._grow)

    def cut(self) -> bool:
        """Break the line without a word. False if there is none."""
        if self.socket is None:
            return False
        self.socket.transport.abort()
        return True

    async def _stay_connected(self) -> None:
        while True:
            with suppress(*AWAY):
                await self._connection()
            self.socket = None
            await asyncio.sleep(self._retry_seconds * (0.5 + random.random()))
            self._retry_seconds = min(2 * self._retry_seconds, 8.0)

    async def _connection(self) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in self.staff.http.cookies.items())
        async with connect(
            f"{self.staff.base_url.replace('http', 'ws', 1)}/ws/desk/",
            origin=Origin(self.staff.base_url),
            additional_headers={"Cookie": cookies},
            open_timeout=ANSWER_SECONDS,
            ping_interval=None,
            close_timeout=0.5,
            compression=None,
        ) as socket:
            async for text in socket:
                await self._hear(json.loads(text), socket)

    async def _hear(self, event: dict[str, Any], socket: ClientConnection) -> None:
        match event["type"]:
            case "ready":
                self._retry_seconds = 0.4
                self.let_in.append(time.monotonic())
                self.socket = socket
                await self._watch()
            case "watching" if self.habits.resume:
                self.grow()
            case "message.posted" | "timeline.grew":
                if "message" in event:
                    self.delivered.append((event["conversation"], event["message"]))
                if event["conversation"] == self.conversation and event["seq"] > self._last_seq:
                    self.grow()

    async def _watch(self) -> None:
        if self.socket is None or self.conversation is None:
            return
        with suppress(*AWAY):  # the next one watches
            await self.socket.send(json.dumps({"type": "watch", "conversation": self.conversation}))

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(self.habits.ask_seconds)
            self.grow()

    async def _grow(self) -> None:
        try:
            while self._grow_again and self.number is not None:
                self._grow_again = False
                await self.staff.read(self.number)
        except AWAY:
            pass  # the next bell or question asks again
        finally:
            self._growing = False

    @property
    def _last_seq(self) -> int:
        entries = self.staff.shown.get(self.number or 0)
        return entries[-1][0] if entries else 0
