"""Keeping a child alive, and telling the terminal what matters of what it writes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from helpdesk.stack.children import Child, StillRunning
from helpdesk.stack.mend import CannotStart

# The first deaths are mended at once; a child that dies again and again gets longer pauses.
FREE_DEATHS = 3
DEATHS_WITHIN_SECONDS = 60.0
PAUSE_MAX_SECONDS = 15.0
RETRY_SECONDS = 1.0  # for what could not even be started

ALARM = re.compile(r"\b(ERROR|CRITICAL)\b")
ALARMS_AT_ONCE = 3
LINE_MAX_CHARS = 300


class Keeper:
    """Keeps one child alive. `say` is told of every death."""

    def __init__(self, child: Child, say: Callable[[str, str], None]) -> None:
        self.child = child
        self._say = say
        self._deaths: deque[float] = deque(maxlen=32)
        self._was_running = child.running
        self._start_at = 0.0

    def tend(self) -> bool:
        """Start the child if it does not run and its time has come.

        True if it could start in a moment: what the last one forked is about to end.
        """
        if self.child.running:
            return False
        now = time.monotonic()
        if self._was_running:
            self._was_running = False
            self._plan_next(now, f"ended ({how(self.child.exit_code)})")
        if now < self._start_at:
            return False
        try:
            self.child.start()
            self._was_running = True
        except StillRunning:
            return True
        except (OSError, CannotStart) as error:  # no memory, no disk: that may pass
            self._plan_next(now, f"does not start: {error}", at_least=RETRY_SECONDS)
        return False

    def _plan_next(self, now: float, what: str, at_least: float = 0.0) -> None:
        self._deaths.append(now)
        pause = max(pause_seconds(now - died for died in self._deaths), at_least)
        self._start_at = now + pause
        again = f"in {pause:.0f} s" if pause else "now"
        name = self.child.service.name
        self._say(name, f"{what}, starting it again {again}")
        if pause and (words := self.child.last_words(1)):
            self._say(name, f"its last words: {words[:LINE_MAX_CHARS]}")


class LogWatch:
    """Reads what is added to a log from now on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read_bytes = log.stat().st_size if log.exists() else 0

    def added(self) -> list[str]:
        """The lines added since the last call."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as log:
            if log.seek(0, os.SEEK_END) < self._read_bytes:
                self._read_bytes = 0  # it was moved aside
            log.seek(self._read_bytes)
            added = log.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        return whole.decode(errors="replace").splitlines()

    def alarms(self) -> list[str]:
        """Of the added lines those that speak of errors: the first few, and how many more."""
        lines = [line for line in self.added() if ALARM.search(line)]
        shown = [line[:LINE_MAX_CHARS] for line in lines[:ALARMS_AT_ONCE]]
        more = len(lines) - len(shown)
        return [*shown, f"and {more} more like this"] if more else shown


def pause_seconds(ages: Iterable[float]) -> float:
    """How long to wait before the next start, given how many seconds ago it died each time."""
    recent = sum(age <= DEATHS_WITHIN_SECONDS for age in ages)
    return 0.0 if recent <= FREE_DEATHS else min(2.0 ** (recent - FREE_DEATHS), PAUSE_MAX_SECONDS)


def how(exit_code: int | None) -> str:
    """An exit code in words."""
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"code {exit_code}"
