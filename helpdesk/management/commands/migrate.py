"""Django's `migrate`, made safe to run from anywhere at any time.

It asks nothing, waits for a database that is not up yet, and lets two that run at once follow
each other. A change of a table waits MIGRATE_LOCK_TIMEOUT_SECONDS for its lock at a time, because
everybody who comes after it waits as long; then it steps back, and says who is in the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connections
from django.db.migrations import Migration

MIGRATE_LOCK = 0x68656C70  # the number of the advisory lock: "help"
DATABASE_WAIT_SECONDS = 60
LOOK_SECONDS = 0.5
LOCK_TRIES = 12
BETWEEN_TRIES_SECONDS = 2

BLOCKERS = """
    SELECT pid, application_name, date_trunc('second', query_start), left(query, 100)
    FROM pg_stat_activity
    WHERE pid = ANY(pg_blocking_pids(%s))
    ORDER BY pid
"""
HOLDER = """
    SELECT pid, application_name, date_trunc('second', query_start), left(query, 100)
    FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Command(Migrate):
    help = "Bring the database up to date. Asks nothing; two at once wait for each other."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(interactive=False)

    def handle(self, *args: Any, **options: Any) -> None:
        options["interactive"] = False
        self._connection = connections[options["database"]]
        self._await_database()
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        with closing(self._second_connection()) as second:
            self._await_turn(second)
            with self._naming_blockers(second):
                self._migrate(*args, **options)

    def migration_progress_callback(
        self, action: str, migration: Migration | None = None, fake: bool = False
    ) -> None:
        if action == "apply_start" and migration:
            # What is not atomic cannot step back half way. It builds indexes concurrently or
            # fills columns in batches, and keeps nobody waiting.
            self._limit_locks(settings.MIGRATE_LOCK_TIMEOUT_SECONDS if migration.atomic else 0)
        super().migration_progress_callback(action, migration, fake)

    def _migrate(self, *args: Any, **options: Any) -> None:
        for tries_left in reversed(range(LOCK_TRIES)):
            try:
                self._limit_locks(settings.MIGRATE_LOCK_TIMEOUT_SECONDS)
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise
                if not tries_left:
                    raise CommandError(
                        "Another process keeps a table locked; see above."
                    ) from error
                self._tell("a table is locked by others; stepping back and trying again")
                time.sleep(BETWEEN_TRIES_SECONDS)
            else:
                self._limit_locks(0)  # the connection may be somebody's, who goes on with it
                return

    def _limit_locks(self, seconds: int) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{seconds}s"])

    def _await_database(self) -> None:
        deadline = time.monotonic() + DATABASE_WAIT_SECONDS
        told = False
        while True:
            try:
                self._connection.ensure_connection()
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise CommandError(f"The database does not answer: {error}") from error
                if not told:
                    self._tell(f"waiting for the database: {error}")
                told = True
                time.sleep(LOOK_SECONDS)
            else:
                return

    def _await_turn(self, second: psycopg.Connection[Any]) -> None:
        """Take the lock that lets one migrate run at a time; it ends with the connection."""
        told = False
        while second.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATE_LOCK]).fetchone() != (
            True,
        ):
            for holder in () if told else second.execute(HOLDER, [MIGRATE_LOCK]).fetchall():
                self._tell(f"another migrate runs: {_described(holder)}; waiting for it")
            told = True
            time.sleep(LOOK_SECONDS)

    @contextmanager
    def _naming_blockers(self, second: psycopg.Connection[Any]) -> Iterator[None]:
        """Tell, while the first connection waits for a lock, who holds it."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(second, pid, done))
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()

    def _watch(self, second: psycopg.Connection[Any], pid: int, done: threading.Event) -> None:
        told: set[str] = set()
        while not done.wait(LOOK_SECONDS):
            for blocker in second.execute(BLOCKERS, [pid]).fetchall():
                line = f"waiting for a lock held by {_described(blocker)}"
                if line not in told:
                    told.add(line)
                    self._tell(line)

    def _second_connection(self) -> psycopg.Connection[Any]:
        parameters = self._connection.get_connection_params()
        second: psycopg.Connection[Any] = self._connection.get_new_connection(parameters)
        second.autocommit = True
        return second

    def _tell(self, line: str) -> None:
        self.stderr.write(f"migrate: {line}")


def _described(process: tuple[Any, ...]) -> str:
    pid, application, query_start, query = process
    return f"process {pid} ({application}), query since {query_start}: {' '.join(query.split())}"
