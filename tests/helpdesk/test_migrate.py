"""`manage.py migrate` as operators meet it: beside others, behind locks, before the database."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_migrate

from helpdesk.management.commands.migrate import MIGRATE_LOCK
from helpdesk.stack.children import stop
from helpdesk.stack.engines import Postgres, start
from helpdesk.stack.kept import BASE_DIR
from tests.stack import data_folder

SOMEBODY = "somebody's report"


class Run:
    """`manage.py migrate` in a process of its own, killed if it is not done in time."""

    def __init__(self, address: str, *arguments: str, **environ: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", *arguments],
            cwd=BASE_DIR,
            env={**os.environ, "DATABASE_URL": address, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._timer = threading.Timer(60, self._process.kill)
        self._timer.start()

    def next_line(self) -> str:
        """The next line on standard error."""
        assert self._process.stderr
        return self._process.stderr.readline()

    def result(self) -> tuple[int, str, str]:
        """Exit code and what it has printed since."""
        out, err = self._process.communicate()
        self._timer.cancel()
        return self._process.returncode, out, err


def rows(address: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(address) as connection:
        return connection.execute(query.encode()).fetchall()


def test_two_at_once_wait_for_each_other(empty_database: str) -> None:
    both = [Run(empty_database), Run(empty_database)]
    results = [run.result() for run in both]

    assert [code for code, _, _ in results] == [0, 0], results
    assert sorted("No migrations to apply" in out for _, out, _ in results) == [False, True]
    twice = "SELECT app, name FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1"
    assert rows(empty_database, twice) == []


def test_who_waits_says_for_whom(empty_database: str) -> None:
    with psycopg.connect(empty_database, application_name=SOMEBODY, autocommit=True) as somebody:
        somebody.execute("SELECT pg_advisory_lock(%s)", [MIGRATE_LOCK])
        pid = somebody.info.backend_pid
        second = Run(empty_database)
        line = second.next_line()

    code, _, rest = second.result()
    assert f"another migrate runs: process {pid} ({SOMEBODY}), query since 2" in line
    assert (code, rest) == (0, "")


def test_a_blocked_change_steps_back_and_names_who_is_in_the_way(empty_database: str) -> None:
    assert Run(empty_database).result()[0] == 0
    with psycopg.connect(empty_database, application_name=SOMEBODY) as somebody:
        somebody.execute("SELECT count(*) FROM django_session")
        pid = somebody.info.backend_pid
        blocked = Run(empty_database, "sessions", "zero", MIGRATE_LOCK_TIMEOUT_SECONDS="1")
        lines = [blocked.next_line() for _ in range(2)]

    assert f"waiting for a lock held by process {pid} ({SOMEBODY}), query since 2" in lines[0]
    assert "SELECT count(*) FROM django_session" in lines[0]
    assert "stepping back" in lines[1]
    assert blocked.result()[0] == 0
    assert rows(empty_database, "SELECT to_regclass('django_session')") == [(None,)]


def test_a_plan_waits_for_nobody_and_writes_nothing(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as somebody:
        somebody.execute("SELECT pg_advisory_lock(%s)", [MIGRATE_LOCK])
        code, out, _ = Run(empty_database, "--plan").result()
    assert code == 0
    assert "tickets.0001" in out
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    assert rows(empty_database, tables) == [(0,)]


def test_it_waits_for_a_database_that_is_not_up_yet() -> None:
    with data_folder() as folder:
        engine = Postgres(folder, durable=False)
        early = Run(engine.url, "--check")
        line = early.next_line()
        server = start(engine)
        code, _, rest = early.result()
        stop(server)

    assert line.startswith("migrate: waiting for the database: ")
    assert code == 1  # there is something to apply: so it has seen the database
    assert rest == ""


@pytest.mark.django_db(transaction=True)
def test_it_never_asks() -> None:
    heard: list[bool] = []

    def hear(interactive: bool, **_: object) -> None:
        heard.append(interactive)

    post_migrate.connect(hear)
    try:
        call_command("migrate", interactive=True, stdout=StringIO())
    finally:
        post_migrate.disconnect(hear)
    assert heard
    assert not any(heard)


@pytest.mark.django_db(transaction=True)
def test_the_limit_on_locks_is_gone_afterwards() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
