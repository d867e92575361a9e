"""Articles are written here; answers are looked at here."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from ai.models import Answer, Article
from helpdesk.lib.admin import ReadOnly, WorkAdmin


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin[Article]):
    list_display = ("title", "slug", "published", "updated_at")
    list_filter = ("published", "updated_at")
    list_editable = ("published",)
    search_fields = ("title", "keywords", "body")
    prepopulated_fields = {"slug": ("title",)}
    fields = ("title", "slug", "published", "keywords", "body")


@admin.register(Answer)
class AnswerAdmin(ReadOnly, WorkAdmin):
    list_display = (
        "id",
        "conversation",
        "question_seq",
        "outcome",
        "reason",
        "model",
        "tokens",
        "state",
        "attempts",
        "created_at",
    )
    list_filter = ("outcome", "state", "model", "created_at")
    search_fields = ("reason", "error", "conversation__ticket__subject")
    list_select_related = ("conversation",)
    date_hierarchy = "created_at"
    show_full_result_count = False

    @admin.display(description=_("tokens read and written"))
    def tokens(self, answer: Answer) -> str:
        if answer.prompt_tokens is None:
            return ""
        return f"{answer.prompt_tokens:,} / {answer.completion_tokens:,}"
