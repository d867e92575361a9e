"""What the assistant knows, and what it was asked."""

from __future__ import annotations

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from attachments.models import Attachment
from helpdesk.lib.work import Work
from tickets.models import Conversation

# The dictionary that questions and articles are read with; both must use the same one.
SEARCH_CONFIG = "english"
MODEL_MAX_CHARS = 100
BODY_MAX_CHARS = 100_000  # PostgreSQL caps a text vector at 1 MB
# The lines of the text that begin with #; "n" lets ^ and $ stand for the ends of a line.
HEADINGS = models.Func(
    models.F("body"),
    models.Value(r"^[^#].*$"),
    models.Value(""),
    models.Value("gn"),
    function="regexp_replace",
    output_field=models.TextField(),
)


class Article(models.Model):
    """A page of the help centre: what customers read, and all that the assistant may quote."""

    title = models.CharField(_("title"), max_length=200)
    slug = models.SlugField(_("address"), max_length=200, unique=True)
    keywords = models.CharField(
        _("other words"),
        max_length=500,
        blank=True,
        help_text=_(
            "What customers call it, separated by commas. Search takes them for words of the "
            "title; nobody sees them."
        ),
    )
    body = models.TextField(_("text"), max_length=BODY_MAX_CHARS, help_text=_("Markdown."))
    published = models.BooleanField(
        _("published"), default=True, help_text=_("Customers and the assistant see it.")
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    # Words of the title weigh most, then those of headings.
    search = models.GeneratedField(
        expression=SearchVector("title", "keywords", weight="A", config=SEARCH_CONFIG)
        + SearchVector(HEADINGS, weight="B", config=SEARCH_CONFIG)
        + SearchVector("body", weight="D", config=SEARCH_CONFIG),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("article")
        verbose_name_plural = _("articles")
        ordering = ["title"]
        indexes = [GinIndex(fields=["search"], name="article_search")]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("ai:article", args=[self.slug])


class ArticleFile(models.Model):
    """A file of an article. Everyone may have it, once the article is published."""

    article = models.ForeignKey(
        Article, models.CASCADE, related_name="files", verbose_name=_("article")
    )
    attachment = models.OneToOneField(
        Attachment, models.PROTECT, related_name="article_file", verbose_name=_("attachment")
    )

    class Meta:
        verbose_name = _("file of an article")
        verbose_name_plural = _("files of articles")
        ordering = ["pk"]

    def __str__(self) -> str:
        return str(self.attachment)


class Answer(Work):
    """One customer's message that the assistant is to react to, and how it did.

    The message that it posts carries `client_token`, so that however often a worker dies and
    another takes over, the same answer is stored once.
    """

    class Outcome(models.TextChoices):
        UNDECIDED = "", _("Not decided yet")
        ANSWERED = "answered", _("Answered")
        HANDED_OVER = "handed_over", _("Handed over")
        SILENT = "silent", _("Said nothing")

    TASK = "ai.answer"
    RETRY_SECONDS = (2, 10)

    conversation = models.ForeignKey(
        Conversation, models.CASCADE, related_name="answers", verbose_name=_("conversation")
    )
    question_seq = models.PositiveIntegerField(_("asked in entry"))
    outcome = models.CharField(
        _("outcome"), max_length=12, choices=Outcome, default=Outcome.UNDECIDED, blank=True
    )
    reason = models.CharField(_("why"), max_length=300, blank=True)
    model = models.CharField(
        _("model"),
        max_length=MODEL_MAX_CHARS,
        blank=True,
        help_text=_("Empty: the built-in answerer."),
    )
    prompt_tokens = models.PositiveIntegerField(_("tokens read"), null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(_("tokens written"), null=True, blank=True)
    sources = models.JSONField(_("sources"), default=list, blank=True)  # [{"title", "url"}]
    client_token = models.UUIDField(default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta(Work.Meta):
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        constraints = [
            *Work.Meta.constraints,
            models.UniqueConstraint(
                fields=["conversation", "question_seq"], name="answer_once_per_question"
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | ~Q(outcome=""), name="answer_done_is_decided"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} · {self.conversation} / {self.question_seq}"
