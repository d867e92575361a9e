"""Is it there? What is asked of a PostgreSQL, a Redis and a port before we rely on them."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

import psycopg
import redis

from helpdesk.stack.mend import CannotStart

TIMEOUT_SECONDS = 2
LOOPBACK = "127.0.0.1"


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


def check_port(port: int) -> None:
    """Raise CannotStart if something listens on `port` or we may not."""
    try:
        _bind(port)
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
            _bind(port)
            return port
    raise CannotStart(f"No free port on {LOOPBACK} between {min(ports)} and {max(ports)}.")


def _bind(port: int) -> None:
    with socket.socket() as probe:
        # As servers do, so that connections that have just ended are not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
