"""Where the bytes lie: a folder by default. `settings.STORAGES["files"]` says which."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

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
