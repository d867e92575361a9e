"""Files in a folder of this machine, or in one that several machines see."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from attachments.storage import CHUNK_BYTES, Form, Place, WrongOffset


class Folder(Place, FileSystemStorage):
    """Nothing in it has an address: attachments.views hands every byte out."""

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        with Path(self.path(key)).open("rb") as file:
            file.seek(start)
            left = end - start
            while left > 0 and (piece := file.read(min(CHUNK_BYTES, left))):
                left -= len(piece)
                yield piece

    def append(self, key: str, offset: int, piece: Iterable[bytes]) -> int:
        path = Path(self.path(key))
        if offset == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Only the first piece makes the file: one that comes late leaves none behind.
            file = path.open("ab" if offset == 0 else "r+b", buffering=0)
        except FileNotFoundError as error:
            raise WrongOffset(0) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # whoever dies lets go of it
            end = os.fstat(file.fileno()).st_size
            if end != offset:
                raise WrongOffset(end)
            file.seek(end)
            for part in piece:
                left = memoryview(part)
                while left:
                    left = left[file.write(left) :]
            return file.tell()

    def move(self, key: str, to: str) -> None:
        target = Path(self.path(to))
        if target.exists():
            self.delete(key)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(self.path(key)).replace(target)

    def upload_form(self, key: str, size_bytes: int) -> Form | None:
        return None

    def public_url(self, key: str, *, name: str, media_type: str, shown: bool) -> str | None:
        return None

    def keys(self, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        return self._keys_in(prefix.rpartition("/")[0], prefix)

    def _keys_in(self, folder: str, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        try:
            entries = os.scandir(self.path(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                key = f"{folder}/{entry.name}" if folder else entry.name
                if not key.startswith(prefix):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._keys_in(key, prefix)
                    continue
                try:
                    stat = entry.stat()
                except FileNotFoundError:  # dropped since the folder was read
                    continue
                yield key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)
