"""Mail that came, mail that leaves, and the accounts it comes from. All three are work."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.work import Work
from tickets.models.conversations import Conversation, Message
from tickets.models.inboxes import Inbox
from tickets.models.people import Person
from tickets.models.tickets import SUBJECT_MAX_CHARS

MESSAGE_ID_MAX_CHARS = 255


class Mailbox(Work):
    """An account or folder we read. Fetching it is work that repeats."""

    class Kind(models.TextChoices):
        IMAP = "imap", _("IMAP")
        FOLDER = "folder", _("Folder or Maildir")

    TASK = "tickets.fetch_mailbox"
    RETRY_SECONDS = (10, 30, 60, 300)
    REPEATS = True

    name = models.CharField(_("name"), max_length=80, unique=True)
    inbox = models.ForeignKey(
        Inbox,
        models.PROTECT,
        related_name="mailboxes",
        verbose_name=_("inbox"),
        help_text=_("Where mail goes that is to none of our addresses."),
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    host = models.CharField(_("server"), max_length=253, blank=True)
    port = models.PositiveIntegerField(_("port"), default=993)
    tls = models.BooleanField(_("TLS"), default=True)
    username = models.CharField(_("user name"), max_length=254, blank=True)
    password = models.CharField(_("password"), max_length=254, blank=True)
    folder = models.CharField(
        _("folder"), max_length=500, default="INBOX", help_text=_("On the server or on this disk.")
    )
    mark_seen = models.BooleanField(
        _("mark as read"), default=False, help_text=_("Otherwise nothing changes on the server.")
    )
    fetch_every_seconds = models.PositiveIntegerField(_("fetch every (seconds)"), default=30)
    uidvalidity = models.BigIntegerField(null=True, blank=True, editable=False)
    last_uid = models.BigIntegerField(default=0, editable=False)
    last_ok_at = models.DateTimeField(_("last fetched at"), null=True, blank=True, editable=False)

    class Meta(Work.Meta):
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        constraints = [
            *Work.Meta.constraints,
            models.CheckConstraint(
                condition=~Q(kind="imap") | ~Q(host=""),
                name="mailbox_imap_has_host",
                violation_error_message=_("An IMAP mailbox needs the name of its server."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def next_due_at(self) -> datetime:
        return now() + timedelta(seconds=self.fetch_every_seconds)


class InboundEmail(Work):
    """A mail as it came, byte for byte, and what became of it. Never deleted by us."""

    class Decision(models.TextChoices):
        UNDECIDED = "", _("Not decided yet")
        FILED = "filed", _("Filed")
        DUPLICATE = "duplicate", _("Seen before")
        IGNORED = "ignored", _("Ignored")

    TASK = "tickets.file_inbound"
    RETRY_SECONDS = (5, 60, 600)

    mailbox = models.ForeignKey(
        Mailbox,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="emails",
        verbose_name=_("mailbox"),
    )
    uidvalidity = models.BigIntegerField(null=True, blank=True)
    uid = models.BigIntegerField(null=True, blank=True)
    source = models.CharField(_("came by"), max_length=500, blank=True)
    raw = models.BinaryField()
    size_bytes = models.PositiveIntegerField(_("size (bytes)"))
    sha256 = models.CharField(max_length=64, db_index=True)
    received_at = models.DateTimeField(_("received at"), default=now)

    rfc_message_id = models.CharField(max_length=MESSAGE_ID_MAX_CHARS, blank=True)
    # Its own Message-ID and those it refers to: how answers find their conversation.
    reference_ids = ArrayField(
        models.CharField(max_length=MESSAGE_ID_MAX_CHARS), default=list, blank=True
    )
    dedupe_key = models.CharField(max_length=64, null=True, unique=True, editable=False)
    subject = models.CharField(_("subject"), max_length=SUBJECT_MAX_CHARS, blank=True)
    from_address = models.CharField(_("from"), max_length=254, blank=True)
    problems = models.JSONField(_("problems"), default=list, blank=True)
    file_count = models.PositiveSmallIntegerField(_("files"), default=0)

    decision = models.CharField(
        _("decision"), max_length=10, choices=Decision, default=Decision.UNDECIDED, blank=True
    )
    reason = models.CharField(_("why"), max_length=500, blank=True)
    conversation = models.ForeignKey(
        Conversation,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="emails",
        verbose_name=_("conversation"),
    )
    message = models.OneToOneField(
        Message,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="inbound_email",
        verbose_name=_("message"),
    )

    class Meta(Work.Meta):
        verbose_name = _("inbound email")
        verbose_name_plural = _("inbound emails")
        indexes = [
            *Work.Meta.indexes,
            GinIndex(fields=["reference_ids"], name="inboundemail_references"),
        ]
        constraints = [
            *Work.Meta.constraints,
            models.UniqueConstraint(
                fields=["mailbox", "uidvalidity", "uid"],
                condition=Q(uid__isnull=False),
                name="inboundemail_uid_once",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | ~Q(decision=""), name="inboundemail_done_is_decided"
            ),
        ]

    def __str__(self) -> str:
        return self.subject or self.rfc_message_id or f"{_('Mail')} {self.pk}"


class OutgoingEmail(Work):
    """One reply to one recipient. Written with its message; sending is another transaction."""

    TASK = "tickets.deliver"
    RETRY_SECONDS = (60, 300, 1_800, 7_200, 21_600)

    message = models.ForeignKey(
        Message, models.CASCADE, related_name="outgoing_emails", verbose_name=_("message")
    )
    person = models.ForeignKey(
        Person, models.PROTECT, related_name="+", verbose_name=_("recipient")
    )
    address = models.EmailField(_("address"), max_length=254)
    rfc_message_id = models.CharField(max_length=MESSAGE_ID_MAX_CHARS, unique=True)
    smtp_reply = models.CharField(_("server's answer"), max_length=500, blank=True)
    accepted_at = models.DateTimeField(_("accepted at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta(Work.Meta):
        verbose_name = _("outgoing email")
        verbose_name_plural = _("outgoing emails")
        constraints = [
            *Work.Meta.constraints,
            models.UniqueConstraint(fields=["message", "person"], name="outgoingemail_once"),
            models.CheckConstraint(
                condition=Q(state="done", accepted_at__isnull=False)
                | (~Q(state="done") & Q(accepted_at__isnull=True)),
                name="outgoingemail_done_is_accepted",
            ),
        ]

    def __str__(self) -> str:
        return f"{_('Email to')} {self.address}"
