"""A reply as a mail. Pure: everything it says is passed in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from html import escape

REFERENCES_MAX_BYTES = 4_000
SUBJECT_MAX_CHARS = 200
REPLY_MARK = re.compile(r"^\s*(?:(?:re|aw|sv|antw|vs|fwd?|wg|tr|rv)\s*(?:\[\d+\])?\s*:\s*)+", re.I)
LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")


ID = re.compile(r"[!-;=?-~]+")  # others cannot be written into a header


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
    text = with_sources(letter)
    mail.set_content(text + "\n", cte="quoted-printable")
    mail.add_alternative(as_html(text), subtype="html", cte="quoted-printable")
    return mail


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


def with_sources(letter: Letter) -> str:
    lines = [f"{title}: {address}" for title, address in letter.sources]
    return "\n\n".join([letter.body, *(["\n".join(lines)] if lines else [])])


def as_html(text: str) -> str:
    """The text with its paragraphs, line breaks and links, everything else escaped."""
    paragraphs = [
        "<p>" + LINK.sub(_link, escape(one, quote=False)).replace("\n", "<br>\n") + "</p>"
        for one in re.split(r"\n{2,}", text)
    ]
    return f'<div dir="auto">\n{"".join(paragraphs)}\n</div>\n'


def _link(found: re.Match[str]) -> str:
    return f'<a href="{found[0]}">{found[0]}</a>'  # escaped before, and without quotes
