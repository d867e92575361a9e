"""Where the bytes lie: a folder by default, or a bucket of any S3 API.

`settings.STORAGES["files"]` says which; nobody else needs to know. What cannot be done raises
StorageAway, an OSError, whichever it is; FileNotFoundError where nothing lies under a key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from helpdesk.lib.errors import StorageAway

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES = 1024 * 1024
LINK_SECONDS = 300
FORM_SECONDS = 3_600
# The most that S3 takes in one form, and copies in one request.
FILE_MAX_BYTES = 5 * 1024**3


class WrongOffset(Exception):
    """What lies there has another size than the sender thinks: `size`, in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@dataclass(frozen=True, slots=True)
class Form:
    """Where a browser posts a whole file (multipart/form-data): these fields first, in any order,
    then the file as `file`."""

    url: str
    fields: dict[str, str]


class Place(Storage, ABC):
    """What a storage must be able to do besides saving and deleting: each as the function of the
    same name below says."""

    @abstractmethod
    def read(self, key: str, start: int, end: int) -> Iterator[bytes]: ...

    @abstractmethod
    def append(self, key: str, offset: int, piece: Iterable[bytes]) -> int: ...

    @abstractmethod
    def move(self, key: str, to: str) -> None: ...

    @abstractmethod
    def upload_form(self, key: str, size_bytes: int) -> Form | None: ...

    @abstractmethod
    def public_url(self, key: str, *, name: str, media_type: str, shown: bool) -> str | None: ...

    @abstractmethod
    def keys(self, prefix: str) -> Iterator[tuple[str, int, datetime]]: ...


def _says_when_away(act: Callable[P, T]) -> Callable[P, T]:
    """What keeps a storage from answering has many names; those above us need one."""

    @wraps(act)
    def said(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return act(*args, **kwargs)
        except FileNotFoundError:
            raise  # it has answered
        except OSError as error:
            raise StorageAway(*error.args) from error

    return said


def storage() -> Place:
    return cast(Place, storages["files"])


@_says_when_away
def put(key: str, content: bytes) -> None:
    """Store bytes under a key that was never used before. Raises OSError if it cannot be done."""
    storage().save(key, ContentFile(content))


def read(key: str, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` up to and without `end`, in pieces of at most CHUNK_BYTES; fewer
    where fewer lie there. Never more than a piece or two is in memory.

    Nothing is open before the first piece is asked for. Raises FileNotFoundError, and StorageAway
    where the storage falls silent on the way.
    """
    try:
        yield from storage().read(key, start, end)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageAway(*error.args) from error


def lies(key: str) -> bool:
    """Is anything there? Raises OSError if the storage does not say."""
    return size(key) is not None


@_says_when_away
def size(key: str) -> int | None:
    """How many bytes lie there; None where nothing does. Raises OSError.

    To be asked after every direct upload: a form says how many bytes it takes, and not every
    S3 API cares.
    """
    try:
        return storage().size(key)
    except FileNotFoundError:
        return None


@_says_when_away
def drop(key: str) -> None:
    """Remove what lies there. Where nothing lies, nothing happens. Raises OSError."""
    storage().delete(key)


@_says_when_away
def append(key: str, offset: int, piece: Iterable[bytes]) -> int:
    """Add bytes to what lies there, if that has exactly `offset` bytes; 0 begins it. Returns how
    many it has then.

    Of two at once one waits. Whoever is killed in the middle leaves a beginning of the piece:
    ask for the size, and go on from there. Raises WrongOffset, OSError, and Refused where files
    arrive by `upload_form`.
    """
    return storage().append(key, offset, piece)


@_says_when_away
def move(key: str, to: str) -> None:
    """Let what lies there lie under another key; at most FILE_MAX_BYTES.

    What lies under the other key already stays as it is, and what lies here is dropped: a second
    call after a crash changes nothing. Raises FileNotFoundError where nothing lies under either,
    and OSError.
    """
    storage().move(key, to)


@_says_when_away
def upload_form(key: str, size_bytes: int) -> Form | None:
    """The form by which a browser sends exactly `size_bytes`, at most FILE_MAX_BYTES, straight to
    the storage; good for FORM_SECONDS and as often as one likes. None where files arrive in
    pieces, by `append`. Asks nobody; raises OSError without a key to sign with."""
    return storage().upload_form(key, size_bytes)


@_says_when_away
def public_url(key: str, *, name: str, media_type: str, shown: bool) -> str | None:
    """Where a browser gets the bytes from the storage itself, for LINK_SECONDS. None where we
    hand them out.

    They come as `name`; under their own type only if they are `shown`, else to be saved. Asks
    nobody, not even whether anything lies there; raises OSError without a key to sign with.
    """
    return storage().public_url(key, name=name, media_type=media_type, shown=shown)


def keys(prefix: str) -> Iterator[tuple[str, int, datetime]]:
    """Everything that lies under keys that begin so: the key, its size in bytes, and when it was
    last written. In no order, one page or folder at a time; what comes or goes meanwhile may be
    among it or not. Raises OSError."""
    return storage().keys(prefix)
