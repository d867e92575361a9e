"""Mail that came, mail that leaves, and the accounts it comes from. All three are work."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.work import Work
from tickets.models.conversations import Conversation, Message
from tickets.models.inboxes import Inbox
from tickets.models.people import Person
from tickets.models.tickets import SUBJECT_MAX_CHARS

MESSAGE_ID_MAX_CHARS = 255
READ_AT_ONCE_BYTES = 1_000_000


class Mailbox(Work):
    """An account or folder we read. Fetching it is work that repeats, until it is removed: then
    that work is done for good, and the row stays, because its mails point to it."""

    class Kind(models.TextChoices):
        IMAP = "imap", _("IMAP")
        POP3 = "pop3", _("POP3")
        FOLDER = "folder", _("Folder or Maildir")
        HOOK = "hook", _("Webhook of a mail service")

    class Auth(models.TextChoices):
        PASSWORD = "password", _("Password")
        GOOGLE = "google", _("Google (OAuth2)")
        MICROSOFT = "microsoft", _("Microsoft (OAuth2)")

    class Security(models.TextChoices):
        STARTTLS = "starttls", _("STARTTLS")
        TLS = "tls", _("TLS")
        NONE = "none", _("none")

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
    idle = models.BooleanField(
        _("listen for new mail"),
        default=True,
        db_default=True,
        help_text=_("IMAP IDLE: mail shows within seconds. Otherwise at the next fetch."),
    )
    auth = models.CharField(
        _("sign-in"), max_length=10, choices=Auth, default=Auth.PASSWORD, db_default=Auth.PASSWORD
    )
    oauth_client_id = models.CharField(
        _("client ID"), max_length=300, blank=True, default="", db_default=""
    )
    oauth_client_secret = models.CharField(
        _("client secret"), max_length=500, blank=True, default="", db_default=""
    )
    oauth_tenant = models.CharField(
        _("tenant"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("Microsoft: the directory's ID. Empty: any."),
    )
    oauth_refresh_token = models.TextField(blank=True, default="", db_default="", editable=False)
    oauth_access_token = models.TextField(blank=True, default="", db_default="", editable=False)
    oauth_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Where replies of its inbox leave, as the same account; empty: SMTP_URL.
    smtp_host = models.CharField(
        _("SMTP server"), max_length=253, blank=True, default="", db_default=""
    )
    smtp_port = models.PositiveIntegerField(_("SMTP port"), default=587, db_default=587)
    smtp_security = models.CharField(
        _("SMTP security"),
        max_length=8,
        choices=Security,
        default=Security.STARTTLS,
        db_default=Security.STARTTLS,
    )
    # What a mail service's webhook is known by: it stands in its address. Which service: `host`.
    hook_key = models.CharField(max_length=64, null=True, blank=True, unique=True, editable=False)
    hook_secret = models.CharField(
        _("signing key"),
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text=_("Of the mail service, where it signs what it sends."),
    )
    uidvalidity = models.BigIntegerField(null=True, blank=True, editable=False)
    last_uid = models.BigIntegerField(default=0, editable=False)
    # Told to begin from now on: what came earlier and lies at or below `floor_uid` is not ours.
    began_at = models.DateTimeField(null=True, blank=True, editable=False)
    floor_uid = models.BigIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(default=now, db_default=Now(), editable=False)
    last_ok_at = models.DateTimeField(_("last fetched at"), null=True, blank=True, editable=False)
    # When server and ledger were last compared, and how many mails the ledger lacked then.
    compared_at = models.DateTimeField(_("compared at"), null=True, blank=True, editable=False)
    missing_count = models.PositiveIntegerField(
        _("mails missing"), default=0, db_default=0, editable=False
    )

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

    @classmethod
    def in_use(cls) -> models.QuerySet[Mailbox]:
        return cls.objects.exclude(state=cls.State.DONE)

    @property
    def is_removed(self) -> bool:
        return self.state == self.State.DONE

    @property
    def uses_tokens(self) -> bool:
        """Whether it is signed in to with tokens; nobody may have done so yet."""
        return self.auth != self.Auth.PASSWORD

    @property
    def lacks_sign_in(self) -> bool:
        """Whether somebody must sign in with its service, for the first time or again."""
        return self.uses_tokens and not self.oauth_refresh_token

    def next_due_at(self) -> datetime:
        if self.kind == self.Kind.HOOK:
            return now() + timedelta(days=1)
        return now() + timedelta(seconds=self.fetch_every_seconds)


class MailboxAlarm(Work):
    """What is wrong with a mailbox, from when it was noticed until it was over.

    The desk shows it while it lasts; the work is to mail it to the administrators once.
    """

    class Kind(models.TextChoices):
        SILENT = "silent", _("Cannot be read")
        MISSING = "missing", _("Mails are missing")

    TASK = "tickets.mail_alarm"
    RETRY_SECONDS = (60, 300, 1_800, 7_200)

    mailbox = models.ForeignKey(
        Mailbox, models.CASCADE, related_name="alarms", verbose_name=_("mailbox")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    text = models.CharField(_("text"), max_length=500)  # a sentence for staff
    raised_at = models.DateTimeField(_("raised at"), default=now)
    cleared_at = models.DateTimeField(_("over at"), null=True, blank=True)

    class Meta(Work.Meta):
        verbose_name = _("alarm of a mailbox")
        verbose_name_plural = _("alarms of mailboxes")
        constraints = [
            *Work.Meta.constraints,
            models.UniqueConstraint(
                fields=["mailbox", "kind"],
                condition=Q(cleared_at=None),
                name="mailboxalarm_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.text


class InboundEmail(Work):
    """A mail as it came, byte for byte, and what became of it. Never deleted by us."""

    class Decision(models.TextChoices):
        UNDECIDED = "", _("Not decided yet")
        FILED = "filed", _("Filed")
        DUPLICATE = "duplicate", _("Seen before")
        IGNORED = "ignored", _("Ignored")

    TASK = "tickets.file_inbound"
    RETRY_SECONDS = (5, 60, 600)
    # A large mail is read piece by piece: see operations.stored.raw_of.
    CLAIMED_AS = {"raw": f"CASE WHEN size_bytes <= {READ_AT_ONCE_BYTES} THEN raw ELSE '' END"}

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
    uidl = models.CharField(max_length=70, null=True, blank=True)  # POP3's name of it (RFC 1939)
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
    # Who wrote it: a person or which kind of machine, as `mail.machines` names them.
    nature = models.CharField(_("nature"), max_length=10, blank=True, default="", db_default="")
    # Signed or encrypted, as `mail.protection` names it. Nothing of it is verified.
    protection = models.CharField(
        _("protection"), max_length=10, blank=True, default="", db_default=""
    )

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
            models.UniqueConstraint(
                fields=["mailbox", "uidl"],
                condition=Q(uidl__isnull=False),
                name="inboundemail_uidl_once",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | ~Q(decision=""), name="inboundemail_done_is_decided"
            ),
        ]

    def __str__(self) -> str:
        return self.subject or self.rfc_message_id or f"{_('Mail')} {self.pk}"


class OutgoingEmail(Work):
    """One reply to one recipient. Written with its message; sending is another transaction."""

    class Field(models.TextChoices):
        TO = "to", _("To")
        CC = "cc", _("Cc")
        BCC = "bcc", _("Bcc")

    TASK = "tickets.deliver"
    # 1 min to 6 h apart, for three days in all.
    RETRY_SECONDS = (60, 300, 900, 3_600, 10_800, *(21_600,) * 11)

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
    field = models.CharField(
        _("named in"), max_length=3, choices=Field, default=Field.TO, db_default=Field.TO
    )
    # Written by no person: the loop guard counts it, and the mail says so (RFC 3834).
    is_automatic = models.BooleanField(_("automatic"), default=False, db_default=False)
    # Carries every reply after this place, up to its message; null: its message alone.
    since_seq = models.IntegerField(_("since entry"), null=True, blank=True)
    # What came back after a server had accepted it.
    bounced_at = models.DateTimeField(_("bounced at"), null=True, blank=True)
    bounce_hard = models.BooleanField(_("will never arrive"), default=False, db_default=False)
    bounce_kind = models.CharField(
        _("why it bounced"), max_length=20, blank=True, default="", db_default=""
    )
    bounce_reason = models.CharField(
        _("their server's words"), max_length=500, blank=True, default="", db_default=""
    )

    class Meta(Work.Meta):
        verbose_name = _("outgoing email")
        verbose_name_plural = _("outgoing emails")
        indexes = [
            *Work.Meta.indexes,
            # What the loop guard counts.
            models.Index(
                fields=["address", "created_at"],
                condition=Q(is_automatic=True),
                name="outgoingemail_automatic",
            ),
        ]
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
