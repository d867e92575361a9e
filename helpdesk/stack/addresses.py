"""Is it there? What is asked of a PostgreSQL, a Redis and a port before we rely on them."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

import psycopg
import redis

from helpdesk.stack.mend import CannotStart

TIMEOUT_SECONDS = 2
LOOPBACK = "127.0.0.1"
WAITING_MAX = 1_024  # connections that no web process has taken yet


def place(url: str) -> str:
    """Where `url` points to, without the user and the password that it may hold."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[-1]
    port = f":{parts.port}" if parts.port else ""
    return folder or f"{parts.hostname or 'localhost'}{port}"


def postgres_fault(url: str) -> str:
    """Why the database at `url` cannot be used now, in one line; empty if it can."""
    try:
        psycopg.connect(url, connect_timeout=TIMEOUT_SECONDS).close()
    except psycopg.Error as error:
        return _last_line(error)
    return ""


def redis_fault(url: str) -> str:
    """Why the Redis at `url` cannot be used now, in one line; empty if it can."""
    client = redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )
    with contextlib.closing(client):
        try:
            client.ping()
        except redis.RedisError as error:
            return _last_line(error)
    return ""


def web_fault(port: int, site_url: str) -> str:
    """Why the web process on `port` cannot serve `site_url` now; empty if it can."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_SECONDS)
    try:
        # It answers to the names of the site only.
        connection.request("GET", "/healthz", headers={"Host": urlsplit(site_url).netloc})
        answer = connection.getresponse()
        return "" if answer.status == http.HTTPStatus.OK else answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return _last_line(error)
    finally:
        connection.close()


def take_port(port: int) -> socket.socket:
    """A socket on `port` that does not listen yet.

    Raises CannotStart if something listens there or we may not.
    """
    with _explained(port):
        return _bind(port)


def open_port(taken: socket.socket) -> None:
    """Listen on a port that was taken: who comes from now on waits until somebody serves them.

    Raises CannotStart if somebody else has taken it too, and was faster.
    """
    with _explained(taken.getsockname()[1]):
        taken.listen(WAITING_MAX)


@contextlib.contextmanager
def _explained(port: int) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise CannotStart(f"Only root may listen on port {port}: choose PORT=8000.") from error
    except OSError as error:
        raise CannotStart(
            f"Port {port} is taken: stop what listens there, or choose another: PORT={port + 1}."
        ) from error


def free_port(ports: Iterable[int]) -> int:
    """One of `ports` that nobody listens on at this moment, by chance.

    Raises CannotStart if there is none.
    """
    candidates = list(ports)
    random.shuffle(candidates)
    for port in candidates:
        with contextlib.suppress(OSError):
            _bind(port).close()
            return port
    raise CannotStart(f"No free port on {LOOPBACK} between {min(ports)} and {max(ports)}.")


def _bind(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        # As servers do, so that connections that have just ended are not in the way.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
