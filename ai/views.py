"""The help pages. Public: whoever knows the address may read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from ai.knowledge import PROMPT_FLOOR, QUESTION_MAX_CHARS, find_articles
from ai.markdown import as_html, sections
from ai.models import Article
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
        "desk": Desk.objects.first(),
    }
    return render(request, "ai/article.html", context)
