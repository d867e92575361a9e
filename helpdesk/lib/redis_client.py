"""Redis for synchronous code: one client a process, its connections shared by all threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

ANSWER_SECONDS = 2  # a Redis that does not answer by then is taken for dead
AWAY = (RedisError, OSError)

# After a Redis that hangs (one that is gone refuses at once) nobody else waits for it for a
# while: a message must not be acknowledged later for the sake of its bells.
SLOW_SECONDS = 1
REST_SECONDS = 5
rests_until = 0.0


class Resting(RedisError):
    """Redis did not answer a moment ago and is not asked again just yet."""


@contextmanager
def asking_redis() -> Iterator[None]:
    """Around every call whose failure is forgiven. Raises Resting while Redis hangs."""
    global rests_until
    began = time.monotonic()
    if began < rests_until:
        raise Resting("Redis does not answer")
    try:
        yield
    except Exception:
        if time.monotonic() - began > SLOW_SECONDS:
            rests_until = time.monotonic() + REST_SECONDS
        raise


@cache
def redis_client() -> Redis:
    """The client. A connection that died since its last use is replaced once, silently."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
