"""HTML to the plain text a person would read, with quotes marked by `>`.

The markup is scanned, not parsed: one expression finds the tags that make lines, and what is no
tag is text. So it takes linear time whatever the nesting, and a mail's own faults are harmless.
The result is text: where it is shown it is escaped like all text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

HTML_MAX_CHARS = 2_000_000
LINE_TAGS_MAX = 100_000  # what is below them becomes one line
PARAGRAPHS = frozenset({"p", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table"})
NESTED = frozenset({"blockquote", "pre", "li", "ul", "ol"})
LINES = (
    "address|article|aside|blockquote|br|caption|center|dd|div|dl|dt|fieldset|figcaption|figure"
    "|footer|form|h[1-6]|header|hr|li|main|nav|ol|option|p|pre|section|table|tbody|td|tfoot|th"
    "|thead|tr|ul"
)
# A hundred attributes are enough; none of these expressions goes back, or far ahead for nothing.
ATTRIBUTES = r"""(?>[^<>"']*+(?:(?:"[^"]*+"|'[^']*+')[^<>"']*+){0,100}+)"""
LINE_TAG = re.compile(rf"<(/?)({LINES}|a|img)(?=[\s/>])({ATTRIBUTES})>", re.I)
TAG = re.compile(rf"</?[a-z][^\s<>/]*+{ATTRIBUTES}>|<[a-z/][^<>]*+>", re.I)
# Comments (a browser takes an open one to the end), and elements whose content is no text.
UNREAD = re.compile(
    r"<!--(?:.*?-->|.*)|<[!?][^<>]*+>"
    r"|<(script|style|title|iframe|noembed|noframes|xmp)\b(?:.*?</\1\b[^<>]*+>|.*)",
    re.I | re.S,
)
HIDDEN = re.compile(
    r"""<([a-z][a-z0-9]*+)\b(?=[^<>]{0,2000}?(?:display\s*:\s*none|mso-hide\s*:\s*all))"""
    r"[^<>]*+(?<!/)>",
    re.I,
)
HIDDEN_MAX = 50  # in one mail; more are shown
UNCLOSED_MAX = 5
OPEN_TAG_AT_END = re.compile(r"<[a-z/!][^<>]*+\Z", re.I)
VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})
HREF = re.compile(r"""\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
ALT = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)
PICTURE = re.compile(r"""\ssrc\s*=\s*["']?(?:cid|data):""", re.I)
PICTURE_SIGN = "\ufffc"  # stands for a picture where the text itself is not what is asked for
# Gmail names its own quotes so, and also what somebody has marked as one.
UNSURE_QUOTE = re.compile(r"""class\s*=\s*["']?gmail_quote["'\s]""", re.I)
# Its button for more indentation, and that of Yahoo and of Outlook, make a quote without a line.
INDENTED = re.compile(r"border(?:-width|-style)?\s*:\s*(?:none|0)", re.I)
CITED = re.compile(r"""type\s*=\s*["']?cite|border-left""", re.I)
SPACES = "\n\r\t"
LINE_BREAK = re.compile("\n")
LIST_INDENT_MAX = 10
QUOTE_DEPTH_MAX = 30


def html_to_text(markup: str) -> str:
    """Readable text of at most the first HTML_MAX_CHARS characters. Takes linear time."""
    return "\n".join(read_lines(without_unread(markup[:HTML_MAX_CHARS])).texts).strip("\n")


@dataclass(slots=True)
class Lines:
    """The lines of a page; the lists are of one length."""

    texts: list[str] = field(default_factory=list)
    # Where in the markup the tags of a line begin; that of the line above, if it is not known.
    starts: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)  # and its words
    unsure: set[int] = field(default_factory=set)  # lines marked with `>` that may be no quote
    tags: list[re.Match[str]] = field(default_factory=list)  # LINE_TAGs that open, with attributes


def without_unread(markup: str) -> str:
    """The same markup, blanks instead of what nobody sees; every other character in its place."""
    markup = UNREAD.sub(_blanks, markup)
    lower = markup.lower()
    may_hide = "display" in lower or "mso-hide" in lower
    return _without_hidden(markup) if may_hide else markup


def _blanks(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _without_hidden(markup: str) -> str:
    """Blank what its style hides: previews of newsletters, not words that somebody wrote."""
    pieces: list[str] = []
    done = at = unclosed = 0
    for _ in range(HIDDEN_MAX):
        match = HIDDEN.search(markup, at)
        if match is None:
            break
        at = match.end()
        name = match[1].lower()
        end = at if name in VOID else element_end(markup, name, at)
        if end < 0:  # never closed: it would hide everything
            unclosed += 1
            if unclosed > UNCLOSED_MAX:
                break
            continue
        pieces += [markup[done : match.start()], " " * (end - match.start())]
        done = at = end
    return "".join([*pieces, markup[done:]]) if pieces else markup


def element_end(markup: str, name: str, start: int) -> int:
    """Where the element ends that has been opened before `start`; -1 if nowhere."""
    depth = 1
    for match in re.compile(rf"<(/?){name}(?=[\s/>])[^<>]*+>", re.I).finditer(markup, start):
        depth += -1 if match[1] else 1
        if not depth:
            return match.end()
    return -1


class _Page:
    """Collects words into lines; every line carries the depth of the quote it stands in."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.words: list[str] = []
        self.start = self.words_start = -1  # of the line that is being collected
        self.rows: list[int] = []  # where its words go on after each of their line breaks
        self.bullet = ""
        self.quotes: list[str] = []  # for each open one what it is: "sure", "unsure" or "indent"
        self.depth = self.sure = 0  # how many of them are quotes, and surely
        self.lists: list[int] = []  # for each open one the number of its next item; 0: no numbers
        self.pre = 0  # how many are open

    def open(self, tag: str, attributes: str) -> None:
        if tag == "blockquote":
            kind = "unsure" if UNSURE_QUOTE.search(attributes) else "sure"
            if INDENTED.search(attributes) and not CITED.search(attributes):
                kind = "indent"
            self.quotes.append(kind)
            self.count(kind, 1)
        elif tag == "pre":
            self.pre += 1
        elif tag == "li":
            number = self.lists[-1] if self.lists else 0
            indent = "  " * min(len(self.lists) - 1, LIST_INDENT_MAX)
            self.bullet = f"{indent}{number}. " if number else f"{indent}- "
            if number:
                self.lists[-1] += 1
        else:
            self.lists.append(1 if tag == "ol" else 0)

    def close(self, tag: str) -> None:
        if tag == "blockquote" and self.quotes:
            self.count(self.quotes.pop(), -1)
        elif tag == "pre" and self.pre:
            self.pre -= 1
        elif tag in {"ul", "ol"} and self.lists:
            self.lists.pop()

    def count(self, kind: str, by: int) -> None:
        self.depth += by if kind != "indent" else 0
        self.sure += by if kind == "sure" else 0

    def say(self, text: str, start: int, words_start: int, rows: Sequence[int] = ()) -> None:
        if not self.words:
            self.start, self.words_start = start, words_start
        self.words.append(text)
        if "\n" in text:
            count = text.count("\n")
            self.rows += rows if len(rows) == count else [-1] * count  # -1: not known

    def end_line(self, start: int, *, blank: bool = False) -> None:
        """End the line, if anything is on it; `blank` leaves a blank one below."""
        mark = ">" * min(self.depth, QUOTE_DEPTH_MAX) if self.depth else ""
        if self.words:
            line = "".join(self.words).rstrip()
            self.words = []
            if line:
                line = f"{self.bullet}{line}" if self.bullet else line
                self.bullet = ""
                start_of, words_start = self.start, self.words_start
                for number, part in enumerate(line.split("\n")):
                    if number and (row := self.rows[number - 1]) >= 0:
                        start_of = words_start = row
                    marked = f"{mark} {part}".rstrip(" ") if mark else part
                    self.add(marked, start_of, words_start)
            if self.rows:
                self.rows = []
        if blank:
            texts = self.lines.texts
            if texts and texts[-1].strip("> "):
                self.add(mark, start, start)

    def add(self, line: str, start: int, words_start: int) -> None:
        lines = self.lines
        if self.depth and not self.sure:
            lines.unsure.add(len(lines.texts))
        lines.texts.append(line)
        lines.starts.append(start)
        lines.words.append(words_start)


def read_lines(markup: str, *, to_split: bool = False) -> Lines:
    """The lines of `markup`, of which nothing is unread. With `to_split`, a picture that comes
    with the mail counts as a word, and `tags` is filled."""
    page = _Page()
    link, link_words = "", 0  # where the open one leads, and which of the line's words are its
    opened = -1  # the first tag after the last words that opens something
    at = 0
    for match in islice(LINE_TAG.finditer(markup), LINE_TAGS_MAX):
        start = match.start()
        if at < start:
            piece = markup[at:start]
            if page.words or page.pre or not piece.isspace():
                opened = _say(page, piece, at, opened)
        at = match.end()
        closing, tag, attributes = match.groups()
        tag = tag.lower()
        if tag == "a":
            if not closing:
                link, link_words = _href(attributes), len(page.words)
            elif link:
                _end_link(page, link, link_words)
                link = ""
            continue
        if tag == "img":
            word = _picture(attributes, sign=PICTURE_SIGN if to_split else "")
            if word:
                page.say(word, opened if opened >= 0 else start, start)
            opened = -1
            continue
        if tag == "br":
            page.end_line(start, blank=not page.words)
            opened = -1
            continue
        if closing:
            opened = -1
        else:
            opened = start if opened < 0 else opened
            if to_split and attributes:
                page.lines.tags.append(match)
        if tag in {"td", "th"}:
            if page.words:
                page.say(" ", start, start)
            continue
        is_paragraph = tag in PARAGRAPHS
        if is_paragraph or page.words:
            page.end_line(start if opened < 0 else opened, blank=is_paragraph)
            link_words = 0
        if tag in NESTED:
            page.close(tag) if closing else page.open(tag, attributes)
        elif tag == "hr" and not closing:
            page.say("---", opened, start)
            page.end_line(start)
            opened = -1
    if at < len(markup):
        piece = OPEN_TAG_AT_END.sub("", markup[at:])
        _say(page, piece, at, opened)
    page.end_line(len(markup))
    return page.lines


def _say(page: _Page, piece: str, at: int, opened: int) -> int:
    """Take over the words between two tags; returns the tag that is still open before words."""
    text = TAG.sub("", piece) if "<" in piece else piece
    if "&" in text:
        text = html.unescape(text)
    rows: list[int] = []
    if page.pre:
        seen = TAG.sub(_blanks, piece) if "<" in piece else piece
        rows = [at + match.end() for match in LINE_BREAK.finditer(seen)]
    else:
        text = _one_space(text)
        if not page.words or page.words[-1].endswith((" ", "\n")):
            text = text.lstrip(" ")
        text = text.replace("\xa0", " ")
    if not text:
        return opened
    page.say(text, at if opened < 0 else opened, at, rows)
    return -1 if text.strip() else opened


def _one_space(text: str) -> str:
    """As an expression would do it, in a tenth of the time."""
    for space in SPACES:
        if space in text:
            text = text.replace(space, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _href(attributes: str) -> str:
    match = HREF.search(attributes)
    return html.unescape(match[1] or match[2] or match[3] or "") if match else ""


def _picture(attributes: str, *, sign: str) -> str:
    match = ALT.search(attributes)
    words = html.unescape(match[1] or match[2] or "").strip() if match else ""
    if words:
        return f"[{words}]"
    return sign if sign and PICTURE.search(attributes) else ""


def _end_link(page: _Page, href: str, start: int) -> None:
    """Say where a link leads, unless its words already do."""
    words = "".join(page.words[start:]).strip()
    target = href.removeprefix("mailto:").removeprefix("tel:")
    if not href.startswith(("http:", "https:", "mailto:")) or not words:
        return
    if words.rstrip("/") in target or target.rstrip("/") in words:
        return
    page.say(f" <{target}>", page.start, page.words_start)
