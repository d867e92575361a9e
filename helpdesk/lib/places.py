"""Few places for what may hang, so that it leaves most of a worker's threads to everything else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

WAIT_SECONDS = 2.0  # for a place, as long as one of those who have one may soon be done
HANGS_SECONDS = 2.0  # who takes longer will not soon be done


class NoPlace(Exception):
    """All places are taken, by things that hang or for longer than we wait."""


class Places:
    """At most `count` at once, of all threads of this process."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: dict[object, float] = {}  # since when
        self._changed = Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a place until the block ends. Raises NoPlace; at once where those who have them
        hang."""
        mine = object()
        with self._changed:
            give_up_at = time.monotonic() + WAIT_SECONDS
            while len(self._taken) >= self._count:
                moment = time.monotonic()
                if moment >= give_up_at or moment > max(self._taken.values()) + HANGS_SECONDS:
                    raise NoPlace
                self._changed.wait(give_up_at - moment)
            self._taken[mine] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._taken[mine]
                self._changed.notify()
