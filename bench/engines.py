"""Engines of a benchmark's own: a PostgreSQL that waits for its disk, and a Redis.

Everything is in one temporary folder, and gone at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import django
import psutil
import psycopg
from django.core.management import call_command
from django.db import connections

from helpdesk.env import VARS
from helpdesk.stack.children import Child, stop
from helpdesk.stack.engines import NAME, Engine, Postgres, Redis, start

# Limits would be all that is measured. As many as fit in the counters.
NO_LIMIT = "1000000000"
LIMITS = (
    "VISITOR_MESSAGES_PER_MINUTE",
    "ADDRESS_MESSAGES_PER_MINUTE",
    "ADDRESS_SESSIONS_PER_MINUTE",
)
SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class Engines:
    """Running engines, with an empty database of the product's schema."""

    folder: Path
    postgres: Child
    redis: Child
    database_url: str

    def url(self, database: str, *, user: str = NAME) -> str:
        """The address of one of our databases. The superuser may load without triggers."""
        return f"postgres://{user}@/{database}?{urlsplit(self.database_url).query}"

    @contextlib.contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The address of a new database with our schema and nothing in it, dropped at the end."""
        connections.close_all()  # a template may have no visitors
        self._say(f"CREATE DATABASE {name} TEMPLATE {NAME} OWNER {NAME}")
        try:
            yield self.url(name)
        finally:
            connections.close_all()
            self._say(f"DROP DATABASE {name} WITH (FORCE)")

    def postgres_seconds(self) -> float:
        """CPU time of PostgreSQL so far, of all its processes, those that ended included."""
        assert self.postgres.pid
        server = psutil.Process(self.postgres.pid)
        return cpu_seconds(server, with_children=True)

    def redis_seconds(self) -> float:
        assert self.redis.pid
        return cpu_seconds(psutil.Process(self.redis.pid))

    def _say(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres", user=SUPERUSER), autocommit=True) as connection:
            connection.execute(statement)


def cpu_seconds(process: psutil.Process, *, with_children: bool = False) -> float:
    """User and system time of a process so far."""
    times = process.cpu_times()
    seconds = times.user + times.system
    if with_children:
        seconds += times.children_user + times.children_system
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                seconds += cpu_seconds(child)
    return float(seconds)


@contextlib.contextmanager
def running() -> Iterator[Engines]:
    """Start the engines, set Django up on them, and create the schema.

    Nothing of the operator's own settings counts, apart from POSTGRES_BINARIES. To be entered
    once, before anything of Django's is imported that needs its settings.
    """
    folder = Path(tempfile.mkdtemp(prefix="helpdesk-bench-"))
    folder.chmod(0o711)  # under root the engines are somebody else
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for var in VARS:
            if var.name != "POSTGRES_BINARIES":
                os.environ.pop(var.name, None)
        postgres, redis = Postgres(folder), Redis(folder)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "helpdesk.settings",
            "HELPDESK_DATA": str(folder),
            "SECRET_KEY": "only-for-benchmarks-" + "0123456789abcdef" * 4,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            **dict.fromkeys(LIMITS, NO_LIMIT),
        }
        engines = Engines(
            folder=folder,
            postgres=_started(stack, postgres),
            redis=_started(stack, redis),
            database_url=postgres.url,
        )
        django.setup()
        call_command("migrate", verbosity=0)
        yield engines


def _started(stack: contextlib.ExitStack, engine: Engine) -> Child:
    child = start(engine)
    stack.callback(stop, child)
    return child
