"""Who is here: in Redis, with an end to everything, and never in the database.

A conversation has one sorted set, the desk another. A member is an open socket, its score the
moment until which it counts; `chat.heartbeat` moves that on for as long as the socket is open. So a
process that dies takes its people with it within ALIVE_SECONDS, and after Redis has lost everything
the next beat puts everybody back. All moments are Redis's own, whatever the clocks around it say.

Nothing here raises while Redis is away: then nobody is known to be here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, cast

from redis import Redis

from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client
from tickets.models import Person

log = logging.getLogger(__name__)

ALIVE_SECONDS = 30  # a socket counts for so long after its last beat
KEPT_SECONDS = 86_400  # that somebody has gone is remembered for a day
DESK_KEY = "presence:desk"
SINCE_KEY = "presence:since"  # when Redis knew nobody
SETTLED_SECONDS = 60  # from then on it knows everybody
POLL = "poll"  # the socket of a widget that has none

# KEYS: a set for each of the members ARGV[4…]. ARGV[1]: how long they count, ARGV[2]: are kept,
# ARGV[3]: where it is noted since when anybody is known.
MARK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('SET', ARGV[3], string.format('%.3f', now), 'NX')
for place, key in ipairs(KEYS) do
    redis.call('ZADD', key, string.format('%.3f', now + ARGV[1]), ARGV[place + 3])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%.3f', now - ARGV[2]))
    redis.call('EXPIRE', key, ARGV[2])
end
"""
# As above, for members that end now; whoever else has the same name counts on.
UNMARK = """
local time = redis.call('TIME')
for place, key in ipairs(KEYS) do
    redis.call('ZREM', key, ARGV[place + 3])
    local gone = string.match(ARGV[place + 3], '^customer:%d+:')
    if gone then
        for _, polled in ipairs(redis.call('ZRANGE', key, 0, -1)) do
            if string.sub(polled, 1, #gone + 5) == gone .. 'poll:' then
                redis.call('ZREM', key, polled)
            end
        end
        redis.call('ZADD', key, string.format('%.3f', time[1] + time[2] / 1000000), gone .. ':')
        redis.call('EXPIRE', key, ARGV[2])
    end
end
"""
READ = """
local time = redis.call('TIME')
return {
    string.format('%.3f', time[1] + time[2] / 1000000),
    redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
}
"""

Role = Literal["staff", "customer"]


@dataclass(frozen=True, slots=True)
class Mark:
    """An open socket, as the set of a conversation or of the desk has it."""

    key: str
    member: str  # role:person:socket:name


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody as a conversation knows them: here, or gone at that moment."""

    person_id: int
    name: str
    role: Role
    is_here: bool
    gone_at: datetime | None = None


def mark_in(conversation_id: int, person: Person, role: Role, socket: str) -> Mark:
    """A widget that is open, or a page of staff that shows this conversation."""
    return Mark(_key(conversation_id), f"{role}:{person.pk}:{socket}:{person.name}")


def mark_at_desk(person: Person, socket: str) -> Mark:
    """A page of the desk, whatever it shows."""
    return Mark(DESK_KEY, f"staff:{person.pk}:{socket}:{person.name}")


def mark(marks: Collection[Mark]) -> None:
    """These count for another ALIVE_SECONDS."""
    _run(_mark, marks)


def unmark(marks: Collection[Mark]) -> None:
    """These count no more."""
    _run(_unmark, marks)


def present(conversation_id: int) -> list[Present]:
    """Who is in a conversation now, and which customers were and have gone, by person."""
    return _present(_key(conversation_id))


def viewing(conversation_id: int) -> list[Present]:
    """Staff who have this conversation before them."""
    return [one for one in present(conversation_id) if one.role == "staff" and one.is_here]


def is_here(conversation_id: int, person_id: int) -> bool:
    """Has this person the conversation open, in a widget or at the desk?"""
    return any(one.is_here for one in present(conversation_id) if one.person_id == person_id)


def gone_since(conversation_id: int, person_id: int) -> datetime | None:
    """When this customer left; None while they are here, and if nothing is known of them."""
    found = [one.gone_at for one in present(conversation_id) if one.person_id == person_id]
    return next(iter(found), None)


def nobody_here_for(conversation_id: int, seconds: float) -> bool:
    """Has no customer had this conversation open for so long?

    Not while Redis is away, and not for a while after it lost everything: whoever is taken for gone
    must be so for certain.
    """
    try:
        with asking_redis():
            moment, _micros = redis_client().time()
            since = cast("bytes | None", redis_client().get(SINCE_KEY))
        known = [one for one in _known(_key(conversation_id)) if one.role == "customer"]
    except AWAY as error:
        log.warning("presence not read: %s", error)
        return False
    if since is None or moment - float(since) < SETTLED_SECONDS:
        return False
    return all(
        one.gone_at is not None and moment - one.gone_at.timestamp() > seconds for one in known
    )


def at_desk() -> set[int]:
    """The people who have a page of the desk open."""
    return {one.person_id for one in _present(DESK_KEY) if one.is_here}


def as_json(conversation_id: int) -> dict[str, Any]:
    """What staff's pages are told of a conversation."""
    found = present(conversation_id)
    return {
        "type": "presence.changed",
        "conversation": conversation_id,
        "viewing": [
            {"person": one.person_id, "name": one.name} for one in found if one.role == "staff"
        ],
        "customers": [
            {
                "person": one.person_id,
                "here": one.is_here,
                "gone_at": one.gone_at and one.gone_at.isoformat(),
            }
            for one in found
            if one.role == "customer"
        ],
    }


def _key(conversation_id: int) -> str:
    return f"presence:{conversation_id}"


def _present(key: str) -> list[Present]:
    try:
        return _known(key)
    except AWAY as error:
        log.warning("presence not read: %s", error)
        return []


def _known(key: str) -> list[Present]:
    with asking_redis():
        now, members = _read()([key], [], redis_client())
    latest: dict[int, tuple[float, Role, str]] = {}
    for member, score in zip(members[::2], members[1::2], strict=True):
        role, person, _socket, name = member.decode().split(":", 3)
        # By score, so that the last one of a person is the one that says until when.
        known = latest.get(int(person))
        latest[int(person)] = (float(score), role, name or (known[2] if known else ""))
    return [
        Present(person, name, role, is_here=until > float(now), gone_at=_gone_at(until, float(now)))
        for person, (until, role, name) in sorted(latest.items())
        if role == "customer" or until > float(now)
    ]


def _gone_at(until: float, now: float) -> datetime | None:
    return None if until > now else datetime.fromtimestamp(until, UTC)


def _run(script: Callable[[], Script], marks: Iterable[Mark]) -> None:
    marks = list(marks)
    if not marks:
        return
    given = [ALIVE_SECONDS, KEPT_SECONDS, SINCE_KEY, *(one.member for one in marks)]
    try:
        with asking_redis():
            script()([one.key for one in marks], given, redis_client())
    except AWAY as error:
        log.warning("presence not noted: %s", error)


Script = Callable[[list[str], list[Any], Redis], Any]


@cache
def _mark() -> Script:
    return cast(Script, redis_client().register_script(MARK))


@cache
def _unmark() -> Script:
    return cast(Script, redis_client().register_script(UNMARK))


@cache
def _read() -> Script:
    return cast(Script, redis_client().register_script(READ))
