"""An S3 API of its own: moto as a server, a process that is reached over HTTP like any other.

It knows every key and secret, and looks at no signature, no expiry and no size in a form.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from tests.fakes.imap import free_port

START_SECONDS = 60


@contextmanager
def s3_server() -> Iterator[str]:
    """The server, up and answering: its endpoint. It is gone, with its buckets, afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def new_bucket(endpoint: str) -> dict[str, str]:
    """A bucket with nothing in it: the variables that lead to it."""
    name = f"files-{uuid4().hex[:12]}"
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=10)
    connection.request("PUT", f"/{name}")
    assert connection.getresponse().status == http.HTTPStatus.OK
    connection.close()
    return {
        "S3_BUCKET": name,
        "S3_ENDPOINT_URL": endpoint,
        "S3_ACCESS_KEY": "helpdesk",
        "S3_SECRET_KEY": "only-for-tests",
    }


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    stop_at = time.monotonic() + START_SECONDS
    while time.monotonic() < stop_at and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/moto-api/")
            connection.getresponse()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("moto did not start.")
