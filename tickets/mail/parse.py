"""One mail, taken apart. Pure: no database, no network, no clock. Never raises.

What was odd about a mail is said in `problems`; what could not be read is left out, and the raw
mail stays where it is.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from email.feedparser import BytesFeedParser
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from helpdesk.lib.text import clean
from tickets.mail.bounce import Bounce, from_report, from_words, is_automatic
from tickets.mail.charsets import to_text
from tickets.mail.content import content, unflowed
from tickets.mail.headers import (
    Address,
    addresses,
    decoded,
    message_ids,
    moment,
    parameters,
    unique,
)
from tickets.mail.invite import Invite
from tickets.mail.reply import split_reply
from tickets.mail.text import html_to_text
from tickets.mail.tnef import Packed, unpacked

RAW_MAX_BYTES = 100 * 1024 * 1024
PARTS_MAX = 1_000
DEPTH_MAX = 50
TEXT_MAX_CHARS = 5_000_000
HEADER_SEARCHED_BYTES = 64 * 1024
FIRST_FIELD = re.compile(rb"(?:[^\n]{0,998}\n){0,5}?(From |[!-9;-~]+[ \t]*:)")
RETURNED_SEARCHED_BYTES = 64 * 1024
RETURNED_ID = re.compile(rb"^[> \t]*Message-ID[ \t]*:\s*(<[^<>\n]{1,998}>)", re.M | re.I)
FED_BYTES = 256 * 1024
KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
CHARSET_NAMED = re.compile(rb"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.I | re.ASCII)
BLANK_LINE = re.compile(rb"\r?\n\r?\n")
BLANK_BEFORE_COLON = re.compile(rb"^([!-9;-~]{1,80})[ \t]{1,20}:", re.M)
SENDER_FIELDS = ("from", "sender", "reply-to")  # whoever an answer would reach, best first
TNEF = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
TNEF_NAME = "winmail.dat"
FILES_MAX = 500  # in one mail, those that are unpacked included; a page shows them all
TNEF_MAX = 3  # unpacked in one mail; programs write one
DELIVERED_TO_FIELDS = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to")


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    type: str
    size: int  # bytes, decoded
    sha256: str
    inline: bool  # belongs into the text: an image that the HTML points to
    content_id: str
    content: bytes = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ParsedEmail:
    """A mail as people and machines meant it. Ids are without angle brackets."""

    message_id: str
    in_reply_to: str
    references: tuple[str, ...]  # oldest first, without In-Reply-To
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    delivered_to: tuple[str, ...]  # addresses of the envelope, as the servers noted them
    subject: str
    date: datetime | None  # UTC
    text: str
    html: str
    visible_reply: str
    quoted: str  # what `visible_reply` leaves out of `text`
    attachments: tuple[Attachment, ...]
    auto_submitted: bool
    bounce: Bounce | None
    returned_ids: tuple[str, ...]  # Message-IDs of the mail that a bounce returns
    problems: tuple[str, ...]
    invite: Invite | None = None

    def as_dict(self) -> dict[str, object]:
        """The shape that `manage.py parse_email` prints, without the contents of attachments."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        sender = plain.pop("sender")
        plain["from"] = _dict(sender) if sender else None
        for name in ("to", "cc", "reply_to", "attachments"):
            plain[name] = [_dict(one) for one in plain[name]]
        plain["date"] = self.date.isoformat() if self.date else None
        plain["bounce"] = _dict(self.bounce) if self.bounce else None
        return plain


def _dict(value: Address | Attachment | Bounce) -> dict[str, object]:
    return {f.name: getattr(value, f.name) for f in fields(value) if f.name != "content"}


class _LimitReached(Exception):
    pass


class _Part(Message):
    """A part that hides from the parser that it is a mail or a report: so it is kept as it came,
    byte for byte, and parts inside it are none of this mail's."""

    def get_content_type(self) -> str:
        kind = super().get_content_type()
        return "application/octet-stream" if kind.startswith("message/") else kind


@dataclass(slots=True)
class _Body:
    """What the walk has found so far."""

    problems: list[str]
    texts: list[str] = field(default_factory=list)
    htmls: list[str] = field(default_factory=list)
    lone_htmls: list[str] = field(default_factory=list)  # after a text, and not another form of it
    attachments: list[Attachment] = field(default_factory=list)
    packed: list[Packed] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    charset: str = ""  # of the first text


def parse_email(raw: bytes) -> ParsedEmail:
    """Take one mail apart. Any bytes are a mail.

    At most RAW_MAX_BYTES, PARTS_MAX parts and DEPTH_MAX levels are read; what lies beyond is named
    in `problems`. A second call gives an equal result.
    """
    problems: list[str] = []
    if len(raw) > RAW_MAX_BYTES:
        problems.append(f"Larger than {RAW_MAX_BYTES:,} bytes: the rest was not read.")
        raw = raw[:RAW_MAX_BYTES]
    root = _tree(raw, problems)
    head = _fields(root)

    body = _Body(problems)
    for part, depth, is_alternative in _leaves(root, body):
        if depth > DEPTH_MAX:
            problems.append(f"Nested deeper than {DEPTH_MAX} levels: the rest was not read.")
            break
        _take(part, body, is_alternative=is_alternative)
    if not (body.texts or body.htmls):
        _take_packed_words(body)

    html = "\n".join(body.htmls)[:TEXT_MAX_CHARS]
    text = _text(body, html)[:TEXT_MAX_CHARS]
    subject = decoded(head.get("subject", ""), body.charset)
    named = (one for name in SENDER_FIELDS for one in _addresses(head, name, body))
    sender = next(named, None)
    if sender is None:
        problems.append("Names no sender.")
    split = split_reply(text)
    bounce = _bounce(body, head, sender, subject, text)
    return ParsedEmail(
        message_id=next(iter(message_ids(head.get("message-id", ""))), ""),
        in_reply_to=next(iter(message_ids(head.get("in-reply-to", ""))), ""),
        references=tuple(message_ids(head.get("references", ""))),
        sender=sender,
        to=_addresses(head, "to", body),
        cc=_addresses(head, "cc", body),
        reply_to=_addresses(head, "reply-to", body),
        delivered_to=_delivered_to(root),
        subject=subject,
        date=moment(head.get("date", "")) if "date" in head else _received(head),
        text=text,
        html=html,
        visible_reply=split.visible,
        quoted=split.rest,
        attachments=tuple(body.attachments),
        auto_submitted=is_automatic(head, subject),
        bounce=bounce,
        returned_ids=_returned_ids(body, text) if bounce else (),
        problems=tuple(unique(problems)),
    )


def _tree(raw: bytes, problems: list[str]) -> Message:
    """The parts of `raw`; on a limit those before it, which `email` has hung up by then."""
    parts: list[Message] = []

    def new_part(policy: object = None) -> Message:
        if len(parts) >= PARTS_MAX:
            raise _LimitReached
        part = _Part(policy=compat32)
        parts.append(part)
        return part

    parser = BytesFeedParser(new_part, policy=compat32)
    parts.clear()  # it has tried out how to call `new_part`
    raw = _mended(raw, problems)
    try:
        for start in range(0, len(raw), FED_BYTES):
            parser.feed(raw[start : start + FED_BYTES])
        return parser.close()
    except _LimitReached:
        problems.append(f"More than {PARTS_MAX:,} parts: the rest was not read.")
    except Exception as error:  # noqa: BLE001  (a fault of the library must not cost a mail)
        problems.append(f"Could not be read to the end: {type(error).__name__}.")
    return parts[0] if parts else Message(policy=compat32)


def _mended(raw: bytes, problems: list[str]) -> bytes:
    """What `email` would take for the end of the header: lines before its first field, as some
    pipes and forwards add them, and blanks before a colon (RFC 5322, 4.5.3)."""
    start = FIRST_FIELD.match(raw)
    if start is not None and start.start(1):
        if raw[: start.start(1)].strip():
            problems.append("Does not begin with a header field.")
        raw = raw[start.start(1) :]
    end = BLANK_LINE.search(raw, 0, HEADER_SEARCHED_BYTES)
    head = raw[: end.start() if end else 0]
    if BLANK_BEFORE_COLON.search(head):
        raw = BLANK_BEFORE_COLON.sub(rb"\1:", head) + raw[len(head) :]
    return raw


def _fields(part: Message) -> dict[str, str]:
    """The raw header fields by lower-case name, the first of each (RFC 5322 allows one)."""
    found: dict[str, str] = {}
    for name, value in part.raw_items():
        found.setdefault(name.lower().strip(), str(value))
    return found


def _addresses(head: dict[str, str], name: str, body: _Body) -> tuple[Address, ...]:
    return tuple(addresses(head[name], body.charset)) if name in head else ()


def _delivered_to(root: Message) -> tuple[str, ...]:
    found = [
        address.email
        for name, value in root.raw_items()
        if name.lower() in DELIVERED_TO_FIELDS
        for address in addresses(str(value))
    ]
    return tuple(unique(found))


def _received(head: dict[str, str]) -> datetime | None:
    return moment(head.get("received", "").rpartition(";")[2])


def _leaves(root: Message, body: _Body) -> Iterator[tuple[Message, int, bool]]:
    """Every part that is no container, in order, with its depth and whether it is one of several
    forms of the same text. Attached mails are leaves: their text is not this mail's text."""
    stack: list[tuple[Message, int, bool]] = [(root, 0, False)]
    while stack:
        part, depth, is_alternative = stack.pop()
        kind = part.get_content_type()
        payload = part.get_payload()
        if isinstance(payload, list) and depth <= DEPTH_MAX:
            inside = is_alternative or kind == "multipart/alternative"
            children = [one for one in payload if isinstance(one, Message)]
            stack += [(child, depth + 1, inside) for child in reversed(children)]
        else:
            if kind.startswith("multipart/") and part.defects:
                body.problems.append("A part says it has parts, and has none.")
            yield part, depth, is_alternative


def _take(part: Message, body: _Body, *, is_alternative: bool) -> None:
    head = _fields(part)
    kind, kind_parameters = parameters(head.get("content-type", part.get_default_type()))
    disposition, disposition_parameters = parameters(head.get("content-disposition", ""))
    name = disposition_parameters.get("filename") or kind_parameters.get("name") or ""
    if kind.startswith("multipart/") or not KIND.fullmatch(kind):
        kind = "text/plain"  # RFC 2045, 5.2
    data = content(part, head, body.problems)
    if kind == "message/delivery-status":
        body.reports.append(clean(to_text(data)[0]))
    if kind in {"text/plain", "text/html"} and disposition != "attachment":
        is_first = not (body.texts or body.htmls)
        if not name or ((is_alternative or is_first) and disposition != "inline"):
            _take_text(data, kind, kind_parameters, body, is_alternative=is_alternative)
            return
    if (kind in TNEF or name.lower() == TNEF_NAME) and _take_packed(data, body):
        return
    content_id = "".join(message_ids(head.get("content-id", ""))[:1])
    body.attachments.append(
        _attachment(
            _file_name(name, kind, data),
            kind,
            data,
            inline=disposition != "attachment" and bool(content_id or disposition == "inline"),
            content_id=content_id or decoded(head.get("content-id", "")).strip("<> "),
        )
    )


def _attachment(
    name: str, kind: str, data: bytes, *, inline: bool = False, content_id: str = ""
) -> Attachment:
    sha256 = hashlib.sha256(data).hexdigest()
    return Attachment(name, kind, len(data), sha256, inline, content_id, data)


def _take_packed(data: bytes, body: _Body) -> bool:
    """The files in a winmail.dat instead of itself. False if it cannot be unpacked: it stays."""
    if len(body.packed) == TNEF_MAX:
        return False
    try:
        packed = unpacked(data)
    except ValueError as error:
        body.problems.append(f"{TNEF_NAME} could not be unpacked: {error}")
        return False
    if len(body.attachments) + len(packed.files) > FILES_MAX:
        body.problems.append(f"{TNEF_NAME} was not unpacked: more than {FILES_MAX} files.")
        return False
    body.packed.append(packed)
    body.attachments += [
        _attachment(
            _last_of_path(one.name),
            one.type if KIND.fullmatch(one.type) else "application/octet-stream",
            one.content,
            inline=bool(one.content_id),
            content_id=one.content_id,
        )
        for one in packed.files
    ]
    return True


def _take_packed_words(body: _Body) -> None:
    """The text of a mail that has it nowhere but in its winmail.dat."""
    for packed in body.packed:
        if packed.html:
            body.htmls.append(clean(packed.html))
        if packed.text.strip():
            body.texts.append(clean(packed.text).strip("\n"))
        if packed.is_illegible:
            body.problems.append(f"The text in {TNEF_NAME} could not be read.")
        if packed.rtf:
            body.attachments += [_attachment(w.name, w.type, w.content) for w in packed.words()]


def _take_text(
    data: bytes, kind: str, kind_parameters: dict[str, str], body: _Body, *, is_alternative: bool
) -> None:
    charset = kind_parameters.get("charset", "")
    body.charset = body.charset or charset
    text, problem = to_text(data, charset)
    if problem:
        body.problems.append(problem)
    text = clean(text)
    if kind == "text/html":
        if body.texts and not is_alternative:
            body.lone_htmls.append(text)
        body.htmls.append(text)
        return
    if kind_parameters.get("format", "").lower() == "flowed":
        text = unflowed(text, drop_space=kind_parameters.get("delsp", "").lower() == "yes")
    if text.strip():
        body.texts.append(text.strip("\n"))


def _text(body: _Body, html: str) -> str:
    texts = [*body.texts, *map(html_to_text, body.lone_htmls)]
    text = "\n".join(texts).strip("\n")
    return text if text.strip() or not html else html_to_text(html)


def _last_of_path(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1][:200]


def _file_name(name: str, kind: str, data: bytes) -> str:
    if name:
        return _last_of_path(name)
    if kind == "message/rfc822":
        inner = _fields(BytesHeaderParser(policy=compat32).parsebytes(data[:HEADER_SEARCHED_BYTES]))
        named = CHARSET_NAMED.search(data, 0, HEADER_SEARCHED_BYTES)
        subject = decoded(inner.get("subject", ""), named[1].decode() if named else "")
        return f"{subject.replace('/', '-')[:150] or 'message'}.eml"
    if kind == "text/calendar":
        return "invite.ics"
    main = kind.partition("/")[0]
    stem = main if main in {"image", "audio", "video"} else "file"
    return f"{stem}{mimetypes.guess_extension(kind) or ''}"


def _bounce(
    body: _Body, head: dict[str, str], sender: Address | None, subject: str, text: str
) -> Bounce | None:
    for report in body.reports:
        return from_report(report)
    return from_words(
        sender=f"{sender.email} {sender.name}" if sender else "",
        subject=subject,
        text=text,
        null_sender=head.get("return-path", "").strip() == "<>",
    )


def _returned_ids(body: _Body, text: str) -> tuple[str, ...]:
    """A returned mail is attached as a whole, as its header only, or copied into the text."""
    contents = [one.content[:RETURNED_SEARCHED_BYTES] for one in body.attachments]
    contents.append(text[:RETURNED_SEARCHED_BYTES].encode())
    found = [match for content in contents for match in RETURNED_ID.findall(content)]
    return tuple(unique(one for match in found for one in message_ids(to_text(match)[0])))
