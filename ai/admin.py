"""Articles are written here; answers are looked at here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ai.forms import ArticleForm
from ai.models import Answer, Article
from ai.operations import change_files
from attachments.uploads import uploads_of
from helpdesk.lib.admin import ReadOnly, WorkAdmin
from tickets.access import owner_of, viewer_for

FILES_MAX = 50  # of one article


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin[Article]):
    list_display = ("title", "slug", "published", "updated_at")
    list_filter = ("published", "updated_at")
    list_editable = ("published",)
    search_fields = ("title", "keywords", "body")
    prepopulated_fields = {"slug": ("title",)}
    fields = ("title", "slug", "published", "keywords", "body")
    form = ArticleForm
    change_form_template = "admin/ai/article/change_form.html"

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        return type("ArticleForm", (form,), {"owner": owner_of(viewer_for(request.user))})

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> Any:
        form = context["adminform"].form
        there = form.instance.files.select_related("attachment__blob") if form.instance.pk else []
        context |= {
            "article_files": there,
            "upload_errors": form.errors.get("file", []),
            "uploaded": _waiting(form),
            "files_max": FILES_MAX,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        change_files(
            form.instance,
            owner=form.owner,
            add=form.cleaned_data["file"],
            remove=form.cleaned_data["file_removed"],
        )


def _waiting(form: ArticleForm) -> list[dict[str, Any]]:
    """What was uploaded for a form that was refused: it need not be attached again."""
    uploads = uploads_of(form.owner, getattr(form, "cleaned_data", {}).get("file", ()))
    return [
        {"id": str(one.uuid), "name": one.name, "size": one.stored.size_bytes} for one in uploads
    ]


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
