"""Reports that a mail did not arrive: who did not get it, and why.

Reports follow RFC 3464 where their sender knows it. The rest is prose, of which every mail server
has its own; it is recognised by who sent it and by what it says, and read in the one way that they
share: an address, and what was said about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.utils.functional import Promise

from tickets.mail import phrases
from tickets.mail.charsets import to_text
from tickets.mail.headers import decoded, message_ids, unique
from tickets.mail.phrases import any_of
from tickets.mail.reasons import (
    ADDRESS,
    HARD,
    READ_CHARS,
    REPLY_CODE,
    STATUS,
    URL,
    WORDS,
    Kind,
    reason,
    told,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SEARCHED_CHARS = 20_000
REASON_MAX_CHARS = 500
ADDRESS_MAX_CHARS = 254  # RFC 5321, 4.5.3.1.3
RECIPIENTS_MAX = 100  # of one report
LINES_MAX = 50  # that are asked one by one what they say
RETURNED_SEARCHED_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient who did not get the mail, or not yet."""

    recipient: str
    kind: Kind
    status: str  # RFC 3463, such as 5.1.1; "" if the report names none
    reason: str  # what their server said, one line

    @property
    def hard(self) -> bool:
        """Nothing sent to this address will ever arrive."""
        return self.kind in HARD

    @property
    def words(self) -> Promise | _StrPromise:
        """A sentence for staff, in the language of whoever reads it."""
        return WORDS[self.kind]


@dataclass(frozen=True, slots=True)
class Bounce:
    """A report, told by its first recipient: those who will not get the mail come first."""

    recipients: tuple[Failed, ...]  # at least one
    is_standard: bool  # told by fields of RFC 3464, not guessed from prose

    @property
    def recipient(self) -> str:
        return self.recipients[0].recipient

    @property
    def kind(self) -> Kind:
        return self.recipients[0].kind

    @property
    def hard(self) -> bool:
        return self.recipients[0].hard

    @property
    def status(self) -> str:
        return self.recipients[0].status

    @property
    def reason(self) -> str:
        return self.recipients[0].reason

    @property
    def words(self) -> Promise | _StrPromise:
        return self.recipients[0].words

    def as_dict(self) -> dict[str, object]:
        first, *_ = told = [
            {
                "recipient": one.recipient,
                "kind": one.kind.value,
                "hard": one.hard,
                "status": one.status,
                "reason": one.reason,
                "words": str(one.words),
            }
            for one in self.recipients
        ]
        return {**first, "is_standard": self.is_standard, "recipients": told}


# --- Who writes reports -------------------------------------------------------------------------

MAILER_ONLY = r"mailer[-_. ]?daemon|delivery[-_. ]?(?:sub)?system|microsoftexchange[0-9a-f]{8,32}@"
MAILER = re.compile(
    rf"{MAILER_ONLY}|post[-_]?master|mail[-_. ]?deliver|^<?bounces?[@+-]|\bmta@|mdaemon|mail system"
    r"|mail administrator|\bndr\b",
    re.I,
)
NOBODY = re.compile(MAILER_ONLY, re.I)  # never a person, as a postmaster may be
REPORT_SUBJECT = any_of(phrases.REPORT_SUBJECT)
REPORT_WORDS = any_of(phrases.REPORT_WORDS, before=r"\b")
KEEPS_TRYING = any_of(phrases.KEEPS_TRYING)
GAVE_UP = any_of(phrases.GAVE_UP)
ERROR_FIRST = re.compile(r"^[ \t]{0,20}(?:error|failed|failure|[45]\d\d[ -])", re.I | re.M)
LIST_MANAGER = re.compile(r"^<?owner-|-(?:admin|owner|request)@", re.I)
LIST_ALERT = any_of(phrases.LIST_ALERT, before="^")
RETURNED = any_of(phrases.RETURNED, before=r"^[ \t>*-]{0,80}")
# Who did not get the mail stands first on a line, behind bullets, or after words like these.
_ANY = r"(?P<a>[^\s<>\"'()\[\],;:]{1,64}@[^\s<>\"'()\[\],;:]{1,255})"
NAMED_FIRST = re.compile(rf"^[ \t>*<\"'(=•・-]{{0,40}}(?:mailto:)?{_ANY}", re.M)
NAMED_AFTER = re.compile(
    r"(?:rcpt to|recipient(?: address)?|original address|addressed to|failed recipients?"
    r"|user(?:id)?|(?:deliver\w{0,4}|sent|message|mail|sending)[^\n]{0,30} to|envoy[ée] à|gesendet"
    r" an)"
    rf"[ \t:<\"']{{1,10}}{_ANY}",
    re.I,
)


def is_mailer(sender: str) -> bool:
    return MAILER.search(sender) is not None


def may_report(sender: str) -> bool:
    """Whether it is worth reading a mail with such a field From as a report."""
    return is_mailer(sender) or LIST_MANAGER.search(sender) is not None


def bounce_of(
    *,
    sender: str,
    subject: str,
    text: str,
    is_null_sender: bool,
    own: Sequence[str],
    failed: str,
    reports: Sequence[str],
    returned: Sequence[bytes],
) -> Bounce | None:
    """What a report says, or None for a mail that is none, or reports that all went well.

    `sender` is the field From, `own` are the addresses the report went to, `failed` is the field
    X-Failed-Recipients, `reports` are the parts of the type message/delivery-status and `returned`
    those that return the mail.
    """
    text = text[:SEARCHED_CHARS].replace("’", "'")
    prose = _prose(text)
    blocks = [block for report in reports for block in report_blocks(report)]
    if not blocks:
        is_cut = len(prose) < len(text) or bool(returned)
        if not failed and not _is_report(sender, subject, prose, is_null_sender, is_cut):
            return None
        blocks = report_blocks(text) or report_blocks(_inner_report(returned))
    if blocks:
        return _from_blocks(blocks, prose)
    return _from_prose(prose, subject, own, failed)


def _is_report(
    sender: str, subject: str, prose: str, is_null_sender: bool, returns_mail: bool
) -> bool:
    if LIST_MANAGER.search(sender) and LIST_ALERT.search(subject):
        return returns_mail
    if not is_null_sender and not is_mailer(sender):
        return False
    if subject[:3].lower() == "re:" and not is_null_sender:  # mostly a postmaster who answers
        return bool(ERROR_FIRST.search(prose[:500]) and REPLY_CODE.search(prose))
    if not REPORT_SUBJECT.search(subject) and not REPORT_WORDS.search(prose):
        return False
    is_proven = is_null_sender or returns_mail or NOBODY.search(sender) is not None
    return is_proven or bool(STATUS.search(prose) or REPLY_CODE.search(prose))


def _prose(text: str) -> str:
    """What the reporting server wrote, without the mail it returns."""
    for match in RETURNED.finditer(text):
        if text[: match.start()].strip():
            return text[: match.start()]
    return text


def _inner_report(returned: Iterable[bytes]) -> str:
    """The fields of a report that another gateway packed into its own."""
    for content in returned:
        head = content[:RETURNED_SEARCHED_BYTES]
        if b"delivery-status" in head[:8_000].lower():
            return to_text(head)[0][:SEARCHED_CHARS]
    return ""


# --- RFC 3464 -----------------------------------------------------------------------------------

FIELD = re.compile(
    r"(final-recipient|original-recipient|action|status|diagnostic-code|will-retry-until"
    r"|remote-mta|reporting-mta|arrival-date|last-attempt-date|final-log-id|received-from-mta"
    r"|x-[\w-]{1,60})[ \t]{0,5}:(.*)",
    re.I,
)
REPLY_LINE = re.compile(r"[245]\d\d[ -]")
SUCCESS = frozenset({"delivered", "relayed", "expanded", "deliverable"})


def report_blocks(text: str) -> list[dict[str, str]]:
    """The groups of fields about one recipient each, names in lower case."""
    blocks: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    name = ""
    for line in [*text[:SEARCHED_CHARS].splitlines(), ""]:
        match = FIELD.match(line)
        if match is not None:
            name, value = match[1].lower(), match[2].strip()
            if name in fields:
                blocks.append(fields)
                fields = {}
            fields[name] = value
        elif not line.strip():
            if fields:
                blocks.append(fields)
            fields, name = {}, ""
        elif name and (line[0] in " \t" or (name == "diagnostic-code" and REPLY_LINE.match(line))):
            fields[name] += " " + line.strip()
        else:
            name = ""
    return [one for one in blocks if _is_of_recipient(one)][:RECIPIENTS_MAX]


def _is_of_recipient(fields: dict[str, str]) -> bool:
    named = "final-recipient" in fields or "original-recipient" in fields
    return named and ("action" in fields or "status" in fields or "diagnostic-code" in fields)


def _from_blocks(blocks: list[dict[str, str]], prose: str) -> Bounce | None:
    found: list[Failed] = []
    sections = _sections(prose, [address for one in blocks for address in _named(one)])
    for fields in blocks:
        action = fields.get("action", "").lower().split(";")[0].split("(")[0].strip()
        status = _first(STATUS, fields.get("status", ""))
        if action in SUCCESS or status.startswith("2."):
            continue
        line = _line(decoded(fields.get("diagnostic-code", "")))
        named = _named(fields)
        around = prose
        if len(blocks) > 1:
            around = next((sections[one] for one in named if one in sections), prose)
        said = _first(STATUS, line)
        kind = Kind.DELAYED if action == "delayed" else reason(line, around, status)
        if said and (not status or status.endswith(".0.0")):
            status = said
        line = line or _telling_line(around, kind) or f"{action} {status}".strip()
        found.append(Failed(next(iter(named), ""), kind, status, line))
    return _bounce(found, is_standard=True)


def _named(fields: dict[str, str]) -> list[str]:
    """Who a block is about: first the address that we wrote to, then where that led."""
    found: list[str] = []
    others: list[str] = []
    for name in ("original-recipient", "final-recipient"):
        value = decoded(fields.get(name, ""))
        value = (value.partition(";")[2] or value).strip(" <>")
        address = _first(BARE, value)
        (found if address else others).append(address or value[:ADDRESS_MAX_CHARS])
    return [one for one in [*found, *others] if one]


BARE = re.compile(f"({ADDRESS.pattern})")
KIND_OF_DIAGNOSTIC = re.compile(r"^[a-z][\w-]{0,30};[ \t]*", re.I)


def _line(text: str) -> str:
    text = KIND_OF_DIAGNOSTIC.sub("", text.strip())
    return " ".join(text.split())[:REASON_MAX_CHARS]


def _bounce(found: list[Failed], *, is_standard: bool) -> Bounce | None:
    found.sort(key=lambda one: one.kind is Kind.DELAYED)  # a stable sort: else in their order
    return Bounce(tuple(found), is_standard) if found else None


# --- Prose --------------------------------------------------------------------------------------


def _from_prose(prose: str, subject: str, own: Sequence[str], failed: str) -> Bounce | None:
    recipients = _recipients(prose, own, failed)
    sections = _sections(prose, recipients)
    delayed = bool(
        KEEPS_TRYING.search(prose) or KEEPS_TRYING.search(subject)
    ) and not GAVE_UP.search(prose)
    found: list[Failed] = []
    for recipient in recipients or [""]:
        around = sections.get(recipient, prose)
        kind = reason(around, "", "")
        if kind is Kind.OTHER:
            around = f"{subject}\n{prose}"
            kind = reason(around, "", "")
        line = _telling_line(around, kind) or _line(subject)
        status = _first(STATUS, around)
        if not status and (code := _first(REPLY_CODE, around)):
            status = f"{code[0]}.0.0"
        found.append(Failed(recipient, Kind.DELAYED if delayed else kind, status, line))
    return _bounce(found, is_standard=False)


def _recipients(prose: str, own: Sequence[str], failed: str) -> list[str]:
    """Whose mail came back: who stands first on a line, or after words such as "RCPT TO:"."""
    mine = {one.lower() for one in own}

    def others(found: Iterable[str]) -> list[str]:
        tidy = (_first(BARE, one.strip(".'")) for one in found)
        return unique(one for one in tidy if one.lower() not in mine and not is_mailer(one))

    plain = URL.sub(" ", prose)
    return (
        others(ADDRESS.findall(failed[:SEARCHED_CHARS]))
        or others(match["a"] for match in NAMED_FIRST.finditer(plain))
        or others(match["a"] for match in NAMED_AFTER.finditer(plain))
        or others(ADDRESS.findall(plain))[:1]
        or unique(match["a"] for match in NAMED_FIRST.finditer(plain))[:1]
    )[:RECIPIENTS_MAX]


def _sections(prose: str, recipients: list[str]) -> dict[str, str]:
    """What is said about each recipient: from the line that first names them to the next one's."""
    lower = prose.lower()
    places = {one: lower.find(one.lower()) for one in recipients[:RECIPIENTS_MAX]}
    ordered = sorted((place, one) for one, place in places.items() if place >= 0)
    sections: dict[str, str] = {}
    begin = 0
    for number, (place, one) in enumerate(ordered):
        begin = max(prose.rfind("\n", 0, place) + 1, begin)
        end = ordered[number + 1][0] if number + 1 < len(ordered) else len(prose)
        end = max(prose.rfind("\n", 0, end) + 1, place + len(one)) if end < len(prose) else end
        sections[one] = prose[begin : min(end, begin + READ_CHARS)]
        begin = end
    return sections


@lru_cache(maxsize=8)  # as `told`
def _telling_line(text: str, kind: Kind) -> str:
    """What the server said: the line with a code in it, with the lines it runs on to; where that
    says something else than `kind`, a line that says the same, if there is one. Or ""."""
    text = text[:READ_CHARS]
    line = ""
    if match := REPLY_CODE.search(text) or STATUS.search(text):
        start = text.rfind("\n", 0, match.start(1)) + 1
        end = text.find("\n\n", match.end())
        line = _line(text[start : end if end >= 0 else len(text)])
        if told(line) is kind:
            return line
    lines = text.splitlines()[:LINES_MAX]
    return next((_line(one) for one in lines if told(one) is kind), line)


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


# --- The mail that came back --------------------------------------------------------------------

RETURNED_ID = re.compile(
    rb"^[> \t|*]{0,40}(?:X-)?(?:Original-?)?Message-?ID[ \t*]{0,10}:\s{0,20}"
    rb"(?:<([^<>\n]{1,998})>|([^\s<>]{1,250}@[^\s<>]{1,250}))",
    re.M | re.I,
)


def returned_ids(returned: Iterable[bytes], text: str, raw: bytes) -> tuple[str, ...]:
    """The Message-IDs of the mail that a report is about: returned as a whole, as its header only,
    copied into the text, or named in a field of the report. Without angle brackets.

    Where nothing names one, all of the `raw` mail below its header is searched: some servers take
    the header of the returned mail for that of a part.
    """
    contents = [*returned, text[:RETURNED_SEARCHED_BYTES].encode("utf-8", "replace")]
    return _ids(contents) or _ids([_below_header(raw)])


def _ids(contents: Iterable[bytes]) -> tuple[str, ...]:
    found = (
        match[1] or match[2]
        for content in contents
        for match in RETURNED_ID.finditer(content, 0, RETURNED_SEARCHED_BYTES)
    )
    return tuple(unique(one for raw in found for one in message_ids(f"<{to_text(raw)[0]}>")))


def _below_header(raw: bytes) -> bytes:
    end = re.search(rb"\r?\n\r?\n", raw)
    return raw[end.end() : end.end() + RETURNED_SEARCHED_BYTES] if end else b""
