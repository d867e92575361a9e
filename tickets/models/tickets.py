"""The desk's case file on a conversation."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.text import PREVIEW_CHARS
from tickets.models.conversations import Conversation
from tickets.models.inboxes import Inbox
from tickets.models.people import NAME_MAX_CHARS, Person, Team

SUBJECT_MAX_CHARS = 250


class Ticket(models.Model):
    """The desk's case file on a conversation: who answers, and how far along it is.

    It holds no text. What the list shows is copied here in the transaction that changes it,
    so that a page of the list is one walk along one index.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("Open")  # it is our turn
        WAITING = "waiting", _("Waiting")  # it is the customer's turn
        SOLVED = "solved", _("Solved")

    class Handler(models.TextChoices):
        ASSISTANT = "assistant", _("Assistant")
        STAFF = "staff", _("Staff")

    number = models.BigAutoField(_("number"), primary_key=True)
    conversation = models.OneToOneField(Conversation, models.CASCADE, related_name="ticket")
    subject = models.CharField(_("subject"), max_length=SUBJECT_MAX_CHARS, blank=True)
    requester = models.ForeignKey(
        Person, models.PROTECT, related_name="tickets", verbose_name=_("requester")
    )
    inbox = models.ForeignKey(
        Inbox, models.PROTECT, related_name="tickets", verbose_name=_("inbox")
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="tickets",
        verbose_name=_("assignee"),
    )
    team = models.ForeignKey(
        Team,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="tickets",
        verbose_name=_("team"),
    )
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.OPEN)
    handler = models.CharField(_("handler"), max_length=10, choices=Handler, default=Handler.STAFF)
    opened_at = models.DateTimeField(_("opened at"), default=now)
    first_reply_at = models.DateTimeField(_("first reply at"), null=True, blank=True)
    solved_at = models.DateTimeField(_("solved at"), null=True, blank=True)
    # Since when it has been our turn.
    waiting_since = models.DateTimeField(_("waiting since"), null=True, blank=True)
    # Somebody waits in the widget for a person at this moment: it comes before all else.
    live = models.BooleanField(_("live"), default=False, db_default=False)
    last_message_at = models.DateTimeField(_("last message at"), default=now)
    last_preview = models.CharField(_("last message"), max_length=PREVIEW_CHARS, blank=True)
    last_author_name = models.CharField(_("written by"), max_length=NAME_MAX_CHARS, blank=True)
    unread = models.BooleanField(_("unread"), default=True)
    # The last entry that somebody on staff has seen: what customers are told is "Read".
    read_seq = models.IntegerField(_("read up to"), default=0, db_default=0)
    # The ticket whose matter this one takes up again.
    continues = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="continued_by",
        verbose_name=_("continues"),
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        indexes = [
            # The open lists: those who wait live first, then the longest waiting.
            models.Index(
                fields=["-live", "waiting_since", "number"],
                condition=Q(status="open"),
                name="ticket_open_live",
            ),
            models.Index(
                fields=["assignee", "-live", "waiting_since", "number"],
                condition=Q(status="open"),
                name="ticket_open_live_by_assignee",
            ),
            # PostgreSQL does not walk the index above in order for "assignee IS NULL".
            models.Index(
                fields=["-live", "waiting_since", "number"],
                condition=Q(status="open", assignee=None),
                name="ticket_open_live_unassigned",
            ),
            models.Index(
                fields=["inbox", "-live", "waiting_since", "number"],
                condition=Q(status="open"),
                name="ticket_open_live_by_inbox",
            ),
            # Those who wait live are few, and counted and gone through often.
            models.Index(
                fields=["waiting_since", "number"],
                condition=Q(status="open", live=True),
                name="ticket_live",
            ),
            # The others, latest first.
            models.Index(
                fields=["-last_message_at", "-number"],
                condition=Q(status="waiting"),
                name="ticket_waiting",
            ),
            models.Index(
                fields=["-solved_at", "-number"],
                condition=Q(status="solved"),
                name="ticket_solved",
            ),
            models.Index(
                fields=["continues"], condition=Q(continues__isnull=False), name="ticket_continues"
            ),
            # How long first replies take, of the last days.
            models.Index(
                fields=["inbox", "first_reply_at"],
                condition=Q(first_reply_at__isnull=False),
                name="ticket_first_replies",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="solved", solved_at__isnull=False)
                | (~Q(status="solved") & Q(solved_at__isnull=True)),
                name="ticket_solved_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status="open", waiting_since__isnull=False)
                | (~Q(status="open") & Q(waiting_since__isnull=True)),
                name="ticket_open_is_waiting_for_us",
            ),
            models.CheckConstraint(
                condition=Q(first_reply_at__isnull=True)
                | Q(first_reply_at__gte=models.F("opened_at")),
                name="ticket_reply_after_open",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.subject}".strip()


class TicketCount(models.Model):
    """How many tickets stand where, as rows to be summed up.

    A trigger on the ticket table appends +1 and -1 (migration `count_tickets`), so counting
    locks nothing; `fold_counts` sums the rows up from time to time. The count of a key is the
    sum of its rows at any moment.
    """

    inbox = models.ForeignKey(Inbox, models.CASCADE, related_name="+", db_constraint=False)
    status = models.CharField(max_length=8, choices=Ticket.Status)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    amount = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["inbox", "status", "assignee"], name="ticketcount_key")]

    def __str__(self) -> str:
        return f"{self.inbox_id} {self.status} {self.assignee_id}: {self.amount:+}"


RATING_CHANGEABLE = timedelta(days=1)
RATING_COMMENT_MAX_CHARS = 2_000


class Rating(models.Model):
    """How a customer found the way they were answered: once for a ticket."""

    ticket = models.OneToOneField(
        Ticket, models.CASCADE, related_name="rating", verbose_name=_("ticket")
    )
    person = models.ForeignKey(Person, models.PROTECT, related_name="+", verbose_name=_("rated by"))
    score = models.PositiveSmallIntegerField(
        _("score"), validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    comment = models.TextField(_("comment"), blank=True, max_length=RATING_COMMENT_MAX_CHARS)
    created_at = models.DateTimeField(_("created at"), default=now)
    changed_at = models.DateTimeField(_("changed at"), default=now)

    class Meta:
        verbose_name = _("rating")
        verbose_name_plural = _("ratings")
        constraints = [
            models.CheckConstraint(
                condition=Q(score__gte=1, score__lte=5), name="rating_one_to_five"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score}/5"
