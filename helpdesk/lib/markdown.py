"""Markdown to HTML that may be shown anywhere: articles, and what staff write to customers."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache, lru_cache
from typing import Any, Literal
from urllib.parse import unquote

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

TAGS = {
    *("h2", "h3", "h4", "p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("a", "em", "strong", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "h2": {"id"}, "h3": {"id"}, "h4": {"id"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto", "tel"}

# What people type without meaning it: a line of dashes below another, indented lines, "[1]: …".
UNMEANT = ["lheading", "code", "reference", "entity"]
# A file of ours, by the address it has at the desk.
OWN_FILE = re.compile(r"/files/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")
PICTURE = re.compile(rf"!\[([^\]\n]*)\]\({OWN_FILE.pattern}([^\s()]*)\)")
KEPT_MAX_CHARS = 4_000

Where = Literal["page", "mail"]


@cache
def article_parser() -> MarkdownIt:
    """CommonMark with tables. Raw HTML is shown as text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def safe(html: str, **more: Any) -> SafeString:
    """Only tags, attributes and schemes that do nothing by themselves. `more` goes to nh3."""
    options = {"tags": TAGS, "attributes": ATTRIBUTES, "url_schemes": SCHEMES} | more
    return mark_safe(nh3.clean(html, **options))  # noqa: S308 - nh3 has just made it so


def words_as_html(
    text: str, pictures: Mapping[str, str] | None = None, *, where: Where = "page"
) -> SafeString:
    """What somebody wrote in a composer: lines stay lines, addresses are links, nothing is lost.

    A picture that is a file of ours is shown if `pictures` says where it is to be had, by the
    file's id; of every other only its words are left, with a link where it has an address.
    """
    if pictures or len(text) > KEPT_MAX_CHARS:
        return _words(text, where, pictures or {})
    return _kept(text, where)


@lru_cache(maxsize=1_000)
def _kept(text: str, where: Where) -> SafeString:
    """Entries are shown again and again, and never change."""
    return _words(text, where, {})


def _words(text: str, where: Where, pictures: Mapping[str, str]) -> SafeString:
    html = _words_parser().render(text, {"pictures": pictures})
    in_mail = where == "mail"
    return safe(
        html,
        tags=TAGS | {"s", "img"},
        attributes={"a": {"href", "title"}, "ol": {"start"}, "img": {"src", "alt"}},
        url_schemes=SCHEMES | {"cid"} if in_mail else SCHEMES,
        url_relative="deny" if in_mail else None,
        link_rel=None if in_mail else "nofollow noopener",
        set_tag_attribute_values=None if in_mail else {"a": {"target": "_blank"}},
    )


@cache
def _words_parser() -> MarkdownIt:
    rules = ["table", "strikethrough", "linkify"]
    options = {"html": False, "breaks": True, "linkify": True}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Words).enable(rules).disable(UNMEANT)
    if parser.linkify is not None:
        parser.linkify.set({"fuzzy_link": False})  # "notes.py" is no site in Paraguay
    return parser


class _Words(RendererHTML):
    def heading_open(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: Any,
        env: MutableMapping[str, Any],
    ) -> str:
        """A page has headings of its own, and a mail is no page: three sizes will do."""
        tokens[idx].tag = f"h{min(max(int(tokens[idx].tag[1]) + 1, 2), 4)}"
        return self.renderToken(tokens, idx, options, env)

    def heading_close(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: Any,
        env: MutableMapping[str, Any],
    ) -> str:
        return self.heading_open(tokens, idx, options, env)

    def image(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: Any,
        env: MutableMapping[str, Any],
    ) -> str:
        token = tokens[idx]
        address = str(token.attrGet("src") or "")
        said = self.renderInlineAsText(token.children, options, env)
        words = escape(said or unquote(address.rpartition("/")[2]) or address)
        own = OWN_FILE.match(address)
        if own and own[1] in env["pictures"]:
            return f'<img src="{escape(env["pictures"][own[1]])}" alt="{words}">'
        return f"[{words}]" if own else f'<a href="{escape(address)}">{words}</a>'


def pictures_in(text: str) -> list[str]:
    """The ids of our own files that stand in the text as pictures, each once."""
    return list(dict.fromkeys(found[2] for found in PICTURE.finditer(text)))


def readable(text: str) -> str:
    """The text as it is read without being rendered: of our own pictures only the words."""
    return PICTURE.sub(lambda found: f"[{found[1] or unquote(found[3])}]", text)
