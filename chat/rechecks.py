"""Many sockets ask now and then whether they may stay; those that wait are asked about together.

A thread for each of a thousand sockets, all within a few seconds, made everybody's words wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

AT_ONCE = 500


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
