"""Who is here: what their open sockets and polls say, kept in Redis for a while and nowhere else.

For each conversation Redis holds when each person was last here. A process says it for all of its
sockets together every BEAT_SECONDS, so that a Redis that forgot everything knows it again after
that, and a browser that was killed is gone after HERE_SECONDS. What is not known is not here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import cast

from django.conf import settings

from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client

log = logging.getLogger(__name__)

BEAT_SECONDS = 15
HERE_SECONDS = 45
KEPT_SECONDS = 3_600  # so long we know when somebody was last here

Place = tuple[int, int]  # conversation, person


def _key(conversation_id: int) -> str:
    return f"{settings.LIVE_PREFIX}here:{conversation_id}"


def touch(places: Iterable[Place]) -> None:
    """These people are here now. A Redis that is away is forgiven."""
    moment = time.time()
    try:
        with asking_redis(), redis_client().pipeline(transaction=False) as pipe:
            for conversation_id, person_id in places:
                pipe.zadd(_key(conversation_id), {str(person_id): moment})
                pipe.expire(_key(conversation_id), KEPT_SECONDS)
            pipe.execute()
    except AWAY as error:
        log.warning("presence not noted: %s", error)


def last_here(conversation_id: int) -> dict[int, float]:
    """When each person was last here, in seconds since 1970; those of the last hour. Empty while
    Redis is away."""
    try:
        with asking_redis():
            found = cast(
                "list[tuple[bytes, float]]",
                redis_client().zrange(_key(conversation_id), 0, -1, withscores=True),
            )
    except AWAY as error:
        log.warning("presence not known: %s", error)
        return {}
    return {int(person): at for person, at in found}


def here_now(conversation_id: int) -> set[int]:
    """The people who are here."""
    since = time.time() - HERE_SECONDS
    return {person for person, at in last_here(conversation_id).items() if at > since}


def _forget(place: Place) -> None:
    """The last socket of this process that said so has closed: they were here until now."""
    conversation_id, person_id = place
    try:
        with asking_redis():
            gone_at = time.time() - HERE_SECONDS
            redis_client().zadd(_key(conversation_id), {str(person_id): gone_at})
    except AWAY as error:
        log.warning("presence not noted: %s", error)


class Sockets:
    """All open sockets of this process, counted by place."""

    def __init__(self) -> None:
        self._count: Counter[Place] = Counter()
        self._beating: asyncio.Task[None] | None = None

    async def come(self, place: Place) -> bool:
        """One more socket. Returns whether it is the first there."""
        self._count[place] += 1
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        if self._count[place] > 1:
            return False
        await asyncio.to_thread(touch, [place])
        return True

    async def go(self, place: Place) -> bool:
        """One socket less. Returns whether it was the last there."""
        self._count[place] -= 1
        if self._count[place] > 0:
            return False
        del self._count[place]
        await asyncio.to_thread(_forget, place)
        return True

    async def _beat(self) -> None:
        while self._count:
            await asyncio.sleep(BEAT_SECONDS)
            await asyncio.to_thread(touch, list(self._count))


sockets = Sockets()
