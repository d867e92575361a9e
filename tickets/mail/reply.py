"""What somebody wrote just now, apart from what they quote and how they sign.

The phrases of 13 languages come from mail-parser-reply. Only its expression for headers is used:
its own reader strips indentation and cuts at "Thank you,". The expression is quadratic in the
length of a line, so it is shown shortened lines, and only the position is taken over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailparser_reply.constants import MAIL_LANGUAGES
from mailparser_reply.parser import EmailMessage

SEARCHED_CHARS = 20_000  # a reply that begins its quote later than this is shown whole
LINE_SEARCHED_CHARS = 240
SIGNATURE_MAX_LINES = 12  # more than this below "--" is no signature

_languages = [language for language in MAIL_LANGUAGES if language != "david"]
HEADER = EmailMessage(text="", languages=list(_languages)).HEADER_REGEX
SENT_FROM = "|".join(filter(None, (MAIL_LANGUAGES[one].get("sent_from") for one in _languages)))
SIGNATURE = re.compile(rf"^\s*(?:--|__)\s*$|^\s*(?:{SENT_FROM})\b.{{0,60}}$", re.I)
ORIGINAL = (
    "origin|forwarded|urspr|weitergeleitet|transf[ée]r|reenviad|inoltrat|doorgestuurd|oorspronk"
    "|oprindelig|videresendt|vidarebefordrat|исходн|пересыл|wiadomo|転送|元の"
)
SEPARATOR = re.compile(
    rf"^[\s*]*(?:_{{20,}}|-{{20,}}|-{{3,}} ?[^-]{{0,30}}(?:{ORIGINAL})[^-]{{0,30}}-{{2,}}\*?"
    r"|[#>* -]*(?:reply|write|respond) above this line.*)\s*$",
    re.I,
)
# "On 4 March 2024 at 10:00, Maya <maya@example.org> wrote:" in any language: a year or a time of
# day, an address, and a colon at the end. Or no date, but one of the words for writing.
INTRODUCTION = re.compile(
    r"^(?=.*(?:\b\d{4}\b|\d:\d\d))(?=.*@).{10,}:\s*$"
    r"|^(?=.*(?:\b\d{4}\b|\d:\d\d)).{6,200} (?:wrote|sent|skrev|schrieb|geschreven|écrit|escribió"
    r"|escreveu|scritto|napisał(?:\(a\))?|написал\w*|пишет) ?:\s*$"
    r"|^.{0,80}@\S+>? (?:wrote|skrev|schrieb|a écrit|escribió|escreveu|ha scritto) ?:\s*$",
    re.I,
)
DATE = re.compile(r"\b\d{4}\b|\d:\d\d")
INTRODUCTION_MAX_LINES = 3
HEADER_MAX_LINES = 6
FIELD = re.compile(r"[> *]*[^\W\d_][^:]{0,24}:")  # as in "*Von:* Maya"
RULE_CHARS = " \t-_*"


@dataclass(frozen=True, slots=True)
class Split:
    visible: str
    rest: str  # the cut-off quote and signature, "" if there is none


def split_reply(text: str) -> Split:
    """Cut `text` where quoted words or a signature begin; both halves together hold every line.

    A mail of nothing but a quote (a forward) is visible as a whole.
    """
    lines = text.split("\n")
    cut = min(_quote_start(lines), _trailing_quote_start(lines))
    cut = _signature_start(lines, cut)
    while cut and not lines[cut - 1].strip(RULE_CHARS):
        cut -= 1  # the rule above a quote
    visible = "\n".join(lines[:cut]).strip("\n").rstrip()
    if not visible.strip():
        return Split(text.strip("\n").rstrip(), "")
    return Split(visible, "\n".join(lines[cut:]).strip("\n").rstrip())


def _short_copy(lines: list[str]) -> tuple[list[str], list[int]]:
    """The lines to search in, and for each of them the number of the line it stands for."""
    copy: list[str] = []
    numbers: list[int] = []
    room = SEARCHED_CHARS
    for number, line in enumerate(lines):
        short = line.strip()[:LINE_SEARCHED_CHARS]
        if not short and copy and not copy[-1]:
            continue
        room -= len(short) + 1
        if room < 0:
            break
        copy.append(short)
        numbers.append(number)
    return copy, numbers


def _quote_start(lines: list[str]) -> int:
    copy, numbers = _short_copy(lines)
    for place, line in enumerate(copy):
        if line and (SEPARATOR.match(line) or _is_header(copy, place) or _introduces(copy, place)):
            return numbers[place]
    return len(lines)


def _is_header(copy: list[str], place: int) -> bool:
    """Whether a header of a quoted mail begins here, in words that mail-parser-reply knows.

    Its expression is slow, so it is asked only where a line ends in a colon soon, or where two
    lines look like fields.
    """
    near = copy[place : place + HEADER_MAX_LINES]
    ends = any(line.endswith(":") for line in near[:INTRODUCTION_MAX_LINES])
    if not ends and not (FIELD.match(near[0]) and any(map(FIELD.match, near[1:]))):
        return False
    return HEADER.match("\n".join(near)) is not None


def _introduces(copy: list[str], place: int) -> bool:
    """Whether a quote is introduced here, on one line or wrapped over a few."""
    joined = ""
    for line in copy[place : place + INTRODUCTION_MAX_LINES]:
        joined = f"{joined} {line}".lstrip()
        if not line or len(joined) > LINE_SEARCHED_CHARS:
            return False
        if line.endswith(":"):
            # The fewest lines that will do, if the first has no date: it may be the reply.
            has_date = DATE.search(copy[place]) is not None
            fewer = joined != line and not has_date and _introduces(copy, place + 1)
            return not fewer and INTRODUCTION.match(joined) is not None
    return False


def _trailing_quote_start(lines: list[str]) -> int:
    """Where the `>` lines at the end begin."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith(">")):
        end -= 1
    return end if any(line.strip() for line in lines[end:]) else len(lines)


def _signature_start(lines: list[str], end: int) -> int:
    for number, line in enumerate(lines[:end]):
        if SIGNATURE.match(line[:LINE_SEARCHED_CHARS]):
            below = [one for one in lines[number:end] if one.strip()]
            if len(below) <= SIGNATURE_MAX_LINES:
                return number
    return end
