"""Rate limits, counted in Redis."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from redis import Redis

from helpdesk.lib.redis_client import ANSWER_SECONDS, AWAY, asking_redis, redis_client
from helpdesk.lib.redis_line import Line, talk

log = logging.getLogger(__name__)

COUNT = """
local used = {}
for place, key in ipairs(KEYS) do
    used[place] = redis.call('INCR', key)
    if used[place] == 1 then redis.call('EXPIRE', key, ARGV[1]) end
end
return used
"""


def hit(key: str, limit: int, seconds: int) -> int:
    """Count one use of `key`; return how many seconds to wait, 0 when it is allowed.

    At most `limit` uses are allowed in a fixed window of `seconds`. Refused uses do not count
    towards the next window. With Redis away everything is allowed: a limit guards against
    floods and must not become an outage of its own.
    """
    return hit_all({key: limit}, seconds)


def hit_all(limits: Mapping[str, int], seconds: int) -> int:
    """As `hit`, for several {key: limit} in one trip; the use is allowed if all allow it."""
    names, elapsed = _names(limits, seconds)
    try:
        with asking_redis():
            used = _count()(names, [seconds + 1], redis_client())
    except AWAY as error:
        log.warning("limits %s not counted: %s", ", ".join(limits), error)
        return 0
    return _wait_seconds(used, limits, seconds - elapsed)


async def hit_all_async(limits: Mapping[str, int], seconds: int) -> int:
    """As `hit_all`, from the event loop."""
    names, elapsed = _names(limits, seconds)
    line: Line | None = None
    try:
        with asking_redis():
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await talk()
                used = await line.ask("EVAL", COUNT, len(names), *names, seconds + 1)
    except AWAY as error:
        log.warning("limits %s not counted: %s", ", ".join(limits), error or "no answer")
        if line is not None and isinstance(error, TimeoutError):
            line.break_off()  # whatever comes on it now comes too late
        return 0
    return _wait_seconds(used, limits, seconds - elapsed)


def _names(limits: Iterable[str], seconds: int) -> tuple[list[str], float]:
    """Redis' names for the counters of this window, and how old it is in seconds."""
    window, elapsed = divmod(time.time(), seconds)
    return [f"limit:{key}:{int(window)}" for key in limits], elapsed


def _wait_seconds(used: Sequence[int], limits: Mapping[str, int], left_seconds: float) -> int:
    if all(count <= limit for count, limit in zip(used, limits.values(), strict=True)):
        return 0
    return math.ceil(left_seconds)


@cache
def _count() -> Callable[[list[str], list[int], Redis], list[int]]:
    """One more for each key; a key that is new ends by itself. Returns the counts."""
    script: Callable[[list[str], list[int], Redis], list[int]]
    script = redis_client().register_script(COUNT)
    return script
