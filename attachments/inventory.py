"""What the rows say lies in the storage, against what does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils.timezone import now

from attachments import storage
from attachments.models import UPLOADS, Attachment, Blob, kept_key
from attachments.operations import UNUSED_HOURS


@dataclass(frozen=True, slots=True)
class Inventory:
    """`lost` says which rows have no bytes, `strays` are the keys of bytes that no row names, and
    `count` is how many keys the rows name."""

    count: int
    lost: list[str]
    strays: list[str]


def take() -> Inventory:
    """Compare all of it. Bytes younger than UNUSED_HOURS may still get their row.

    Everybody may go on meanwhile: what looks wrong is looked at again. Keeps all keys in memory,
    about 200 MB for a million files. Raises OSError if the storage does not say what it has.
    """
    named = dict(_named())  # first: bytes come before their rows
    lying = {key: written_at for key, _size_bytes, written_at in storage.keys("")}
    since = now() - timedelta(hours=UNUSED_HOURS)
    missing = named.keys() - lying.keys()
    unknown = {key for key, written_at in lying.items() if written_at < since} - named.keys()
    if missing or unknown:
        named = dict(_named())
        unknown -= {*named, *_awaited()}
    lost = [named[key] for key in missing & named.keys() if not _lie(key)]
    return Inventory(len(named), sorted(lost), sorted(unknown))


def _named() -> Iterator[tuple[str, str]]:
    """Every key under which bytes must lie, and what for."""
    blobs = Blob.objects.values_list("pk", "key", "preview_key")
    for pk, blob_key, preview_key in blobs.iterator():
        yield blob_key, f"stored file {pk}"
        if preview_key:
            yield preview_key, f"the small picture of stored file {pk}"
    checking = Attachment.objects.filter(state=Attachment.State.CHECKING, blob=None)
    for pk, key in checking.values_list("pk", "upload_key").iterator():
        if key:
            yield key, f"upload {pk}"


def _lie(key: str) -> bool:
    """Whether bytes lie there, or where a check has moved them from there."""
    return storage.lies(key) or (key.startswith(UPLOADS) and storage.lies(kept_key(key)))


def _awaited() -> Iterator[str]:
    """Keys of uploads, where bytes may lie and need not."""
    uploads = Attachment.objects.exclude(upload_key=None)
    for key in filter(None, uploads.values_list("upload_key", flat=True)):
        yield key
        yield kept_key(key)
