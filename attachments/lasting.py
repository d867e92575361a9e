"""Addresses that open one file for weeks, for whoever has the mail they stand in."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.timezone import now

from attachments.models import Attachment, FileLink
from helpdesk.lib.errors import NotFound

SALT = "attachments.lasting"
NAME_CHARS = 60  # of the name, at the end of the address: its last, where the ending is


def lasting_link(attachment: Attachment, given_to: str) -> FileLink:
    """The link of one mail to one file, open for FILE_LINK_DAYS days from today.

    Asked again for the same mail it is the same link, and its days count anew. One that was
    revoked stays so.
    """
    link, _ = FileLink.objects.update_or_create(
        attachment=attachment, given_to=given_to, defaults={"expires_at": _end()}
    )
    return link


def address_of(link: FileLink) -> str:
    """Where the file is. The same for the same link, as long as SECRET_KEY is the same."""
    path = reverse(
        "attachments:lasting",
        args=[_signer().sign(link.uuid.hex), link.attachment.name[-NAME_CHARS:]],
    )
    # Mail programs end an address at a bracket or a quote that stands in it.
    return settings.SITE_URL + quote(path, safe="/%")


def link_of(token: str) -> FileLink:
    """The link that a token of ours names, whatever its state.

    Raises NotFound for every other token, and where the message with the file was erased.
    """
    try:
        uuid = UUID(_signer().unsign(token))
    except signing.BadSignature as error:
        raise NotFound from error
    shown = FileLink.objects.exclude(attachment__claimed_at=None)
    link = shown.select_related("attachment__blob").filter(uuid=uuid).first()
    if link is None:
        raise NotFound
    return link


def revoke(links: QuerySet[FileLink]) -> int:
    """Take links back, for good. Returns how many were not revoked before."""
    return links.filter(revoked_at=None).update(revoked_at=now())


def _signer() -> signing.Signer:
    return signing.Signer(salt=SALT, sep=".")


def _end() -> datetime:
    """Noon (UTC) after the last day: by then it is over wherever the mail is read."""
    after = now().astimezone(UTC).date() + timedelta(days=settings.FILE_LINK_DAYS + 1)
    return datetime.combine(after, time(12), UTC)
