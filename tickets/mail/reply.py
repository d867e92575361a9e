"""What somebody wrote just now, apart from what they quote and how they sign.

Losing somebody's words is worse than showing a quote: where it is not sure what a line is, it is
shown. Answers between quoted lines stay, with the quotes they answer; text below a quote stays; a
forwarded mail stays, since it is what the sender wants to be read.

mail-parser-reply has the phrases (see `reply_phrases`), but not the reader: its own strips
indentation, cuts at "Thank you," and takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

from tickets.mail.reply_phrases import (
    ADDRESS_LAST,
    ADDRESS_THEN_WROTE,
    ANY_FIELD,
    DATE,
    DATE_THEN_ADDRESS,
    FIELD_MAX_CHARS,
    FORWARDED,
    FORWARDS,
    IN_DASHES,
    LIBRARY,
    MIDDLE,
    MOBILE,
    MOBILE_GOES_ON,
    NO_NAME,
    OPENER,
    ORIGINAL,
    OURS,
    RULE_CHARS,
    SEPARATES,
    SEPARATOR,
    TIME,
    WROTE_ALONE,
    WROTE_FIRST,
    role_of,
    roles_inside,
    wrote_at,
)

LINE_SEARCHED_CHARS = 320
SIGNATURE_MAX_LINES = 12  # more than this below "--" is no signature
INTRODUCTION_MAX_LINES = 5
HEADER_MAX_LINES = 12
OURS_MAX_CHARS = 24
NAME_MAX_CHARS = 60
TRIED_MAX = 1_000  # introductions and headers in one text; each look is at a few lines
LIBRARY_ASKED_MAX = 20  # it takes a millisecond
BLANKS = " \t\xa0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
COLONS = ":： "
ENDS = frozenset(":：>*_\xa0\u200b\u200e\u200f\u202a\u202b\u202c\u2069\ufeff")
MOBILE_MAX_CHARS = 160
FOOTER_RULE_CHARS = 20  # "____________________" above the address of a mailing list
SIGNATURE_MARKS = frozenset({"--", "__", *("_" * n for n in range(FOOTER_RULE_CHARS, 80))})
LINK_ALONE = re.compile(r"^[<(\[]https?://\S+[>)\]]\s?>?$|^https?://\S+>$")
LINK_OPEN = re.compile(r"[<(]https?://[^\s<>()]*$|[<(]?https?://[^\s<>()]*$")
LINK_CLOSES = re.compile(r"^[^\s<(]+[>)]")
WRAPPED_AT_CHARS = (60, 72)  # a line that a program broke is as long, and its next word did not fit


@dataclass(frozen=True, slots=True)
class Split:
    visible: str
    rest: str  # the cut-off quote and signature, "" if there is none


@dataclass(frozen=True, slots=True)
class Cut:
    """The lines `start:end` and those from `tail` on are left out; `tail` is at least `end`."""

    start: int
    end: int
    tail: int


@dataclass(frozen=True, slots=True)
class _Quote:
    """Where a quote begins, and where the words begin that it introduces."""

    start: int
    words: int
    is_forward: bool = False
    end: int = 0  # of the element it stands in, if it came as HTML; 0: not known


def split_reply(text: str) -> Split:
    """Cut out of `text` what is quoted, and how it is signed; both halves hold every line.

    A mail of nothing but a quote, and one that forwards another, is visible as a whole. Takes
    linear time.
    """
    lines = text.split("\n")
    cut = _Reader(lines, may_break_lines=True).cut()
    if cut.tail == len(lines) and cut.start == cut.end:
        return Split(text.strip("\n").rstrip(), "")
    visible = _joined(lines[: cut.start], lines[cut.end : cut.tail])
    return Split(visible, _joined(lines[cut.start : cut.end], lines[cut.tail :]))


def _joined(above: list[str], below: list[str]) -> str:
    both = ("\n".join(part).strip("\n").rstrip() for part in (above, below))
    return "\n\n".join(part for part in both if part)


def find_cut(
    lines: list[str],
    *,
    known: Mapping[int, int],
    unsure: Set[int],
) -> Cut:
    """What to leave out of these lines.

    `known` are lines where the markup says that a quote begins, each with the line where it ends.
    `unsure` are lines with `>` that may be somebody's own words.
    """
    return _Reader(lines, known, unsure).cut()


def is_forward(line: str) -> bool:
    match = IN_DASHES.match(line)
    return FORWARDED.search(match[1]) is not None if match else FORWARDS.match(line) is not None


def is_separator(line: str) -> bool:
    match = IN_DASHES.match(line)
    if match and len(match[2]) >= 2:
        if ORIGINAL.search(match[1]):
            return True
        wrote = wrote_at(match[1]) >= 0 or match[1].rstrip().endswith("sent")
        if wrote and DATE.search(match[1]):
            return True
    return SEPARATOR.match(line) is not None


class _Reader:
    def __init__(
        self,
        lines: list[str],
        known: Mapping[int, int] | None = None,
        unsure: Set[int] = frozenset(),
        *,
        may_break_lines: bool = False,  # so that words beside an introduction get a line
    ) -> None:
        self.lines = lines
        self.known = known or {}
        self.unsure = unsure
        self.may_break_lines = may_break_lines
        self.tried = 0  # introductions and headers
        self.library_asked = 0

    def cut(self) -> Cut:
        lines = self.lines
        quote = self.next_quote(0)
        if quote is None:
            return self.without_rules(Cut(0, 0, self.end_of_words(0, len(lines))))
        if quote.is_forward:
            return Cut(0, 0, len(lines))
        above = Cut(0, 0, self.signature_above(quote.start))
        if not self.has_words(0, quote.start):
            above = Cut(0, 0, len(lines))
        is_marked = self.is_quoted(quote.words)
        cut = self.around_marked(quote, above) if is_marked else self.around_unmarked(quote, above)
        return self.without_rules(cut)

    def around_unmarked(self, quote: _Quote, above: Cut) -> Cut:
        """It goes on to the end, or to that of its element."""
        if not quote.end or not self.has_words(quote.end, len(self.lines)):
            return above
        return Cut(quote.start, quote.end, self.end_of_words(quote.end, len(self.lines)))

    def around_marked(self, quote: _Quote, above: Cut) -> Cut:
        """It ends where the lines with `>` do; text below it is somebody's own, up to the next
        quote. Where there are more lines with `>`, the text between answers them: all stays."""
        below, end = self.block_end(quote.words), len(self.lines)
        second = self.next_quote(below)
        if second is not None and not second.is_forward:
            if self.is_quoted(second.words) and self.has_words(self.block_end(second.words), end):
                return Cut(0, 0, self.end_of_words(below, end))
            end = second.start
        tail = self.end_of_words(below, end)
        if not self.has_words(below, tail):
            return above
        if any(self.is_quoted(number) for number in range(below, end)):
            return Cut(0, 0, tail)
        return Cut(quote.start, below, tail)

    def without_rules(self, cut: Cut) -> Cut:
        """The lines that are drawn above a quote go with it."""
        start, tail, lines = cut.start, cut.tail, self.lines
        if tail < len(lines):
            while tail > cut.end and not lines[tail - 1].strip(RULE_CHARS):
                tail -= 1
        if start < cut.end:
            while start and not lines[start - 1].strip(RULE_CHARS):
                start -= 1
        if not self.has_words(0, start) and not self.has_words(cut.end, tail):
            return Cut(0, 0, len(lines))
        return Cut(start, cut.end, tail)

    # --- Single lines

    def is_quoted(self, number: int) -> bool:
        return number < len(self.lines) and self.lines[number].lstrip()[:1] == ">"

    def has_words(self, start: int, end: int) -> bool:
        return any(map(str.strip, self.lines[start:end]))

    def short(self, number: int) -> str:
        return self.lines[number][:LINE_SEARCHED_CHARS].strip(BLANKS)

    def next_words(self, number: int) -> int:
        """The next line that is not blank."""
        while number < len(self.lines) and not self.lines[number].strip():
            number += 1
        return number

    # --- Where a quote begins

    def next_quote(self, number: int) -> _Quote | None:
        """The first quote from this line on, other than one that is only marked with `>`."""
        known = self.known
        was_quoted = False
        for n, line in enumerate(self.lines[number:] if number else self.lines, number):
            if known and n in known and (found := self.known_quote(n)):
                return found
            if not (line := line.strip()):
                continue
            first = line[0]
            if first == ">":
                if line[-1] in ENDS and WROTE_ALONE.match(line[:80].rstrip(COLONS)):
                    found = self.quote_at(n, line)
                else:
                    found = None if was_quoted else self.quote_that_introduces_itself(n)
                was_quoted = True
            else:
                was_quoted = False
                if first not in SEPARATES and line[-1] not in ENDS:
                    head = line[:FIELD_MAX_CHARS]
                    if not ((":" in head or "：" in head) and role_of(head)):
                        if "@" in line and OPENER.match(head) and self.holds_introduction(line):
                            return _Quote(n, n + 1)
                        continue
                found = self.quote_at(n, line[:LINE_SEARCHED_CHARS].strip(BLANKS))
            if found:
                return found
        return None

    @staticmethod
    def holds_introduction(line: str) -> bool:
        """Whether the quote stands on the line of its introduction, as Yahoo's app writes it."""
        match = ADDRESS_THEN_WROTE.search(line, 0, LINE_SEARCHED_CHARS)
        return match is not None and DATE.search(line, 0, match.start()) is not None

    def quote_at(self, number: int, line: str) -> _Quote | None:
        """The quote whose beginning ends on this line."""
        if not line:
            return None
        if line[0] in SEPARATES and line.strip(RULE_CHARS):
            if is_forward(line):
                return _Quote(number, number + 1, is_forward=True)
            if is_separator(line):
                return _Quote(number, self.words_after(number + 1))
        if line.rstrip("*_ ")[-1:] in {":", "："}:
            if FORWARDS.match(line):
                return _Quote(number, number + 1, is_forward=True)
            start = self.introduction_start(number)
            if start >= 0:
                return _Quote(start, self.next_words(max(start, number + 1)))
        elif DATE_THEN_ADDRESS.match(line) and self.is_quoted(self.next_words(number + 1)):
            return _Quote(number, self.next_words(number + 1))
        if role_of(line) and self.is_header(number):
            return _Quote(number, self.words_after(number))
        return None

    def known_quote(self, number: int) -> _Quote | None:
        end = self.known[number]
        first = self.next_words(number)
        if first >= end:
            return None
        if is_forward(self.short(first)):
            return _Quote(number, first, is_forward=True)
        return _Quote(number, self.words_after(first), end=end)

    def words_after(self, number: int) -> int:
        """The line where the quote itself begins: after fields, and what introduces it."""
        number = first = self.next_words(number)
        for _ in range(HEADER_MAX_LINES):
            line = self.short(number) if number < len(self.lines) else ">"
            if line[0] == ">":
                return number
            if line[-1] not in ":：" and not ANY_FIELD.match(line):
                return first
            number = self.next_words(number + 1)
        return first

    def quote_that_introduces_itself(self, number: int) -> _Quote | None:
        """As Apple Mail does it: "> On 3 March 2025, Maya wrote:"."""
        joined = ""
        for n in range(number, min(number + 3, len(self.lines))):
            if not self.is_quoted(n):
                break
            joined = f"{joined} {self.short(n).lstrip('> ')}".strip()
            if joined[-1:] in ":：" and joined:
                is_one = self.introduces(joined, quote_follows=True)
                return _Quote(number, number) if is_one else None
        return None

    def introduction_start(self, number: int) -> int:
        """The line where the introduction begins that ends on this one; -1 if none does."""
        self.tried += 1
        if self.tried > TRIED_MAX:
            return -1
        quote_follows = self.is_quoted(self.next_words(number + 1))
        joined = ""
        n = number
        for _ in range(INTRODUCTION_MAX_LINES):
            line = self.short(n)
            if not line:
                if not self.goes_on_above(joined):
                    return -1
                n -= 1
                line = self.short(n) if n >= 0 else ""
            if not line or (joined and line[0] == ">"):
                return -1
            joined = f"{line} {joined}".rstrip()
            if len(joined) > LINE_SEARCHED_CHARS:
                return -1
            is_whole = n == number or quote_follows or OPENER.match(line) is not None
            is_whole = is_whole or (TIME.search(line) is not None and self.begins(n))
            if (is_whole or line[0] == "<" or line.startswith("mailto:")) and self.introduces(
                joined, quote_follows=quote_follows
            ):
                return self.broken_off(n) if n == number else self.first_line(n, joined)
            n -= 1
            if n < 0:
                return -1
        return -1

    def broken_off(self, number: int) -> int:
        """Words that stand on the line of an introduction are somebody's own."""
        line = self.lines[number]
        if OPENER.match(line) and "--" not in line:
            return self.first_line(number, self.short(number))
        match = MIDDLE.search(line, 0, LINE_SEARCHED_CHARS)
        if match is None or DATE.search(line[: match.start()]) or not line[: match.start()].strip():
            return self.first_line(number, self.short(number))
        if OPENER.match(line) and not match["rule"].strip():
            return self.first_line(number, self.short(number))
        if self.may_break_lines:
            self.lines[number : number + 1] = [line[: match.start()], line[match.start() :]]
        return number + 1

    def first_line(self, number: int, joined: str) -> int:
        """The line where an introduction begins of which this much has been found."""
        if OPENER.match(joined) and DATE.search(self.short(number)):
            return number
        for n in range(number - 1, max(number - 1 - INTRODUCTION_MAX_LINES, -1), -1):
            line = self.short(n)
            if line and DATE.search(line) and line[0] != ">" and line[-1] not in ".?!:":
                return n if self.begins(n) or OPENER.match(line) else number
            is_name = 1 < len(line) < NAME_MAX_CHARS and line[-1] not in ".?!:," and self.begins(n)
            if is_name and n + 1 == number and (line[-1] == "<" or joined[0] == "<"):
                return n
            if not self.goes_on_above(self.short(n + 1) if line else joined):
                break
            joined = line or joined
        return number

    def begins(self, number: int) -> bool:
        """Whether a paragraph begins on this line."""
        return not number or not self.short(number - 1)

    @staticmethod
    def goes_on_above(joined: str) -> bool:
        """Whether no introduction can begin with these words, blank line above or not."""
        closes = joined.find(">")
        return (
            joined[:1] in "<>"
            or (closes > 0 and "<" not in joined[:closes])
            or joined.startswith("mailto:")
            or WROTE_ALONE.match(joined.rstrip(":： ")) is not None
        )

    def introduces(self, joined: str, *, quote_follows: bool) -> bool:
        """Whether these words, up to their colon, say who wrote what follows."""
        words = joined.rstrip(":：*_ ")
        at = wrote_at(words)
        if at < 0 and (match := WROTE_FIRST.search(words)):
            if match["ours"]:
                return False
            at = match.start()
        before = words[: max(at, 0)].rstrip()
        if OURS.search(before[-OURS_MAX_CHARS:]):
            return False
        date = DATE.search(words) is not None
        address = "@" in words
        if not (address or quote_follows) and NO_NAME.search(words):
            return False
        if at >= 0 or (address and words.endswith(" sent")):
            if date and (address or quote_follows or OPENER.match(words)):
                return True
            if quote_follows:
                return True
            if before and ADDRESS_LAST.search(before):
                return True
        if address and (ADDRESS_LAST.search(words) or quote_follows):
            if date and (quote_follows or TIME.search(words) or OPENER.match(words)):
                return True
            if quote_follows and OPENER.match(words) and ADDRESS_LAST.search(words):
                return True
        if not (date or address or quote_follows):
            return False
        self.library_asked += 1
        return self.library_asked <= LIBRARY_ASKED_MAX and LIBRARY.match(joined) is not None

    def is_header(self, number: int) -> bool:
        """Whether the fields of a quoted mail begin here, and not some others.

        A way ("From: Berlin, To: Munich") and the fields of a form are somebody's own words.
        """
        self.tried += 1
        if self.tried > TRIED_MAX:
            return False
        roles: list[str] = []
        has_address = False
        others = 0
        for line in map(self.short, range(number, min(number + HEADER_MAX_LINES, len(self.lines)))):
            if not line:
                others += 1
            elif role := role_of(line):
                roles += [role, *roles_inside(line)]
                others = 0
            elif not ANY_FIELD.match(line):
                others += 1
            has_address = has_address or "@" in line
            if others > 2:
                break
        found = set(roles)
        if roles[0] == "from":
            return (
                "sent" in found
                or ("date" in found and (has_address or "subject" in found))
                or found >= {"to", "subject"}
            )
        if roles[0] in {"sent", "date"}:
            return (has_address and bool(found & {"from", "to"})) or found >= {"from", "subject"}
        return roles[0] in {"subject", "to"} and found >= {"from", "to", "subject"} and has_address

    # --- Where it ends

    def block_end(self, number: int) -> int:
        """The line after the last one with `>` of the quote that begins here; what a program has
        wrapped and left without its mark belongs to it."""
        lines = self.lines
        last = number
        while number < len(lines):
            line = lines[number]
            if line[:1] == ">":
                last = number
                number += 1
                continue
            line = self.short(number)
            if not line:
                number += 1
                continue
            is_next = last == number - 1
            if not (line[0] == ">" or (is_next and self.is_wrapped(number, line))):
                is_link = LINK_ALONE.match(line) is not None
                if not (is_link and self.is_quoted(self.next_words(number + 1))):
                    break
            last = number
            number += 1
        return last + 1

    def is_wrapped(self, number: int, line: str) -> bool:
        before = self.lines[number - 1].strip(BLANKS)
        if LINK_OPEN.search(before[-LINE_SEARCHED_CHARS:]) and LINK_CLOSES.match(line):
            return True
        shortest, next_word_fits = WRAPPED_AT_CHARS
        return (
            line[0].islower()
            and before[-1:] not in ".?!:;"
            and len(before) >= shortest
            and len(before) + len(line.split(None, 1)[0]) >= next_word_fits
            and self.is_quoted(number + 1)
        )

    def end_of_words(self, start: int, end: int) -> int:
        """Where the quote and the signature begin that close these lines."""
        end = max(self.signature_start(end), start)
        quote = end
        while quote > start:
            quote -= 1
            line = self.lines[quote].lstrip()
            if line and (line[0] != ">" or quote in self.unsure):
                quote += 1
                break
        if not self.has_words(quote, end):
            return end
        return max(self.signature_start(quote), start)

    def signature_start(self, end: int) -> int:
        while (start := self.mark_start(self.mobile_start(end))) < end:
            end = start
        return end

    def signature_above(self, quote: int) -> int:
        """The same above a quote, which programs rule off."""
        end = quote
        while end and not self.lines[end - 1].strip(RULE_CHARS):
            end -= 1
        start = self.signature_start(end)
        return start if start < end else self.signature_start(quote)

    def mobile_start(self, end: int) -> int:
        """Where the lines begin that a phone or a program has added below."""
        start = number = end
        while number:
            number -= 1
            line = self.lines[number].strip()
            if not line:
                continue
            if len(line) > MOBILE_MAX_CHARS:
                break
            if MOBILE.match(line) and not MOBILE_GOES_ON.search(line):
                start = number
            elif not LINK_ALONE.match(line):
                break
        return start

    def mark_start(self, end: int) -> int:
        """Where the lines begin that follow "-- ", or a rule and the address of a list."""
        lines = self.lines
        start = end
        below = 0
        for number in range(end - 1, -1, -1):
            line = lines[number].strip()
            if not line:
                continue
            if line in SIGNATURE_MARKS and (len(line) < FOOTER_RULE_CHARS or self.has_link(number)):
                start = number
            below += 1
            if below > SIGNATURE_MAX_LINES:
                break
        return start

    def has_link(self, number: int) -> bool:
        below = self.lines[number : number + 2 * SIGNATURE_MAX_LINES]
        return any("@" in line or "://" in line for line in below)
