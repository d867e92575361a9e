"""The processes of the helpdesk: what `make run` starts, and each container runs one of."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from helpdesk.stack.addresses import LOOPBACK
from helpdesk.stack.children import Service
from helpdesk.stack.kept import BASE_DIR

CELERY = ("-m", "celery", "-A", "helpdesk")
WORKER_THREADS = 8
# A browser that answers no more, because its machine sleeps or is gone, is missed in 37 seconds.
PINGS = ("--ping-interval", "15", "--ping-timeout", "20")
DAPHNE = ("-v", "0", *PINGS)
APPLICATION = "helpdesk.asgi:application"
WEBS = ("web", "web-2")


def web(folder: Path, environ: Mapping[str, str], port: int) -> Service:
    """Pages, the API and the sockets, on `port`."""
    where = ("-b", LOOPBACK, "-p", str(port))
    return _python("web", "web", folder, environ, "-m", "daphne", *DAPHNE, *where, APPLICATION)


def webs(
    folder: Path, environ: Mapping[str, str], listening: socket.socket | None = None
) -> list[Service]:
    """The same, on a socket that listens already: one that serves, and one that is ready to. The
    number of the one that serves is in `serving(folder)`. Without a socket they can be ended, not
    started."""
    fds = (listening.fileno(),) if listening else ()
    where = ("--fd", str(listening.fileno())) if listening else ()
    serve = ("-m", "helpdesk.stack.serve", str(serving(folder)))
    arguments = (*serve, *DAPHNE, *where, APPLICATION)
    services = [_python(name, "web", folder, environ, *arguments) for name in WEBS]
    return [replace(service, fds=fds, log_name="web") for service in services]


def serving(folder: Path) -> Path:
    """The pid file of the web process that serves."""
    return folder / "run" / "serving.pid"


def worker(folder: Path, environ: Mapping[str, str]) -> Service:
    """What happens after a commit: mail in and out, answers."""
    threads = ("--pool=threads", f"--concurrency={WORKER_THREADS}")
    alone = ("--without-gossip", "--without-mingle")  # workers need not know of each other
    return _python("worker", "worker", folder, environ, *CELERY, "worker", *threads, *alone)


def beat(folder: Path, environ: Mapping[str, str]) -> Service:
    """The clock. It remembers nothing: every line of the schedule is an interval."""
    forgetful = ("--scheduler=celery.beat:Scheduler", "--pidfile=")
    return _python("beat", "worker", folder, environ, *CELERY, "beat", *forgetful)


def mail(folder: Path, environ: Mapping[str, str]) -> Service:
    """Listens to IMAP mailboxes, and rings for those that mail has come to."""
    return _python("mail", "command", folder, environ, "manage.py", "watch_mail")


def lmtp(folder: Path, environ: Mapping[str, str]) -> Service:
    """Takes mail from a mail server on this machine."""
    return _python("lmtp", "command", folder, environ, "manage.py", "receive_mail")


def command(name: str, folder: Path, environ: Mapping[str, str], *arguments: str) -> Service:
    """A management command that runs once."""
    return _python(name, "command", folder, environ, "manage.py", name, *arguments)


def _python(
    name: str, role: str, folder: Path, environ: Mapping[str, str], *arguments: str
) -> Service:
    return Service(
        name=name,
        argv=(sys.executable, *arguments),
        folder=folder,
        environ={**environ, "ROLE": role, "PYTHONUNBUFFERED": "1"},
        cwd=BASE_DIR,
    )
