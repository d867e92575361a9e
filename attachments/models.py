"""Files: bytes that are kept once, and the names they are shown under."""

from __future__ import annotations

import secrets
import uuid

from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

NAME_MAX_CHARS = 255


def new_key() -> str:
    """Where bytes will lie in the storage. Never used twice, and nobody can guess it."""
    key = secrets.token_hex(16)
    return f"blobs/{key[:2]}/{key}"


class Blob(models.Model):
    """Bytes in the storage, kept once however many attachments show them."""

    key = models.CharField(max_length=64, unique=True, default=new_key, editable=False)
    sha256 = models.CharField(max_length=64, unique=True)
    size_bytes = models.PositiveBigIntegerField(_("size (bytes)"))
    type = models.CharField(_("type"), max_length=127)  # read from the bytes, never from a name
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("stored file")
        verbose_name_plural = _("stored files")

    def __str__(self) -> str:
        return f"{self.type}, {self.sha256[:12]}"


class Attachment(models.Model):
    """A file as somebody gave it to us: a name, and the bytes behind it."""

    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=NAME_MAX_CHARS)
    blob = models.ForeignKey(
        Blob, models.PROTECT, related_name="attachments", verbose_name=_("stored file")
    )
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        constraints = [models.CheckConstraint(condition=~Q(name=""), name="attachment_has_name")]

    def __str__(self) -> str:
        return self.name
