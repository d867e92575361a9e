"""Addresses that open one file for a few minutes, for whoever was let in by the file's own door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from django.core import signing
from django.urls import reverse

from attachments.models import Attachment
from helpdesk.lib.errors import NotFound

SALT = "attachments.link"
LINK_SECONDS = 300


# To show it where a browser may, to save it whatever it is, or the small picture of it.
Way = Literal["show", "save", "preview"]


@dataclass(frozen=True, slots=True)
class Link:
    attachment_id: int
    way: Way


def link_to(attachment: Attachment, way: Way) -> str:
    """Where the bytes are for LINK_SECONDS. Ask the file's door before you hand it out."""
    signed = signing.dumps([attachment.pk, way], salt=SALT)
    return reverse("attachments:bytes", args=[signed, attachment.name])


def opened(signed: str) -> Link:
    """What a link opens. Raises NotFound for one that we did not make, and for an old one."""
    try:
        pk, way = signing.loads(signed, salt=SALT, max_age=LINK_SECONDS)
    except signing.BadSignature as error:
        raise NotFound from error
    if way not in get_args(Way):
        raise NotFound
    return Link(pk, way)
