"""Files that leave with a mail. The storage is talked to here, outside any transaction."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings

from attachments import storage
from attachments.kinds import kind_of
from attachments.lasting import address_of, lasting_link
from attachments.models import Attachment
from helpdesk.lib.errors import TemporaryFailure
from helpdesk.lib.markdown import pictures_in
from tickets.mail.render import Enclosed, Letter, Linked, Picture, Withheld, fitting
from tickets.models import Message, MessageFile, OutgoingEmail
from tickets.operations.letters import carried


def with_files(letter: Letter, outgoing: OutgoingEmail, message: Message) -> Letter:
    """The letter with the files of its messages: in it, as links, or with why they are not sent. A
    picture that its words show stands there, and not among the files.

    Raises StorageAway, and TemporaryFailure where bytes are missing: a reply never leaves without
    its files.
    """
    showing = [one.pk for one in carried(outgoing, message) if one.file_count]
    rows = MessageFile.objects.filter(message__in=showing, inline=False).order_by("pk")
    files = [row.attachment for row in rows.select_related("attachment__blob")] if showing else []
    sent = [file for file in files if not file.why_closed]
    room = settings.MAIL_FILES_MAX_MB * 1024 * 1024
    fits = fitting([file.stored.size_bytes for file in sent], room)
    links = [_linked(file, outgoing) for file, fit in zip(sent, fits, strict=True) if not fit]
    said = [letter.body, *(one.words for one in letter.said)]
    shown = {picture for words in said for picture in pictures_in(words)}
    placed = [
        (_is_picture(file) and str(file.uuid) in shown, file)
        for file, fit in zip(sent, fits, strict=True)
        if fit
    ]
    return replace(
        letter,
        pictures=[Picture(str(file.uuid), _enclosed(file)) for inside, file in placed if inside],
        enclosed=[_enclosed(file) for inside, file in placed if not inside],
        linked=[one for one in links if isinstance(one, Linked)],
        withheld=[
            *(Withheld(file.name, file.why_closed) for file in files if file.why_closed),
            *(one for one in links if isinstance(one, Withheld)),
        ],
    )


def _is_picture(file: Attachment) -> bool:
    return kind_of(file.stored.type) == "image"


def _enclosed(file: Attachment) -> Enclosed:
    blob = file.stored
    try:
        content = b"".join(storage.read(blob.key, 0, blob.size_bytes))
    except FileNotFoundError as error:
        raise TemporaryFailure(f"{file.name} cannot be read: {error.strerror or error}") from error
    if len(content) != blob.size_bytes:
        raise TemporaryFailure(f"{file.name} is not whole in the storage.")
    return Enclosed(file.name, blob.type, content)


def given_to(outgoing: OutgoingEmail) -> str:
    """What the links of a mail are known by."""
    return f"email:{outgoing.pk}"


def _linked(file: Attachment, outgoing: OutgoingEmail) -> Linked | Withheld:
    link = lasting_link(file, given_to(outgoing))
    if link.revoked_at:
        return Withheld(file.name, "It was taken back.")
    return Linked(file.name, file.stored.size_bytes, address_of(link), link.last_day)
