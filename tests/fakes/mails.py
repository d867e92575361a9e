"""Mails as customers' programs write them, and where mails that nobody here wrote are found."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from itertools import count
from pathlib import Path

CORPORA = Path(
    os.environ.get("HELPDESK_CORPORA")
    or Path(__file__).resolve().parents[2].parent / "shared" / "corpora"
)
_numbers = count(1)


def corpus_mails() -> list[Path]:
    """Mails out of other projects' tests, where they are at hand."""
    return sorted(path for path in (CORPORA / "emails").glob("*/emails/**/*") if path.is_file())


def mail(
    body: str = "My grinder arrived broken.",
    *,
    sender: str = "Carol <carol@mail.example>",
    to: str = "hello@shop.example",
    subject: str = "Broken grinder",
    message_id: str | None = None,
    files: Mapping[str, tuple[str, bytes]] | None = None,
    **headers: str,
) -> bytes:
    """A plain mail. `in_reply_to="<a@b>"` becomes the field In-Reply-To, and so on; `files` are
    attached, by name: what type they say they are, and their bytes."""
    made = EmailMessage(policy=SMTP)
    if sender:
        made["From"] = sender
    made["To"] = to
    made["Subject"] = subject
    made["Date"] = "Mon, 03 Mar 2025 10:00:00 +0000"
    if message_id != "":
        made["Message-ID"] = message_id or f"<mail-{next(_numbers)}@mail.example>"
    for name, value in headers.items():
        made[name.replace("_", "-").title()] = value
    made.set_content(body)
    for name, (kind, content) in (files or {}).items():
        maintype, _slash, subtype = kind.partition("/")
        made.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
    return made.as_bytes()


def html_mail(
    markup: str,
    *,
    text: str = "Kettle, 39 €",
    pictures: Mapping[str, bytes] | None = None,
    sender: str = "Carol <carol@mail.example>",
    to: str = "hello@shop.example",
    subject: str = "Offer",
    in_reply_to: str = "",
) -> bytes:
    """A mail with both forms of its text, and pictures that came along, by Content-ID."""
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made["Message-ID"] = f"<mail-{next(_numbers)}@mail.example>"
    if in_reply_to:
        made["In-Reply-To"] = f"<{in_reply_to}>"
    made.set_content(text)
    made.add_alternative(markup, subtype="html")
    form = made.get_body(("html",))
    assert form is not None
    for content_id, content in (pictures or {}).items():
        form.add_related(
            content, "image", "png", cid=f"<{content_id}>", filename=f"{content_id[:4]}.png"
        )
    return made.as_bytes()


# Types of properties, and properties, as they are numbered in winmail.dat.
TEXT, BINARY, OBJECT = 0x1F, 0x102, 0x0D
SUBJECT, BODY, RTF, HTML, HTML_CODE_PAGE = 0x0037, 0x1000, 0x1009, 0x1013, 0x3FDE
FILE_CONTENT, FILE_NAME, FILE_CONTENT_ID = 0x3701, 0x3707, 0x3712
MESSAGE_ID = bytes.fromhex("0703020000000000c000000000000046")
Property = tuple[int, int, bytes]


def winmail(
    files: Mapping[str, bytes] | None = None,
    *,
    subject: str = "",
    text: str = "",
    html: str = "",
    rtf: bytes = b"",
    content_ids: Mapping[str, str] | None = None,
    packed: bytes = b"",
) -> bytes:
    """A winmail.dat as Outlook writes it. `packed` is one that it forwards."""
    about = [(SUBJECT, TEXT, _utf16(subject))] if subject else []
    about += [(BODY, TEXT, _utf16(text))] if text else []
    about += [(HTML, BINARY, html.encode())] if html else []
    about += [(RTF, BINARY, rtf)] if rtf else []
    made = [attribute(1, 0x9007, struct.pack("<II", 1252, 0))]
    made.append(attribute(1, 0x9003, properties(*about)))
    for name, content in (files or {}).items():
        told = [(FILE_NAME, TEXT, _utf16(name))]
        if content_id := (content_ids or {}).get(name):
            told.append((FILE_CONTENT_ID, TEXT, _utf16(content_id)))
        made.append(attribute(2, 0x9002, bytes(14)))
        made.append(attribute(2, 0x8010, b"SHORT~1.DAT\0"))
        made.append(attribute(2, 0x800F, content))
        made.append(attribute(2, 0x9005, properties(*told)))
    if packed:
        made.append(attribute(2, 0x9002, bytes(14)))
        made.append(attribute(2, 0x9005, properties((FILE_CONTENT, OBJECT, MESSAGE_ID + packed))))
    return tnef(*made)


def tnef(*attributes: bytes) -> bytes:
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(attributes)


def attribute(level: int, name: int, value: bytes) -> bytes:
    checksum = struct.pack("<H", sum(value) & 0xFFFF)
    return struct.pack("<BHHI", level, name, 6, len(value)) + value + checksum


def properties(*of: Property) -> bytes:
    made = [struct.pack("<I", len(of))]
    for name, kind, value in of:
        made += [struct.pack("<HHII", kind, name, 1, len(value)), value, bytes(-len(value) % 4)]
    return b"".join(made)


def _utf16(text: str) -> bytes:
    return f"{text}\0".encode("utf-16-le")
