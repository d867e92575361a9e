"""People exchanging messages in one order."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from tickets.models.people import Person

TITLE_MAX_CHARS = 120


class Conversation(models.Model):
    """People exchanging messages in one order. Its row is the one lock of every operation."""

    class Channel(models.TextChoices):
        EMAIL = "email", _("Email")
        CHAT = "chat", _("Chat")
        INTERNAL = "internal", _("Internal")

    channel = models.CharField(_("channel"), max_length=8, choices=Channel)
    # What a group is called by those in it. A ticket's subject is the desk's.
    title = models.CharField(
        _("title"), max_length=TITLE_MAX_CHARS, blank=True, default="", db_default=""
    )
    # People were added to it, or it began among colleagues.
    is_group = models.BooleanField(_("group"), default=False, db_default=False)
    # Rises when somebody loses a seat: who listens since before asks again whether they may.
    seats_version = models.IntegerField(default=0, db_default=0, editable=False)
    # Of a direct message the two people, by their ids, the older one first: "12-57".
    pair = models.CharField(max_length=41, null=True, blank=True, editable=False)
    # The conversation that colleagues talk about in this one, beside it.
    side_of = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="side_conversations",
        verbose_name=_("beside"),
        db_constraint=False,
        db_index=False,
    )
    # Its ticket was merged: nothing is said here any more, what was said stays. Never one that was
    # merged itself.
    merged_into = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("merged into"),
        db_constraint=False,
        db_index=False,
    )
    # The line there that says so: in the joint timeline every entry of this one stands before it.
    merged_seq = models.IntegerField(null=True, blank=True, editable=False)
    # All that were merged into this one, so that nobody who has this row must look for them.
    merged_from = ArrayField(
        models.BigIntegerField(), default=list, db_default=[], blank=True, editable=False
    )
    last_seq = models.PositiveIntegerField(_("last entry"), default=0)
    # The last entry that customers can see: what the next one says it comes after.
    last_public_seq = models.PositiveIntegerField(_("last public entry"), default=0)
    created_at = models.DateTimeField(_("created at"), default=now)
    # Chosen by whoever on staff began it, so that sending the first mail again is harmless.
    opened_with = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        indexes = [
            models.Index(
                fields=["side_of"],
                condition=Q(side_of__isnull=False),
                name="conversation_side_of",
            ),
            models.Index(
                fields=["merged_into"],
                condition=Q(merged_into__isnull=False),
                name="conversation_merged_into",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["opened_with"],
                condition=Q(opened_with__isnull=False),
                name="conversation_opened_once",
            ),
            models.UniqueConstraint(
                fields=["pair"],
                condition=Q(pair__isnull=False),
                name="conversation_pair_once",
            ),
            models.CheckConstraint(
                condition=Q(last_public_seq__lte=F("last_seq")),
                name="conversation_public_within_all",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True, merged_seq__isnull=True)
                | Q(merged_into__isnull=False, merged_seq__isnull=False, merged_from=[]),
                name="conversation_merged_as_a_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.get_channel_display()} {self.pk}"

    @property
    def all_merged(self) -> list[int]:
        """The keys of this one and of all that were merged into it."""
        return [self.pk, *self.merged_from]


class Participant(models.Model):
    """A seat in a conversation: who sits there, how they hear, and from where they may read."""

    class Role(models.TextChoices):
        CUSTOMER = "customer", _("Customer")
        STAFF = "staff", _("Staff")
        ASSISTANT = "assistant", _("Assistant")

    class Reach(models.TextChoices):
        LIVE = "live", _("Live")  # the widget or the desk, while it is open
        EMAIL = "email", _("Email")  # one email per reply

    class Rank(models.TextChoices):
        OWNER = "owner", _("Owner")  # removes people, renames, gives ranks
        MEMBER = "member", _("Member")
        READER = "reader", _("Read-only")

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="participants")
    person = models.ForeignKey(Person, models.PROTECT, related_name="seats")
    role = models.CharField(_("role"), max_length=10, choices=Role)
    reach = models.CharField(_("reach"), max_length=8, choices=Reach, default=Reach.LIVE)
    sees_after_seq = models.PositiveIntegerField(_("sees entries after"), default=0)
    last_read_seq = models.PositiveIntegerField(_("has read up to"), default=0)
    # What their browser has while they do not look; it says so about itself.
    got_seq = models.IntegerField(_("has got up to"), default=0, db_default=0)
    # Hears replies as a copy: in Cc of a mail, not in To.
    copied = models.BooleanField(_("in copy"), default=False, db_default=False)
    rank = models.CharField(
        _("rank"), max_length=6, choices=Rank, default=Rank.MEMBER, db_default=Rank.MEMBER
    )
    # Gets no mail and no notification; the conversation is still theirs to read.
    muted = models.BooleanField(_("muted"), default=False, db_default=False)
    # Up to where unread replies have been mailed to somebody who hears live.
    mailed_seq = models.IntegerField(_("mailed up to"), default=0, db_default=0)
    left_at = models.DateTimeField(_("left at"), null=True, blank=True)
    # Removed by somebody else: no mail and no link brings them back, only being added again.
    barred = models.BooleanField(_("removed"), default=False, db_default=False)

    class Meta:
        verbose_name = _("participant")
        verbose_name_plural = _("participants")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "person"], name="participant_once"),
            models.CheckConstraint(
                condition=Q(last_read_seq=0) | Q(last_read_seq__gt=F("sees_after_seq")),
                name="participant_read_only_what_is_seen",
            ),
            models.CheckConstraint(
                condition=Q(barred=False) | Q(left_at__isnull=False),
                name="participant_barred_has_left",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} · {self.get_role_display()}"


class Message(models.Model):
    """One entry of a timeline. Written once, never edited."""

    class Kind(models.TextChoices):
        REPLY = "reply", _("Reply")  # everyone in the conversation sees it
        NOTE = "note", _("Note")  # staff see it; it never leaves the desk
        CHANGE = "change", _("Change")  # "Alice set the status to solved"

    class Audience(models.TextChoices):
        EVERYONE = "everyone", _("Everyone")
        STAFF = "staff", _("Staff")

    class Via(models.TextChoices):
        EMAIL = "email", _("Email")
        WEB = "web", _("Desk")
        WIDGET = "widget", _("Widget")
        API = "api", _("API")
        SYSTEM = "system", _("Helpdesk")

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    seq = models.PositiveIntegerField(_("place"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    audience = models.CharField(_("audience"), max_length=8, choices=Audience)
    via = models.CharField(_("via"), max_length=8, choices=Via)
    # Null: the helpdesk itself.
    author = models.ForeignKey(
        Person, models.PROTECT, null=True, blank=True, related_name="messages"
    )
    body = models.TextField(_("body"), blank=True)
    quoted = models.TextField(_("quoted"), blank=True)  # what a mail repeats, folded away
    change = models.JSONField(_("change"), null=True, blank=True)  # {"field", "old", "new", …}
    file_count = models.SmallIntegerField(_("files"), default=0, db_default=0)
    # Its mail has a look of its own: see MessageHtml.
    has_html = models.BooleanField(_("has HTML"), default=False, db_default=False)
    sources = models.JSONField(_("sources"), default=list, blank=True)  # [{"title", "url"}]
    # Answers that a customer may give with one click: ["Yes", "No"].
    choices = models.JSONField(_("choices"), default=list, blank=True, db_default=[])
    # Chosen by the sender, so that sending again is harmless.
    client_token = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=now)
    search = SearchVectorField(null=True, editable=False)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="message_seq_once"),
            models.UniqueConstraint(
                fields=["conversation", "author", "client_token"],
                condition=Q(client_token__isnull=False),
                name="message_token_once",
            ),
            models.CheckConstraint(
                condition=Q(kind="change", change__isnull=False)
                | (
                    Q(change__isnull=True) & ~Q(kind="change") & (~Q(body="") | Q(file_count__gt=0))
                ),
                name="message_speaks_shows_or_records",
            ),
            models.CheckConstraint(
                condition=Q(kind="reply", audience="everyone")
                | Q(kind="note", audience="staff")
                | Q(kind="change"),
                name="message_notes_are_for_staff",
            ),
        ]
        indexes = [GinIndex(fields=["search"], name="message_search")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.seq}"

    @property
    def is_public(self) -> bool:
        return self.audience == self.Audience.EVERYONE


class MessageHtml(models.Model):
    """The HTML of a mail, sanitised, where it says more than its text does."""

    message = models.OneToOneField(
        Message, models.CASCADE, primary_key=True, related_name="html", verbose_name=_("message")
    )
    visible = models.TextField(_("what was written"), blank=True)
    quoted = models.TextField(_("quoted"), blank=True)
    has_remote = models.BooleanField(_("has pictures from elsewhere"), default=False)

    class Meta:
        verbose_name = _("HTML of a message")
        verbose_name_plural = _("HTML of messages")

    def __str__(self) -> str:
        return str(self.message_id)


class Mention(models.Model):
    """Somebody on staff whom a message names: @Bob."""

    message = models.ForeignKey(
        Message, models.CASCADE, related_name="mentions", verbose_name=_("message")
    )
    person = models.ForeignKey(
        Person, models.CASCADE, related_name="mentions", verbose_name=_("person")
    )
    seen_at = models.DateTimeField(_("seen at"), null=True, blank=True)

    class Meta:
        verbose_name = _("mention")
        verbose_name_plural = _("mentions")
        constraints = [
            models.UniqueConstraint(fields=["message", "person"], name="mention_once"),
        ]
        indexes = [
            models.Index(
                fields=["person"], condition=Q(seen_at__isnull=True), name="mention_unseen"
            ),
        ]

    def __str__(self) -> str:
        return f"@{self.person}"
