"""What an event loop has one of: its lines to Redis, its connections to PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Ending(Protocol):
    async def end(self) -> None:
        """Close whatever is open."""


T = TypeVar("T", bound=Ending)


class PerLoop(Generic[T]):
    """One `make()` for each event loop that asks. It ends with the tasks of its loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._kept: dict[asyncio.AbstractEventLoop, tuple[T, asyncio.Task[None]]] = {}

    def __call__(self) -> T:
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            thing = self._make()
            kept = self._kept[loop] = thing, loop.create_task(self._keep(loop, thing))
        return kept[0]

    async def _keep(self, loop: asyncio.AbstractEventLoop, thing: T) -> None:
        try:
            await loop.create_future()
        finally:
            del self._kept[loop]
            await thing.end()
