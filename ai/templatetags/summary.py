"""`{{ article|summary }}`: what an article begins with."""

from __future__ import annotations

from django import template

from ai.markdown import sections
from ai.models import Article
from helpdesk.lib.text import preview

register = template.Library()


@register.filter
def summary(article: Article) -> str:
    """Its first paragraph, on one line."""
    return next((preview(part.blocks[0]) for part in sections(article.body) if part.blocks), "")
