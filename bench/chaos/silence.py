"""How long it was silent after a fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

KILLED = ("web", "worker", "redis", "postgres")
FAULTS = (*KILLED, "socket")
WINDOW_SECONDS = 10.0  # a silence that begins so long after a kill is its doing


@dataclass(frozen=True, slots=True)
class Kill:
    """A process was killed; the clock is `time.monotonic`."""

    fault: str  # one of KILLED
    at: float


@dataclass(frozen=True, slots=True)
class Cut:
    """A client's line was broken. `back_at`: when the server let it in again, None if never."""

    at: float
    back_at: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """A message on its way from being written to being acknowledged, None if it never was."""

    written_at: float
    acknowledged_at: float | None


def silences(
    kills: Sequence[Kill],
    streams: Sequence[Sequence[float]],
    cuts: Iterable[Cut],
    end: float,
) -> dict[str, float]:
    """The longest silence in seconds by fault; only faults that happened.

    web, worker, redis, postgres: there are two streams of moments, in order: one at which any
    client had something of its own acknowledged, one at which a socket brought any page an entry
    that another page had written. A silence is the time between two moments of one stream next to
    each other; `end`, when the talking stopped, is a moment too. If kills lie in it, it is theirs,
    of each from its moment on; if none does, it is the last kill's before it, if that was less than
    WINDOW_SECONDS earlier. The longest of either stream is told: so Redis is silent while messages
    are acknowledged and nobody hears of them.

    socket: the longest time from a cut until the server let the same page in again; a cut that a
    kill hits as well (from WINDOW_SECONDS before the cut until the page is back) is the kill's.
    """
    longest: dict[str, float] = {}
    for stream in streams:
        for begin, until in pairwise([0.0, *(at for at in stream if at < end), end]):
            for fault, at in _responsible(kills, begin, until):
                longest[fault] = max(longest.get(fault, 0.0), until - at)
    for cut in cuts:
        back_at = end if cut.back_at is None else cut.back_at
        if not any(cut.at - WINDOW_SECONDS < kill.at < back_at for kill in kills):
            longest["socket"] = max(longest.get("socket", 0.0), back_at - cut.at)
    return longest


def waits(kills: Sequence[Kill], messages: Iterable[Wait], end: float) -> dict[str, float]:
    """The longest time in seconds that a single message waited for its acknowledgement, by the
    last kill before or during that wait. A client has pauses of its own between two tries, so
    this is longer than a silence."""
    longest: dict[str, float] = {}
    for message in messages:
        back_at = end if message.acknowledged_at is None else message.acknowledged_at
        hit = [kill for kill in kills if message.written_at - WINDOW_SECONDS < kill.at < back_at]
        if hit:
            fault = max(hit, key=lambda kill: kill.at).fault
            longest[fault] = max(longest.get(fault, 0.0), back_at - message.written_at)
    return longest


def _responsible(kills: Sequence[Kill], begin: float, until: float) -> Iterator[tuple[str, float]]:
    """The faults that a silence is laid to, and from when on."""
    inside = [kill for kill in kills if begin <= kill.at < until]
    for kill in inside:
        yield kill.fault, kill.at
    before = [kill for kill in kills if begin - WINDOW_SECONDS < kill.at < begin]
    if before and not inside:
        yield max(before, key=lambda kill: kill.at).fault, begin
