"""Mails as customers' programs write them, and where mails that nobody here wrote are found."""

from __future__ import annotations

import os
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
