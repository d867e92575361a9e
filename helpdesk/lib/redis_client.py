"""Redis for synchronous code: one client a process, its connections shared by all threads."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

ANSWER_SECONDS = 2  # a Redis that does not answer by then is taken for dead
AWAY = (RedisError, OSError)


@cache
def redis_client() -> Redis:
    """The client. A connection that died since its last use is replaced once, silently."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
