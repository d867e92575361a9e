"""Handing a mail over: to an SMTP server, or as a file into a folder."""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

from helpdesk.lib.errors import GiveUp, TemporaryFailure

CONNECT_SECONDS = 10  # for each answer up to the message itself
DATA_SECONDS = 40  # for the answer to the message: servers scan it first
DATA_BYTES_PER_SECOND = 50_000  # of the slowest line that we wait for
DATA_MAX_SECONDS = 600
PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


def send(
    mail: EmailMessage, *, sender: str, recipient: str, url: str, before_data: Callable[[], None]
) -> str:
    """Hand `mail` over to whoever `url` names; return what they answered.

    `url` is smtp://user:password@host:port, smtps://…, smtp+starttls://… or folder:PATH.
    `before_data` is called once the recipient is accepted and the text has not left yet: the last
    moment to turn back, by raising. After a return the mail is theirs and must not be sent again.

    Raises GiveUp if they will never take it, TemporaryFailure if they may later.
    """
    if url.startswith("folder:"):
        before_data()
        return _drop(mail, Path(url.removeprefix("folder:")))
    with _plain_errors():
        server = _connection(url)
        try:
            return _hand_over(server, mail, sender, recipient, before_data)
        finally:
            _leave(server)


def reach(url: str) -> str:
    """Connect to whoever `url` names, log in, and leave; return who is there. Sends nothing.

    Raises GiveUp or TemporaryFailure if that does not succeed.
    """
    if url.startswith("folder:"):
        folder = Path(url.removeprefix("folder:"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise TemporaryFailure(f"Mail cannot be written to {folder}: {error}") from error
        return f"Mail is written to {folder}."
    with _plain_errors():
        server = _connection(url)
        try:
            _accepted(*server.ehlo(), what="our name")
        finally:
            _leave(server)
    return f"{urlsplit(url).hostname} answers."


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPDataError as error:
        kind = GiveUp if 500 <= error.smtp_code < 600 else TemporaryFailure
        raise kind(f"The mail server refused the mail: {_words(error)}") from error
    except smtplib.SMTPAuthenticationError as error:
        raise TemporaryFailure(f"The mail server refused our login: {_words(error)}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise TemporaryFailure(f"The mail server lacks what we need: {error}") from error
    except smtplib.SMTPResponseException as error:
        raise TemporaryFailure(f"The mail server answered {_words(error)}") from error
    except (smtplib.SMTPException, ssl.SSLError) as error:
        raise TemporaryFailure(f"The mail server broke off: {error}") from error
    except OSError as error:
        raise TemporaryFailure(f"The mail server cannot be reached: {error}") from error


def _connection(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or PORTS[parts.scheme]
    name = socket.gethostname()
    if parts.scheme == "smtps":
        context = ssl.create_default_context()
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port, local_hostname=name, timeout=CONNECT_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(host, port, local_hostname=name, timeout=CONNECT_SECONDS)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _leave(server: smtplib.SMTP) -> None:
    """Whatever goes wrong with the goodbye must not hide that the mail was taken."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _hand_over(
    server: smtplib.SMTP,
    mail: EmailMessage,
    sender: str,
    recipient: str,
    before_data: Callable[[], None],
) -> str:
    text = mail.as_bytes()
    server.ehlo_or_helo_if_needed()
    options = [f"size={len(text)}"] if server.has_extn("size") else []
    _accepted(*server.mail(sender, options), what="our address")
    _accepted(*server.rcpt(recipient), what=recipient)
    before_data()
    if server.sock is not None:
        # One for the whole of it: to write it all, and to hear the answer.
        seconds = DATA_SECONDS + len(text) / DATA_BYTES_PER_SECOND
        server.sock.settimeout(min(seconds, DATA_MAX_SECONDS))
    code, answer = server.data(text)
    _accepted(code, answer, what="the mail")
    return f"{code} {answer.decode('utf-8', 'replace')}"


def _accepted(code: int, answer: bytes, *, what: str) -> None:
    if 200 <= code < 300:
        return
    said = f"The mail server refused {what}: {code} {answer.decode('utf-8', 'replace')}"
    if 500 <= code < 600:
        raise GiveUp(said)
    raise TemporaryFailure(said)


def _words(error: smtplib.SMTPResponseException) -> str:
    said = error.smtp_error
    return (
        f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    )


def _drop(mail: EmailMessage, folder: Path) -> str:
    """Write the mail under its Message-ID, so that sending it twice leaves one file."""
    name = "".join(c if c.isalnum() or c in "-._@" else "_" for c in mail["Message-ID"].strip("<>"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix=".", suffix=".tmp", delete=False
        ) as new:
            new.write(mail.as_bytes())
            new.flush()
            os.fsync(new.fileno())
        path = folder / f"{name}.eml"
        Path(new.name).replace(path)
    except OSError as error:
        raise TemporaryFailure(f"The mail cannot be written to {folder}: {error}") from error
    return f"Written to {path.name}"
