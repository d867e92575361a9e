"""Looking into a file before anybody else may have it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from fnmatch import fnmatchcase

from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext as _

from attachments import storage
from attachments.kinds import SNIFFED_BYTES, type_of
from attachments.models import (
    PREVIEWS,
    VIRUS_MAX_CHARS,
    Attachment,
    Blob,
    Check,
    kept_key,
    new_key,
    virus_found,
)
from attachments.operations import found_or_added
from attachments.pictures import DRAWN, preview_of
from attachments.scan import TooLargeToScan, scan
from attachments.uploads import drop_upload
from helpdesk.lib.errors import GiveUp
from helpdesk.lib.work import closing

log = logging.getLogger(__name__)

State = Attachment.State
SCAN_GOOD_HOURS = 24

Tell = Callable[[Attachment], None]


def check(row: Check, tell: Tell) -> None:
    """Find out what a file is and whether it may be shown; it ends as ready or rejected.

    Its bytes are read in pieces, whatever its size. `tell(attachment)` is called in the
    transaction that closes the row. A second call after a crash goes on where the first ended.
    """
    attachment = Attachment.objects.select_related("blob").get(pk=row.attachment_id)
    blob = attachment.blob or _settle(attachment)
    _let_go_of_copy(attachment)
    refusal = why_refused(blob.type, attachment.allowed_types)
    if not refusal:
        refusal = _scan(blob)
    if not refusal:
        _draw(blob)
    with closing(row):
        _decide(attachment, refusal)
        tell(attachment)


def gave_up(row: Check, tell: Tell) -> None:
    """It could not be looked into, however often that was tried: who waits for it waits no more."""
    attachment = row.attachment
    if attachment.state != State.CHECKING:
        return  # only a small picture is missing
    if attachment.owner:
        refusal = _("This file could not be checked. Attach it again.")
    else:
        refusal = _("This file could not be checked. An administrator can try again.")
    _decide(attachment, refusal)
    tell(attachment)


def wants_check(blob: Blob) -> bool:
    """Is there something to be found out about bytes that came by mail?"""
    return _wants_scan(blob) or _wants_preview(blob)


def state_of_mailed(blob: Blob) -> Attachment.State:
    """A mail is shown at once, but nobody opens its files before they are scanned."""
    return State.CHECKING if _wants_scan(blob) else State.READY


def _wants_scan(blob: Blob) -> bool:
    """Viruses become known after the files they are in."""
    recently = now() - timedelta(hours=SCAN_GOOD_HOURS)
    return bool(settings.CLAMD_URL) and (blob.scanned_at is None or blob.scanned_at < recently)


def _wants_preview(blob: Blob) -> bool:
    return blob.type in DRAWN and blob.drawn_at is None


def _scan(blob: Blob) -> str:
    """The sentence to refuse it with, or the empty text. What is too large for the scanner stays
    unscanned, and staff are told."""
    if _wants_scan(blob):
        try:
            virus = scan(storage.read(blob.key, 0, blob.size_bytes))
        except TooLargeToScan as error:
            log.warning("%s is not scanned: %s", blob, error)
        else:
            blob.virus, blob.scanned_at = virus[:VIRUS_MAX_CHARS], now()
            blob.save(update_fields=["virus", "scanned_at"])
    return virus_found(blob.virus) if blob.virus else ""


def _draw(blob: Blob) -> None:
    if not _wants_preview(blob):
        return
    preview = preview_of(storage.read(blob.key, 0, blob.size_bytes), blob.type)
    mine = Blob.objects.filter(pk=blob.pk, preview_key="")
    if preview is None:
        mine.update(drawn_at=now())
        return
    key = new_key(PREVIEWS)
    storage.put(key, preview.content)
    drawn = mine.update(
        preview_key=key,
        preview_width=preview.width,
        preview_height=preview.height,
        drawn_at=now(),
    )
    if not drawn:  # two looked into the same bytes at once
        storage.drop(key)


def why_refused(kind: str, allowed: list[str]) -> str:
    """A sentence if files of this media type are not taken, else the empty text."""
    if not allowed or any(fnmatchcase(kind, pattern) for pattern in allowed):
        return ""
    return _("This kind of file is not taken here.")


def _decide(attachment: Attachment, refusal: str) -> None:
    attachment.state = State.REJECTED if refusal else State.READY
    attachment.refusal = refusal
    attachment.save(update_fields=["state", "refusal"])


def _settle(attachment: Attachment) -> Blob:
    """The stored file that an upload's bytes are: a new one, or one that was there before."""
    key = kept_key(attachment.upload_key or "")
    with suppress(FileNotFoundError):  # then nothing lies there, and it has no size
        storage.move(attachment.upload_key or "", key)
    size_bytes = storage.size(key)
    if size_bytes is None or size_bytes != attachment.announced_bytes:
        raise GiveUp("Its bytes are not what was announced.")
    sum_so_far = hashlib.sha256()
    head = b""
    for piece in storage.read(key, 0, size_bytes):
        head = head or piece[:SNIFFED_BYTES]
        sum_so_far.update(piece)
    sha256 = sum_so_far.hexdigest()
    new = Blob(key=key, sha256=sha256, size_bytes=size_bytes, type=type_of(head))
    blob = found_or_added([new])[sha256]
    attachment.blob = blob
    attachment.save(update_fields=["blob"])
    return blob


def _let_go_of_copy(attachment: Attachment) -> None:
    """Bytes that we had already are not needed twice. Only once they are gone do we forget where
    they lay."""
    if attachment.upload_key:
        drop_upload(attachment)
        attachment.upload_key = None
        attachment.save(update_fields=["upload_key"])
