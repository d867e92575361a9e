"""Where the bytes lie: a folder by default. `settings.STORAGES["files"]` says which."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import Storage, storages

CHUNK_BYTES = 256 * 1024


def storage() -> Storage:
    return storages["files"]


def put(key: str, content: bytes) -> None:
    """Store bytes under a key that was never used before. Raises OSError if it cannot be done."""
    storage().save(key, File(BytesIO(content)))


def read(key: str, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` up to and without `end`, in pieces of at most CHUNK_BYTES.

    Nothing is open before the first piece is asked for. Raises FileNotFoundError.
    """
    with storage().open(key) as file:
        file.seek(start)
        left = end - start
        while left > 0 and (piece := file.read(min(CHUNK_BYTES, left))):
            left -= len(piece)
            yield piece


def lies(key: str) -> bool:
    """Is anything there?"""
    return storage().exists(key)


def drop(key: str) -> None:
    """Remove what lies there. Where nothing lies, nothing happens."""
    storage().delete(key)


def size(key: str) -> int | None:
    """How many bytes lie there; None where nothing does."""
    return storage().size(key) if lies(key) else None


class WrongOffset(Exception):
    """What lies there has another size than the sender thinks: `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@dataclass(frozen=True, slots=True)
class Form:
    """Where a browser posts a whole file to, and the fields that come before it."""

    url: str
    fields: dict[str, str]


def append(key: str, offset: int, piece: bytes) -> int:
    """Add bytes to what lies there, if that has exactly `offset` bytes. Returns how many it has
    then. Raises WrongOffset."""
    path = Path(storage().path(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = os.fstat(file.fileno()).st_size
        if end != offset:
            raise WrongOffset(end)
        file.write(piece)
    return offset + len(piece)


def upload_form(key: str, size_bytes: int) -> Form | None:
    return None
