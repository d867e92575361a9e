"""One mail, taken apart. Pure: no database, no network, no clock. Never raises.

What was odd about a mail is said in `problems`; what could not be read is left out, and the raw
mail stays where it is.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass, field, fields
from datetime import date, datetime

from helpdesk.lib.text import clean
from tickets.mail.bounce import Bounce
from tickets.mail.charsets import readable
from tickets.mail.content import content, unflowed, without_uuencoded
from tickets.mail.headers import (
    Address,
    addresses,
    decoded,
    message_ids,
    moment,
    parameters,
    unique,
)
from tickets.mail.invite import Invite, read_invite
from tickets.mail.machines import Complaint, Machine, machine
from tickets.mail.parts import KIND, Part, Parts, first_of_each, read_fields, read_parts
from tickets.mail.protection import label
from tickets.mail.reply import split_reply
from tickets.mail.text import html_to_text
from tickets.mail.tnef import Packed, unpacked

RAW_MAX_BYTES = 100 * 1024 * 1024
TEXT_MAX_CHARS = 5_000_000
HEADER_SEARCHED_BYTES = 64 * 1024
CHARSET_NAMED = re.compile(rb"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.I | re.ASCII)
SENDER_FIELDS = ("from", "sender", "reply-to")  # whoever an answer would reach, best first
TEXTS = frozenset({"text/plain", "text/html"})
# Forms of the text that only some mail programs show; the others are there beside them.
UNSHOWN = frozenset({"text/x-amp-html", "text/watch-html"})
CALENDARS = frozenset({"text/calendar", "application/ics"})
NAMES = {  # of files that nobody named
    "message/rfc822": "message.eml",
    "message/delivery-status": "delivery status.txt",
    "message/disposition-notification": "notification.txt",
    "text/rfc822-headers": "headers.txt",
    "message/rfc822-headers": "headers.txt",
    "text/calendar": "invite.ics",
    "text/html": "document.html",
    "text/plain": "document.txt",
    "image/jpg": "image.jpg",
    "image/pjpeg": "image.jpg",
    "application/pgp-signature": "signature.asc",
    "application/pgp-encrypted": "version.asc",
    "application/pgp-keys": "key.asc",
    "application/pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-signature": "smime.p7s",
}
NAMED_BY_TYPE = frozenset({"application/pgp-signature", "application/pgp-encrypted"})
FILE_ENDING = re.compile(r"[^./\\]\.[A-Za-z][A-Za-z0-9]{1,4}$")
DESCRIPTION_MAX_CHARS = 80
UNKNOWN = "application/octet-stream"
NO_PARAMETERS: dict[str, str] = {}
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
    invite: Invite | None  # of its first calendar part, which is among the attachments too
    protection: str  # "", "signed" or "encrypted"; what it is about is among the attachments
    nature: str  # person, vacation, generated, report, complaint or list: machines.Nature
    auto_submitted: bool  # no person wrote it
    may_be_answered: bool  # by a program, unasked
    bounce: Bounce | None
    complaint: Complaint | None
    returned_ids: tuple[str, ...]  # Message-IDs of the mail that a report or complaint is about
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The shape that `manage.py parse_email` prints, without the contents of attachments."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        sender = plain.pop("sender")
        plain["from"] = _dict(sender) if sender else None
        for name in ("to", "cc", "reply_to", "attachments"):
            plain[name] = [_dict(one) for one in plain[name]]
        plain["date"] = self.date.isoformat() if self.date else None
        plain["bounce"] = self.bounce.as_dict() if self.bounce else None
        plain["complaint"] = self.complaint.as_dict() if self.complaint else None
        plain["invite"] = _dict(self.invite) if self.invite else None
        return plain


def _dict(value: Address | Attachment | Invite) -> dict[str, object]:
    plain = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "content"}
    return {name: one.isoformat() if isinstance(one, date) else one for name, one in plain.items()}


@dataclass(slots=True)
class _Body:
    """What the walk has found so far."""

    raw: bytes
    problems: list[str]
    texts: list[str] = field(default_factory=list)
    htmls: list[str] = field(default_factory=list)
    lone_htmls: list[str] = field(default_factory=list)  # after a text, and not another form of it
    attachments: list[Attachment] = field(default_factory=list)
    packed: list[Packed] = field(default_factory=list)
    made_up: dict[tuple[str, str], int] = field(default_factory=dict)  # names, how often given
    invite: Invite | None = None
    charset: str = ""  # of the first text


def parse_email(raw: bytes) -> ParsedEmail:
    """Take one mail apart. Any bytes are a mail.

    At most RAW_MAX_BYTES, PARTS_MAX parts and DEPTH_MAX levels are read; what lies beyond is named
    in `problems`. A second call gives an equal result.
    """
    too_large = len(raw) > RAW_MAX_BYTES
    parts = read_parts(raw[:RAW_MAX_BYTES] if too_large else raw)
    if too_large:
        parts.problems.insert(0, f"Larger than {RAW_MAX_BYTES:,} bytes: the rest was not read.")
    body = _Body(parts.raw, parts.problems)
    for part in parts.every:
        if not (part.children or part.is_unread):
            _take(part, body)
    if not (body.texts or body.htmls):
        _take_packed_words(body)
    return _parsed(parts, body)


def _parsed(parts: Parts, body: _Body) -> ParsedEmail:
    head = parts.every[0].head
    html = "\n".join(body.htmls)[:TEXT_MAX_CHARS]
    text = _text(body, html)[:TEXT_MAX_CHARS]
    subject = decoded(head.get("subject", ""), body.charset)
    senders = (one for name in SENDER_FIELDS for one in _addresses(head, name, body))
    sender = next(senders, None)
    named = (("message-id", "Message-ID"), ("date", "date"))
    body.problems += [f"Names no {what}." for name, what in named if name not in head]
    if sender is None:
        body.problems.append("Names no sender.")
    protection, told = label(parts, text)
    if told:
        body.problems.append(told)
    split = split_reply(text)
    to, cc, reply_to = (_addresses(head, name, body) for name in ("to", "cc", "reply-to"))
    behind = _machine(body, head, sender, reply_to, to, subject, text)
    return ParsedEmail(
        message_id=next(iter(message_ids(head.get("message-id", ""))), ""),
        in_reply_to=next(iter(message_ids(head.get("in-reply-to", ""))), ""),
        references=tuple(message_ids(head.get("references", ""))),
        sender=sender,
        to=to,
        cc=cc,
        reply_to=reply_to,
        delivered_to=_delivered_to(parts),
        subject=subject,
        date=_date(head),
        text=text,
        html=html,
        visible_reply=split.visible,
        quoted=split.rest,
        attachments=tuple(body.attachments),
        invite=body.invite,
        protection=protection,
        nature=behind.nature.value,
        auto_submitted=behind.is_automatic,
        may_be_answered=behind.may_be_answered,
        bounce=behind.bounce,
        complaint=behind.complaint,
        returned_ids=behind.returned_ids,
        problems=tuple(unique(body.problems)),
    )


def _addresses(head: dict[str, str], name: str, body: _Body) -> tuple[Address, ...]:
    return tuple(addresses(head[name], body.charset)) if name in head else ()


def _delivered_to(parts: Parts) -> tuple[str, ...]:
    found = [
        address.email
        for name, value in parts.fields
        if name in DELIVERED_TO_FIELDS
        for address in addresses(value)
    ]
    return tuple(unique(found))


def _date(head: dict[str, str]) -> datetime | None:
    """When it was sent, or else when it arrived."""
    found = moment(head["date"]) if "date" in head else None
    return found or moment(head.get("received", "").rpartition(";")[2])


def _take(part: Part, body: _Body) -> None:
    head, kind = part.head, part.kind
    if kind.startswith("multipart/"):
        if part.end > part.start:
            body.problems.append("A part says it has parts, and has none.")
        kind = "text/plain"
    disposition, disposition_parameters = "", NO_PARAMETERS
    if "content-disposition" in head:
        disposition, disposition_parameters = parameters(head["content-disposition"])
    name = disposition_parameters.get("filename") or part.parameters.get("name") or ""
    if not KIND.fullmatch(kind):
        kind = _type_by(name) or "text/plain"  # RFC 2045, 5.2
    data = content(
        body.raw, part.start, part.end, head.get("content-transfer-encoding", ""), body.problems
    )
    if kind in TEXTS and disposition != "attachment":
        is_first = not (body.texts or body.htmls)
        is_text = not name or ((part.is_alternative or is_first) and disposition != "inline")
        if is_text and not (kind == "text/html" and _is_resource(part, body)):
            _take_text(data, kind, part, body)
            return
    if kind in UNSHOWN and part.is_alternative:
        return
    if (kind in TNEF or name.lower() == TNEF_NAME) and _take_packed(data, body):
        return
    if kind in CALENDARS and body.invite is None:
        body.invite = read_invite(data, part.parameters)
    content_id = head.get("content-id", "")
    if content_id:
        content_id = "".join(message_ids(content_id)[:1]) or decoded(content_id).strip("<> ")
    body.attachments.append(
        _attachment(
            _last_of_path(name) if name else _made_up_name(part, kind, data, content_id, body),
            kind,
            data,
            inline=disposition != "attachment" and bool(content_id or disposition == "inline"),
            content_id=content_id,
        )
    )


def _is_resource(part: Part, body: _Body) -> bool:
    """Whether this is a page beside the page that is the text: it is shown only where that
    points to it (RFC 2387)."""
    beside = part.parent is not None and part.parent.kind == "multipart/related"
    return beside and part.number > 1 and bool(body.htmls)


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
            _last_of_path(clean(one.name).replace("\n", " ")),
            one.type if KIND.fullmatch(one.type) else UNKNOWN,
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


def _take_text(data: bytes, kind: str, part: Part, body: _Body) -> None:
    charset = part.parameters.get("charset", "")
    body.charset = body.charset or charset
    text, problem = readable(data[: 4 * TEXT_MAX_CHARS], charset)
    if problem:
        body.problems.append(problem)
    if kind == "text/html":
        if body.texts and not part.is_alternative:
            body.lone_htmls.append(text)
        body.htmls.append(text)
        return
    if part.parameters.get("format", "").lower() == "flowed":
        text = unflowed(text, drop_space=part.parameters.get("delsp", "").lower() == "yes")
    if "\nend" in text:
        text, files = without_uuencoded(text)
        body.attachments += [
            _attachment(_last_of_path(name), _type_by(name) or UNKNOWN, file)
            for name, file in files
        ]
    if text.strip():
        body.texts.append(text.strip("\n"))


def _text(body: _Body, html: str) -> str:
    texts = [*body.texts, *map(html_to_text, body.lone_htmls)]
    text = "\n".join(texts).strip("\n")
    return text if text.strip() or not html else html_to_text(html)


def _last_of_path(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1][:200]


def _type_by(name: str) -> str:
    ending = FILE_ENDING.search(name)
    return (mimetypes.guess_type(f"x{ending[0]}")[0] or "") if ending else ""


def _made_up_name(part: Part, kind: str, data: bytes, content_id: str, body: _Body) -> str:
    """What a file without a name is called: by what else is said about it, or by its type. No two
    of these are the same."""
    stem, dot, ending = NAMES.get(kind, "").rpartition(".")
    if not dot:
        main = kind.partition("/")[0]
        stem = main if main in {"image", "audio", "video"} else "file"
        ending = (mimetypes.guess_extension(kind) or "").lstrip(".")
    told = _told_name(part, kind, data, content_id)
    if told and (FILE_ENDING.search(told) or not ending):
        stem, _, ending = told.rpartition(".") if FILE_ENDING.search(told) else (told, "", "")
    elif told:
        stem = told
    ending = f".{ending}" if ending else ""
    count = body.made_up.get((stem, ending), 0)
    body.made_up[stem, ending] = count + 1
    return f"{stem}{count or ''}{ending}"


def _told_name(part: Part, kind: str, data: bytes, content_id: str) -> str:
    if kind == "message/rfc822":
        head = first_of_each(read_fields(data[:HEADER_SEARCHED_BYTES])[0])
        named = CHARSET_NAMED.search(data, 0, HEADER_SEARCHED_BYTES)
        told = decoded(head.get("subject", ""), named[1].decode() if named else "")
        if told:
            return told.replace("/", "-")[:150]
    if "content-description" in part.head and kind not in NAMED_BY_TYPE:
        told = decoded(part.head["content-description"])
        if told and len(told) <= DESCRIPTION_MAX_CHARS:
            return _last_of_path(told.replace("/", "-"))
    if "content-location" in part.head:
        told = _last_of_path(decoded(part.head["content-location"]))
        if FILE_ENDING.search(told):
            return told
    local = content_id.partition("@")[0]
    return _last_of_path(local) if FILE_ENDING.search(local) else ""


def _machine(
    body: _Body,
    head: dict[str, str],
    sender: Address | None,
    reply_to: tuple[Address, ...],
    to: tuple[Address, ...],
    subject: str,
    text: str,
) -> Machine:
    return machine(
        head,
        sender=sender.email if sender else "",
        reply_to=reply_to[0].email if reply_to else "",
        subject=subject,
        text=text,
        own=[one.email for one in to],
        parts=[(one.type, one.content) for one in body.attachments],
        raw=body.raw,
    )
