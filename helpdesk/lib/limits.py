"""Rate limits, counted in Redis."""

from __future__ import annotations

import logging
import time

from django.core.cache import cache

log = logging.getLogger(__name__)


def hit(key: str, limit: int, seconds: int) -> int:
    """Count one use of `key`; return how many seconds to wait, 0 when it is allowed.

    At most `limit` uses are allowed in a fixed window of `seconds`. Refused uses do not count
    towards the next window. With Redis away everything is allowed: a limit guards against
    floods and must not become an outage of its own.
    """
    window, elapsed = divmod(time.time(), seconds)
    name = f"limit:{key}:{int(window)}"
    try:
        cache.add(name, 0, timeout=seconds + 1)
        used = cache.incr(name)
    except ValueError:  # the window ended between the two commands
        return 0
    except Exception as error:  # noqa: BLE001 - each client library has its own connection errors
        log.warning("limit %s not counted: %s", key, error)
        return 0
    return 0 if used <= limit else max(1, round(seconds - elapsed))
