"""Processes of ours: started so that they cannot outlive us, stopped in order.

Each child inherits a lock on its pid file. As long as the file is locked, the process named in
it, or one that it forked, is alive: so the next start finds what a killed supervisor has left
behind without guessing from process numbers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from helpdesk.stack.privileges import Owner, lowered

LOG_MAX_BYTES = 10_000_000  # beyond it, the next start moves the log aside
POLL_SECONDS = 0.02
PR_SET_PDEATHSIG = 1  # prctl(2)


class StillRunning(Exception):
    """A process of an earlier run, or a process that it forked, has not ended yet."""


@dataclass(frozen=True, slots=True)
class Service:
    """What to run, and how to end it."""

    name: str
    argv: tuple[str, ...]
    folder: Path  # the data folder; the pid file and the log go below it
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    stdin: str = ""
    owner: Owner | None = None  # whom to become; None: stay who we are
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)  # SIGKILL comes after the last
    grace_seconds: float = 5.0  # between one signal and the next
    orphan_signal: signal.Signals = signal.SIGKILL  # on Linux, when we die
    fds: tuple[int, ...] = ()  # open files of ours that it gets under the same numbers
    prepare: Callable[[], None] = lambda: None  # before every start, when none of it is running
    log_name: str = ""  # empty: as its own name

    @property
    def log(self) -> Path:
        return self.folder / "log" / f"{self.log_name or self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "run" / f"{self.name}.pid"


class Child:
    """One process of a service, and after it has died the next one."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._process: subprocess.Popen[bytes] | None = None
        self._signals: list[signal.Signals] = []
        self._press_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or has never run; minus the signal's number if one killed it."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process. Raises StillRunning while one of an earlier run is alive."""
        service = self.service
        for file in (service.pid_file, service.log):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _move_aside(service.log)
        lock = os.open(service.pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not locked(lock):
                raise StillRunning(service.name)
            service.prepare()
            self._process = self._spawn(lock)
            # In one piece and always as long, so that no reader finds half a number.
            os.pwrite(lock, f"{self._process.pid:<10}\n".encode(), 0)
        finally:
            os.close(lock)

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        service = self.service
        argv, identity = lowered(service.argv, service.owner, service.orphan_signal)
        stdin = _pipe_with(service.stdin)
        try:
            with service.log.open("ab") as log:
                return subprocess.Popen(  # noqa: S603 - our own command lines only
                    argv,
                    env=dict(service.environ),
                    cwd=service.cwd,
                    stdin=stdin,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the supervisor alone
                    pass_fds=(lock, *service.fds),
                    preexec_fn=_die_with_us(service.orphan_signal),
                    **identity,
                )
        finally:
            os.close(stdin)

    def ask_to_stop(self) -> None:
        """Send the first stop signal; `press` sends the others when their time has come."""
        self._signals = [*self.service.stop_signals, signal.SIGKILL]
        self._press_at = 0.0
        self.press()

    def press(self) -> None:
        if self._process and self._signals and time.monotonic() >= self._press_at:
            self._process.send_signal(self._signals.pop(0))
            self._press_at = time.monotonic() + self.service.grace_seconds

    def last_words(self, lines: int = 3) -> str:
        """The end of its log, for a message about its death."""
        try:
            with self.service.log.open("rb") as log:
                log.seek(max(0, self.service.log.stat().st_size - 4_096))
                words = log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return "\n".join([word for word in words if word.strip()][-lines:])


def stop(*children: Child) -> None:
    """Stop them all at the same time and return when the last has ended."""
    for child in children:
        child.ask_to_stop()
    while any(child.running for child in children):
        for child in children:
            child.press()
        time.sleep(POLL_SECONDS)


def end_leftover(service: Service, sleep: Callable[[float], None] = time.sleep) -> None:
    """End what a killed supervisor has left of this service, and return when it is gone.

    On Linux the leftover has had its signal already and needs only time.
    """
    signals = iter([*service.stop_signals, signal.SIGKILL])
    press_at = time.monotonic()
    while pid := leftover(service):
        if time.monotonic() >= press_at:
            with contextlib.suppress(ProcessLookupError):  # what it forked is about to end
                os.kill(pid, next(signals, signal.SIGKILL))
            press_at = time.monotonic() + service.grace_seconds
        sleep(POLL_SECONDS)


def leftover(service: Service) -> int | None:
    """The process number of an earlier run that is still alive, or None."""
    try:
        with service.pid_file.open("rb") as lock:
            return None if locked(lock.fileno()) else int(lock.read() or b"0") or None
    except FileNotFoundError:
        return None


def locked(lock: int) -> bool:
    """Whether we have locked the open file just now; False if another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _move_aside(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _pipe_with(text: str) -> int:
    """A pipe that holds `text`, at most the 16 KiB that every system keeps in one, and ends."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    return read


def _die_with_us(with_signal: signal.Signals) -> Callable[[], None] | None:
    """What the new process does before anything else: ask to be told when we die (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
        if os.getppid() != parent:  # we died before it could ask
            os._exit(1)

    return ask
