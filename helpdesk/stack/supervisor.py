"""`make run`: engines, schema, web, worker, beat, mail and demo, from start to stop.

All in one thread: on Linux a child learns of the death of the thread that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from helpdesk.env import yes_no
from helpdesk.stack import processes
from helpdesk.stack.addresses import (
    open_port,
    place,
    postgres_fault,
    redis_fault,
    take_port,
    web_fault,
)
from helpdesk.stack.children import POLL_SECONDS, Child, Service, end_leftover, stop
from helpdesk.stack.engines import Postgres, Redis, start
from helpdesk.stack.keeper import Keeper, LogWatch
from helpdesk.stack.kept import SECRET_KEY_BYTES, read_kept, write_kept
from helpdesk.stack.mend import CannotStart

LOOK_SECONDS = 0.5  # between two looks at the logs; a death is noticed at once
RETRY_SECONDS = 1.0  # between two looks at a server that somebody else runs
WEB_READY_SECONDS = 60.0
KEPT_ALWAYS = ("SECRET_KEY",)
KEPT_WHILE_UP = (*KEPT_ALWAYS, "DEMO", "SITE_URL", "DATABASE_URL", "REDIS_URL")


class AskedToStop(Exception):
    """Ctrl-C, SIGTERM, or the terminal is gone."""


class Supervisor:
    """Runs the helpdesk on `folder`. `environ` is what the operator gave, nothing kept."""

    def __init__(
        self, folder: Path, port: int, environ: Mapping[str, str], write: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._port = port
        self._write = write
        given = {name: value for name, value in environ.items() if value}
        ours = {"DJANGO_SETTINGS_MODULE": "helpdesk.settings", "HELPDESK_DATA": str(folder)}
        self._environ = {"SITE_URL": f"http://localhost:{port}", **given, **ours}
        self._engines: list[Keeper] = []
        self._processes: list[Keeper] = []
        self._logs: list[tuple[str, LogWatch]] = []
        self._asked_to_stop = False
        self._door: socket.socket | None = None  # what the web process listens on

    def run(self) -> None:
        """Run until somebody asks us to stop; then stop everything and return.

        Raises CannotStart if something is missing or in the way, once everything that had
        started is stopped again.
        """
        try:
            # Others may pass through, as the engines must under root, but not look around.
            self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            with only_one(self._folder, self._environ["SITE_URL"]), self._signals():
                self._run()
        except (FileExistsError, NotADirectoryError) as error:
            raise CannotStart(
                f"{error.filename or self._folder} is no folder: set HELPDESK_DATA to one."
            ) from error
        except PermissionError as error:
            raise CannotStart(
                f"{error.filename or self._folder} is somebody else's:"
                f" sudo chown -R $(id -u) {self._folder}, or set HELPDESK_DATA to another folder."
            ) from error

    def _run(self) -> None:
        try:
            self._begin()
            while True:
                self._tend()
        except AskedToStop:
            self._say("up", "stopping")
        finally:
            self._end()

    def _begin(self) -> None:
        for service in self._services():
            end_leftover(service, self._pause)
        self._door = take_port(self._port)
        self._settle(self._find_engines())
        self._migrate()
        # Ours and not the web process's: while it starts again, who comes waits and is not refused.
        open_port(self._door)
        services = self._services()
        for log in dict.fromkeys(service.log for service in services):
            self._logs.append((log.stem, LogWatch(log)))
        self._processes = [Keeper(Child(service), self._say) for service in services]
        said = [f"The helpdesk is up: {self._environ['SITE_URL']}/   (Ctrl-C stops it)"]
        if yes_no(self._environ["DEMO"]):
            self._once(said.append, "demo")
        self._await_web()
        self._write("\n".join(said))

    def _find_engines(self) -> dict[str, str]:
        """Wait for the servers the operator named and start the others; their addresses."""
        embedded: dict[str, str] = {}
        needed: tuple[tuple[str, Callable[[str], str], type[Postgres] | type[Redis]], ...] = (
            ("DATABASE_URL", postgres_fault, Postgres),
            ("REDIS_URL", redis_fault, Redis),
        )
        for variable, fault, make in needed:
            if url := self._environ.get(variable):
                self._await_server(url, fault)
            else:
                engine = make(self._folder)
                child = start(engine, self._pause)
                self._engines.append(Keeper(child, self._say))
                embedded[variable] = engine.url
        return embedded

    def _await_server(self, url: str, fault: Callable[[str], str]) -> None:
        if reason := fault(url):
            self._say("up", f"waiting for {place(url)}: {reason}")
        while reason:
            self._pause(RETRY_SECONDS)
            reason = fault(url)

    def _settle(self, embedded: Mapping[str, str]) -> None:
        """What all processes must agree on; kept for commands in other terminals.

        With a database of the operator's own, everything is the operator's to say.
        """
        if "DATABASE_URL" not in embedded:
            self._environ = {"DEMO": "no", **self._environ, **embedded}
            return
        secret_key = read_kept(self._folder).get("SECRET_KEY") or new_secret_key()
        made = {"SECRET_KEY": secret_key, "DEMO": "yes"}
        self._environ = {**made, **self._environ, **embedded}
        write_kept(self._folder, {name: self._environ[name] for name in KEPT_WHILE_UP})

    def _migrate(self) -> None:
        def hear(line: str) -> None:
            name, found, rest = line.partition("migrate: ")
            if found and not name:  # whom it waits for
                self._say("migrate", rest)

        migrate = self._once(hear, "migrate", "--verbosity=0")
        if migrate.exit_code != 0:
            log = migrate.service.log
            raise CannotStart(f"migrate failed: {migrate.last_words(1)}\nAll it said is in {log}.")

    def _services(self) -> list[Service]:
        services = [
            *processes.webs(self._folder, self._environ, self._door),
            processes.worker(self._folder, self._environ),
            processes.beat(self._folder, self._environ),
            processes.mail(self._folder, self._environ),
        ]
        if self._environ.get("LMTP_LISTEN"):
            services.append(processes.lmtp(self._folder, self._environ))
        return services

    def _once(self, hear: Callable[[str], None], name: str, *arguments: str) -> Child:
        """Run a management command to its end, beside all the rest. `hear` gets its lines."""
        child = Child(processes.command(name, self._folder, self._environ, *arguments))
        log = LogWatch(child.service.log)
        end_leftover(child.service, self._pause)
        child.start()
        running = True
        try:
            while running:
                running = child.running  # asked first, so that the last lines are read as well
                for line in log.added():
                    hear(line)
                if running:
                    self._tend()
        finally:
            stop(child)
        return child

    def _await_web(self) -> None:
        deadline = time.monotonic() + WEB_READY_SECONDS
        while web_fault(self._port, self._environ["SITE_URL"]):
            self._tend()
            if time.monotonic() > deadline:
                self._say("web", f"does not answer; its log is {self._folder}/log/web.log")
                return

    def _tend(self) -> None:
        """Look after every child once, and rest until the next look or the next death."""
        waiting = [keeper.tend() for keeper in (*self._engines, *self._processes)]
        for name, log in self._logs:
            for line in log.alarms():
                self._say(name, line)
        self._pause(POLL_SECONDS if any(waiting) else LOOK_SECONDS)

    def _end(self) -> None:
        """Stop what serves people first and what it stands on last."""
        stop(*(keeper.child for keeper in self._processes))
        stop(*(keeper.child for keeper in self._engines))
        if self._door:
            self._door.close()
        kept = read_kept(self._folder).items()
        if kept:
            write_kept(self._folder, dict(pair for pair in kept if pair[0] in KEPT_ALWAYS))

    def _say(self, name: str, line: str) -> None:
        self._write(f"{name:>8} | {line}")

    def _pause(self, seconds: float) -> None:
        """Sleep, at most until a signal comes. Raises AskedToStop if it was for us."""
        select.select([self._wakeup], [], [], 0 if self._asked_to_stop else seconds)
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4_096)
        if self._asked_to_stop:
            raise AskedToStop

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Let signals interrupt `_pause` and nothing else."""

        def ask_to_stop(*_: object) -> None:
            self._asked_to_stop = True

        self._wakeup, writer = socket.socketpair()
        with self._wakeup, writer:
            self._wakeup.setblocking(False)
            writer.setblocking(False)
            signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            for ending in (signal.SIGINT, signal.SIGTERM):
                signal.signal(ending, ask_to_stop)
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
                signal.signal(signal.SIGHUP, ask_to_stop)
            try:
                yield
            finally:
                signal.set_wakeup_fd(-1)


@contextlib.contextmanager
def only_one(folder: Path, site: str) -> Iterator[None]:
    """Hold the data folder. Raises CannotStart if another supervisor holds it."""
    path = folder / "run" / "up.pid"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise CannotStart(f"The helpdesk runs already on {folder}: {file.read()}") from error
        file.truncate(0)
        file.write(f"{site}/ (process {os.getpid()})")
        file.flush()
        yield


def new_secret_key() -> str:
    return secrets.token_urlsafe(SECRET_KEY_BYTES)
