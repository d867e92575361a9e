"""Chat by two web processes: what they carry together, against one alone.

250 rooms of two sockets, as in `bench.chat`, with many messages under way at any moment. With two
processes the one who writes sits on one and the one who hears on the other. What all parts of the
machine use besides is told too: where that comes to all there is, the cores are the limit that the
processes share with PostgreSQL, Redis and this one, which plays the browsers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import psutil

from bench.browsers import Crowd, Room, all_of, begin_visits, open_visit
from bench.chat import AT_ONCE, SATURATED_SECONDS, SATURATED_SECONDS_QUICK
from bench.engines import Engines
from bench.parts import Size, no_collection, use_database
from bench.servers import Server, allow_many_sockets, product
from bench.table import Bar, Row
from tickets.models import Inbox

ROOMS, ROOMS_QUICK = 250, 50
FULL_PERCENT = 95  # of all cores in use: they are the limit, and no bar can say more


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run. The servers and their sockets stay for all of them."""
    allow_many_sockets()
    with ExitStack() as stack:
        url = stack.enter_context(engines.database("chat_two"))
        use_database("chat_two")
        key = Inbox.objects.create(name="Chat").widget_key or ""
        servers = [
            stack.enter_context(product(engines.folder / name, url)) for name in ("one", "other")
        ]
        runner = stack.enter_context(asyncio.Runner())
        crowds = []
        for other in servers:
            tokens = begin_visits(servers[0], key, size.of(ROOMS, ROOMS_QUICK))
            crowds.append(runner.run(_crowd(servers[0], other, key, tokens)))
            runner.run(crowds[-1].once_each(AT_ONCE))
            stack.callback(lambda crowd: runner.run(crowd.close()), crowds[-1])
        seconds = size.of(SATURATED_SECONDS, SATURATED_SECONDS_QUICK)
        for _ in range(size.runs):
            with no_collection():
                psutil.cpu_percent()
                one = runner.run(_carried(crowds[0], seconds))
                used_by_one = psutil.cpu_percent()
                two = runner.run(_carried(crowds[1], seconds))
                used_by_two = psutil.cpu_percent()
            bar = Bar("≥", 1.7) if used_by_two < FULL_PERCENT else None
            yield [
                Row("chat, two web processes, messages", "/s", two, one, bar),
                Row("the machine meanwhile, of all its cores", "%", used_by_two, used_by_one),
            ]


async def _crowd(writes: Server, hears: Server, key: str, tokens: list[str]) -> Crowd:
    """Where there are two servers, every second room writes on the other one."""

    async def room(turn: int, token: str) -> Room:
        here, there = (writes, hears) if turn % 2 else (hears, writes)
        return Room(await open_visit(here, key, token), await open_visit(there, key, token))

    return Crowd(await all_of(partial(room, turn, token) for turn, token in enumerate(tokens)))


async def _carried(crowd: Crowd, seconds: int) -> float:
    """Messages a second."""
    began = time.perf_counter()
    messages = await crowd.saturating(AT_ONCE, seconds)
    return messages / (time.perf_counter() - began)
