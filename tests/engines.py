"""Engines for the tests: a PostgreSQL and a Redis of their own, gone when pytest ends.

An early plugin (`-p tests.engines`), because Django's settings are read before any conftest.
Where DATABASE_URL or REDIS_URL is set, that server is used instead. Of several processes (`-n 2`)
each has engines of its own, or a database of its own on the server that is set.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helpdesk.env import VARS
from helpdesk.stack.children import stop
from helpdesk.stack.engines import Engine, Postgres, Redis, start

PREFIX = "helpdesk-tests-"
LOCK = "lock"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    for var in VARS:  # what a developer has set for their own helpdesk is not for the tests
        if var.name not in {"DATABASE_URL", "REDIS_URL", "POSTGRES_BINARIES"}:
            os.environ.pop(var.name, None)
    folder = _fresh_folder()
    _sweep(folder.parent)
    os.environ["HELPDESK_DATA"] = str(folder)
    os.environ["OUTGOING_UNDO_SECONDS"] = "0"  # those who test that set it themselves
    os.environ["SECRET_KEY"] = "only-for-tests-" + "0123456789abcdef" * 4
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if early_config.known_args_namespace.numprocesses and not worker:
        return  # this process only hands out the tests
    engines: dict[str, Engine] = {}
    if not os.environ.get("DATABASE_URL"):
        engines["DATABASE_URL"] = Postgres(folder, durable=False)
    if not os.environ.get("REDIS_URL"):
        engines["REDIS_URL"] = Redis(folder)
    elif worker:
        server = urlsplit(os.environ["REDIS_URL"])
        os.environ["REDIS_URL"] = server._replace(path=worker.replace("gw", "/")).geturl()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for variable, engine in engines.items():
        atexit.register(stop, start(engine))  # called in the opposite order
        os.environ[variable] = engine.url


def _fresh_folder() -> Path:
    """A folder that is ours as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)  # under root the engines are somebody else
    fcntl.flock(os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
    return folder


def _sweep(temporary: Path) -> None:
    """Remove the folders of runs that were killed."""
    for folder in temporary.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR)
        except OSError:
            continue  # somebody else's, or about to be locked
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
