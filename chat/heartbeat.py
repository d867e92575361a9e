"""The beat that keeps presence alive: one a process, for all of its sockets.

Each socket hands in its marks and takes them back; what is due is refreshed in one trip to Redis,
spread over the time between two beats, so that thousands of idle widgets make no spike. A process
that dies rings no bell: staff's sockets are asked to look for themselves at every beat.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

from chat import presence
from chat.presence import Mark

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
PULSE_SECONDS = 0.5  # what is due is gathered this often

Look = Callable[[], Awaitable[None]]
T = TypeVar("T")


class Heart:
    """The marks and the lookers of the sockets of one event loop."""

    def __init__(self) -> None:
        self.marks: dict[Mark, float] = {}  # when each was last refreshed, longest ago first
        self.looks: dict[Look, float] = {}
        self.task: asyncio.Task[None] | None = None

    async def change(self, new: Iterable[Mark], old: Iterable[Mark]) -> None:
        """Keep `new` alive from now on, and `old` no longer."""
        new, old = list(new), list(old)
        for mark in old:
            self.marks.pop(mark, None)
        self.marks |= dict.fromkeys(new, time.monotonic())
        self._live()
        if old:
            await asyncio.to_thread(presence.unmark, old)
        if new:
            await asyncio.to_thread(presence.mark, new)

    def watch(self, look: Look) -> None:
        """Call `look` at every beat, until `unwatch`."""
        self.looks[look] = time.monotonic()
        self._live()

    def unwatch(self, look: Look) -> None:
        self.looks.pop(look, None)
        self._live()

    def _live(self) -> None:
        """Beat while there is somebody to beat for."""
        wanted = bool(self.marks or self.looks)
        if wanted and (self.task is None or self.task.done()):
            self.task = asyncio.create_task(self._beat())
        elif not wanted and self.task is not None:
            self.task.cancel()
            self.task = None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(min(PULSE_SECONDS, BEAT_SECONDS))
            try:
                await self._pulse()
            except Exception:
                log.exception("a beat failed")

    async def _pulse(self) -> None:
        moment = time.monotonic()
        if due := _due(self.marks, moment):
            await asyncio.to_thread(presence.mark, due)
            left = [mark for mark in due if mark not in self.marks]  # while we were about it
            await asyncio.to_thread(presence.unmark, left)
        for look in _due(self.looks, moment):
            await look()


def _due(all_of_them: dict[T, float], moment: float) -> list[T]:
    """Those whose last turn is BEAT_SECONDS ago; it is noted as now, at the end of the line."""
    due = []
    for one, turn in all_of_them.items():
        if moment - turn < BEAT_SECONDS:
            break
        due.append(one)
    for one in due:
        del all_of_them[one]
        all_of_them[one] = moment
    return due


_hearts: WeakKeyDictionary[asyncio.AbstractEventLoop, Heart] = WeakKeyDictionary()


def heart() -> Heart:
    """That of the event loop which runs."""
    return _hearts.setdefault(asyncio.get_running_loop(), Heart())
