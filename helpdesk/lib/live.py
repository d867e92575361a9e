"""Ringing open browsers.

A bell is best effort: whoever misses it asks for what they missed when they reconnect.
A dead Redis therefore costs a delay and never a message, and never fails a write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from helpdesk.lib.layer import channel_of, encode
from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client
from helpdesk.lib.redis_line import talk

log = logging.getLogger(__name__)

RING_SECONDS = 2  # a Redis that does not answer by then is taken for dead

Bell = tuple[str, Mapping[str, Any]]  # a group, and what it is told


async def ring_async(group: str, event: Mapping[str, Any]) -> None:
    """Send `event` to everyone in `group`. Never raises."""
    await ring_all_async([(group, event)])


async def ring_all_async(bells: Iterable[Bell]) -> None:
    """As `ring_async`, for several at once."""
    try:
        with asking_redis():
            async with asyncio.timeout(RING_SECONDS):
                line = await talk()
            for group, event in bells:
                line.tell("PUBLISH", channel_of(group), encode(event))
    except Exception as error:  # noqa: BLE001 - whatever ails Redis must not reach the writer
        log.warning("bells not rung: %s", error or type(error).__name__)


def ring(group: str, event: Mapping[str, Any]) -> None:
    """As `ring_async`, from synchronous code: a trip to an event loop, or the making of one where
    there is none, costs several times what the bell itself does."""
    try:
        with asking_redis():
            redis_client().publish(channel_of(group), encode(event))
    except AWAY as error:
        log.warning("bell not rung for %s: %s", group, error)


def rings(groups: Sequence[str], event: Mapping[str, Any]) -> None:
    """As `ring`, for many groups in one trip to Redis."""
    if not groups:
        return
    letter = encode(event)
    try:
        with asking_redis():
            pipe = redis_client().pipeline(transaction=False)
            for group in groups:
                pipe.publish(channel_of(group), letter)
            pipe.execute()
    except AWAY as error:
        log.warning("bell not rung for %s groups: %s", len(groups), error)


def rings_on_commit(groups: Sequence[str], event: Mapping[str, Any]) -> None:
    """As `ring_on_commit`, for many groups."""
    transaction.on_commit(partial(rings, groups, event), robust=True)


def ring_on_commit(group: str, event: Mapping[str, Any]) -> None:
    """Ring after the transaction commits; say nothing if it rolls back."""
    transaction.on_commit(partial(ring, group, event), robust=True)
