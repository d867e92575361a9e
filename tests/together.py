"""Several things begun at the same moment, each in a thread and on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from django.db import connection


def begin(acts: Sequence[Callable[[], object]], came: dict[int, object]) -> list[threading.Thread]:
    """Begin all of them together. What each returns or raises is put into `came`, by its place."""
    start = threading.Barrier(len(acts))

    def run(n: int) -> None:
        start.wait()
        try:
            came[n] = acts[n]()
        except Exception as error:  # noqa: BLE001 - told to the test
            came[n] = error
        connection.close()

    threads = [threading.Thread(target=run, args=[n]) for n in range(len(acts))]
    for thread in threads:
        thread.start()
    return threads


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each returns or raises, once all are done."""
    came: dict[int, object] = {}
    for thread in begin(acts, came):
        thread.join()
    return [came[n] for n in range(len(acts))]
