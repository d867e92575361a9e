"""What a browser with a widget is remembered by."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.work import Work
from tickets.models import Conversation, Inbox, Person

ORIGIN_MAX_CHARS = 200
SECRETS_MAX = 2  # of an inbox: the one in use, and the one before or after it


def expiry() -> datetime:
    """When a session that was used just now ends if it is not used again."""
    return now() + timedelta(days=settings.VISITOR_SESSION_DAYS)


def new_secret() -> str:
    return secrets.token_hex(32)


class JoinLink(models.Model):
    """Lets whoever has it into one conversation, until it ends, is used up or is revoked.

    The address holds the signed id. Nothing here is secret: the row alone opens nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(
        Conversation,
        models.CASCADE,
        related_name="join_links",
        verbose_name=_("conversation"),
    )
    created_by = models.ForeignKey(
        Person, models.PROTECT, related_name="+", verbose_name=_("made by")
    )
    sees_all = models.BooleanField(_("shows what was said before"), default=False)
    uses = models.PositiveSmallIntegerField(_("used"), default=0)
    uses_max = models.PositiveSmallIntegerField(_("may be used"), default=1)
    created_at = models.DateTimeField(_("created at"), default=now)
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("join link")
        verbose_name_plural = _("join links")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(uses__lte=models.F("uses_max")), name="joinlink_within_its_uses"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.conversation} · {self.uses}/{self.uses_max}"

    @property
    def is_open(self) -> bool:
        """Whether it lets anybody in now."""
        return self.revoked_at is None and self.uses < self.uses_max and self.expires_at > now()


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
    # The link they came by, if they did.
    link = models.ForeignKey(
        JoinLink,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="sessions",
        verbose_name=_("join link"),
        db_constraint=False,
        db_index=False,
    )
    # Chats that this browser began before: it may still read them.
    earlier = ArrayField(models.BigIntegerField(), default=list, db_default=[], blank=True)
    # Whom the shop says this is, with its signature; None for everyone else.
    identity = models.ForeignKey(
        "chat.Identity",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="sessions",
        verbose_name=_("identity"),
        db_constraint=False,
        db_index=False,
    )
    # What was said without proof: an address of somebody else, answers to the form, attributes.
    claimed_email = models.EmailField(
        _("claims the address"), max_length=254, blank=True, default="", db_default=""
    )
    answers = models.JSONField(_("answers"), default=dict, db_default={}, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, db_default={}, blank=True)
    answers_filed_at = models.DateTimeField(null=True, blank=True, editable=False)
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


class Identity(models.Model):
    """A person whom a shop knows by an id of its own and vouches for with a signature."""

    inbox = models.ForeignKey(Inbox, models.CASCADE, related_name="+", verbose_name=_("inbox"))
    external_id = models.CharField(_("id at the shop"), max_length=200)
    person = models.ForeignKey(
        Person, models.CASCADE, related_name="identities", verbose_name=_("person")
    )
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), default=now)
    # What was signed before this moment is good no longer.
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = [
            models.UniqueConstraint(fields=["inbox", "external_id"], name="identity_once"),
        ]

    def __str__(self) -> str:
        return f"{self.person} · {self.external_id}"


class IdentitySecret(models.Model):
    """What a shop signs identities with. Two hold at a time, so that one can replace the other."""

    inbox = models.ForeignKey(
        Inbox, models.CASCADE, related_name="identity_secrets", verbose_name=_("inbox")
    )
    secret = models.CharField(_("secret"), max_length=64, default=new_secret, editable=False)
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("identity secret")
        verbose_name_plural = _("identity secrets")

    def __str__(self) -> str:
        return f"{self.inbox} · {self.secret[:4]}…"


class Transcript(Work):
    """A chat that is mailed to an address its visitor named: what they see of it, nothing else."""

    TASK = "chat.mail_transcript"

    conversation = models.ForeignKey(
        Conversation, models.CASCADE, related_name="+", verbose_name=_("conversation")
    )
    person = models.ForeignKey(
        Person, models.CASCADE, related_name="+", verbose_name=_("asked for by")
    )
    inbox = models.ForeignKey(Inbox, models.CASCADE, related_name="+", verbose_name=_("inbox"))
    address = models.EmailField(_("address"), max_length=254)
    language = models.CharField(_("language"), max_length=10, default="en")
    upto_seq = models.PositiveIntegerField(_("up to"))
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta(Work.Meta):
        verbose_name = _("transcript")
        verbose_name_plural = _("transcripts")

    def __str__(self) -> str:
        return self.address


class UnreadMail(Work):
    """To mail what somebody has not read of a chat by then, if they are gone.

    One row for each message; the one that is due first takes along what came after it.
    """

    TASK = "chat.mail_unread"
    RETRY_SECONDS = (10, 60, 300, 1_800)

    conversation = models.ForeignKey(
        Conversation, models.CASCADE, related_name="+", verbose_name=_("conversation")
    )
    seq = models.PositiveIntegerField(_("entry"))
    posted_at = models.DateTimeField(_("posted at"), default=now)

    class Meta(Work.Meta):
        verbose_name = _("mail of what is unread")
        verbose_name_plural = _("mails of what is unread")

    def __str__(self) -> str:
        return f"{self.conversation_id}: {self.seq}"
