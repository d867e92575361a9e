"""Memory of an idle visitor's socket: how the web process grows by 5,000 of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from websockets.asyncio.client import ClientConnection

from bench.browsers import all_of, begin_visits, open_socket, open_visit
from bench.engines import Engines
from bench.parts import Size, use_database
from bench.servers import DAPHNE, Server, allow_many_sockets, floor, product
from bench.table import Bar, Row
from tickets.models import Inbox

SOCKETS, SOCKETS_QUICK = 5_000, 200
WARM_UP_SOCKETS = 100  # open before we look first: what one process needs anyway
SETTLE_SECONDS = 2.0
BARE = (*DAPHNE, "bench.floor_sockets:application")


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run, each with new server processes."""
    allow_many_sockets()
    count = size.of(SOCKETS, SOCKETS_QUICK)
    for _ in range(size.runs):
        with ExitStack() as stack:
            url = stack.enter_context(engines.database("sockets"))
            use_database("sockets")
            key = Inbox.objects.create(name="Chat").widget_key or ""
            ours = stack.enter_context(product(engines.folder, url))
            bare = stack.enter_context(floor(engines.folder, url, *BARE))
            runner = stack.enter_context(asyncio.Runner())
            tokens = begin_visits(ours, key, WARM_UP_SOCKETS + count)
            visits = [partial(open_visit, ours, key, token) for token in tokens]
            strangers = [
                partial(open_socket, f"ws://{bare.host}/{number}") for number in range(len(tokens))
            ]
            value, least = (
                _kilobytes_each(runner, server, opening)
                for server, opening in ((ours, visits), (bare, strangers))
            )
        yield [Row("idle visitor socket, memory", "kB", value, least, Bar("≤", 50, "value"))]


def _kilobytes_each(
    runner: asyncio.Runner,
    server: Server,
    opening: Sequence[Callable[[], Awaitable[ClientConnection]]],
) -> float:
    """How much a server's memory grows for each socket beyond the first few."""
    sockets = runner.run(all_of(opening[:WARM_UP_SOCKETS]))
    time.sleep(SETTLE_SECONDS)
    before = server.memory_bytes()
    sockets += runner.run(all_of(opening[WARM_UP_SOCKETS:]))
    time.sleep(SETTLE_SECONDS)
    grown = server.memory_bytes() - before
    runner.run(_close(sockets))
    return grown / 1_000 / (len(sockets) - WARM_UP_SOCKETS)


async def _close(sockets: list[ClientConnection]) -> None:
    await asyncio.gather(*(socket.close() for socket in sockets))
