"""Looking at one part of the installation: what is found, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal

from django.db import connections

Level = Literal["ok", "warning", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` and `advice` are sentences; there is no advice where nothing is to be done."""

    level: Level
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """One line of the doctor's. `look` may raise, and may hang: then that is what is found, and
    `remedy` is what to do about it."""

    name: str
    look: Callable[[], Finding]
    remedy: str
    seconds: float = 10


def examine(one: Examination) -> Finding:
    """What `one` finds, after at most `one.seconds`.

    It looks from a thread of its own, with database connections of its own. One that hangs is
    left behind, and ends with the process.
    """
    found: SimpleQueue[Finding] = SimpleQueue()
    Thread(target=_look, args=(one, found), name=f"examines {one.name}", daemon=True).start()
    try:
        return found.get(timeout=one.seconds)
    except Empty:
        return Finding("broken", f"No answer within {one.seconds:g} seconds.", one.remedy)


def _look(one: Examination, found: SimpleQueue[Finding]) -> None:
    try:
        found.put(one.look())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
        found.put(Finding("broken", _reason(error), one.remedy))
    finally:
        connections.close_all()


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said if said.endswith((".", "?", "!")) else f"{said}."
