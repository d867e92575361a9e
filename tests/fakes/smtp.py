"""A mail server that takes what it gets, or answers what a test wants it to answer."""

from __future__ import annotations

import base64
import socketserver
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.fakes.imap import free_port

OK = "250 OK queued as 7F3A"


@dataclass(slots=True)
class Inbox:
    """What the server got, and how it answers."""

    url: str = ""
    port: int = 0
    got: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    answer_to_sender: Callable[[str], str] = lambda _: "250 OK"
    answer_to_recipient: str = "250 OK"
    answer_to_mail: str = OK
    answer_to_mail_from: Callable[[str], str | None] = lambda _: None  # by its envelope sender
    on_mail: Callable[[], None] = lambda: None  # called once a mail is there, before the answer
    on_raw: Callable[[str, bytes], None] = lambda *_: None  # as on_mail, with recipient and mail
    accounts: dict[str, str] = field(default_factory=dict)  # by user name: password or token
    logins: list[tuple[str, str]] = field(default_factory=list)  # mechanism, user name

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answer_to_sender(address)
        if answer.startswith("2"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answer_to_recipient.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.answer_to_recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.answer_to_mail_from(envelope.mail_from or "") or self.answer_to_mail
        if answer.startswith("2"):
            content = envelope.original_content or b""
            self.got.append(message_from_bytes(content, EmailMessage, policy=default))
            self.envelopes.append((envelope.mail_from or "", envelope.rcpt_tos))
            self.on_raw(envelope.rcpt_tos[0], content)
            self.on_mail()
        return answer

    async def auth_XOAUTH2(self, server: SMTP, words: list[str]) -> AuthResult:
        """As Google describes it: what is wrong comes as a question, and then the refusal."""
        said = base64.b64decode(words[1])
        user, _, rest = said.decode().removeprefix("user=").partition("\x01")
        token = rest.removeprefix("auth=Bearer ").removesuffix("\x01\x01")
        self.logins.append(("XOAUTH2", user))
        if self.accounts.get(user) == token:
            return AuthResult(success=True, auth_data=LoginPassword(user.encode(), b""))
        await server.challenge_auth('{"status":"401","schemes":"bearer"}')
        return AuthResult(success=False, handled=False)

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        user, password = given.login.decode(), given.password.decode()
        self.logins.append((mechanism, user))
        return AuthResult(success=self.accounts.get(user) == password, handled=False)


@contextmanager
def smtp_server(
    *, accounts: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Inbox]:
    """The server. With `accounts` it takes mail of nobody else; with `tls` only after STARTTLS."""
    inbox = Inbox(port=free_port(), accounts=accounts or {})
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=inbox.port,
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=inbox.authenticate,
        auth_required=accounts is not None,
        auth_require_tls=tls is not None,
    )
    controller.start()
    try:
        inbox.url = f"smtp://127.0.0.1:{inbox.port}"
        yield inbox
    finally:
        controller.stop()


STEPS = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "end")


@contextmanager
def failing_smtp(step: str, answer: str) -> Iterator[int]:
    """A server that gets as far as `step` and answers that with `answer`, or without one hangs up.
    Yields its port."""
    usual = {"greeting": "220 here", "DATA": "354 go on", "end": OK}
    usual |= {"EHLO": "250-here\r\n250 AUTH PLAIN", "AUTH": "235 welcome"}

    class Failing(socketserver.StreamRequestHandler):
        def say(self, at: str) -> bool:
            words = answer if at == step else usual.get(at, "250 OK")
            if words:
                self.wfile.write(f"{words}\r\n".encode())
            return bool(words)

        def handle(self) -> None:
            goes_on = self.say("greeting")
            while goes_on and (line := self.rfile.readline()):
                word = line.split()[0].decode().upper()
                goes_on = self.say("EHLO" if word == "HELO" else word)
                if goes_on and word == "DATA" and step != "DATA":
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    goes_on = self.say("end")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Failing) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
