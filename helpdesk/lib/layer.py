"""Who in this process hears which group, over Redis' publish and subscribe.

In place of a channel layer of Channels, which gives each socket a queue and two tasks: those cost
more than what comes through them. Here each group is subscribed to once a process; what comes is
read once, however many hear it, and each of them is called back.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from helpdesk.lib.loops import PerLoop
from helpdesk.lib.redis_client import AWAY
from helpdesk.lib.redis_line import Line

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.25  # between two tries to reach a Redis that is away
CONFIRM_SECONDS = 2

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

Heard = Callable[["Event"], None]


class Event(dict[str, Any]):
    """An event as it came, and its text, so that nobody writes it again. Not to be changed."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__(json.loads(text))
        self.text = text


def encode(event: Mapping[str, Any]) -> str:
    """An event as text for the wire."""
    return event.text if isinstance(event, Event) else _encoder.encode(event)


def channel_of(group: str) -> str:
    """Redis' name for a group."""
    return f"{settings.LIVE_PREFIX}.{group}"


class Ears:
    """What one event loop hears. A subscription that was confirmed outlives a Redis that was away;
    bells that rang meanwhile are lost."""

    def __init__(self) -> None:
        self._members: dict[str, dict[Heard, None]] = {}  # of a channel, in the order they came
        self._line: Line | None = None
        self._opening = asyncio.Lock()
        self._mending: asyncio.Task[None] | None = None

    async def add(self, group: str, heard: Heard) -> None:
        """Hear this group from now on. Raises RedisError or OSError if that cannot be."""
        channel = channel_of(group)
        members = self._members.setdefault(channel, {})
        is_first = not members
        members[heard] = None
        try:
            line = await self._ready()
            if is_first:
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await line.ask("SUBSCRIBE", channel)
        except AWAY:
            self.discard(group, heard)
            if self._line is not None:
                self._line.break_off()
            raise

    def discard(self, group: str, heard: Heard) -> None:
        """Hear it no more."""
        channel = channel_of(group)
        members = self._members.get(channel)
        if members is None:
            return
        members.pop(heard, None)
        if members:
            return
        del self._members[channel]
        if self._line is not None and not self._line.closed:
            self._line.tell("UNSUBSCRIBE", channel)

    def close(self) -> None:
        self._members.clear()
        if self._mending is not None:
            self._mending.cancel()
        if self._line is not None:
            self._line.break_off()
        self._line = None

    async def end(self) -> None:
        self.close()

    async def _ready(self) -> Line:
        async with self._opening:
            if self._line is None or self._line.closed:
                line = await Line(self._take, self._is_lost).open()
                for channel in self._members:
                    line.tell("SUBSCRIBE", channel)
                self._line = line
            return self._line

    def _take(self, channel: str, data: bytes) -> None:
        members = self._members.get(channel)
        if not members:
            return
        event = Event(data.decode())
        for heard in list(members):
            heard(event)

    def _is_lost(self) -> None:
        if self._members and (self._mending is None or self._mending.done()):
            self._mending = asyncio.get_running_loop().create_task(self._mend())

    async def _mend(self) -> None:
        """Come back to a Redis that was away, for those who listen already."""
        log.warning("Redis is away, nobody here hears a bell")
        while self._members:
            await asyncio.sleep(AGAIN_SECONDS)
            with suppress(*AWAY):
                await self._ready()
                return


_ears = PerLoop(Ears)


async def hear(group: str, heard: Heard) -> None:
    """Have `heard` called with every event for this group. It must not wait for anything.

    Raises RedisError or OSError if Redis is away.
    """
    await _ears().add(group, heard)


def forget(group: str, heard: Heard) -> None:
    """Call it no more. What is not heard is forgotten already."""
    _ears().discard(group, heard)
