"""A reply as a mail. Pure: everything it says is passed in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from html import escape

from django.template.defaultfilters import filesizeformat

from helpdesk.lib.markdown import readable, words_as_html

REFERENCES_MAX_BYTES = 4_000
SUBJECT_MAX_CHARS = 200
REPLY_MARK = re.compile(r"^\s*(?:(?:re|aw|sv|antw|vs|fwd?|wg|tr|rv)\s*(?:\[\d+\])?\s*:\s*)+", re.I)
LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")


SIGNATURE_LINE = "-- "  # with its blank: programs leave out of an answer what is below (RFC 3676)
LINE = "#a8adb8"  # a grey that is seen on white and on black
CODE = "font-family:Consolas,Menlo,monospace;font-size:0.92em"
QUOTE_STYLE = f"margin:0 0 1em 0.8ex;padding-left:1ex;border-left:1px solid {LINE}"
CELL = f"padding:4px 10px;border:1px solid {LINE};text-align:start"
STYLES = {
    "blockquote": f"margin:0 0 1em;padding-left:1em;border-left:3px solid {LINE}",
    "pre": f"padding:8px 12px;border:1px solid {LINE};white-space:pre-wrap;{CODE}",
    "code": CODE,
    "h2": "font-size:1.2em;margin:1em 0 0.5em",
    "h3": "font-size:1.1em;margin:1em 0 0.5em",
    "h4": "font-size:1em;margin:1em 0 0.5em",
    "img": "max-width:100%;height:auto;border:0",
    "hr": f"border:0;border-top:1px solid {LINE}",
    "table": "border-collapse:collapse",
    "th": CELL,
    "td": CELL,
}
STYLED = re.compile(rf"<({'|'.join(STYLES)})(?=[ >])")
PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"></head><body>
<div dir="auto" style="font-family:'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:15px;\
line-height:1.5">
{}
</div>
</body></html>
"""

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
class Picture:
    """A picture that stands in the words, where they name this id of ours."""

    id: str
    file: Enclosed


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody as the fields of a mail name them."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """What was said before. `words` are Markdown where one of us wrote them."""

    author: str
    said_at: datetime  # in the zone in which it is told
    words: str
    is_markdown: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """What one recipient gets. Those in `to` and `cc` are named to them, and they themselves
    where there is nobody in either. `body` and `signature` are Markdown."""

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
    to: Sequence[Named] = ()
    cc: Sequence[Named] = ()
    signature: str = ""
    history: Sequence[Quoted] = ()  # latest first
    pictures: Sequence[Picture] = ()
    is_markdown: bool = True  # the body; of what a customer wrote it is plain
    said: Sequence[Quoted] = ()  # what the recipient has not read elsewhere, instead of the body
    auto_submitted: str = "auto-replied"  # of one that is automatic: or auto-generated (RFC 3834)


def render(letter: Letter) -> EmailMessage:
    """The mail, text with an HTML twin. The same letter gives the same mail but for its boundary.

    Raises ValueError if the sender's or the recipient's address cannot be written into a header;
    others who cannot be named are left out.
    """
    mail = EmailMessage(policy=POLICY)
    mail["From"] = _address(letter.from_name, letter.from_address)
    own = _address(letter.to_name, letter.to_address)
    to, cc = _addresses(letter.to), _addresses(letter.cc)
    if to or not cc:
        mail["To"] = to or own
    if cc:
        mail["Cc"] = cc
    mail["Reply-To"] = _address(letter.from_name, letter.reply_to)
    mail["Subject"] = subject(letter.subject, opens=letter.opens)
    mail["Date"] = letter.sent_at
    mail["Message-ID"] = f"<{letter.message_id}>"
    if ids := [one for one in letter.earlier_ids if ID.fullmatch(one)]:
        mail["In-Reply-To"] = f"<{ids[-1]}>"
        mail["References"] = references(ids)
    if letter.is_automatic:
        mail["Auto-Submitted"] = letter.auto_submitted
        # What Microsoft's programs would answer with in turn (MS-OXCMAIL, 2.2.3.2.14).
        mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(text_of(letter) + "\n", cte="quoted-printable")
    mail.add_alternative(html_of(letter), subtype="html", cte="quoted-printable")
    for picture in letter.pictures:
        _put_in(mail, picture, letter)
    for file in letter.enclosed:
        _enclose(mail, file)
    return mail


def _address(name: str, address: str) -> Address:
    try:
        made = Address(one_line(name), addr_spec=address)
    except (HeaderParseError, IndexError) as error:
        raise ValueError(f"{address} is no address: {error}") from error
    if not address.isascii():  # it would be written as an encoded word, which names nobody
        raise ValueError(f"{address} is no address that every server takes.")
    return made


def _addresses(people: Sequence[Named]) -> list[Address]:
    made = []
    for one in people:
        with contextlib.suppress(ValueError):
            made.append(_address(one.name, one.address))
    return made


def _put_in(mail: EmailMessage, picture: Picture, letter: Letter) -> None:
    """Beside the HTML that shows it, by its Content-ID (RFC 2392)."""
    html = mail.get_body(("html",))
    main, _, sub = picture.file.type.partition("/")
    if html is None:
        return
    html.add_related(
        picture.file.content,
        main,
        sub,
        cid=f"<{_content_id(picture, letter)}>",
        filename=one_line(picture.file.name),
        disposition="inline",
    )


def _content_id(picture: Picture, letter: Letter) -> str:
    return f"{picture.id}@{letter.message_id.rpartition('@')[2]}"


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
    """What the reader reads: the words, what they rest on, what became of each file, who signs,
    and what was said before."""
    said = [_told(one) for one in letter.said]
    said += [readable(letter.body) if letter.is_markdown else letter.body, *_besides(letter)]
    if letter.signature:
        said.append(f"{SIGNATURE_LINE}\n{readable(letter.signature)}")
    said += [f"{_introduced(one)}\n{_marked(one)}" for one in letter.history]
    return "\n\n".join(filter(None, said))


def html_of(letter: Letter) -> str:
    """The same as a page of its own. It has no colours but grey lines, so that programs may show
    it light or dark."""
    pictures = {one.id: f"cid:{_content_id(one, letter)}" for one in letter.pictures}
    said = [_told_html(one, pictures) for one in letter.said]
    said.append(_html(letter.body, letter.is_markdown, pictures))
    said += map(plain_as_html, _besides(letter))
    if letter.signature:
        said.append(
            f'<span class="gmail_signature_prefix">{SIGNATURE_LINE}</span><br>\n'
            f'<div class="gmail_signature" dir="auto">{_words(letter.signature)}</div>'
        )
    if letter.history:
        quotes = "\n".join(map(_quote, letter.history))
        said.append(f'<br>\n<div class="gmail_quote gmail_quote_container">{quotes}</div>')
    return PAGE.format("\n".join(filter(None, said)))


def _besides(letter: Letter) -> list[str]:
    """Plain paragraphs below the words, or instead of them."""
    names = ", ".join(one_line(file.name) for file in letter.enclosed)
    paragraphs = [
        f"Attached: {names}" if names and not (letter.body or letter.said) else "",
        "\n".join(f"{title}: {address}" for title, address in letter.sources),
        "\n\n".join([_links_begin(len(letter.linked)), *map(_link_lines, letter.linked)]),
        "\n".join(f"{one_line(file.name)} was not sent. {file.why}" for file in letter.withheld),
    ]
    return [one for one in paragraphs if one]


def _told(said: Quoted) -> str:
    words = readable(said.words) if said.is_markdown else said.words
    return f"{_teller(said)}:\n{words}".rstrip("\n")


def _told_html(said: Quoted, pictures: Mapping[str, str]) -> str:
    return (
        f'<p dir="auto" style="margin:1em 0 0"><b>{escape(_teller(said))}</b></p>\n'
        f"{_html(said.words, said.is_markdown, pictures)}"
    )


def _teller(said: Quoted) -> str:
    return f"{one_line(said.author)}, {said.said_at:%H:%M}"


def _html(text: str, is_markdown: bool, pictures: Mapping[str, str]) -> str:
    return _words(text, pictures) if is_markdown else plain_as_html(text)


def _introduced(quoted: Quoted) -> str:
    """In the form that mail programs, and we, know the beginning of a quote by."""
    at = quoted.said_at
    return f"On {at.day} {at:%B %Y} at {at:%H:%M}, {one_line(quoted.author)} wrote:"


def _marked(quoted: Quoted) -> str:
    text = readable(quoted.words) if quoted.is_markdown else quoted.words
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _quote(quoted: Quoted) -> str:
    words = _words(quoted.words) if quoted.is_markdown else plain_as_html(quoted.words)
    return (
        f'<div class="gmail_attr" dir="auto">{escape(_introduced(quoted))}<br></div>'
        f'<blockquote class="gmail_quote" dir="auto" style="{QUOTE_STYLE}">{words}</blockquote>'
    )


def _words(text: str, pictures: Mapping[str, str] | None = None) -> str:
    """Markdown with the styles written at each tag: Gmail and Outlook read no others."""
    html = words_as_html(text, pictures, where="mail")
    return STYLED.sub(lambda found: f'<{found[1]} style="{STYLES[found[1]]}"', html)


def _links_begin(count: int) -> str:
    if count > 1:
        return "These files are too large for a mail. You can open them at their addresses:"
    return "This file is too large for a mail. You can open it at its address:" if count else ""


def _link_lines(file: Linked) -> str:
    """The address on a line of its own: names that run from right to left would turn it round."""
    size, day = filesizeformat(file.size_bytes), f"{file.last_day.day} {file.last_day:%B %Y}"
    return f"{one_line(file.name)} ({size}), until {day}:\n{file.address}"


def plain_as_html(text: str) -> str:
    """The text with its paragraphs, line breaks and links, everything else escaped."""
    return "".join(
        "<p>" + LINK.sub(_link, escape(one, quote=False)).replace("\n", "<br>\n") + "</p>"
        for one in re.split(r"\n{2,}", text)
    )


def _link(found: re.Match[str]) -> str:
    return f'<a href="{found[0]}">{found[0]}</a>'  # escaped before, and without quotes
