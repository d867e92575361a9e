"""What is done to the product meanwhile: processes killed in turn, sockets cut at random."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from random import Random

from bench.chaos.cast import Cast
from bench.chaos.silence import KILLED, Cut, Kill
from tests.clients import DeskPage, Tab
from tests.stack import Stack

# The supervisor mends the first three deaths a minute at once; a fourth would have to wait.
SECONDS_BETWEEN_KILLS = 8.0
CUTS = 1 / 100  # of each page's socket, a second


class Faults:
    """Does them, and remembers when."""

    def __init__(self, stack: Stack, cast: Cast, random: Random) -> None:
        self.kills: list[Kill] = []
        self._stack = stack
        self._random = random
        self._cut: list[tuple[Tab | DeskPage, float]] = []
        tabs = [tab for visitor in cast.visitors for tab in visitor.tabs]
        self._pages: list[Tab | DeskPage] = [*tabs, *(worker.page for worker in cast.workers)]

    @property
    def cuts(self) -> list[Cut]:
        return [Cut(at, _next_after(page.let_in, at)) for page, at in self._cut]

    async def kill(self, seconds: float) -> None:
        """Kill all of KILLED in an order of chance, and again, until the time is over.

        In a short run they follow each other faster, so that each has its turn.
        """
        names: list[str] = []
        count = max(len(KILLED), int(seconds / SECONDS_BETWEEN_KILLS))
        for _ in range(count):
            await asyncio.sleep(seconds / (count + 1) * self._random.uniform(0.8, 1.2))
            names = names or self._random.sample(KILLED, len(KILLED))
            name = names.pop()
            self.kills.append(Kill(name, time.monotonic()))
            self._stack.kill(name)

    async def cut(self, seconds: float, *, pages_a_second: float) -> None:
        """Cut the sockets of pages by chance: of each page so many a second on average."""
        end = time.monotonic() + seconds
        mean = 1 / (pages_a_second * len(self._pages))
        while (pause := self._random.expovariate(1 / mean)) < end - time.monotonic():
            await asyncio.sleep(pause)
            page = self._random.choice(self._pages)
            if page.cut():
                self._cut.append((page, time.monotonic()))


def _next_after(moments: list[float], at: float) -> float | None:
    following = moments[bisect_right(moments, at) :]
    return following[0] if following else None
