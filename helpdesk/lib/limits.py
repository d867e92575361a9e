"""Rate limits, counted in Redis."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from helpdesk.lib.redis_client import AWAY, redis_client

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
        with redis_client().pipeline(transaction=False) as pipe:
            for key in limits:
                name = f"limit:{key}:{int(window)}"
                pipe.set(name, 0, ex=seconds + 1, nx=True)
                pipe.incr(name)
            used = pipe.execute()[1::2]
    except AWAY as error:
        log.warning("limits %s not counted: %s", ", ".join(limits), error)
        return 0
    if all(count <= limit for count, limit in zip(used, limits.values(), strict=True)):
        return 0
    return math.ceil(seconds - elapsed)
