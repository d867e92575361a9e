"""A large file passes through the web process and does not stay in it."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from tests.stack import Stack
from tests.test_files_killed import MEGABYTE, Uploader, uploader

__all__ = ["uploader"]
pytestmark = pytest.mark.stack

LARGE_BYTES = 200 * MEGABYTE
GROWTH_MAX_BYTES = 60 * MEGABYTE


@contextmanager
def growing_little(stack: Stack) -> Iterator[None]:
    """The web process grows by at most GROWTH_MAX_BYTES while something happens."""
    process = psutil.Process(stack.pid("web"))
    before = highest = process.memory_info().rss
    ended = threading.Event()

    def look() -> None:
        nonlocal highest
        while not ended.wait(0.01):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert highest - before < GROWTH_MAX_BYTES, f"{(highest - before) // MEGABYTE} MB"


def test_a_large_file_goes_up_and_down_without_filling_the_web_process(
    stack: Stack, uploader: Uploader
) -> None:
    content = os.urandom(LARGE_BYTES)
    with growing_little(stack):
        upload = uploader.send(uploader.begin(LARGE_BYTES), content)
    assert uploader.ended(upload)["state"] == "ready"
    number = stack.row(
        "SELECT max(number) FROM tickets_ticket t JOIN tickets_inbox i "
        "ON i.id = t.inbox_id WHERE i.id = %s",
        uploader.inbox,
    )[0]
    posted = uploader.http.post(
        f"/tickets/{number}/note/",
        data={"body": "", "client_token": upload["id"], "file": upload["id"]},
        headers={"X-CSRFToken": uploader.csrf, "HX-Request": "true"},
    )
    assert posted.status_code == 204
    link = uploader.http.get(f"/files/{upload['id']}/a.bin?download", follow_redirects=False)
    with growing_little(stack):
        got = slowly(stack.base_url, link.headers["Location"])
    assert got == hashlib.sha256(content).hexdigest()


def slowly(base_url: str, path: str) -> str:
    """The sum of what comes, for a browser on a bad line: it takes some, and rests."""
    place = urlsplit(base_url)
    total = hashlib.sha256()
    with socket.create_connection((place.hostname, place.port), timeout=30) as line:
        request = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n"
        line.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(1)
        assert b" 200 OK" in head
        received = 0
        while piece := line.recv(256 * 1024):
            total.update(piece)
            if received // (20 * MEGABYTE) != (received + len(piece)) // (20 * MEGABYTE):
                time.sleep(0.3)
            received += len(piece)
    return total.hexdigest()


def test_who_hangs_up_in_the_middle_leaves_nothing_behind(stack: Stack, uploader: Uploader) -> None:
    place = urlsplit(stack.base_url)
    link = stack.row(
        "SELECT uuid FROM attachments_attachment WHERE claimed_at IS NOT NULL "
        "AND announced_bytes = %s",
        LARGE_BYTES,
    )[0]
    address = uploader.http.get(f"/files/{link}/a.bin?download", follow_redirects=False)
    with growing_little(stack):
        for _ in range(10):
            with socket.create_connection((place.hostname, place.port), timeout=30) as line:
                path = address.headers["Location"]
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
                assert line.recv(1_000)
        time.sleep(1)
    assert uploader.http.get("/healthz").status_code == 200
