"""Rate limits, counted in Redis."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client

log = logging.getLogger(__name__)


def hit(key: str, limit: int, seconds: int) -> int:
    """Count one use of `key`; return how many seconds to wait, 0 when it is allowed.

    At most `limit` uses are allowed in a fixed window of `seconds`. Refused uses do not count
    towards the next window. With Redis away everything is allowed: a limit guards against
    floods and must not become an outage of its own.
    """
    return hit_all({key: limit}, seconds)


def hit_all(limits: Mapping[str, int], seconds: int) -> int:
    """As `hit`, for several {key: limit} in one trip; the use is allowed if all allow it."""
    window, elapsed = divmod(time.time(), seconds)
    try:
        with asking_redis(), redis_client().pipeline(transaction=False) as pipe:
            names = [f"limit:{key}:{int(window)}" for key in limits]
            for name in names:
                pipe.incr(name)
            used = pipe.execute()
            for name, count in zip(names, used, strict=True):
                if count == 1:
                    pipe.expire(name, seconds + 1)
            pipe.execute()
    except AWAY as error:
        log.warning("limits %s not counted: %s", ", ".join(limits), error)
        return 0
    if all(count <= limit for count, limit in zip(used, limits.values(), strict=True)):
        return 0
    return math.ceil(seconds - elapsed)
