"""Handing a mail over: to an SMTP server, or as a file into a folder."""

from __future__ import annotations

import contextlib
import os
import re
import smtplib
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from helpdesk.lib.errors import GiveUp, TemporaryFailure
from tickets.mail.route import STARTTLS, TLS, Route
from tickets.mail.xoauth2 import XOAUTH2, response

CONNECT_SECONDS = 10  # for each answer up to the message itself
DATA_SECONDS = 40  # for the answer to the message: servers scan it first
DATA_BYTES_PER_SECOND = 50_000  # of the slowest line that we wait for
DATA_MAX_SECONDS = 600
# How servers say that an account may not write under an address. Postfix says it to the
# recipient, Exchange only after the whole mail.
NOT_YOUR_ADDRESS = re.compile(
    r"5\.7\.60|5\.1\.[78]\b|5\.2\.252|send ?as|not owned|not allowed to send"
    r"|sender (address )?(rejected|not|verif)|from address",
    re.IGNORECASE,
)
# Accounts that refused our tagged sender, as (host, port, user name): they get the plain one at
# once, for as long as this process lives.
plain_only: set[tuple[str, int, str]] = set()


class SenderRefused(GiveUp):
    """The account may not write under this envelope sender; perhaps under another."""


def send(
    mail: bytes,
    *,
    message_id: str,
    sender: str,
    recipient: str,
    route: Route,
    before_data: Callable[[], None],
    plain_sender: str = "",
    accepted: Callable[[str], None] = lambda _answer: None,
) -> str:
    """Hand `mail` over by `route`; return what they answered there. `message_id` has no brackets.

    Where `sender` is refused as an address that is not the account's, `plain_sender` is tried
    before anything is given up. `before_data` is called once the recipient is accepted and the
    text has not left yet: the last moment to turn back, by raising. `accepted` is called with their
    answer at once, before we say goodbye. From then on the mail is theirs and must not be sent
    again.

    Raises GiveUp if they will never take it, TemporaryFailure if they may later.
    """
    if route.folder is not None:
        before_data()
        answer = _drop(mail, message_id, route.folder)
        accepted(answer)
        return answer
    account = (route.host, route.port, route.username)
    if not plain_sender or plain_sender == sender:
        return _once(mail, sender, recipient, route, before_data, accepted)
    if account not in plain_only:
        with contextlib.suppress(SenderRefused):
            return _once(mail, sender, recipient, route, before_data, accepted)
    answer = _once(mail, plain_sender, recipient, route, before_data, accepted)
    plain_only.add(account)
    return answer


def reach(route: Route) -> str:
    """Connect, log in, and leave; return who is there. Sends nothing.

    Raises GiveUp or TemporaryFailure if that does not succeed.
    """
    if (folder := route.folder) is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise TemporaryFailure(f"Mail cannot be written to {folder}: {error}") from error
        return f"Mail is written to {folder}."
    with plain_errors():
        server = connected(route)
        try:
            log_in(server, route)
            _accepted(*server.ehlo(), what="our name")
        finally:
            leave(server)
    return f"{route.host} answers."


def _once(
    mail: bytes,
    sender: str,
    recipient: str,
    route: Route,
    before_data: Callable[[], None],
    accepted: Callable[[str], None],
) -> str:
    with plain_errors():
        server = connected(route)
        try:
            log_in(server, route)
            answer = _hand_over(server, mail, sender, recipient, before_data)
            accepted(answer)
            return answer
        finally:
            leave(server)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPDataError as error:
        raise _refusal("the mail", error.smtp_code, _text(error.smtp_error)) from error
    except smtplib.SMTPAuthenticationError as error:
        raise TemporaryFailure(f"The mail server refused our login: {_words(error)}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise TemporaryFailure(f"The mail server lacks what we need: {error}") from error
    except smtplib.SMTPResponseException as error:
        raise TemporaryFailure(f"The mail server answered {_words(error)}") from error
    except UnicodeEncodeError as error:
        raise TemporaryFailure(
            "The mail server was not asked: user name or password have letters beyond ASCII."
        ) from error
    except (smtplib.SMTPException, ssl.SSLError) as error:
        raise TemporaryFailure(f"The mail server broke off: {error}") from error
    except OSError as error:
        raise TemporaryFailure(f"The mail server cannot be reached: {error}") from error


def connected(route: Route) -> smtplib.SMTP:
    """A connection to the server of a route, encrypted as the route wants it."""
    name = socket.gethostname()
    where = (route.host, route.port)
    if route.security == TLS:
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            *where, local_hostname=name, timeout=CONNECT_SECONDS, context=tls_context()
        )
    else:
        server = smtplib.SMTP(*where, local_hostname=name, timeout=CONNECT_SECONDS)
    try:
        if route.security == STARTTLS:
            server.starttls(context=tls_context())
    except BaseException:
        server.close()
        raise
    return server


def log_in(server: smtplib.SMTP, route: Route) -> None:
    """Say who we are, where the route names somebody."""
    if route.token:
        server.ehlo_or_helo_if_needed()
        if not server.has_extn("auth"):
            raise smtplib.SMTPNotSupportedError("SMTP AUTH extension not supported by server.")
        said = response(route.username, route.token)
        # A second question is the server's reason to refuse; an empty line lets it do so.
        server.auth(XOAUTH2, lambda challenge=None: "" if challenge else said)
    elif route.username:
        server.login(route.username, route.password)


def tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def leave(server: smtplib.SMTP) -> None:
    """Whatever goes wrong with the goodbye must not hide that the mail was taken."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _hand_over(
    server: smtplib.SMTP,
    mail: bytes,
    sender: str,
    recipient: str,
    before_data: Callable[[], None],
) -> str:
    server.ehlo_or_helo_if_needed()
    options = [f"size={len(mail)}"] if server.has_extn("size") else []
    code, answer = server.mail(sender, options)
    if 500 <= code < 600:
        raise SenderRefused(_said("our address", code, _text(answer)))
    _accepted(code, answer, what="our address")
    _accepted(*server.rcpt(recipient), what=recipient)
    before_data()
    if server.sock is not None:
        # One for the whole of it: to write it all, and to hear the answer.
        seconds = DATA_SECONDS + len(mail) / DATA_BYTES_PER_SECOND
        server.sock.settimeout(min(seconds, DATA_MAX_SECONDS))
    code, answer = server.data(mail)
    _accepted(code, answer, what="the mail")
    return f"{code} {_text(answer)}"


def _accepted(code: int, answer: bytes, *, what: str) -> None:
    if not 200 <= code < 300:
        raise _refusal(what, code, _text(answer))


def _refusal(what: str, code: int, words: str) -> Exception:
    said = _said(what, code, words)
    if not 500 <= code < 600:
        return TemporaryFailure(said)
    if code == 553 or NOT_YOUR_ADDRESS.search(words):
        return SenderRefused(said)
    return GiveUp(said)


def _said(what: str, code: int, words: str) -> str:
    return f"The mail server refused {what}: {code} {words}"


def _words(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _drop(mail: bytes, message_id: str, folder: Path) -> str:
    """Write the mail under its Message-ID, so that sending it twice leaves one file."""
    name = "".join(c if c.isalnum() or c in "-._@" else "_" for c in message_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix=".", suffix=".tmp", delete=False
        ) as new:
            new.write(mail)
            new.flush()
            os.fsync(new.fileno())
        path = folder / f"{name}.eml"
        Path(new.name).replace(path)
    except OSError as error:
        raise TemporaryFailure(f"The mail cannot be written to {folder}: {error}") from error
    return f"Written to {path.name}"
