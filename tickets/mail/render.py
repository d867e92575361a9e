"""A reply as a mail. Pure: everything it says is passed in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from html import escape

from django.template.defaultfilters import filesizeformat

REFERENCES_MAX_BYTES = 4_000
SUBJECT_MAX_CHARS = 200
REPLY_MARK = re.compile(r"^\s*(?:(?:re|aw|sv|antw|vs|fwd?|wg|tr|rv)\s*(?:\[\d+\])?\s*:\s*)+", re.I)
LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")


ID = re.compile(r"[!-;=?-~]+")  # others cannot be written into a header
UNKNOWN = ("application", "octet-stream")
# What has a structure or lines of its own may not be sent as base64 (RFC 2046, 5).
STRUCTURED = frozenset({"message", "multipart"})
LINE_BYTES, ENCODED_LINE_BYTES = 57, 78  # of base64 (RFC 2045, 6.8), with the end of the line


class _Policy(EmailPolicy):
    """Fields of ids are folded between ids only.

    The library breaks an id longer than a line into encoded words, and no mail program would find
    its conversation by those.
    """

    def fold(self, name: str, value: str) -> str:
        if name in {"In-Reply-To", "References"}:
            return f"{name}: {value}".replace("> <", f">{self.linesep} <") + self.linesep
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("ascii", "surrogateescape")


POLICY = _Policy(linesep="\r\n")


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file that travels in the mail. `type` is what its bytes say."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Linked:
    """A file that stays with us, and where it can be had until the end of a day."""

    name: str
    size_bytes: int
    address: str
    last_day: date


@dataclass(frozen=True, slots=True)
class Withheld:
    """A file that does not leave. `why` is a sentence."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What one recipient gets."""

    message_id: str
    from_name: str
    from_address: str
    reply_to: str
    to_name: str
    to_address: str
    subject: str
    body: str
    sources: Sequence[tuple[str, str]]  # title and address of what the assistant quotes
    earlier_ids: Sequence[str]  # Message-IDs of the conversation so far, oldest first
    sent_at: datetime
    is_automatic: bool
    enclosed: Sequence[Enclosed] = ()
    linked: Sequence[Linked] = ()
    withheld: Sequence[Withheld] = ()
    opens: bool = False  # nobody has said anything before


def render(letter: Letter) -> EmailMessage:
    """The mail, text with an HTML twin. The same letter gives the same mail but for its boundary.

    Raises ValueError if one of the addresses cannot be written into a header.
    """
    mail = EmailMessage(policy=POLICY)
    try:
        mail["From"] = Address(one_line(letter.from_name), addr_spec=letter.from_address)
        mail["To"] = Address(one_line(letter.to_name), addr_spec=letter.to_address)
        mail["Reply-To"] = Address(one_line(letter.from_name), addr_spec=letter.reply_to)
    except (HeaderParseError, IndexError) as error:
        raise ValueError(f"{letter.to_address} is no address: {error}") from error
    mail["Subject"] = subject(letter.subject, opens=letter.opens)
    mail["Date"] = letter.sent_at
    mail["Message-ID"] = f"<{letter.message_id}>"
    if ids := [one for one in letter.earlier_ids if ID.fullmatch(one)]:
        mail["In-Reply-To"] = f"<{ids[-1]}>"
        mail["References"] = references(ids)
    if letter.is_automatic:
        mail["Auto-Submitted"] = "auto-replied"  # RFC 3834
    text = text_of(letter)
    mail.set_content(text + "\n", cte="quoted-printable")
    mail.add_alternative(as_html(text), subtype="html", cte="quoted-printable")
    for file in letter.enclosed:
        _enclose(mail, file)
    return mail


def _enclose(mail: EmailMessage, file: Enclosed) -> None:
    main, _, sub = file.type.partition("/")
    if not sub or main in STRUCTURED:
        main, sub = UNKNOWN
    mail.add_attachment(
        file.content, main, sub, filename=one_line(file.name), params=_charset(main, file.content)
    )


def _charset(main: str, content: bytes) -> dict[str, str]:
    """Without a word on it text is taken for ASCII (RFC 2046, 4.1.2)."""
    if main != "text":
        return {}
    try:
        content.decode()
    except UnicodeDecodeError:
        return {}
    return {"charset": "utf-8"}


def encoded_bytes(size_bytes: int) -> int:
    """What a file of this size takes up in a mail."""
    return -(-size_bytes // LINE_BYTES) * ENCODED_LINE_BYTES


def fitting(sizes: Sequence[int], max_bytes: int) -> list[bool]:
    """Which files of these sizes, in bytes, travel in a mail that carries `max_bytes` of them.

    Smallest first, so that as many as possible are simply there: of ten pictures and a film it is
    the film that becomes a link. The order in which they are shown is not touched.
    """
    fits = [False] * len(sizes)
    for place in sorted(range(len(sizes)), key=sizes.__getitem__):
        max_bytes -= encoded_bytes(sizes[place])
        fits[place] = max_bytes >= 0
    return fits


def one_line(text: str) -> str:
    """Text that cannot end a header field and begin another."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def subject(text: str, *, opens: bool = False) -> str:
    """`Re: ` once, whatever marks were there before; as it is for a mail that `opens`."""
    line = one_line(text)
    if opens:
        return line[:SUBJECT_MAX_CHARS]
    return f"Re: {REPLY_MARK.sub('', line)[:SUBJECT_MAX_CHARS]}".rstrip()


def references(ids: Sequence[str]) -> str:
    """The chain of ids, oldest first, under REFERENCES_MAX_BYTES: the first and the last are kept.

    Mail programs find the conversation by either end (RFC 5322, 3.6.4).
    """
    chain = [f"<{one}>" for one in dict.fromkeys(ids)]
    first, rest = chain[0], chain[1:]
    room = REFERENCES_MAX_BYTES - len(first.encode())
    kept: list[str] = []
    for one in reversed(rest):
        room -= len(one.encode()) + 1
        if room < 0 and kept:
            break
        kept.append(one)
    return " ".join([first, *reversed(kept)])


def text_of(letter: Letter) -> str:
    """What the reader reads: the words, what they rest on, and what became of each file."""
    names = ", ".join(one_line(file.name) for file in letter.enclosed)
    paragraphs = [
        letter.body or (f"Attached: {names}" if names else ""),
        "\n".join(f"{title}: {address}" for title, address in letter.sources),
        "\n\n".join([_links_begin(len(letter.linked)), *map(_link_lines, letter.linked)]),
        "\n".join(f"{one_line(file.name)} was not sent. {file.why}" for file in letter.withheld),
    ]
    return "\n\n".join(filter(None, paragraphs))


def _links_begin(count: int) -> str:
    if count > 1:
        return "These files are too large for a mail. You can open them at their addresses:"
    return "This file is too large for a mail. You can open it at its address:" if count else ""


def _link_lines(file: Linked) -> str:
    """The address on a line of its own: names that run from right to left would turn it round."""
    size, day = filesizeformat(file.size_bytes), f"{file.last_day.day} {file.last_day:%B %Y}"
    return f"{one_line(file.name)} ({size}), until {day}:\n{file.address}"


def as_html(text: str) -> str:
    """The text with its paragraphs, line breaks and links, everything else escaped."""
    paragraphs = [
        "<p>" + LINK.sub(_link, escape(one, quote=False)).replace("\n", "<br>\n") + "</p>"
        for one in re.split(r"\n{2,}", text)
    ]
    return f'<div dir="auto">\n{"".join(paragraphs)}\n</div>\n'


def _link(found: re.Match[str]) -> str:
    return f'<a href="{found[0]}">{found[0]}</a>'  # escaped before, and without quotes
