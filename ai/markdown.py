"""Articles are Markdown: as HTML for the help pages, as plain passages for quoting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from django.utils.safestring import SafeString
from django.utils.text import slugify
from markdown_it.token import Token

from helpdesk.lib.markdown import article_parser, safe

TEXTS = {"inline", "fence", "code_block"}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it, as plain text. The first one may have no heading."""

    level: int
    heading: str
    anchor: str
    blocks: tuple[str, ...]


def as_html(text: str) -> SafeString:
    """The article as sanitised HTML. Raw HTML in it is shown as text; headings get anchors."""
    tokens = _parse(text)
    return safe(article_parser().renderer.render(tokens, article_parser().options, {}))


def sections(text: str) -> list[Section]:
    """The article as plain text, cut at its headings."""
    found: list[Section] = []
    level, heading, anchor, blocks = 0, "", "", list[str]()

    def close() -> None:
        if heading or blocks:
            found.append(Section(level, heading, anchor, tuple(blocks)))

    tokens = _parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            close()
            level, anchor = int(token.tag[1]), str(token.attrGet("id"))
            heading, blocks = _plain(tokens[place + 1]), []
        elif token.type in TEXTS and not _within(tokens, place, "heading_open"):
            _add(blocks, tokens, place)
    close()
    return found


def _add(blocks: list[str], tokens: Sequence[Token], place: int) -> None:
    """Append a block's text; a table's row is one block, a list's item begins with its mark."""
    token = tokens[place]
    text = _plain(token)
    if _within(tokens, place, "td_open") or _within(tokens, place, "th_open"):
        row_begins = tokens[place - 2].type == "tr_open"
        if row_begins or not blocks:
            blocks.append(text)
        else:
            blocks[-1] += f" · {text}"
    elif _within(tokens, place - 1, "list_item_open"):
        item = tokens[place - 2]
        blocks.append(f"{item.info}. {text}" if item.info else f"• {text}")
    else:
        blocks.append(text)


def _within(tokens: Sequence[Token], place: int, opening: str) -> bool:
    return place > 0 and tokens[place - 1].type == opening


def _plain(token: Token) -> str:
    if token.children is None:
        return token.content.strip()
    return "".join(_words(token.children)).strip()


def _words(children: Sequence[Token]) -> Iterator[str]:
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            yield " "
        else:
            yield child.content


def _parse(text: str) -> list[Token]:
    """Tokens whose headings carry an id, unique on the page."""
    tokens = article_parser().parse(text)
    used: set[str] = set()
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.tag = f"h{min(max(int(token.tag[1]), 2), 4)}"  # the page has its own h1
            tokens[place + 2].tag = token.tag
            # The prefix keeps words of an article from becoming names that scripts look up.
            name = f"on-{slugify(_plain(tokens[place + 1])) or 'section'}"
            anchors = (name if n == 1 else f"{name}-{n}" for n in count(1))
            anchor = next(one for one in anchors if one not in used)
            used.add(anchor)
            token.attrSet("id", anchor)
    return tokens
