"""Chat: a visitor writes, and another browser has it on its socket.

500 rooms of two sockets. Product: the web process as it runs, the widget's own frames, and a few
staff at the desk, who hear of every ticket besides. Floor: `bench.floor_chat` in a bare uvicorn.
Between the two, for orientation, a bare consumer of Channels in daphne with one row by the ORM.
CPU time is the server process's own; PostgreSQL's and Redis' are told apart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.test import Client

from bench.browsers import Crowd, Room, all_of, begin_visits, hear, open_socket, open_visit
from bench.engines import Engines
from bench.parts import Size, no_collection, percentile, use_database
from bench.servers import DAPHNE, UVICORN, Server, allow_many_sockets, floor, product
from bench.table import Bar, Row
from tickets.models import Inbox, User

ROOMS, ROOMS_QUICK = 500, 200
STAFF = 5
PER_SECOND = 400  # where time is measured
PACED_SECONDS, PACED_SECONDS_QUICK = 20, 4
AT_ONCE = 64  # messages under way where CPU time is measured
SATURATED_SECONDS, SATURATED_SECONDS_QUICK = 10, 2
BARE = (*UVICORN, "bench.floor_chat:application")
CHANNELS = (*DAPHNE, "bench.floor_sockets:application")


@dataclass(frozen=True, slots=True)
class Contestant:
    server: Server
    crowd: Crowd


@dataclass(frozen=True, slots=True)
class Spent:
    """What a number of messages took, in CPU time."""

    messages: int
    server_seconds: float
    postgres_seconds: float
    redis_seconds: float

    @property
    def per_cpu_second(self) -> float:
        return self.messages / self.server_seconds

    @property
    def postgres_ms(self) -> float:
        return 1_000 * self.postgres_seconds / self.messages

    @property
    def redis_ms(self) -> float:
        return 1_000 * self.redis_seconds / self.messages


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run. The servers and their sockets stay for all of them."""
    allow_many_sockets()
    rooms = size.of(ROOMS, ROOMS_QUICK)
    with ExitStack() as stack:
        url = stack.enter_context(engines.database("chat"))
        use_database("chat")
        inbox = Inbox.objects.create(name="Chat")
        cookies = [_login(f"staff{turn}@desk.example") for turn in range(STAFF)]
        servers = (
            stack.enter_context(product(engines.folder, url)),
            stack.enter_context(floor(engines.folder, url, *BARE)),
            stack.enter_context(floor(engines.folder, url, *CHANNELS)),
        )
        tokens = begin_visits(servers[0], inbox.widget_key or "", rooms)
        runner = stack.enter_context(asyncio.Runner())
        ours = Contestant(servers[0], runner.run(_visitors(servers[0], inbox, tokens)))
        bare = Contestant(servers[1], runner.run(_strangers(servers[1], rooms)))
        channels = Contestant(servers[2], runner.run(_strangers(servers[2], rooms)))
        for contestant in (ours, bare, channels):
            runner.run(contestant.crowd.once_each(AT_ONCE))
            stack.callback(lambda crowd: runner.run(crowd.close()), contestant.crowd)
        runner.run(_staff_comes(ours, cookies))
        for _ in range(size.runs):
            with no_collection():
                yield runner.run(_run(engines, size, ours, bare, channels))


async def _run(
    engines: Engines, size: Size, ours: Contestant, bare: Contestant, channels: Contestant
) -> list[Row]:
    seconds = size.of(PACED_SECONDS, PACED_SECONDS_QUICK)
    times = [await one.crowd.paced(PER_SECOND, seconds) for one in (ours, bare)]
    p50, floor_p50 = (1_000 * percentile(some, 50) for some in times)
    p99, floor_p99 = (1_000 * percentile(some, 99) for some in times)
    product, floor, reference = [await _spent(engines, size, one) for one in (ours, bare, channels)]
    at = f"at {PER_SECOND}/s"
    return [
        Row(
            "chat, messages per server CPU second",
            "/s",
            product.per_cpu_second,
            floor.per_cpu_second,
            Bar("≥", 0.15),
        ),
        Row(f"chat, written to heard {at}, p50", "ms", p50, floor_p50, Bar("≤", 3)),
        Row(f"chat, written to heard {at}, p99", "ms", p99, floor_p99, Bar("≤", 6)),
        Row("chat, PostgreSQL's CPU a message", "ms", product.postgres_ms, floor.postgres_ms),
        Row("chat, Redis' CPU a message", "ms", product.redis_ms, floor.redis_ms),
        Row(
            "bare Channels and ORM, messages per server CPU second",
            "/s",
            reference.per_cpu_second,
            floor.per_cpu_second,
        ),
    ]


async def _spent(engines: Engines, size: Size, contestant: Contestant) -> Spent:
    """Keep one server busy and see what that takes."""

    def spent_so_far() -> tuple[float, float, float]:
        server = contestant.server.cpu_seconds()
        return server, engines.postgres_seconds(), engines.redis_seconds()

    before = spent_so_far()
    seconds = size.of(SATURATED_SECONDS, SATURATED_SECONDS_QUICK)
    messages = await contestant.crowd.saturating(AT_ONCE, seconds)
    after = spent_so_far()
    return Spent(messages, *(now - then for now, then in zip(after, before, strict=True)))


async def _visitors(server: Server, inbox: Inbox, tokens: list[str]) -> Crowd:
    """Each visitor has two tabs open: one writes, the other hears it."""

    async def room(token: str) -> Room:
        key = inbox.widget_key or ""
        return Room(await open_visit(server, key, token), await open_visit(server, key, token))

    return Crowd(await all_of(partial(room, token) for token in tokens))


async def _strangers(server: Server, rooms: int) -> Crowd:
    """Two sockets in each room of a server that asks nothing."""

    async def room(number: int) -> Room:
        url = f"ws://{server.host}/{number}"
        return Room(await open_socket(url), await open_socket(url))

    return Crowd(await all_of(partial(room, number) for number in range(rooms)))


async def _staff_comes(ours: Contestant, cookies: list[str]) -> None:
    """In a few rooms somebody on staff hears it in place of the visitor's second tab."""
    for room, cookie in zip(ours.crowd.rooms, cookies, strict=False):
        socket = await open_socket(f"ws://{ours.server.host}/ws/desk/", cookie=cookie)
        await socket.send(json.dumps({"type": "watch", "conversation": room.conversation}))
        await hear(socket, "watching")
        await ours.crowd.replace_other(room, socket)


def _login(email: str) -> str:
    """The cookie of somebody on staff."""
    client = Client()
    client.force_login(User.objects.create_user(email))
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"
