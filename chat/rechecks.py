"""Whether sockets may stay is asked again and again, and of many at once.

A thread for each of a thousand sockets, all within a few seconds, made everybody's words wait; so
did a thousand who asked together because they had come together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

AT_ONCE = 500
ROUND_SECONDS = 15.0
PARTS = 30


class Rechecks(Generic[K, V]):
    """One question for many askers of one event loop: at once if none is under way, and otherwise
    with the next."""

    def __init__(self, found: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._found = found
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, key: K) -> V | None:
        """What is found for `key`, by a question that begins after this call; None if nothing is.

        Raises what the question raises.
        """
        loop = asyncio.get_running_loop()
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = loop.create_future()
        if self._asking is None or self._asking.done():
            self._asking = loop.create_task(self._ask())
        return await asyncio.shield(answer)  # others may wait for the same

    async def end(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:AT_ONCE]
            asked = {key: self._waiting.pop(key) for key in keys}
            try:
                found = await self._found(keys)
            except Exception as error:  # noqa: BLE001 - it is theirs who ask
                for answer in asked.values():
                    answer.set_exception(error)
                    answer.exception()  # nobody may wait for it any more
            except asyncio.CancelledError:
                for answer in asked.values():
                    answer.cancel()
                raise
            else:
                for key, answer in asked.items():
                    answer.set_result(found.get(key))


class Rounds(Generic[K, V]):
    """Everybody of one event loop is asked about once a round, a part of them at a time."""

    def __init__(self, found: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._found = found
        self._parts: list[dict[Callable[[V | None], None], K]] = [{} for _ in range(PARTS)]
        self._turn = 0
        self._going: asyncio.Task[None] | None = None

    def join(self, told: Callable[[V | None], None], key: K) -> None:
        """From now on `told` gets what is found for `key`, or None; nothing where that fails."""
        min(self._parts, key=len)[told] = key
        if self._going is None or self._going.done():
            self._going = asyncio.get_running_loop().create_task(self._go())

    def leave(self, told: Callable[[V | None], None]) -> None:
        """Who has not joined may leave."""
        for part in self._parts:
            part.pop(told, None)

    async def end(self) -> None:
        if self._going is not None:
            self._going.cancel()

    async def _go(self) -> None:
        while any(self._parts):
            await asyncio.sleep(ROUND_SECONDS / PARTS)
            self._turn = (self._turn + 1) % PARTS
            if part := self._parts[self._turn]:
                try:
                    await self._ask(part)
                except Exception as error:  # noqa: BLE001 - sockets whose turn is long ago ask
                    log.warning("sockets could not be asked about: %s", error)

    async def _ask(self, part: dict[Callable[[V | None], None], K]) -> None:
        asked = dict(part)
        found = await self._found(set(asked.values()))
        for told, key in asked.items():
            if told in part:  # and did not leave meanwhile
                told(found.get(key))
