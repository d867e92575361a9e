"""HTML to the plain text a person would read, with quotes marked by `>`."""

from __future__ import annotations

import html
import re

import nh3

# fmt: off
BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt",
    "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody", "td",
    "tfoot", "th", "thead", "tr", "ul",
})
# fmt: on
KEPT = BLOCKS | {"a", "br", "img"}
DROPPED_WITH_CONTENT = frozenset({"script", "style", "head", "title", "noscript", "template"})
PARAGRAPHS = frozenset({"p", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table"})
HTML_MAX_CHARS = 2_000_000
NESTED_MAX = 2_000
ATTRIBUTES_MAX = 1_000  # blanks in one tag
TAG = re.compile(r"(<[^<>]*>)")
NAME = re.compile(r"</?([a-z0-9]+)")
HREF = re.compile(r'\shref="([^"]*)"')
ALT = re.compile(r'\salt="([^"]*)"')
TAG_OPENING = re.compile(r"<(/?)[a-zA-Z]([^>]*)")
SPACES = re.compile(r"[ \t\n\r\f]+")
BLANK_LINES = re.compile(r"\n{3,}")


def html_to_text(markup: str) -> str:
    """Readable text of at most the first HTML_MAX_CHARS characters. Takes linear time."""
    markup = markup[:HTML_MAX_CHARS]
    if _is_costly(markup):
        return html.unescape(TAG.sub(" ", markup)).strip()
    clean = nh3.clean(
        markup,
        tags=set(KEPT),
        clean_content_tags=set(DROPPED_WITH_CONTENT),
        attributes={"a": {"href"}, "img": {"alt"}},
        link_rel=None,
    )
    return _render(clean)


def _is_costly(markup: str) -> bool:
    """Whether html5ever, which is quadratic in the depth of elements and in the number of an
    element's attributes, would take long: 100,000 open elements took 20 seconds."""
    depth = 0
    for match in TAG_OPENING.finditer(markup):
        depth = max(depth + (-1 if match[1] else 1), 0)
        if depth > NESTED_MAX or match[2].count(" ") > ATTRIBUTES_MAX:
            return True
    return False


class _Lines:
    """Collects words into lines; every line carries the depth of the quote it stands in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.words: list[str] = []
        self.quote_depth = 0

    def say(self, text: str) -> None:
        self.words.append(text)

    def end_line(self, *, blank: bool = False) -> None:
        line = "".join(self.words).rstrip(" ")
        self.words = []
        mark = ">" * self.quote_depth + " " if self.quote_depth else ""
        if line:
            self.lines += [f"{mark}{part}".rstrip(" ") for part in line.split("\n")]
        if blank and self.lines and self.lines[-1].strip("> "):
            self.lines.append(mark.strip())


def _render(clean: str) -> str:
    """Text of markup that nh3 has written: every tag closed, no `<` or `>` inside a tag."""
    out = _Lines()
    links: list[tuple[str, int]] = []
    pre = 0
    for piece in TAG.split(clean):
        if not piece:
            continue
        if piece[0] != "<":
            text = html.unescape(piece)
            text = text if pre else SPACES.sub(" ", text)
            if not pre and (not out.words or out.words[-1].endswith((" ", "\n"))):
                text = text.lstrip(" ")
            if text:
                out.say(text)
            continue
        match = NAME.match(piece)
        tag = match[1] if match else ""
        closing = piece[1] == "/"
        if tag == "br":
            out.say("\n") if out.words else out.end_line(blank=True)
        elif tag == "a":
            if not closing:
                href = HREF.search(piece)
                links.append((html.unescape(href[1]) if href else "", len(out.words)))
            elif links:
                _end_link(out, *links.pop())
        elif tag == "img":
            if (alt := ALT.search(piece)) and alt[1].strip():
                out.say(f"[{html.unescape(alt[1]).strip()}]")
        elif tag in {"td", "th"}:
            if closing:
                out.say(" ")
        elif tag in BLOCKS:
            out.end_line(blank=tag in PARAGRAPHS)
            links = [(href, 0) for href, _ in links]
            if tag == "blockquote":
                out.quote_depth += -1 if closing else 1
            elif tag == "pre":
                pre += -1 if closing else 1
            elif tag == "li" and not closing:
                out.say("- ")
            elif tag == "hr" and not closing:
                out.say("---")
                out.end_line()
    out.end_line()
    return BLANK_LINES.sub("\n\n", "\n".join(out.lines)).strip("\n")


def _end_link(out: _Lines, href: str, start: int) -> None:
    """Say where a link leads, unless its words already do."""
    words = "".join(out.words[start:]).strip()
    target = href.removeprefix("mailto:").removeprefix("tel:")
    if not href.startswith(("http:", "https:", "mailto:")) or not words:
        return
    if words.rstrip("/") in target or target.rstrip("/") in words:
        return
    out.say(f" <{target}>")
