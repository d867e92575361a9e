"""Fan-out: one message to a group of 200, until the last of them has it.

200 browsers in one conversation. Floor: as many sockets in one room of `bench.floor_chat`. All of
them are read by this one process, and that takes its time too, for both alike.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from random import Random
from uuid import uuid4

from websockets.asyncio.client import ClientConnection

from bench.browsers import ANSWER_SECONDS, all_of, open_socket, open_visit
from bench.chat import BARE
from bench.engines import Engines
from bench.parts import Size, no_collection, percentile, use_database
from bench.servers import allow_many_sockets, floor, product
from bench.table import Bar, Row
from bench.words import sentence
from chat.models import VisitorSession
from chat.operations import start_session
from chat.tokens import token_for
from tickets.models import Inbox

SEATS = 200
MESSAGES, MESSAGES_QUICK = 200, 30
PAUSE_SECONDS = 0.1  # between two messages: each is measured by itself


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run. The servers and their sockets stay for all of them."""
    allow_many_sockets()
    with ExitStack() as stack:
        url = stack.enter_context(engines.database("fanout"))
        use_database("fanout")
        inbox = Inbox.objects.create(name="Chat")
        key, tokens = inbox.widget_key or "", _tokens(inbox)
        ours = stack.enter_context(product(engines.folder, url))
        bare = stack.enter_context(floor(engines.folder, url, *BARE))
        runner = stack.enter_context(asyncio.Runner())
        visits = [partial(open_visit, ours, key, token) for token in tokens]
        strangers = [partial(open_socket, f"ws://{bare.host}/1")] * SEATS
        groups = [Group(runner.run(all_of(opening))) for opening in (visits, strangers)]
        for group in groups:
            runner.run(group.listen())
            stack.callback(lambda group: runner.run(group.close()), group)
        count = size.of(MESSAGES, MESSAGES_QUICK)
        for _ in range(size.runs):
            with no_collection():
                times, least = (runner.run(group.talk(count)) for group in groups)
            yield [
                _row(times, least, percent, bar)
                for percent, bar in ((50, None), (99, Bar("≤", 100, "value")))
            ]


def _row(times: list[float], least: list[float], percent: int, bar: Bar | None) -> Row:
    value, floor = (1_000 * percentile(some, percent) for some in (times, least))
    name = f"one message to {SEATS}, until the last has it, p{percent}"
    return Row(name, "ms", value, floor, bar)


def _tokens(inbox: Inbox) -> list[str]:
    """The browsers of one conversation: for what a server does, its seats are the same."""
    first = start_session(inbox, origin="", address="local")
    others = [
        VisitorSession(person=first.person, inbox=inbox, conversation=first.conversation)
        for _ in range(SEATS - 1)
    ]
    VisitorSession.objects.bulk_create(others)
    return [token_for(session.pk) for session in (first, *others)]


class Group:
    """Sockets that all hear the same. The first of them writes."""

    def __init__(self, sockets: list[ClientConnection]) -> None:
        self._sockets = sockets
        self._random = Random(7)
        self._missing: dict[str, int] = {}  # of a message's token → who has not heard it
        self._all_heard = asyncio.Event()
        self._listeners: list[asyncio.Task[None]] = []

    async def listen(self) -> None:
        self._listeners = [asyncio.create_task(self._hear(socket)) for socket in self._sockets]

    async def talk(self, messages: int) -> list[float]:
        """So many messages, one after the other; the seconds until the last socket had each."""
        times = []
        for _ in range(messages):
            await asyncio.sleep(PAUSE_SECONDS)
            times.append(await self._say())
        return times

    async def close(self) -> None:
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*(socket.close() for socket in self._sockets))

    async def _say(self) -> float:
        token = str(uuid4())
        frame = {"type": "send", "client_token": token, "body": sentence(self._random)}
        self._missing[token] = len(self._sockets)
        self._all_heard.clear()
        began = time.perf_counter()
        await self._sockets[0].send(json.dumps(frame))
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._all_heard.wait()
        return time.perf_counter() - began

    async def _hear(self, socket: ClientConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "message.posted":
                token = frame["message"]["client_token"]
                self._missing[token] -= 1
                if not self._missing[token]:
                    self._all_heard.set()
