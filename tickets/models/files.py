"""Which files came with which message."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from attachments.models import Attachment
from tickets.models.conversations import Message

CONTENT_ID_MAX_CHARS = 255


class MessageFile(models.Model):
    """A file of a message. Who sees the message sees its files, and nobody else."""

    message = models.ForeignKey(
        Message, models.CASCADE, related_name="files", verbose_name=_("message")
    )
    attachment = models.OneToOneField(
        Attachment, models.PROTECT, related_name="message_file", verbose_name=_("attachment")
    )
    # A picture that stands inside the text of a mail, by the name it has there (RFC 2392).
    inline = models.BooleanField(_("inside the text"), default=False)
    content_id = models.CharField(max_length=CONTENT_ID_MAX_CHARS, blank=True)

    class Meta:
        verbose_name = _("file of a message")
        verbose_name_plural = _("files of messages")
        ordering = ["pk"]

    def __str__(self) -> str:
        return str(self.attachment)
