"""Asking ClamAV's clamd about a file, by its command INSTREAM (clamd(8)).

A client of our own: the one on PyPI rests since 2014, connects without a timeout, and loses
clamd's answer to a file that is too large.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings

from helpdesk.lib.errors import TemporaryFailure

CONNECT_SECONDS = 5
# Between two signs of life. By itself clamd gives up on a file after 120 s (MaxScanTime).
SILENCE_SECONDS = 150
ANSWER_MAX_BYTES = 4_096
LENGTH = struct.Struct(">I")
FOUND = re.compile(r"stream: (.+) FOUND")


# With AlertExceedsMax in its clamd.conf it says so of what it did not look at to the end; without,
# it calls that clean.
NOT_LOOKED_AT = "Heuristics.Limits.Exceeded"


class TooLargeToScan(Exception):
    """The file, or what is packed in it, is more than clamd looks at (StreamMaxLength, MaxFileSize
    and others in its clamd.conf). It will not help to ask again."""


def scan(pieces: Iterable[bytes]) -> str:
    """The name of the virus in a file, or the empty text if clamd knows none in it.

    The file goes to the clamd at CLAMD_URL piece by piece. To be called outside any transaction.
    Raises TooLargeToScan; TemporaryFailure if clamd cannot be reached, is silent for
    SILENCE_SECONDS or fails; and whatever `pieces` raises.
    """
    with _connected() as clamd:
        if _sent(clamd, b"zINSTREAM\0"):
            for piece in filter(None, pieces):  # an empty one would say that this is the end
                if not _sent(clamd, LENGTH.pack(len(piece)) + piece):
                    break
            else:
                _sent(clamd, LENGTH.pack(0))
        answer = _answer(clamd)
    if answer == "stream: OK":
        return ""
    if "size limit exceeded" in answer or NOT_LOOKED_AT in answer:
        raise TooLargeToScan(answer)
    if found := FOUND.fullmatch(answer):
        return found[1]
    raise TemporaryFailure(f"clamd answers: {answer or 'nothing'}")


def version() -> str:
    """Who answers at CLAMD_URL, as they say it: "ClamAV 1.4.2/27500/Mon Jan 6 09:38:00 2025".
    The second number and the date are of the signatures. Raises TemporaryFailure."""
    with _connected() as clamd:
        clamd.settimeout(CONNECT_SECONDS)
        _sent(clamd, b"zVERSION\0")
        return _answer(clamd)


def _connected() -> socket.socket:
    address = urlsplit(settings.CLAMD_URL)
    try:
        if address.scheme == "tcp":
            place = (address.hostname, address.port)
            clamd = socket.create_connection(place, timeout=CONNECT_SECONDS)
        else:
            clamd = _at_socket(address.path)
    except OSError as error:
        raise TemporaryFailure(f"clamd cannot be reached: {error}") from error
    clamd.settimeout(SILENCE_SECONDS)
    return clamd


def _at_socket(path: str) -> socket.socket:
    clamd = socket.socket(socket.AF_UNIX)
    try:
        clamd.settimeout(CONNECT_SECONDS)
        clamd.connect(path)
    except OSError:
        clamd.close()
        raise
    return clamd


def _sent(clamd: socket.socket, content: bytes) -> bool:
    """False if clamd has hung up, which it does as soon as it has seen enough: it has answered."""
    try:
        clamd.sendall(content)
    except (BrokenPipeError, ConnectionResetError):
        return False
    except OSError as error:
        raise TemporaryFailure(f"clamd takes nothing more: {error}") from error
    return True


def _answer(clamd: socket.socket) -> str:
    answer = b""
    try:
        while not answer.endswith(b"\0") and len(answer) < ANSWER_MAX_BYTES:
            if not (piece := clamd.recv(ANSWER_MAX_BYTES)):
                break
            answer += piece
    except OSError as error:
        raise TemporaryFailure(f"clamd does not answer: {error}") from error
    return answer.decode(errors="replace").strip("\0\n ")
