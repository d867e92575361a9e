"""Asking a real clamd, and ones that do not behave."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from attachments import scan as client
from attachments.scan import TooLargeToScan, scan
from helpdesk.lib.errors import TemporaryFailure
from tests.fakes.clamd import EICAR, FILE_MAX_BYTES, STREAM_MAX_BYTES, VIRUS, Clamd

MEGABYTE = bytes(1024 * 1024)


@pytest.fixture(params=["url", "tcp_url"])
def asked(request: pytest.FixtureRequest, settings: Settings, scanner: Clamd) -> None:
    """clamd, at its socket and at its port."""
    settings.CLAMD_URL = getattr(scanner, request.param)


@pytest.mark.usefixtures("asked")
def test_what_is_clean_has_no_name() -> None:
    assert scan([b"Dear all,", b"", b" see below."]) == ""
    assert scan([]) == ""


@pytest.mark.usefixtures("asked")
def test_a_virus_is_named_wherever_the_pieces_are_cut() -> None:
    assert scan([EICAR]) == VIRUS
    assert scan([EICAR[:20], b"", EICAR[20:]]) == VIRUS
    assert scan(bytes([one]) for one in EICAR) == VIRUS
    assert scan([EICAR[:-1]]) == ""


@pytest.mark.usefixtures("asked")
def test_what_clamd_does_not_take_is_no_reason_to_ask_again() -> None:
    too_many = STREAM_MAX_BYTES // len(MEGABYTE) + 1
    with pytest.raises(TooLargeToScan, match="size limit exceeded"):
        scan([MEGABYTE] * too_many)
    with pytest.raises(TooLargeToScan):
        scan([MEGABYTE] * too_many * 4)
    assert scan([EICAR]) == VIRUS  # and it still answers


@pytest.mark.usefixtures("asked")
def test_what_clamd_did_not_look_at_is_not_clean() -> None:
    with pytest.raises(TooLargeToScan, match="Exceeded"):
        scan([EICAR, *[MEGABYTE] * (FILE_MAX_BYTES // len(MEGABYTE))])


@pytest.mark.usefixtures("asked")
def test_a_large_file_never_lies_in_our_memory() -> None:
    tracemalloc.start()
    try:
        assert scan(bytes(1024 * 1024) for _ in range(25)) == ""
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(MEGABYTE)


@pytest.mark.usefixtures("asked")
def test_a_file_that_cannot_be_read_is_no_fault_of_clamd() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"the beginning"
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        scan(pieces())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "unix:/nowhere/clamd.sock"])
def test_no_clamd_is_a_reason_to_come_back(settings: Settings, address: str) -> None:
    settings.CLAMD_URL = address
    with pytest.raises(TemporaryFailure, match="cannot be reached"):
        scan([b"x"])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "does not answer"),
        (b"", "answers: nothing"),
        (b"COMMAND READ TIMED OUT\0", "READ TIMED OUT"),
        (b"stream: Can't allocate memory ERROR\0", "allocate memory"),
        (b"stream: OK, perhaps\0", "OK, perhaps"),
    ],
)
def test_a_clamd_that_fails_is_a_reason_to_come_back(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
    said: str,
) -> None:
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.2)
    settings.CLAMD_URL = f"unix:{tmp_path}/socket"
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "socket"))
        door.listen()

        def answer_once() -> None:
            line, _ = door.accept()
            with line:
                heard = b""
                # To the end: what is left unread when a line closes resets it.
                while not heard.endswith(bytes(4)):
                    heard += line.recv(1024)
                if answer is None:
                    done.wait(5)
                else:
                    line.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        try:
            with pytest.raises(TemporaryFailure, match=said):
                scan([b"x"])
        finally:
            done.set()
            thread.join()
