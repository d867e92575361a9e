"""Why a mail was not delivered, in few standard terms (RFC 3463, RFC 5321).

Servers say it twice, in a code and in words, and where the two contradict each other the words are
right: codes are set by whoever programmed the server, words by whoever runs it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tickets.mail import phrases
from tickets.mail.phrases import any_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

READ_CHARS = 4_000  # of the words about one recipient


class Kind(StrEnum):
    ADDRESS_UNKNOWN = "address_unknown"
    HOST_UNKNOWN = "host_unknown"
    ADDRESS_MOVED = "address_moved"
    ACCEPTS_NO_MAIL = "accepts_no_mail"
    MAILBOX_FULL = "mailbox_full"
    MAILBOX_DISABLED = "mailbox_disabled"
    TOO_LARGE = "too_large"
    CONTENT_REFUSED = "content_refused"
    SENDER_REFUSED = "sender_refused"
    FILTERED = "filtered"
    NETWORK = "network"
    SYSTEM = "system"
    DELAYED = "delayed"
    OTHER = "other"


WORDS: dict[Kind, Promise | _StrPromise] = {
    Kind.ADDRESS_UNKNOWN: _("There is no such address."),
    Kind.HOST_UNKNOWN: _("There is no such domain."),
    Kind.ADDRESS_MOVED: _("The address has moved."),
    Kind.ACCEPTS_NO_MAIL: _("The domain takes no mail."),
    Kind.MAILBOX_FULL: _("The mailbox is full."),
    Kind.MAILBOX_DISABLED: _("The mailbox is disabled."),
    Kind.TOO_LARGE: _("The mail was too large for their server."),
    Kind.CONTENT_REFUSED: _("Their server refused what the mail contains."),
    Kind.SENDER_REFUSED: _("Their server refuses mail from us."),
    Kind.FILTERED: _("A filter of the recipient refused the mail."),
    Kind.NETWORK: _("Their server could not be reached."),
    Kind.SYSTEM: _("Their mail system has a fault."),
    Kind.DELAYED: _("Not delivered yet. The servers keep trying."),
    Kind.OTHER: _("Their server did not say why."),
}

# Nothing sent to this address will ever arrive. Everything else may pass, or be mended by somebody.
HARD = frozenset(
    {Kind.ADDRESS_UNKNOWN, Kind.HOST_UNKNOWN, Kind.ADDRESS_MOVED, Kind.ACCEPTS_NO_MAIL}
)

ADDRESS = re.compile(r"[\w.+=/'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
REPLY_CODE = re.compile(r"(?:^|[\s:;'\"(<\[])([45][0-5]\d)(?:[\s-](?=\D|[245]\.\d)|$)", re.M)
URL = re.compile(r"https?://[^\s<>\"']{1,500}")
HOST = re.compile(r"\b(host|server|talking to)[ \t:]{1,5}[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", re.I)

# From the most telling to the vaguest: the first that fits decides.
TOLD = tuple(
    (kind, any_of(lines))
    for kind, lines in (
        (Kind.SYSTEM, phrases.PROGRAM_BROKE),
        (Kind.SENDER_REFUSED, phrases.SENDER_REFUSED),
        (Kind.MAILBOX_FULL, phrases.MAILBOX_FULL),
        (Kind.TOO_LARGE, phrases.TOO_LARGE),
        (Kind.CONTENT_REFUSED, phrases.CONTENT_REFUSED),
        (Kind.FILTERED, phrases.FILTERED),
        (Kind.MAILBOX_DISABLED, phrases.MAILBOX_DISABLED),
        (Kind.ADDRESS_MOVED, phrases.ADDRESS_MOVED),
        (Kind.ACCEPTS_NO_MAIL, phrases.ACCEPTS_NO_MAIL),
        (Kind.HOST_UNKNOWN, phrases.HOST_UNKNOWN),
        (Kind.ADDRESS_UNKNOWN, phrases.ADDRESS_UNKNOWN),
        (Kind.NETWORK, phrases.NETWORK),
        (Kind.CONTENT_REFUSED, phrases.CONTENT_VAGUE),
        (Kind.SENDER_REFUSED, phrases.SENDER_VAGUE),
        (Kind.SYSTEM, phrases.SYSTEM),
    )
)

# RFC 3463 without its class: subject and detail.
BY_STATUS = {
    **dict.fromkeys(("1.1", "1.3", "1.4"), Kind.ADDRESS_UNKNOWN),
    "1.2": Kind.HOST_UNKNOWN,
    "1.6": Kind.ADDRESS_MOVED,
    **dict.fromkeys(("1.7", "1.8"), Kind.SENDER_REFUSED),
    "1.10": Kind.ACCEPTS_NO_MAIL,
    "2.1": Kind.MAILBOX_DISABLED,
    "2.2": Kind.MAILBOX_FULL,
    **dict.fromkeys(("2.3", "3.4"), Kind.TOO_LARGE),
    "4.4": Kind.HOST_UNKNOWN,
}
BY_SUBJECT = {
    "1": Kind.ADDRESS_UNKNOWN,
    "3": Kind.SYSTEM,
    "4": Kind.NETWORK,
    "6": Kind.CONTENT_REFUSED,
    "7": Kind.SENDER_REFUSED,
}
# RFC 5321, 4.2.3, and RFC 7504. 550 and 554 may mean anything.
BY_REPLY_CODE = {
    "551": Kind.ADDRESS_MOVED,
    "552": Kind.MAILBOX_FULL,
    "553": Kind.ADDRESS_UNKNOWN,
    "521": Kind.ACCEPTS_NO_MAIL,
    "556": Kind.ACCEPTS_NO_MAIL,
    "421": Kind.NETWORK,
    "451": Kind.SYSTEM,
    "452": Kind.SYSTEM,
}
BLOCK_LIST = re.compile(r"spamhaus|spamcop|barracudacentral|sorbs|/r?bl\b|block-?list", re.I)
AFTER_DATA = re.compile(
    r"in\s+reply\s+to\s+(?:end\s+of\s+)?DATA|after\s+(?:end\s+of\s+)?data\b|final\s+DATA\b"
    r"|>>> DATA\s+<<<|\(DATA\)|SMTP command\s+DATA\b|\[DATA\]|in (?:end of )?DATA\b",
    re.I,
)
# Servers to which recipients and DATA were sent in one go answer both below ">>> DATA".
RECIPIENT_REFUSED = re.compile(
    r"need\s+rcpt|no\s+valid\s+recipients|in\s+reply\s+to\s+RCPT|after\s+RCPT|\bRCPT\s+TO\b", re.I
)
OF_ACCOUNT = re.compile(r"account|\bthat you tried to reach\b|not exist", re.I)
# Office 365 says so of addresses that are not in the directory, and of nothing else.
NOT_IN_DIRECTORY = re.compile(r"5\.4\.1 .{0,20}recipient address rejected: access denied", re.I)


def reason(line: str, around: str, status: str) -> Kind:
    """Why one recipient did not get a mail.

    `line` is what their server said, `around` what the reporting server wrote about it; either may
    be empty. `status` is what the report's field of that name says (RFC 3464).
    """
    around = around[:READ_CHARS]
    line = line[:READ_CHARS]
    said = _first(STATUS, line)
    kind = (
        (Kind.ADDRESS_UNKNOWN if NOT_IN_DIRECTORY.search(line) else None)
        or told(line)
        or _by_detail(said)
        or _by_detail(status)
        or told(around)
        or BY_SUBJECT.get((said or status)[2:3])
        or BY_REPLY_CODE.get(_first(REPLY_CODE, line or around))
        or Kind.OTHER
    )
    if kind is Kind.ADDRESS_UNKNOWN and is_doubtful(line, around, said):
        return Kind.FILTERED
    if kind in HARD and is_passing(line, status):
        return Kind.NETWORK if kind is Kind.HOST_UNKNOWN else Kind.SYSTEM
    return kind


def is_doubtful(line: str, around: str, said: str) -> bool:
    """Whether "unknown user" may be a pretext: the server knew the address well enough to take it,
    and refused after it had read the mail. Some carriers answer so where the recipient's own filter
    refuses. A code for a bad address, or a sentence about the account, is believed all the same."""
    if said.startswith("5.1.") or OF_ACCOUNT.search(line or around):
        return False
    both = f"{line}\n{around}"
    return bool(AFTER_DATA.search(both)) and not RECIPIENT_REFUSED.search(both)


def is_passing(line: str, status: str) -> bool:
    """Whether the server itself called it temporary. A report that gives up may have a status of
    that class too, with no more in it (Google's is 4.0.0 for domains that do not exist): what the
    server said counts."""
    code = _first(REPLY_CODE, line) or _first(STATUS, line)
    return code.startswith("4") if code else status.startswith("4.") and status != "4.0.0"


@lru_cache(maxsize=8)  # a report may say one thing of a hundred recipients
def told(text: str) -> Kind | None:
    """What words alone say, or None."""
    if not text:
        return None
    plain = " ".join(HOST.sub(r"\1", ADDRESS.sub("@", URL.sub(" ", text))).split())
    for kind, pattern in TOLD:
        if pattern.search(plain):
            return kind
    links = " ".join(URL.findall(text))  # all that some say: http://www.spamhaus.org/query/bl?ip=…
    return Kind.SENDER_REFUSED if BLOCK_LIST.search(links) else None


def _by_detail(status: str) -> Kind | None:
    return BY_STATUS.get(status[2:]) if status[:1] in {"4", "5"} else None


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
