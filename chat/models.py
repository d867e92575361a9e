"""What a browser with a widget is remembered by."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from tickets.models import Conversation, Inbox, Person

ORIGIN_MAX_CHARS = 200


def expiry() -> datetime:
    """When a session that was used just now ends if it is not used again."""
    return now() + timedelta(days=settings.VISITOR_SESSION_DAYS)


class VisitorSession(models.Model):
    """One visitor's browser: who they are and which conversation is theirs.

    The browser holds the signed id. Nothing here is secret: the row alone opens nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(
        Person, models.CASCADE, related_name="visitor_sessions", verbose_name=_("person")
    )
    inbox = models.ForeignKey(Inbox, models.CASCADE, related_name="+", verbose_name=_("inbox"))
    conversation = models.ForeignKey(
        Conversation,
        models.CASCADE,
        related_name="visitor_sessions",
        verbose_name=_("conversation"),
    )
    origin = models.CharField(_("began on"), max_length=ORIGIN_MAX_CHARS, blank=True)
    created_at = models.DateTimeField(_("created at"), default=now)
    last_seen_at = models.DateTimeField(_("last seen at"), default=now)
    expires_at = models.DateTimeField(_("expires at"), default=expiry)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("visitor session")
        verbose_name_plural = _("visitor sessions")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")),
                name="visitorsession_lasts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} · {self.inbox}"
