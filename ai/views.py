"""The help pages. Public: whoever knows the address may read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from ai.access import access_article_file, public_files
from ai.knowledge import PROMPT_FLOOR, QUESTION_MAX_CHARS, find_articles
from ai.markdown import as_html, sections
from ai.models import Article
from attachments.kinds import SHOWN, kind_of
from attachments.links import link_to
from attachments.models import Attachment
from tickets.models import Desk

RESULTS_MAX = 20


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All articles, or those that fit `?q=…`, best first."""
    query = request.GET.get("q", "").replace("\0", "").strip()[:QUESTION_MAX_CHARS]
    if query:
        found = find_articles(query, limit=RESULTS_MAX, floor=PROMPT_FLOOR)
        articles = [one.article for one in found]
    else:
        articles = list(Article.objects.filter(published=True))
    context = {"articles": articles, "query": query, "desk": Desk.objects.first()}
    return render(request, "ai/help.html", context)


@require_safe
def article(request: HttpRequest, slug: str) -> HttpResponse:
    shown = get_object_or_404(Article, slug=slug, published=True)
    contents = [part for part in sections(shown.body) if part.heading and part.level == 2]
    context = {
        "article": shown,
        "html": as_html(shown.body),
        "contents": contents if len(contents) > 1 else [],
        "files": [_shown(file.attachment) for file in public_files().filter(article=shown)],
        "desk": Desk.objects.first(),
    }
    return render(request, "ai/article.html", context)


@require_safe
def file_link(request: HttpRequest, uuid: UUID, name: str) -> HttpResponse:
    """On to the bytes of an article's file. `?download` saves what a browser would show."""
    file = access_article_file(uuid)
    return redirect(link_to(file, "save" if "download" in request.GET else "show"))


@require_safe
def file_preview(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """On to its small picture."""
    return redirect(link_to(access_article_file(uuid), "preview"))


def _shown(attachment: Attachment) -> dict[str, Any]:
    """A file as its chip needs it."""
    blob, sentence = attachment.stored, attachment.why_closed
    return {
        "name": attachment.name,
        "size_bytes": blob.size_bytes,
        "kind": kind_of(blob.type),
        "is_shown": blob.type in SHOWN,
        "address": reverse("ai:file", args=[attachment.uuid, attachment.name]),
        "preview": reverse("ai:preview", args=[attachment.uuid]) if blob.preview_key else "",
        "width": blob.preview_width,
        "height": blob.preview_height,
        "sentence": sentence,
    }
