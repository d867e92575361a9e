"""Servers as processes of their own, watched from outside: CPU time and memory."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.engines import cpu_seconds
from helpdesk.stack import processes
from helpdesk.stack.addresses import LOOPBACK, free_port
from helpdesk.stack.children import POLL_SECONDS, Child, Service, stop
from helpdesk.stack.kept import BASE_DIR
from helpdesk.stack.mend import CannotStart

PORTS = range(15_000, 32_000)
READY_SECONDS = 60.0
# The name of the process, and what follows `python -m`. PORT stands for the port.
UVICORN = ("uvicorn", "uvicorn", "--log-level=warning", f"--host={LOOPBACK}", "--port=PORT")
DAPHNE = ("daphne", "daphne", "-v", "0", "-b", LOOPBACK, "-p", "PORT")


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    process: psutil.Process

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process)

    def memory_bytes(self) -> int:
        """What the process has in memory now (RSS)."""
        return int(self.process.memory_info().rss)


@contextmanager
def product(folder: Path, database_url: str) -> Iterator[Server]:
    """The web process as `make run` starts it, on this database."""
    port = free_port(PORTS)
    service = processes.web(folder / "product", _environ(database_url), port)
    with _running(service, port) as server:
        yield server


@contextmanager
def floor(folder: Path, database_url: str, name: str, *module: str) -> Iterator[Server]:
    """A server of the benchmark's own, on the same database: UVICORN or DAPHNE and what to run."""
    port = free_port(PORTS)
    argv = [part.replace("PORT", str(port)) for part in module]
    service = Service(
        name=name,
        argv=(sys.executable, "-m", *argv),
        folder=folder / name,
        environ=_environ(database_url) | {"ROLE": "web"},
        cwd=BASE_DIR,
    )
    with _running(service, port) as server:
        yield server


def allow_many_sockets() -> None:
    """Let this process, and those it starts, hold as many sockets as the system permits."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _environ(database_url: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": database_url}


@contextmanager
def _running(service: Service, port: int) -> Iterator[Server]:
    child = Child(service)
    child.start()
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(port):
            if not child.running or time.monotonic() > deadline:
                raise CannotStart(f"{service.name} does not start: {child.last_words(20)}")
            time.sleep(POLL_SECONDS)
        yield Server(port, psutil.Process(child.pid))
    finally:
        stop(child)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
