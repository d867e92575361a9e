"""What we write to websockets ourselves, in a web server as it runs."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from helpdesk.stack.addresses import free_port

SIZES = (1, 125, 126, 65_535, 65_536, 300_000)
ECHO = """
from helpdesk.prompt import write_at_once

write_at_once()

async def application(scope, receive, send):
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            for _ in range(3):
                await send({"type": "websocket.send", "text": message["text"]})
"""
PING_SECONDS = 1
PING = b"\x89"  # RFC 6455, 5.2
UPGRADE = (
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "echo.py").write_text(ECHO)
    port = free_port(range(15_000, 32_000))
    command = [sys.executable, "-m", "daphne", "-v", "0", "-p", str(port), "echo:application"]
    command[3:3] = ["--ping-interval", str(PING_SECONDS), "--ping-timeout", "20"]
    places = os.pathsep.join([str(folder), str(Path.cwd())])
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": places}) as server:
        try:
            _wait_for(port)
            yield f"ws://127.0.0.1:{port}/"
        finally:
            server.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("letter", ["a", "é"])
def test_texts_of_every_size_arrive_in_order(address: str, size: int, letter: str) -> None:
    with connect(address, max_size=None) as browser:
        for text in (letter * size, "and another"):
            browser.send(text)
            assert [browser.recv(10) for _ in range(3)] == [text] * 3


def test_who_reads_slowly_loses_nothing(address: str) -> None:
    text = "x" * 300_000
    with connect(address, max_size=None, max_queue=1) as browser:
        for _ in range(10):
            browser.send(text)
        time.sleep(1)  # more is under way than fits in between
        assert [browser.recv(10) for _ in range(30)] == [text] * 30


def test_pings_are_spread_over_time(address: str) -> None:
    with ExitStack() as stack:
        browsers = [stack.enter_context(_upgraded(address)) for _ in range(20)]
        pinged: dict[socket.socket, float] = {}
        while len(pinged) < len(browsers):
            ready, _, _ = select.select([one for one in browsers if one not in pinged], [], [], 20)
            assert ready
            for one in ready:
                assert one.recv(1) == PING
                pinged[one] = time.monotonic()
    assert max(pinged.values()) - min(pinged.values()) > 0.5


def _upgraded(address: str) -> socket.socket:
    """A browser that answers nothing."""
    place = urlsplit(address)
    line = socket.create_connection((place.hostname, place.port), timeout=10)
    line.sendall(UPGRADE.encode())
    while b"\r\n\r\n" not in (said := line.recv(4_096)):
        assert said
    return line
