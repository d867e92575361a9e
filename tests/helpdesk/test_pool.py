"""The web process's pool of connections, and a PostgreSQL that is killed below it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from helpdesk import settings
from helpdesk.stack.children import stop
from helpdesk.stack.engines import Postgres, start
from tests.stack import data_folder, wait_until

CONNECTIONS = 6
AWAY_SECONDS = 2.0
LATE_SECONDS = 1.0  # on a busy machine


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


@pytest.mark.parametrize("away_seconds", [0, AWAY_SECONDS])
def test_who_asks_has_a_connection_soon_after_postgres_is_back(
    folder: Path, away_seconds: float
) -> None:
    engine = Postgres(folder)
    options = settings.database(engine.url, "web", CONNECTIONS)["OPTIONS"]["pool"]
    child = start(engine)
    check = ConnectionPool.check_connection  # as Django has it
    with ThreadPoolExecutor(1) as thread, ExitStack() as exits:
        pool = exits.enter_context(ConnectionPool(engine.url, check=check, open=True, **options))
        _use(pool, CONNECTIONS)
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: not child.running)
        asked = thread.submit(_use, pool, 1) if away_seconds else None
        time.sleep(away_seconds)
        exits.callback(stop, start(engine))
        back_at = time.monotonic()
        had_at = asked.result() if asked else _use(pool, 1)

    assert had_at - back_at < LATE_SECONDS


def _use(pool: ConnectionPool[Any], count: int) -> float:
    """Have so many connections at once; the time when the last one was there."""
    with ExitStack() as used:
        for _ in range(count):
            used.enter_context(pool.connection())
        return time.monotonic()
