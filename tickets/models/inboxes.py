"""The doors that customers come in by."""

from __future__ import annotations

import secrets

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from tickets.models.people import Team


def new_widget_key() -> str:
    """What a shop's page names its inbox by. Public; it opens nothing by itself."""
    return secrets.token_urlsafe(12)


FILE_MAX_MB = 2_000

# What a visitor may send unless the inbox says otherwise: no programs.
VISITOR_TYPES = [
    "image/*",
    "audio/*",
    "video/*",
    "text/*",
    "application/pdf",
    "application/zip",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-*",
    "application/vnd.oasis.*",
    "application/vnd.openxmlformats-*",
]


def visitor_types() -> list[str]:
    return list(VISITOR_TYPES)


class Asked(models.TextChoices):
    """Whether the widget asks for something before a chat."""

    NEVER = "never", _("Not asked")
    OPTIONAL = "optional", _("Asked")
    REQUIRED = "required", _("Required")


class Desk(models.Model):
    """The one row of what holds for the whole helpdesk."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    name = models.CharField(_("name"), max_length=80, default="Helpdesk")
    assistant_on = models.BooleanField(_("the assistant answers"), default=True)

    class Meta:
        verbose_name = _("desk")
        verbose_name_plural = _("desk")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="desk_only_one")]

    def __str__(self) -> str:
        return self.name


class Inbox(models.Model):
    """A door: a brand with an address, a widget, or both."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    from_name = models.CharField(
        _("sender name"), max_length=80, blank=True, help_text=_("Customers see it on every mail.")
    )
    address = models.EmailField(
        _("address"),
        null=True,
        blank=True,
        help_text=_("Mail to this address opens tickets here, and replies leave from it."),
    )
    widget_key = models.CharField(
        _("widget key"), max_length=40, null=True, blank=True, unique=True, default=new_widget_key
    )
    allowed_origins = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        verbose_name=_("allowed origins"),
        help_text=_(
            "Sites that may show the widget, such as https://shop.example, separated by commas. "
            "Empty: only this helpdesk's own pages."
        ),
    )
    greeting = models.CharField(
        _("greeting"), max_length=160, blank=True, default="Hello, what can we do for you?"
    )
    accent = models.CharField(
        _("accent colour"),
        max_length=7,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator("^#[0-9a-fA-F]{6}$", _("Write a colour such as #3a50d5."))],
        help_text=_("Such as #3a50d5. What stands on it is made black or white, so it is legible."),
    )
    widget_position = models.CharField(
        _("corner"),
        max_length=5,
        blank=True,
        default="",
        db_default="",
        choices=[("", _("Where lines end")), ("left", _("Left")), ("right", _("Right"))],
    )
    widget_theme = models.CharField(
        _("light or dark"),
        max_length=5,
        blank=True,
        default="",
        db_default="",
        choices=[("", _("As the visitor's device")), ("light", _("Light")), ("dark", _("Dark"))],
    )
    shows_faces = models.BooleanField(
        _("show who answers"),
        default=True,
        db_default=True,
        help_text=_("First names of those who answered chats in the last days."),
    )
    starters = ArrayField(
        models.CharField(max_length=80),
        default=list,
        db_default=[],
        blank=True,
        verbose_name=_("first questions"),
        help_text=_("Offered before anything was said, separated by commas. One click asks one."),
    )
    asks_name = models.CharField(
        _("name"), max_length=8, choices=Asked, default=Asked.NEVER, db_default=Asked.NEVER
    )
    asks_email = models.CharField(
        _("email address"), max_length=8, choices=Asked, default=Asked.NEVER, db_default=Asked.NEVER
    )
    asks_question = models.CharField(
        _("question"), max_length=8, choices=Asked, default=Asked.NEVER, db_default=Asked.NEVER
    )
    question = models.CharField(
        _("question asked"), max_length=120, blank=True, default="", db_default=""
    )
    question_choices = ArrayField(
        models.CharField(max_length=80),
        default=list,
        db_default=[],
        blank=True,
        verbose_name=_("answers to choose from"),
        help_text=_("Separated by commas. None: visitors write their own."),
    )
    sees_pages = models.BooleanField(
        _("show staff which page a visitor looks at"), default=False, db_default=False
    )
    assistant_on = models.BooleanField(_("the assistant answers"), default=False)
    shows_addresses = models.BooleanField(
        _("people in a group see each other's addresses"),
        default=False,
        db_default=False,
        help_text=_("Otherwise they see names only, and answers are passed on by the helpdesk."),
    )
    previews_typing = models.BooleanField(
        _("staff see what visitors type"),
        default=False,
        db_default=False,
        help_text=_("Before it is sent. The widget says so."),
    )
    assigns_chats = models.BooleanField(
        _("new chats are given to who is free"),
        default=False,
        db_default=False,
        help_text=_("To staff who are at the desk, not away, and below their number of chats."),
    )
    file_max_mb = models.PositiveSmallIntegerField(
        _("largest file (MB)"),
        default=25,
        db_default=25,
        validators=[MinValueValidator(1), MaxValueValidator(FILE_MAX_MB)],
    )
    files_max = models.PositiveSmallIntegerField(
        _("most files in a message"),
        default=15,
        db_default=15,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
    )
    visitor_types = ArrayField(
        models.CharField(max_length=127),
        default=visitor_types,
        blank=True,
        verbose_name=_("file types visitors may send"),
        help_text=_(
            "Media types such as image/* or application/pdf, separated by commas. What a file is "
            "is read from its content. Empty: every type."
        ),
    )
    signature = models.TextField(
        _("signature"),
        blank=True,
        default="",
        db_default="",
        max_length=2_000,
        help_text=_("Markdown, below every reply by mail. {name} is who wrote it."),
    )
    quotes_history = models.BooleanField(
        _("replies quote what was said before"), default=False, db_default=False
    )
    new_ticket_after_days = models.PositiveSmallIntegerField(
        _("new subject opens a new ticket after (days)"),
        default=14,
        db_default=14,
        help_text=_(
            "An answer under another subject to a ticket that was solved this long ago opens a "
            "new one, which names the old. 0: never."
        ),
    )
    # A word to the customer that their mail is here; never to a machine.
    acknowledges = models.BooleanField(
        _("acknowledge new tickets by mail"), default=False, db_default=False
    )
    acknowledgement = models.TextField(
        _("acknowledgement"),
        blank=True,
        default="",
        db_default="",
        max_length=5_000,
        help_text=_("Markdown. {name}, {number} and {subject} are filled in."),
    )
    acknowledgement_away = models.TextField(
        _("acknowledgement out of hours"),
        blank=True,
        default="",
        db_default="",
        max_length=5_000,
        help_text=_("Empty: the same at all hours."),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        default="en",
        db_default="en",
        help_text=_("Of its automatic mails, as in en or pt-br."),
    )
    time_zone = models.CharField(_("time zone"), max_length=50, default="UTC", db_default="UTC")
    # {"0": ["09:00", "17:00"], …} by weekday, 0 is Monday. Empty: always open.
    hours = models.JSONField(_("business hours"), default=dict, blank=True, db_default={})
    teams = models.ManyToManyField(
        Team,
        blank=True,
        related_name="inboxes",
        verbose_name=_("teams"),
        help_text=_("Only these teams see the inbox. None: everyone on staff does."),
    )

    class Meta:
        verbose_name = _("inbox")
        verbose_name_plural = _("inboxes")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(Lower("address"), name="inbox_address_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def file_max_bytes(self) -> int:
        return self.file_max_mb * 1024 * 1024
