"""Keeping bytes, and letting go of those that nobody shows any more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import CASCADE, ForeignObjectRel, Model, Q, QuerySet
from django.utils.timezone import now

from attachments import storage
from attachments.kinds import type_of
from attachments.models import Attachment, Blob
from attachments.uploads import CANCELLED, drop_upload

Row = TypeVar("Row", bound=Model)

UNUSED_HOURS = 24
PURGE_ROWS = 50


def keep(contents: Sequence[bytes]) -> list[Blob]:
    """Store bytes, or find them where they are stored already; one row for each, in order.

    To be called outside any transaction: it talks to the storage. What no attachment shows
    within UNUSED_HOURS is deleted by `purge`. Raises OSError if the storage does not take it.
    """
    by_sum = {hashlib.sha256(content).hexdigest(): content for content in contents}
    known = Blob.objects.filter(sha256__in=by_sum)
    kept = {blob.sha256: blob for blob in known if _has_bytes(blob)}
    new = [
        Blob(sha256=sha256, size_bytes=len(content), type=type_of(content))
        for sha256, content in by_sum.items()
        if sha256 not in kept
    ]
    for blob in new:
        storage.put(blob.key, by_sum[blob.sha256])
    if new:
        kept |= found_or_added(new)
    for blob in new:
        if kept[blob.sha256].key != blob.key:
            storage.drop(blob.key)
    return [kept[hashlib.sha256(content).hexdigest()] for content in contents]


# Of two who store the same at the same time both get the row of whoever was first.
WRITE = """
INSERT INTO attachments_blob (key, sha256, size_bytes, type, created_at)
SELECT *, now() FROM unnest(%s::varchar[], %s::varchar[], %s::bigint[], %s::varchar[])
ON CONFLICT (sha256) DO UPDATE SET sha256 = EXCLUDED.sha256
RETURNING *
"""


def found_or_added(new: Sequence[Blob]) -> dict[str, Blob]:
    """The rows of these bytes, which lie there, by their sum: each is this one, or another that
    has the same bytes under its own key. One whose bytes were lost gets these."""
    columns = zip(*((b.key, b.sha256, b.size_bytes, b.type) for b in new), strict=True)
    rows = {row.sha256: row for row in Blob.objects.raw(WRITE, [list(one) for one in columns])}
    for blob in new:
        row = rows[blob.sha256]
        if row.key != blob.key and not _has_bytes(row):
            Blob.objects.filter(pk=row.pk, key=row.key).update(key=blob.key)
            row.refresh_from_db()
    return rows


def _has_bytes(blob: Blob) -> bool:
    return storage.size(blob.key) == blob.size_bytes


def purge() -> int:
    """Delete attachments that no message shows, and bytes that no attachment shows, once they
    are UNUSED_HOURS old; what was cancelled goes at once. Returns how many stored files went.

    Two at once share the work. Raises StorageAway; what is left goes next time.
    """
    since = now() - timedelta(hours=UNUSED_HOURS)
    # Who shows an attachment lives on the floors above; they all point here.
    nobody = {f"{one.name}__isnull": True for one in _shown_by()}
    unclaimed = Attachment.objects.filter(claimed_at=None, **nobody)
    unclaimed = unclaimed.exclude(state=Attachment.State.CHECKING)  # a worker is at its bytes
    _delete(unclaimed.filter(Q(created_at__lt=since) | Q(owner=CANCELLED)), drop_upload)
    return _delete(Blob.objects.filter(created_at__lt=since, attachments=None), _drop)


def _drop(blob: Blob) -> None:
    storage.drop(blob.key)
    if blob.preview_key:
        storage.drop(blob.preview_key)


def _shown_by() -> list[ForeignObjectRel]:
    """What would go with an attachment does not keep it."""
    return [one for one in Attachment._meta.related_objects if one.on_delete is not CASCADE]


def _delete(unused: QuerySet[Row], drop: Callable[[Row], None]) -> int:
    """Bytes first and then their rows, a few at a time, oldest first; returns how many.

    A crash in between leaves rows that nobody shows and whose bytes are gone: the next purge
    takes them, and until then `found_or_added` does not trust them. The other way round would
    leave bytes that nobody knows of.
    """
    count = 0
    rows = unused.order_by("created_at").select_for_update(of=("self",), skip_locked=True)
    while True:
        with transaction.atomic():
            some = list(rows[:PURGE_ROWS])
            for row in some:
                drop(row)
            unused.model._default_manager.filter(pk__in=[row.pk for row in some]).delete()
        count += len(some)
        if len(some) < PURGE_ROWS:
            return count
