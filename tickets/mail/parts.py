"""Where the parts of a mail lie in its bytes (RFC 5322, 2045, 2046). Pure, linear, never raises.

A reader of our own: the standard library's copies every line of a mail several times, is stopped
by the first odd line of a header, and knows neither folded nor missing boundaries. Nothing is
copied here but headers; what is in a part is a place in the mail.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from tickets.mail.headers import parameters

PARTS_MAX = 1_000
DEPTH_MAX = 50
HEADER_USUAL_BYTES = 8 * 1024
HEADER_MAX_BYTES = 1024 * 1024  # of one part
BOUNDARY_MAX_BYTES = 998  # RFC 5322, 2.1.1: a line has no more
BOUNDARY_SEARCHED_BYTES = 64 * 1024  # for the first one
KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
# Lines before the first field, as some pipes and forwards add them.
FIRST_FIELD = re.compile(rb"(?:[^\n]{0,998}\n){0,5}?(>?From |[!-9;-~]+[ \t]*:)")
FROM_LINE = re.compile(rb">?From (?![ \t]*:)[^\n]*\n")
BLANK_LINE = re.compile(rb"\n\r?\n")
# Blanks before the colon are of old (RFC 5322, 4.5.3).
FIELD = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)\n?")
COMMON_FIELD = re.compile(
    r"^(from|to|cc|subject|date|message-id|received|return-path|reply-to|sender|mime-version"
    r"|content-type|content-transfer-encoding|content-disposition|in-reply-to|references)[ \t]*:",
    re.I | re.M,
)
LIKELY_BOUNDARY = re.compile(
    rb"^--([^\r\n]{1,200})\r?\ncontent-[a-z-]{2,40}[ \t]*:",
    re.I | re.M,
)
RAW = ("ascii", "surrogateescape")  # bytes beyond ASCII become lone surrogates
Fields = list[tuple[str, str]]


@dataclass(slots=True)
class Part:
    head: dict[str, str]  # the first of each field, by lower-case name, as it came
    kind: str  # the content type, lower case
    parameters: dict[str, str]  # of the content type
    start: int  # of what it holds, in the bytes of the mail
    end: int = -1
    depth: int = 0
    parent: Part | None = None
    number: int = 1  # among its siblings
    children: int = 0
    is_alternative: bool = False  # one of several forms of the same text
    is_unread: bool = False  # lies beyond a limit


@dataclass(slots=True)
class Parts:
    raw: bytes
    fields: Fields  # of the mail itself: all, in order
    every: list[Part] = field(default_factory=list)  # in order, containers before what they hold
    problems: list[str] = field(default_factory=list)


def read_parts(raw: bytes) -> Parts:
    """All parts of a mail, at most PARTS_MAX, at most DEPTH_MAX deep. Attached mails are one part:
    what is in them is no part of this mail."""
    found = Parts(raw, [])
    start = _start(found)
    found.fields, body = read_fields(found.raw, start, odd=found.problems)
    root = _part(found, found.fields, body, None)
    _Reader(found, root).read()
    return found


def _start(found: Parts) -> int:
    raw = found.raw
    if b"\n" not in raw and b"\r" in raw:  # as old Macs wrote
        raw = found.raw = raw.replace(b"\r", b"\n")
    first = FIRST_FIELD.match(raw)
    if first is None:
        return 0
    start = first.start(1)
    if raw[:start].strip():
        found.problems.append("Does not begin with a header field.")
    while line := FROM_LINE.match(raw, start):
        start = line.end()
    return start


def read_fields(
    raw: bytes, start: int = 0, *, stops: Collection[bytes] = (), odd: list[str] | None = None
) -> tuple[Fields, int]:
    """The fields from `start` on, by lower-case name, and where the header ends.

    It ends at a blank line or one of `stops`, or where lines begin that are no fields: unless a
    field that every mail has comes after them, for then they are what is left of a broken field.
    """
    if raw.startswith((b"\n", b"\r\n"), start):
        return [], raw.index(b"\n", start) + 1
    blank = BLANK_LINE.search(raw, start, start + HEADER_USUAL_BYTES)
    if blank is None:
        limit = _next(raw, start, stops) if stops else len(raw)
        blank = BLANK_LINE.search(raw, start, limit)
        end = blank.start() + 1 if blank else limit
    else:
        end = blank.start() + 1
    read_to = end
    if end - start > HEADER_MAX_BYTES:
        read_to = raw.rfind(b"\n", start, start + HEADER_MAX_BYTES) + 1 or start + HEADER_MAX_BYTES
    text = raw[start:read_to].decode(*RAW)
    fields: Fields = []
    strays: list[str] = []
    strays_end = -1  # lines before this that are no fields belong to the field above
    place = 0
    while place < len(text):
        if stops and text[place] == "-" and _line(text, place)[2:].encode(*RAW) in stops:
            end = start + place
            break
        if match := FIELD.match(text, place):
            _join(fields, strays)
            fields.append((match[1].lower(), match[2].rstrip("\r")))
            place = match.end()
            continue
        if strays_end < 0:
            strays_end = _last_unseen(text, place, fields)
        if place >= strays_end:
            end = start + place
            break
        line = _line(text, place)
        strays.append(line.strip())
        place = text.find("\n", place) + 1 or len(text)
    else:
        end = blank.end() if blank else end
    if odd is not None:
        if strays_end > 0:
            odd.append("A field of the header is broken.")
        if place == len(text) and read_to < end - 3:
            odd.append(f"Its header is larger than {HEADER_MAX_BYTES:,} bytes: cut off.")
    _join(fields, strays)
    return fields, end


def _next(raw: bytes, start: int, stops: Collection[bytes]) -> int:
    """Where the next of these lines begins, or the end."""
    place = start - 1
    while (at := raw.find(b"\n--", place)) >= 0:
        place = raw.find(b"\n", at + 1)
        if place < 0:
            place = len(raw)
        if place - at <= BOUNDARY_MAX_BYTES and raw[at + 3 : place].rstrip(b" \t\r") in stops:
            return at + 1
    return len(raw)


def _join(fields: Fields, strays: list[str]) -> None:
    if strays:
        name, value = fields[-1]
        fields[-1] = (name, "\n ".join([value, *strays]))
        strays.clear()


def _line(text: str, place: int) -> str:
    end = text.find("\n", place)
    return text[place : end if end >= 0 else len(text)].rstrip(" \t\r")


def _last_unseen(text: str, place: int, fields: Fields) -> int:
    """Where the last field begins that every mail has and this one has not yet shown; 0 if none."""
    if not fields:
        return 0
    seen = {name for name, _ in fields}
    ahead = COMMON_FIELD.finditer(text, place)
    return max((one.start() for one in ahead if one[1].lower() not in seen), default=0)


def first_of_each(fields: Fields) -> dict[str, str]:
    """RFC 5322 allows one of most fields; the first is what mail programs show."""
    return dict(reversed(fields))


def _part(found: Parts, fields: Fields, body: int, parent: Part | None) -> Part:
    head = first_of_each(fields)
    default = "text/plain"
    if parent is not None and parent.kind == "multipart/digest":
        default = "message/rfc822"
    kind, kind_parameters = parameters(head.get("content-type", default))
    part = Part(head, kind or default, kind_parameters, body)
    if parent is not None:
        parent.children += 1
        part.parent = parent
        part.number = parent.children
        part.depth = parent.depth + 1
        part.is_alternative = parent.is_alternative or parent.kind == "multipart/alternative"
    found.every.append(part)
    return part


def _begins_a_part(raw: bytes, line: bytes, start: int, end: int) -> bool:
    """Whether such a line is there that is not the last of its kind."""
    at = raw.find(line, start, end)
    return at >= 0 and (
        raw[at + len(line) : at + len(line) + 2] != b"--"
        or raw.find(line, at + len(line), end) >= 0
    )


class _Reader:
    """Goes over the lines that may part the mail, once, whatever the depth."""

    def __init__(self, found: Parts, root: Part) -> None:
        self._found = found
        self._open: list[tuple[Part, bytes]] = []  # containers, the outermost first
        self._lines: dict[bytes, tuple[int, bool]] = {}  # which of them, and whether it ends it
        self._last = root
        self._enter(root)

    def read(self) -> None:
        raw = self._found.raw
        place = self._last.start - 1
        while self._open:
            at = raw.find(b"\n--", max(place, 0))
            if at < 0:
                break
            place = raw.find(b"\n", at + 1)
            if place < 0:
                place = len(raw)
            if place - at > BOUNDARY_MAX_BYTES:
                continue
            line = self._lines.get(raw[at + 3 : place].rstrip(b" \t\r"))
            if line is None:
                continue
            if len(self._found.every) >= PARTS_MAX:
                self._say(f"More than {PARTS_MAX:,} parts: the rest was not read.")
                self._close(at, 0)
                return
            number, is_end = line
            self._close(at, number if is_end else number + 1)
            if not is_end:
                self._begin(min(place + 1, len(raw)))
                place = self._last.start - 1
        self._close(len(raw) + 1, 0)

    def _begin(self, start: int) -> None:
        fields, body = read_fields(self._found.raw, start, stops=self._lines)
        self._last = _part(self._found, fields, body, self._open[-1][0])
        self._enter(self._last)

    def _close(self, at: int, number: int) -> None:
        """What ends before the line at `at`, whose line break is not theirs."""
        raw = self._found.raw
        end = at - 1 if raw[at - 1 : at] == b"\r" and at <= len(raw) else at
        for part in (self._last, *(part for part, _ in self._open[number:])):
            if part.end < 0:
                part.end = max(part.start, min(end, len(raw)))
        if number < len(self._open):
            del self._open[number:]
            self._remember_lines()

    def _enter(self, part: Part) -> None:
        if not part.kind.startswith("multipart/"):
            return
        if part.depth >= DEPTH_MAX:
            part.is_unread = True
            self._say(f"Nested deeper than {DEPTH_MAX} levels: the rest was not read.")
            return
        if boundary := self._boundary(part):
            self._open.append((part, boundary))
            self._remember_lines()

    def _boundary(self, part: Part) -> bytes:
        """The one it names, or where that never comes, the one that seems to be meant."""
        raw, start = self._found.raw, max(part.start - 1, 0)
        searched_to = part.start + BOUNDARY_SEARCHED_BYTES
        named = part.parameters.get("boundary", "").rstrip()
        boundary = named.encode("utf-8", "surrogateescape")
        if boundary and _begins_a_part(raw, b"--" + boundary, start, searched_to):
            return boundary
        likely = LIKELY_BOUNDARY.search(raw, part.start, searched_to)
        if likely is None or likely[1].rstrip(b" \t") in self._lines:
            return boundary
        self._say("A boundary between parts is not the one that is named.")
        return likely[1].rstrip(b" \t")

    def _remember_lines(self) -> None:
        self._lines = {}
        for number in range(len(self._open) - 1, -1, -1):  # the outermost wins
            boundary = self._open[number][1]
            self._lines[boundary + b"--"] = (number, True)
            self._lines[boundary] = (number, False)

    def _say(self, problem: str) -> None:
        if problem not in self._found.problems:
            self._found.problems.append(problem)
