"""Ringing open browsers through the channel layer.

A bell is best effort: whoever misses it asks for what they missed when they reconnect.
A dead channel layer therefore costs a delay and never a message, and never fails a write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client

log = logging.getLogger(__name__)

RING_SECONDS = 2  # a layer that does not answer by then is taken for dead


def envelope(event: Mapping[str, Any]) -> dict[str, Any]:
    """What travels through the channel layer; `type` names the consumer's method."""
    return {"type": "live.event", "event": dict(event)}


async def ring_async(group: str, event: Mapping[str, Any]) -> None:
    """Send `event` to everyone in `group`. Never raises."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async with asyncio.timeout(RING_SECONDS):
            await layer.group_send(group, envelope(event))
    except Exception as error:  # noqa: BLE001 - whatever ails the layer must not reach the writer
        log.warning("bell not rung for %s: %s", group, error or type(error).__name__)


def ring(group: str, event: Mapping[str, Any]) -> None:
    """As `ring_async`, from synchronous code.

    Straight to Redis, in the words of the channel layer: a trip to an event loop, or the
    making of one where there is none, costs several times what the bell itself does.
    """
    layer: Any = get_channel_layer()
    try:
        channel = f"{settings.LIVE_PREFIX}__group__{group}"
        with asking_redis():
            redis_client().publish(channel, layer.serialize(envelope(event)))
    except AWAY as error:
        log.warning("bell not rung for %s: %s", group, error)


def ring_on_commit(group: str, event: Mapping[str, Any]) -> None:
    """Ring after the transaction commits; say nothing if it rolls back."""
    transaction.on_commit(partial(ring, group, event), robust=True)
