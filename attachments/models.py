"""Files: bytes that are kept once, and the names they are shown under.

uploading ──all bytes are here──> checking ──> ready ──claim──> a message shows it
                                     └──────> rejected
"""

from __future__ import annotations

import secrets
import uuid
from datetime import date, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.errors import NotFound
from helpdesk.lib.work import Work

NAME_MAX_CHARS = 255
VIRUS_MAX_CHARS = 120
OWNER_MAX_CHARS = 40
REFUSAL_MAX_CHARS = 300


UPLOADS = "uploads/"  # what is arriving
BLOBS = "blobs/"  # what has arrived, and does not change any more
PREVIEWS = "previews/"  # the small pictures we make of it


def new_key(folder: str = BLOBS) -> str:
    """Where bytes will lie in the storage. Never used twice, and nobody can guess it."""
    key = secrets.token_hex(16)
    return f"{folder}{key[:2]}/{key}"


def kept_key(upload_key: str) -> str:
    """Where the bytes of an upload will lie. No form leads there: one can be posted again as long
    as it is valid, and what was looked into must stay what it was."""
    return BLOBS + upload_key.removeprefix(UPLOADS)


class Blob(models.Model):
    """Bytes in the storage, kept once however many attachments show them."""

    key = models.CharField(max_length=64, unique=True, default=new_key, editable=False)
    sha256 = models.CharField(max_length=64, unique=True)
    size_bytes = models.PositiveBigIntegerField(_("size (bytes)"))
    type = models.CharField(_("type"), max_length=127)  # read from the bytes, never from a name
    # A small picture of what is in it, for those who have not opened it yet.
    preview_key = models.CharField(max_length=64, blank=True, db_default="", default="")
    preview_width = models.SmallIntegerField(db_default=0, default=0)
    preview_height = models.SmallIntegerField(db_default=0, default=0)
    # When that was tried: what cannot be drawn is not tried again with every copy of it.
    drawn_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Null: no scanner has looked at it.
    scanned_at = models.DateTimeField(_("scanned at"), null=True, blank=True)
    virus = models.CharField(
        _("virus"), max_length=VIRUS_MAX_CHARS, blank=True, db_default="", default=""
    )
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("stored file")
        verbose_name_plural = _("stored files")

    def __str__(self) -> str:
        return f"{self.type}, {self.sha256[:12]}"


class Attachment(models.Model):
    """A file as somebody gave it to us: a name, and the bytes behind it.

    One that comes with a mail is ready when it is written; an upload passes through the states.
    """

    class State(models.TextChoices):
        UPLOADING = "uploading", _("Uploading")
        CHECKING = "checking", _("Checking")
        READY = "ready", _("Ready")
        REJECTED = "rejected", _("Rejected")

    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=NAME_MAX_CHARS)
    state = models.CharField(
        _("state"),
        max_length=9,
        choices=State,
        default=State.READY,
        db_default=State.READY,
    )
    # Why it was rejected: a sentence for whoever uploaded it.
    refusal = models.CharField(
        _("refusal"), max_length=REFUSAL_MAX_CHARS, blank=True, default="", db_default=""
    )
    blob = models.ForeignKey(
        Blob,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="attachments",
        verbose_name=_("stored file"),
    )
    # Who uploads it, as the floors above name them; only they may claim it. Empty: it came by mail.
    owner = models.CharField(max_length=OWNER_MAX_CHARS, blank=True, default="", db_default="")
    # Of an upload: where its bytes arrive, how many there will be, and what kinds are taken there.
    upload_key = models.CharField(max_length=64, null=True, blank=True, editable=False)
    announced_bytes = models.BigIntegerField(_("announced (bytes)"), null=True, blank=True)
    allowed_types = ArrayField(
        models.CharField(max_length=127), blank=True, default=list, db_default=[]
    )
    # When a message took it. Null: nobody shows it, and it goes after a day.
    claimed_at = models.DateTimeField(_("claimed at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="attachment_has_name"),
            models.CheckConstraint(
                condition=~Q(state="ready") | Q(blob__isnull=False),
                name="attachment_ready_has_bytes",
            ),
            models.CheckConstraint(
                condition=~Q(state="uploading")
                | Q(upload_key__isnull=False, announced_bytes__isnull=False),
                name="attachment_uploading_has_place",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(claimed_at=None),
                name="attachment_unclaimed",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def stored(self) -> Blob:
        """Its bytes. Raises NotFound where there are none yet."""
        if self.blob is None:
            raise NotFound
        return self.blob

    @property
    def why_closed(self) -> str:
        """The sentence for whoever wants to open it and may not; empty where it is open."""
        if self.blob is not None and self.blob.virus:
            return virus_found(self.blob.virus)
        if self.state == self.State.READY:
            return ""
        # A worker wrote the refusal, in no language in particular.
        return gettext(self.refusal or "This file is being checked.")


def virus_found(name: str) -> str:
    """The sentence for a file that has one."""
    text = gettext("A virus was found in this file: %(virus)s. It cannot be opened.")
    return text % {"virus": name}


class FileLink(models.Model):
    """What a mail shows instead of a file: whoever has its address gets the file, for weeks.

    Nothing that opens it is stored. The address is signed (attachments.lasting), so whoever reads
    the database or a copy of it holds no key, and a mail that is sent again has the same address.
    """

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        EXPIRED = "expired", _("Expired")
        REVOKED = "revoked", _("Revoked")
        WITHHELD = "withheld", _("Withheld")  # a virus was found after the mail had left

    # Never used twice, as a row's number may be once a database is restored from a copy.
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    attachment = models.ForeignKey(
        Attachment, models.CASCADE, related_name="links", verbose_name=_("attachment")
    )
    # Which mail shows it, as the floors above name it. One mail goes to one person, so that a link
    # can be taken back from one and left to the others.
    given_to = models.CharField(_("given to"), max_length=OWNER_MAX_CHARS)
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("link to a file")
        verbose_name_plural = _("links to files")
        constraints = [
            models.UniqueConstraint(fields=["attachment", "given_to"], name="filelink_once"),
        ]

    def __str__(self) -> str:
        return str(self.attachment)

    @property
    def last_day(self) -> date:
        """The last day, anywhere, on which it opens the file."""
        return (self.expires_at - timedelta(days=1)).date()

    @property
    def state(self) -> State:
        if self.revoked_at:
            return self.State.REVOKED
        if self.expires_at <= now():
            return self.State.EXPIRED
        return self.State.WITHHELD if self.attachment.why_closed else self.State.OPEN


class Check(Work):
    """Work: look into a file before anybody else may have it."""

    TASK = "attachments.check"

    attachment = models.OneToOneField(
        Attachment, models.CASCADE, related_name="check_work", verbose_name=_("attachment")
    )

    class Meta(Work.Meta):
        verbose_name = _("check of a file")
        verbose_name_plural = _("checks of files")

    def __str__(self) -> str:
        return str(self.attachment)
