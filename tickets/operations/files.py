"""Files that messages show."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import Prefetch, prefetch_related_objects
from django.utils.translation import ngettext

from attachments import checks, uploads
from attachments.models import Attachment, Check
from helpdesk.lib import work
from helpdesk.lib.errors import Refused
from tickets import events
from tickets.access import Viewer, owner_of
from tickets.models import Inbox, Message, MessageFile

FILES_MAX = 15  # at once, where no inbox says how many
CHECKS_AT_ONCE = 2
_looking = threading.BoundedSemaphore(CHECKS_AT_ONCE)


def uploaded_files(viewer: Viewer, uuids: Sequence[UUID]) -> list[Attachment]:
    """What the viewer has uploaded and wants to show, in that order. Raises Refused for a file
    that is not theirs or not ready."""
    return uploads.uploads_of(owner_of(viewer), uuids) if uuids else []


def check_limits(inbox: Inbox, files: Sequence[Attachment]) -> None:
    """Raises Refused with a sentence for too many files or too large ones."""
    check_number(files, inbox.files_max)
    for file in files:
        if file.stored.size_bytes > inbox.file_max_bytes:
            sentence = uploads.too_large(file.stored.size_bytes, inbox.file_max_bytes)
            raise Refused(f"{file.name}: {sentence}")


def check_number(files: Sequence[Attachment], most: int) -> None:
    """Raises Refused with a sentence for more files than that."""
    if len(files) > most:
        raise Refused(
            ngettext(
                "At most %(limit)s file can be sent at once.",
                "At most %(limit)s files can be sent at once.",
                most,
            )
            % {"limit": most}
        )


def show_files(message: Message, files: Sequence[Attachment]) -> None:
    """Let a new message show these uploads, in the transaction that writes it. Raises Refused if
    another message got one of them first."""
    uploads.claim(files)
    rows = [MessageFile(message=message, attachment=attachment) for attachment in files]
    remember_files(message, MessageFile.objects.bulk_create(rows))


def remember_files(message: Message, files: list[MessageFile]) -> None:
    """What was just written need not be read again: `message.files.all()` is this from now on."""
    vars(message).setdefault("_prefetched_objects_cache", {})["files"] = files


def read_files(messages: Iterable[Message]) -> None:
    """`message.files.all()` of each costs nothing from now on. One query for all of them, and none
    where no message has a file."""
    with_files = [message for message in messages if message.file_count]
    rows = MessageFile.objects.select_related("attachment__blob")
    prefetch_related_objects(with_files, Prefetch("files", rows))


def perform_checks(pk: int) -> None:
    """Look into one file, and then into those that wait; nothing where CHECKS_AT_ONCE threads of
    this process do so already, for they come to this one, too.

    So files never take all threads of a worker, however many come and however hard they are to
    look into: mail and answers go on beside them.
    """
    waiting: int | None = pk
    while waiting is not None and _looking.acquire(blocking=False):
        try:
            work.perform(Check, waiting, check_file, gave_up=check_failed)
        finally:
            _looking.release()
        rows = work.claimable(Check).order_by("due_at")
        waiting = rows.values_list("pk", flat=True).first()


def check_file(row: Check) -> None:
    """Look into a file; pages that show it already learn what came of it."""
    checks.check(row, _tell)


def check_failed(row: Check) -> None:
    checks.gave_up(row, _tell)


def _tell(attachment: Attachment) -> None:
    shown = MessageFile.objects.select_related("message").filter(attachment=attachment).first()
    if shown is not None:
        events.files_changed(shown.message)
