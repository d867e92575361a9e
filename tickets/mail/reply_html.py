"""The same split as `reply` makes, of a body that is HTML.

Where a quote begins is decided by the rules for text, on the lines of the page; the markup only
adds what mail programs say of their own quotes. So both forms of a mail are cut by one rule, and
what that rule does not cut is shown.

This works on markup as it came: a sanitiser removes the names it looks for. The halves are cut
between tags, but are not balanced: each is to be sanitised by itself, which closes what is open.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

from tickets.mail.reply import Cut, find_cut
from tickets.mail.reply_phrases import ANY_FIELD
from tickets.mail.text import (
    ATTRIBUTES,
    HTML_MAX_CHARS,
    VOID,
    Lines,
    element_end,
    read_lines,
    without_unread,
)

# Elements that hold a quote and nothing else; what is below them is somebody's own.
_HOLDS = (
    r"gmail_quote(?:_container)?|yahoo_quoted|ymail_original|protonmail_quote|tutanota_quote"
    r"|zmail_extra|OLK_SRC_BODY_SECTION|mail-editor-reference-message-container|sparrow_quote"
    r"|replymessage|history_container|front-blockquote|quoted-message|MsgHeaderQuoted"
)
# Elements below which the quote begins; most hold the header only, and none says where it ends.
_BEGINS = (
    r"divRplyFwdMsg|OutlookMessageHeader|moz-cite-prefix|zwchr|stopSpelling|AOLMsgPart\w*"
    r"|ms-outlook-mobile-reference-message|reply-intro|replyHeader|mail_android_quote"
)
NAMES = re.compile(r"""(?:class|id)\s*=\s*["']?([^"'<>]*)""", re.I)
NAMED = re.compile(rf"(?:x_|ydp[0-9a-f]*)*(?:({_HOLDS})|(?:{_BEGINS}))", re.I)
# The line that Outlook draws above "From:"; others draw it above a signature.
DRAWN = re.compile(r"border-top\s*:\s*(?:solid\s+#?(?:E1E1E1|B5C4DF)|#?(?:E1E1E1|B5C4DF)\s)", re.I)
HINTS_MAX = 20
FIELDS_LOOKED_AT = 5  # lines
ANY_TAG = re.compile(rf"<(/?)([a-z][^\s<>/]*+)({ATTRIBUTES})>", re.I)
UNNAMED = frozenset({"html", "head", "body", "meta", "link", "base"})
CLOSE_THEMSELVES = frozenset({"p", "li", "td", "th", "tr", "dd", "dt", "option"})
OPEN_MAX = 60  # deeper, the quote is shown without the look that surrounds it


class HtmlSplit(NamedTuple):
    visible: str
    quoted: str  # the cut-off quote and signature, "" if there is none


def split_html(markup: str) -> HtmlSplit:
    """Cut out of `markup` what is quoted, and how it is signed.

    Both halves are fragments with tags left open or closed twice. `quoted` begins with the tags
    that are open where it was cut, so that it looks as it did. A mail of nothing but a quote, one
    that forwards another, and one of more than HTML_MAX_CHARS is visible as a whole. Takes linear
    time.
    """
    if len(markup) > HTML_MAX_CHARS:
        return HtmlSplit(markup, "")
    seen = without_unread(markup)
    lines = read_lines(seen, to_split=True)
    cut = find_cut(lines.texts, known=_known(seen, lines), unsure=lines.unsure)
    return _cut(markup, seen, lines, cut)


def _cut(markup: str, seen: str, lines: Lines, cut: Cut) -> HtmlSplit:
    total = len(lines.texts)
    if cut.tail == total and cut.start == cut.end:
        return HtmlSplit(markup, "")
    start, end, tail = (_place(markup, lines, n) for n in (cut.start, cut.end, cut.tail))
    if min(start, end, tail) < 0:
        return HtmlSplit(markup, "")
    if cut.start == cut.end:
        return HtmlSplit(markup[:tail], _open_tags(seen[:tail]) + markup[tail:])
    quoted = _open_tags(seen[:start]) + markup[start:end]
    return HtmlSplit(markup[:start] + markup[end:tail], quoted + markup[tail:])


def _place(markup: str, lines: Lines, number: int) -> int:
    """Where in the markup the next line with words begins; -1 if that is not known."""
    texts, starts = lines.texts, lines.starts
    while number < len(texts) and not texts[number].strip("> "):
        number += 1
    if number == len(texts):
        return len(markup)
    above = number - 1
    while above >= 0 and not texts[above].strip("> "):
        above -= 1
    return starts[number] if above < 0 or starts[number] > starts[above] else -1


# --- What the markup says ----------------------------------------------------------------------


def _known(markup: str, lines: Lines) -> dict[int, int]:
    """Lines where a quote begins, each with the line after it, or the last one if not known."""
    known: dict[int, int] = {}
    total = len(lines.texts)
    nothing: set[str] = set()  # attributes that say nothing; most tags look like others
    for match in lines.tags:
        attributes = match[3]
        if attributes in nothing:
            continue
        holds = _holds(attributes)
        is_drawn = holds is None and DRAWN.search(attributes) is not None
        if holds is None and not is_drawn:
            nothing.add(attributes)
            continue
        tag = match[2].lower()
        if tag == "blockquote" and holds:
            continue  # Gmail names both its own quotes and what somebody indents like this
        first = bisect_left(lines.words, match.start())
        if first == total or (is_drawn and not _is_header(lines, first)):
            continue
        end = element_end(markup, tag, match.end()) if holds else -1
        known.setdefault(first, total if end < 0 else bisect_left(lines.words, end))
        if len(known) == HINTS_MAX:
            break
    return known


def _holds(attributes: str) -> bool | None:
    """Whether an element of this name holds a whole quote; None if its name says nothing."""
    for names in NAMES.finditer(attributes):
        for name in names[1].split():
            if match := NAMED.fullmatch(name):
                return match[1] is not None
    return None


def _is_header(lines: Lines, first: int) -> bool:
    """Whether fields stand here, in whatever language."""
    near = [line for line in lines.texts[first : first + 2 * FIELDS_LOOKED_AT] if line.strip()]
    fields = [ANY_FIELD.match(line) is not None for line in near[:FIELDS_LOOKED_AT]]
    return fields[:1] == [True] and sum(fields) > 1


def _open_tags(markup: str) -> str:
    """The tags that are open at the end of `markup`, as they stand there."""
    opened: list[tuple[str, str]] = []
    for match in ANY_TAG.finditer(markup):
        name = match[2].lower()
        if name in VOID or name in UNNAMED or match[3].endswith("/"):
            continue
        if not match[1]:
            if name in CLOSE_THEMSELVES and opened and opened[-1][0] == name:
                opened.pop()
            opened.append((name, match[0]))
            continue
        for depth in range(1, min(len(opened), OPEN_MAX) + 1):
            if opened[-depth][0] == name:
                del opened[-depth:]
                break
    return "".join(tag for _, tag in opened) if len(opened) <= OPEN_MAX else ""
