"""The channel layer: who in this process hears which group, over Redis' publish and subscribe.

It keeps the interface of Channels, for whoever knows that. Our own sockets do not go through it:
they are called back (`hear`), for a queue and two tasks a socket cost more than what comes through
them. Each group is subscribed to once a process; what comes is read once, however many hear it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

from channels.layers import BaseChannelLayer, get_channel_layer
from django.conf import settings

from helpdesk.lib.loops import PerLoop
from helpdesk.lib.redis_client import AWAY
from helpdesk.lib.redis_line import Line, talk

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.25  # between two tries to reach a Redis that is away
CONFIRM_SECONDS = 2
OTHER = b"="  # before a message that is no event of ours

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

Message = dict[str, Any]
Heard = Callable[[Message], None]


class Event(dict[str, Any]):
    """An event as it came, and its text, so that nobody writes it again. Not to be changed."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__(json.loads(text))
        self.text = text


def encode(event: Mapping[str, Any]) -> str:
    """An event as text for the wire."""
    return event.text if isinstance(event, Event) else _encoder.encode(event)


def envelope(event: Mapping[str, Any]) -> Message:
    """What a consumer gets; `type` names its method."""
    return {"type": "live.event", "event": event}


def channel_of(group: str) -> str:
    """Redis' name for a group."""
    return f"{settings.LIVE_PREFIX}.{group}"


def _written(message: Mapping[str, Any]) -> bytes:
    if message.get("type") == "live.event":
        return encode(message["event"]).encode()
    return OTHER + _encoder.encode(message).encode()


def _read(data: bytes) -> Message:
    if data.startswith(OTHER):
        other: Message = json.loads(data[len(OTHER) :])
        return other
    return envelope(Event(data.decode()))


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
        message = _read(data)
        for heard in list(members):
            heard(message)

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


class LiveLayer(BaseChannelLayer):
    """The layer of a process. What Channels asks of one, and `hear`."""

    extensions = ["groups", "flush"]

    def __init__(self) -> None:
        super().__init__()
        self._ears = PerLoop(Ears)
        self._queues: dict[str, asyncio.Queue[Message]] = {}

    async def hear(self, group: str, heard: Heard) -> None:
        """Have `heard` called with every message to this group. It must not wait for anything.

        Raises RedisError or OSError if Redis is away.
        """
        await self._ears().add(group, heard)

    async def forget(self, group: str, heard: Heard) -> None:
        self._ears().discard(group, heard)

    async def group_send(self, group: str, message: Message) -> None:
        line = await talk()
        await line.ask("PUBLISH", channel_of(group), _written(message))

    async def group_add(self, group: str, channel: str) -> None:
        await self.hear(group, self._queues[channel].put_nowait)

    async def group_discard(self, group: str, channel: str) -> None:
        if queue := self._queues.get(channel):
            await self.forget(group, queue.put_nowait)

    async def new_channel(self, prefix: str = "specific") -> str:
        name = f"{prefix}.{uuid4().hex}"
        self._queues[name] = asyncio.Queue()
        await self.group_add(name, name)
        return name

    async def send(self, channel: str, message: Message) -> None:
        await self.group_send(channel, message)

    async def receive(self, channel: str) -> Message:
        """The next message. A channel ends with whoever stops waiting for it."""
        try:
            return await self._queues[channel].get()
        except asyncio.CancelledError:
            await self.group_discard(channel, channel)
            self._queues.pop(channel, None)
            raise

    async def flush(self) -> None:
        self._ears().close()
        self._queues.clear()


def live_layer() -> LiveLayer:
    """That of this process."""
    return cast(LiveLayer, get_channel_layer())
