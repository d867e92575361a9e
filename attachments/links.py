"""Addresses that open one file for a few minutes, for whoever was let in by the file's own door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from django.core import signing
from django.urls import reverse
from django.utils.translation import gettext as _

from attachments import storage
from attachments.kinds import PREVIEW, SHOWN
from attachments.models import Attachment
from attachments.storage import LINK_SECONDS
from helpdesk.lib.errors import Ended, NotFound, Refused

SALT = "attachments.link"

# To show it where a browser may, to save it whatever it is, or the small picture of it.
Way = Literal["show", "save", "preview"]


@dataclass(frozen=True, slots=True)
class Link:
    attachment_id: int
    way: Way


@dataclass(frozen=True, slots=True)
class Served:
    """What a way of opening a file leads to."""

    key: str
    media_type: str
    shown: bool  # in the browser, under its own type; else it is only ever saved


def served(attachment: Attachment, way: Way) -> Served:
    """What may be handed out in this way: every door asks here. Raises NotFound where there is
    nothing, Refused with a sentence for what nobody may have."""
    if attachment.why_closed:
        raise Refused(attachment.why_closed)
    blob = attachment.stored
    if way == "preview":
        if not blob.preview_key:
            raise NotFound
        return Served(blob.preview_key, PREVIEW, shown=True)
    return Served(blob.key, blob.type, shown=way == "show" and blob.type in SHOWN)


def link_to(attachment: Attachment, way: Way) -> str:
    """Where the bytes are for LINK_SECONDS: here, or in the storage where browsers reach it
    themselves. Ask the file's door before you hand it out. Raises as `served` does."""
    what = served(attachment, way)
    return storage.public_url(
        what.key, name=attachment.name, media_type=what.media_type, shown=what.shown
    ) or _our_own(attachment, way)


def _our_own(attachment: Attachment, way: Way) -> str:
    signed = signing.dumps([attachment.pk, way], salt=SALT)
    return reverse("attachments:bytes", args=[signed, attachment.name])


def opened(signed: str) -> Link:
    """What a link opens. Raises NotFound for one that we did not make, Ended for an old one."""
    try:
        pk, way = signing.loads(signed, salt=SALT, max_age=LINK_SECONDS)
    except signing.SignatureExpired as error:
        raise Ended(
            _("This address was good for a few minutes. Open the file from its message again.")
        ) from error
    except signing.BadSignature as error:
        raise NotFound from error
    if way not in get_args(Way):
        raise NotFound
    return Link(pk, way)
