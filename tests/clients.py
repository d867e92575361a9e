"""Browsers in Python: they keep to the same rules as the widget and the desk's pages.

Keep what was sent until it is acknowledged; send it again, in order, with the same token;
append an event only where the cursor is; after every (re)connection ask what was missed.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

ASK_SECONDS = 3.0  # as a browser asks every 30 s; shorter, because a test ends sooner
ACK_SECONDS = 4.0
AWAY = (OSError, httpx.HTTPError, WebSocketException, TimeoutError)


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
        await asyncio.sleep(0.1 + random.random() * 0.2)
    raise AssertionError("the server did not come back")


@dataclass
class Visitor:
    base_url: str
    key: str
    http: httpx.AsyncClient
    token: str = ""
    cursor: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    unsent: dict[str, str] = field(default_factory=dict)  # client token → body, oldest first
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    socket: ClientConnection | None = None
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Origin": self.base_url}

    async def start(self) -> None:
        """Begin as the widget does with the first words."""
        url = f"{self.base_url}/widget/{self.key}/sessions"
        headers = {"Origin": self.base_url}
        answer = await persist(lambda: self.http.post(url, json={}, headers=headers), 201)
        self.token = answer.json()["token"]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                await self._connection()
            except AWAY:
                pass
            finally:
                self.socket = None
            await asyncio.sleep(0.2 + random.random() * 0.3)

    async def say(self, body: str) -> str:
        token = str(uuid4())
        self.unsent[token] = body
        await self._flush(token)
        return token

    async def catch_up(self) -> None:
        """Ask for everything after the cursor."""
        async with self.asking:
            more = True
            while more:
                url = f"{self.base_url}/widget/{self.key}/messages?after={self.cursor}"
                answer = (await self.http.get(url, headers=self.headers)).raise_for_status().json()
                for message in answer["messages"]:
                    self._show(message)
                self.cursor = max(self.cursor, answer["upto"])
                more = answer["more"]

    async def _connection(self) -> None:
        address = f"{self.base_url.replace('http', 'ws', 1)}/ws/widget/{self.key}/"
        async with connect(address, origin=self.base_url, open_timeout=3) as socket:  # type: ignore[arg-type]  # a NewType of str
            await socket.send(json.dumps({"type": "hello", "token": self.token}))
            asked = asyncio.get_running_loop().time()
            while True:
                try:
                    frame = json.loads(await asyncio.wait_for(socket.recv(), ASK_SECONDS))
                    await self._hear(frame, socket)
                except TimeoutError:
                    if self.unsent:
                        return  # nothing is acknowledged: connect anew and send again
                if asyncio.get_running_loop().time() - asked > ASK_SECONDS:
                    asked = asyncio.get_running_loop().time()
                    await self.catch_up()

    async def _hear(self, frame: dict[str, Any], socket: ClientConnection) -> None:
        match frame["type"]:
            case "ready":
                await self.catch_up()
                self.socket = socket
                for token in list(self.unsent):
                    await self._flush(token)
            case "ack":
                self.unsent.pop(frame["client_token"], None)
                self.acknowledged[frame["client_token"]] = frame["message"]
            case "refused" if frame["code"] == "slow_down":
                await asyncio.sleep(frame["retry_after_seconds"])
                await self._flush(frame["client_token"])
            case "refused":
                raise AssertionError(frame)
            case "message.posted" if frame["seq"] > self.cursor:
                if frame["after"] == self.cursor:
                    self._show(frame["message"])
                else:
                    await self.catch_up()

    async def _flush(self, token: str) -> None:
        if self.socket is None or token not in self.unsent:
            return
        frame = {"type": "send", "client_token": token, "body": self.unsent[token]}
        try:
            await self.socket.send(json.dumps(frame))
        except AWAY:
            self.socket = None

    def _show(self, message: dict[str, Any]) -> None:
        if message["seq"] > self.cursor:
            self.seen.append(message)
            self.cursor = message["seq"]


@dataclass
class Staff:
    """Someone with the desk open on several tickets, who reads them as pages do."""

    base_url: str
    http: httpx.AsyncClient
    shown: dict[int, list[tuple[int, str]]] = field(default_factory=dict)  # ticket → (seq, html)

    async def log_in(self, email: str, password: str) -> None:
        page = await persist(lambda: self.http.get(f"{self.base_url}/"), 200)
        match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert match, "no login form"
        form = {"username": email, "password": password, "csrfmiddlewaretoken": match[1]}
        await persist(lambda: self.http.post(f"{self.base_url}/", data=form), 302)

    async def reply(self, number: int, body: str, *, kind: str = "reply") -> None:
        """Send, and send again with the same token until it is answered."""
        form = {
            "body": body,
            "client_token": str(uuid4()),
            "csrfmiddlewaretoken": self.http.cookies["csrftoken"],
        }
        url = f"{self.base_url}/tickets/{number}/{kind}/"
        headers = {"HX-Request": "true", "Referer": self.base_url}
        await persist(lambda: self.http.post(url, data=form, headers=headers), 204)

    async def read(self, number: int) -> None:
        """Ask for the entries after the last one shown, as an open ticket page does."""
        entries = self.shown.setdefault(number, [])
        more = True
        while more:
            after = entries[-1][0] if entries else 0
            url = f"{self.base_url}/tickets/{number}/timeline/?after={after}"
            answer = await persist(lambda url=url: self.http.get(url), 200)  # type: ignore[misc]
            parts = re.split(r'<div data-seq="(\d+)"', answer.text)[1:]
            entries += [(int(seq), html) for seq, html in zip(parts[::2], parts[1::2], strict=True)]
            more = "X-More" in answer.headers

    async def watch(self, conversations: dict[int, int], heard: Callable[[int], None]) -> None:
        """Listen for bells of these {conversation: ticket}; `heard` gets ticket numbers."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        address = f"{self.base_url.replace('http', 'ws', 1)}/ws/desk/"
        pk, number = next(iter(conversations.items()))
        while True:
            try:
                async with connect(
                    address,
                    origin=self.base_url,  # type: ignore[arg-type]  # a NewType of str
                    additional_headers={"Cookie": cookies},
                    open_timeout=3,
                ) as socket:
                    await socket.send(json.dumps({"type": "watch", "conversation": pk}))
                    async for text in socket:
                        frame = json.loads(text)
                        if frame.get("conversation") == pk or frame["type"] == "ready":
                            heard(number)
            except AWAY:
                pass
            await asyncio.sleep(0.2 + random.random() * 0.3)
