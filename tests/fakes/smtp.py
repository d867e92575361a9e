"""A mail server that takes what it gets, or answers what a test wants it to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.fakes.imap import free_port

OK = "250 OK queued as 7F3A"


@dataclass(slots=True)
class Inbox:
    """What the server got, and how it answers."""

    url: str = ""
    got: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    answer_to_recipient: str = "250 OK"
    answer_to_mail: str = OK
    on_mail: Callable[[], None] = lambda: None  # called once a mail is there, before the answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answer_to_recipient.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.answer_to_recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer_to_mail.startswith("2"):
            content = envelope.original_content or b""
            self.got.append(message_from_bytes(content, EmailMessage, policy=default))
            self.envelopes.append((envelope.mail_from or "", envelope.rcpt_tos))
            self.on_mail()
        return self.answer_to_mail


@contextmanager
def smtp_server() -> Iterator[Inbox]:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        inbox.url = f"smtp://127.0.0.1:{controller.port}"
        yield inbox
    finally:
        controller.stop()
