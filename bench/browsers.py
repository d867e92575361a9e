"""Many browsers in one process: they open sockets, write, and note when others hear it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from random import Random
from typing import TypeVar
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect

from bench.servers import Server
from bench.words import sentence

T = TypeVar("T")

ANSWER_SECONDS = 60.0  # a browser that hears nothing for so long is an error
OPENING_AT_ONCE = 16


def begin_visits(server: Server, widget_key: str, count: int) -> list[str]:
    """The tokens of so many new visitors, as the widget asks for them."""
    tokens = []
    connection = HTTPConnection(server.host, timeout=ANSWER_SECONDS)
    for _ in range(count):
        connection.request("POST", f"/widget/{widget_key}/sessions")
        response = connection.getresponse()
        answer = response.read()
        if response.status != 201:
            raise RuntimeError(f"no session: {response.status} {answer[:200]!r}")
        tokens.append(json.loads(answer)["token"])
    connection.close()
    return tokens


async def open_socket(url: str, *, cookie: str = "") -> ClientConnection:
    headers = {"Cookie": cookie} if cookie else {}
    return await connect(
        url,
        additional_headers=headers,
        compression=None,
        open_timeout=ANSWER_SECONDS,
        ping_interval=None,
    )


async def open_visit(server: Server, widget_key: str, token: str) -> ClientConnection:
    """A widget's socket, and the visitor is in."""
    socket = await open_socket(f"ws://{server.host}/ws/widget/{widget_key}/")
    await socket.send(json.dumps({"type": "hello", "token": token}))
    await hear(socket, "ready")
    return socket


async def hear(socket: ClientConnection, wanted: str) -> None:
    """Read up to the first frame of this type."""
    async with asyncio.timeout(ANSWER_SECONDS):
        while json.loads(await socket.recv())["type"] != wanted:
            pass


async def all_of(opening: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Open all, a few at a time."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def one(open_it: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await open_it()

    return await asyncio.gather(*map(one, opening))


@dataclass(slots=True)
class Room:
    """One browser that writes and one that hears it."""

    sender: ClientConnection
    other: ClientConnection
    conversation: int = 0  # known once something was said


class Crowd:
    """The rooms on one server."""

    def __init__(self, rooms: list[Room]) -> None:
        self.rooms = rooms
        self._waiting: dict[str, tuple[float, asyncio.Future[float]]] = {}
        self._listeners: dict[ClientConnection, asyncio.Task[None]] = {}
        self._random = Random(7)
        for room in rooms:
            self._listeners[room.sender] = asyncio.create_task(self._drain(room.sender))
            self._listeners[room.other] = asyncio.create_task(self._listen(room, room.other))

    async def replace_other(self, room: Room, socket: ClientConnection) -> None:
        """Let another browser hear this room from now on."""
        listener = self._listeners.pop(room.other)
        listener.cancel()
        await room.other.close()
        room.other = socket
        self._listeners[socket] = asyncio.create_task(self._listen(room, socket))

    async def say(self, room: Room) -> float:
        """Write a message; the seconds until the other browser had it."""
        token = str(uuid4())
        frame = {"type": "send", "client_token": token, "body": sentence(self._random)}
        heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[token] = time.perf_counter(), heard
        await room.sender.send(json.dumps(frame))
        return await heard

    async def once_each(self, at_once: int) -> int:
        """One message in every room."""
        return await self._together(iter(self.rooms), at_once, ANSWER_SECONDS)

    async def saturating(self, at_once: int, seconds: float) -> int:
        """So many messages under way at any moment; how many arrived."""
        end = time.perf_counter() + seconds
        rooms = itertools.cycle(self.rooms)
        turns = itertools.takewhile(lambda _: time.perf_counter() < end, rooms)
        return await self._together(turns, at_once, seconds + ANSWER_SECONDS)

    async def paced(self, per_second: int, seconds: int) -> list[float]:
        """Messages at even intervals, whatever the answers; how long each took, in seconds."""
        loop = asyncio.get_running_loop()
        rooms = itertools.cycle(self.rooms)
        began = loop.time()
        said = []
        for turn in range(per_second * seconds):
            await asyncio.sleep(began + turn / per_second - loop.time())
            said.append(asyncio.create_task(self.say(next(rooms))))
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asyncio.gather(*said)

    async def close(self) -> None:
        for listener in self._listeners.values():
            listener.cancel()
        await asyncio.gather(*(socket.close() for socket in self._listeners))

    async def _together(self, turns: Iterator[Room], at_once: int, most_seconds: float) -> int:
        async def one() -> int:
            said = 0
            for room in turns:
                await self.say(room)
                said += 1
            return said

        async with asyncio.timeout(most_seconds):
            return sum(await asyncio.gather(*(one() for _ in range(at_once))))

    async def _listen(self, room: Room, socket: ClientConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] != "message.posted":
                continue
            room.conversation = frame["conversation"]
            began, heard = self._waiting.pop(frame["message"]["client_token"])
            heard.set_result(time.perf_counter() - began)

    async def _drain(self, socket: ClientConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] in {"refused", "slow_down"}:
                _began, heard = self._waiting.pop(frame["client_token"])
                heard.set_exception(RuntimeError(f"refused: {frame['sentence']}"))
