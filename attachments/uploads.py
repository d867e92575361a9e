"""Uploads: the bytes first, then the message that shows them.

An upload belongs to whoever began it: `owner` is a name that the floors above give them. To
everybody else it looks like nothing is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.template.defaultfilters import filesizeformat
from django.utils.timezone import now
from django.utils.translation import gettext as _

from attachments import storage
from attachments.models import UPLOADS, Attachment, Blob, Check, kept_key, new_key
from attachments.names import safe_name
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.work import ring_on_commit

State = Attachment.State

# What one request may carry: a web server holds it in memory.
PIECE_BYTES = 12 * 1024 * 1024
# Uploads of one owner that no message shows yet: nobody fills the storage without saying anything.
UNCLAIMED_MAX = 100
CANCELLED = "nobody"  # the owner of what was cancelled while it was looked into


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken: at most `max_bytes`, of these media types; no types: every type."""

    max_bytes: int
    allowed_types: Sequence[str] = ()


class WrongOffset(Exception):
    """A piece does not begin where the bytes we have end. `attachment` is whose piece it was."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__()
        self.attachment = attachment


def begin_upload(owner: str, *, name: str, size_bytes: int, limits: Limits) -> Attachment:
    """Make room for a file of exactly `size_bytes`. Its bytes come next, by `receive_piece` or
    as `upload_json` says.

    Raises Refused with a sentence for an empty file, one that is too large, and for an owner
    who has UNCLAIMED_MAX uploads that no message shows.
    """
    name = safe_name(name)
    if size_bytes <= 0:
        raise Refused(_("This file is empty."))
    if size_bytes > limits.max_bytes:
        raise Refused(too_large(size_bytes, limits.max_bytes))
    if Attachment.objects.filter(owner=owner, claimed_at=None).count() >= UNCLAIMED_MAX:
        raise Refused(_("Too many files are waiting to be sent. Send or remove some first."))
    return Attachment.objects.create(
        name=name,
        state=State.UPLOADING,
        owner=owner,
        upload_key=new_key(UPLOADS),
        announced_bytes=size_bytes,
        allowed_types=list(limits.allowed_types),
    )


def too_large(size_bytes: int, max_bytes: int) -> str:
    """The sentence for a file of more than `max_bytes`."""
    return _("This file has %(size)s. At most %(limit)s can be attached.") % {
        "size": filesizeformat(size_bytes),
        "limit": filesizeformat(max_bytes),
    }


def upload_of(owner: str, uuid: UUID) -> Attachment:
    """An upload that no message shows yet. Raises NotFound."""
    uploads = Attachment.objects.select_related("blob")
    attachment = uploads.filter(uuid=uuid, owner=owner, claimed_at=None).first()
    if attachment is None:
        raise NotFound
    return attachment


def receive_piece(
    owner: str, uuid: UUID, offset: int, piece: Iterable[bytes], size_bytes: int
) -> Attachment:
    """Add `size_bytes` bytes, those after the first `offset` ones; the last start the check.

    An empty piece at the end does the same, should whoever took the last one have died. What
    comes when all is here already changes nothing. Raises NotFound, WrongOffset if we have more
    or fewer bytes than `offset`, Refused if these are more than were announced.
    """
    attachment = upload_of(owner, uuid)
    if attachment.state != State.UPLOADING:
        return attachment
    if offset + size_bytes > (attachment.announced_bytes or 0):
        raise Refused(_("%(name)s has changed. Attach it again.") % {"name": attachment.name})
    try:
        arrived = storage.append(attachment.upload_key or "", offset, piece)
    except storage.WrongOffset as error:
        raise WrongOffset(attachment) from error
    if offset == 0 and not Attachment.objects.filter(pk=attachment.pk).exists():
        drop_upload(attachment)  # it was cancelled meanwhile
        raise NotFound
    if arrived == attachment.announced_bytes:
        _start_check(attachment)
    return attachment


def form_posted(owner: str, uuid: UUID) -> Attachment:
    """The browser says that the storage has the whole file: look, and start the check.

    Raises NotFound, and Refused if that is not so.
    """
    attachment = upload_of(owner, uuid)
    if attachment.state == State.UPLOADING:
        _let_go_of_connection()
        if storage.size(attachment.upload_key or "") != attachment.announced_bytes:
            raise Refused(_("%(name)s did not arrive. Try again.") % {"name": attachment.name})
        _start_check(attachment)
    return attachment


def _let_go_of_connection() -> None:
    """A bucket that is silent must not keep the database from those who need no file."""
    if not connection.in_atomic_block:
        connection.close()


@transaction.atomic
def _start_check(attachment: Attachment) -> None:
    """Whoever moves the state on writes the check: of two last pieces, one does."""
    uploading = Attachment.objects.filter(pk=attachment.pk, state=State.UPLOADING)
    if uploading.update(state=State.CHECKING):
        ring_on_commit(Check.objects.create(attachment=attachment))
    attachment.state = State.CHECKING


def cancel_upload(owner: str, uuid: UUID) -> None:
    """Let go of an upload. Raises NotFound; a second call does, too."""
    attachment = upload_of(owner, uuid)
    mine = Attachment.objects.filter(pk=attachment.pk, claimed_at=None)
    gone, _rows = mine.filter(state=State.UPLOADING).delete()
    if gone:
        drop_upload(attachment)
    else:  # it may be looked into just now: the next purge takes it
        mine.update(owner=CANCELLED)


def drop_upload(attachment: Attachment) -> None:
    """Remove what has arrived of an upload, unless it became somebody's stored file."""
    if attachment.upload_key:
        storage.drop(attachment.upload_key)
        kept = kept_key(attachment.upload_key)
        if not Blob.objects.filter(key=kept).exists():
            storage.drop(kept)


def upload_json(attachment: Attachment) -> dict[str, Any]:
    """An upload as the browser that makes it needs it: how far it has come, and where to send
    what is missing."""
    blob = attachment.blob
    uploading = attachment.state == State.UPLOADING
    size_bytes = attachment.announced_bytes or 0
    to: dict[str, Any] | None = None
    offset = size_bytes
    if uploading:
        key = attachment.upload_key or ""
        form = storage.upload_form(key, size_bytes)
        to = asdict(form) if form else {"pieces": PIECE_BYTES}
        offset = 0 if form else storage.size(key) or 0  # a form takes all or nothing
    return {
        "id": str(attachment.uuid),
        "name": attachment.name,
        "size": size_bytes,
        "type": blob.type if blob else "",
        "state": attachment.state,
        "offset": offset,
        "sentence": attachment.refusal,
        "to": to,
    }


def uploads_of(owner: str, uuids: Sequence[UUID]) -> list[Attachment]:
    """The owner's files of these ids, in that order, whether a message shows them or not.

    Raises Refused if one is not theirs or is not ready.
    """
    wanted = list(dict.fromkeys(uuids))
    ready = Attachment.objects.select_related("blob").filter(
        owner=owner, uuid__in=wanted, state=State.READY
    )
    found = {attachment.uuid: attachment for attachment in ready}
    if len(found) != len(wanted):
        raise Refused(gone())
    return [found[uuid] for uuid in wanted]


def claim(attachments: Sequence[Attachment]) -> None:
    """Take these for a message that is written in the same transaction: no other message gets
    them. Raises Refused if one was taken before, or is gone."""
    free = Attachment.objects.filter(
        pk__in=[one.pk for one in attachments], state=State.READY, claimed_at=None
    )
    if free.update(claimed_at=now()) != len(attachments):
        raise Refused(gone())


def release(owner: str, attachments: Sequence[Attachment]) -> None:
    """What a message no longer shows is the owner's upload again, as if it had just arrived."""
    mine = Attachment.objects.filter(pk__in=[one.pk for one in attachments])
    mine.update(owner=owner, claimed_at=None, created_at=now())


def gone() -> str:
    return _("One of the files is no longer here. Remove it and attach it again.")
