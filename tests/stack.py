"""The whole product as real processes: `manage.py up` on a port and a data folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from helpdesk.demo import story
from helpdesk.env import VARS
from helpdesk.stack.addresses import free_port
from helpdesk.stack.kept import BASE_DIR, read_kept

CHILDREN = ("web", "worker", "beat", "mail", "postgres", "redis")
PORTS = range(10_000, 15_000)
UP_SECONDS = 90.0
STOP_SECONDS = 30.0
# Short, so that tests need not wait; wide, so that many visitors of one address may write.
SETTINGS = {
    "FETCH_EVERY_SECONDS": "1",
    "SWEEP_EVERY_SECONDS": "1",
    "OUTGOING_UNDO_SECONDS": "0",
    "VISITOR_MESSAGES_PER_MINUTE": "10000",
    "ADDRESS_MESSAGES_PER_MINUTE": "100000",
    "ADDRESS_SESSIONS_PER_MINUTE": "10000",
    "LOGIN_TRIES_PER_MINUTE": "1000",
}


@dataclass
class Stack:
    """One `manage.py up`. What it writes to the terminal is in `data`/terminal.log."""

    data: Path
    port: int = field(default_factory=lambda: free_port(PORTS))
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    login = story.STAFF[0].split()[0].lower() + "@tern-kettle.example"
    password = story.PASSWORD

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What the operator of this stack has set; without anything of our own tests."""
        ours = {var.name for var in VARS}
        outside = {name: value for name, value in os.environ.items() if name not in ours}
        here = {"PORT": str(self.port), "HELPDESK_DATA": str(self.data)}
        return {**outside, **SETTINGS, **self.settings, **here}

    @property
    def addresses(self) -> dict[str, str]:
        """DATABASE_URL, REDIS_URL and the like of the running stack."""
        return read_kept(self.data)

    @property
    def widget_key(self) -> str:
        (key,) = self.row("SELECT widget_key FROM tickets_inbox WHERE widget_key IS NOT NULL")
        return str(key)

    @property
    def terminal(self) -> str:
        return (self.data / "terminal.log").read_text()

    def begin(self) -> None:
        """Start it and return at once."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "terminal.log").open("ab") as terminal:
            self.process = subprocess.Popen(
                [sys.executable, BASE_DIR / "manage.py", "up"],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start it and return once it is up."""
        before = self.terminal.count("is up:") if self.data.exists() else 0
        self.begin()

        def up() -> bool:
            assert self.process
            assert self.process.poll() is None, self.terminal
            return self.terminal.count("is up:") > before

        wait_until(up, UP_SECONDS)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code once it has."""
        assert self.process
        self.process.send_signal(with_signal)
        return self.process.wait(STOP_SECONDS)

    def pid(self, name: str) -> int:
        """The process number of a child: web, worker, beat, mail, postgres or redis. Of the web
        processes that of the one which serves."""
        file = "serving" if name == "web" else name
        return int((self.data / "run" / f"{file}.pid").read_text())

    def pids(self) -> dict[str, int]:
        return {name: self.pid(name) for name in CHILDREN}

    def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a child, unless it is dead already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(name), with_signal)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What its database answers."""
        with psycopg.connect(self.addresses["DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def row(self, query: str, *parameters: object) -> tuple[Any, ...]:
        (row,) = self.rows(query, *parameters)
        return row

    def manage(self, *arguments: str) -> str:
        """Run a management command as somebody in a second terminal would; what it prints."""
        command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def add_mailbox(self, host: str, port: int, user: str, password: str, **fields: object) -> int:
        """An IMAP mailbox for the demo shop's address; its primary key."""
        common = {"kind": "imap", "tls": False, "name": user, "username": user}
        made = {**common, "host": host, "port": port, "password": password, **fields}
        code = (
            "from tickets.models import Inbox, Mailbox\n"
            "inbox = Inbox.objects.exclude(address=None).earliest('pk')\n"
            f"print(Mailbox.objects.create(inbox=inbox, **{made!r}).pk)"
        )
        return int(self.manage("shell", "--no-imports", "-c", code).split()[-1])

    def wait_until(self, condition: Callable[[], Any], seconds: float = 20) -> None:
        wait_until(condition, seconds)

    async def until(self, condition: Callable[[], Any], seconds: float = 20) -> None:
        """As `wait_until`, while other coroutines go on."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not true after {seconds} s"
            await asyncio.sleep(0.05)


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Return once `condition` is true. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        time.sleep(0.05)


@contextlib.contextmanager
def data_folder(prefix: str = "helpdesk-stack-") -> Iterator[Path]:
    """A temporary folder that an engine under root may enter; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Start it, and stop it whatever happens."""
    try:
        stack.start()
        yield stack
    finally:
        if stack.process and stack.process.poll() is None:
            try:
                stack.stop()
            except subprocess.TimeoutExpired:
                stack.process.kill()  # its children follow it
                stack.process.wait()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The product with its demo shop, started once and shared by all tests that ask for it."""
    with data_folder() as folder, running(Stack(folder)) as up:
        yield up
