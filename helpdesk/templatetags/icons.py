"""`{% icon "mail" %}`: one symbol of the sprite."""

from __future__ import annotations

from functools import cache

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

SPRITE = "img/icons.svg"


@register.simple_tag
@cache
def icon(name: str, classes: str = "") -> SafeString:
    """A symbol of `img/icons.svg`, hidden from readers: the words beside it say the same.

    Kept once made, because a list has hundreds of them.
    """
    return format_html(
        '<svg class="i{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        f" {classes}" if classes else "",
        static(SPRITE),
        name,
    )
