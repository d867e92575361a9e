"""Keeping bytes, and letting go of those that nobody shows any more."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import CASCADE, ForeignObjectRel, Model, QuerySet
from django.utils.timezone import now

from attachments import storage
from attachments.kinds import type_of
from attachments.models import Attachment, Blob
from attachments.uploads import drop_upload

Row = TypeVar("Row", bound=Model)

UNUSED_HOURS = 24
PURGE_ROWS = 500


def keep(contents: Sequence[bytes]) -> list[Blob]:
    """Store bytes, or find them where they are stored already; one row for each, in order.

    To be called outside any transaction: it talks to the storage. What no attachment shows
    within UNUSED_HOURS is deleted by `purge`. Raises OSError if the storage does not take it.
    """
    by_sum = {hashlib.sha256(content).hexdigest(): content for content in contents}
    kept = {blob.sha256: blob for blob in Blob.objects.filter(sha256__in=by_sum)}
    new = [
        Blob(sha256=sha256, size_bytes=len(content), type=type_of(content))
        for sha256, content in by_sum.items()
        if sha256 not in kept
    ]
    for blob in new:
        storage.put(blob.key, by_sum[blob.sha256])
    if new:
        kept |= _written(new)
    return [kept[hashlib.sha256(content).hexdigest()] for content in contents]


# Of two who store the same at the same time both get the row of whoever was first.
WRITE = """
INSERT INTO attachments_blob (key, sha256, size_bytes, type, created_at)
SELECT *, now() FROM unnest(%s::varchar[], %s::varchar[], %s::bigint[], %s::varchar[])
ON CONFLICT (sha256) DO UPDATE SET sha256 = EXCLUDED.sha256
RETURNING *
"""


def find_or_add(blob: Blob) -> Blob:
    """The row of these bytes: this one, or another that has the same ones under its own key."""
    return _write([blob])[blob.sha256]


def _written(new: Sequence[Blob]) -> dict[str, Blob]:
    rows = _write(new)
    for blob in new:
        if rows[blob.sha256].key != blob.key:
            storage.drop(blob.key)
    return rows


def _write(new: Sequence[Blob]) -> dict[str, Blob]:
    columns = zip(*((b.key, b.sha256, b.size_bytes, b.type) for b in new), strict=True)
    return {row.sha256: row for row in Blob.objects.raw(WRITE, [list(one) for one in columns])}


def purge() -> int:
    """Delete attachments that no message shows, and bytes that no attachment shows, once they
    are UNUSED_HOURS old. Returns how many stored files went. Two at once share the work."""
    since = now() - timedelta(hours=UNUSED_HOURS)
    # Who shows an attachment lives on the floors above; they all point here.
    nobody = {f"{one.name}__isnull": True for one in _shown_by()}
    unclaimed = Attachment.objects.filter(created_at__lt=since, claimed_at=None, **nobody)
    unclaimed = unclaimed.exclude(state=Attachment.State.CHECKING)  # a worker is at its bytes
    # The row goes first. A crash in between leaves bytes without a row, which nobody can reach
    # and the doctor finds; the other way round would leave a row without its bytes.
    for attachment in _delete(unclaimed):
        drop_upload(attachment)
    blobs = _delete(Blob.objects.filter(created_at__lt=since, attachments=None))
    for blob in blobs:
        storage.drop(blob.key)
        if blob.preview_key:
            storage.drop(blob.preview_key)
    return len(blobs)


def _shown_by() -> list[ForeignObjectRel]:
    """What would go with an attachment does not keep it."""
    return [one for one in Attachment._meta.related_objects if one.on_delete is not CASCADE]


def _delete(unused: QuerySet[Row]) -> list[Row]:
    with transaction.atomic():
        rows = list(unused.select_for_update(of=("self",), skip_locked=True)[:PURGE_ROWS])
        unused.model._default_manager.filter(pk__in=[row.pk for row in rows]).delete()
    return rows
