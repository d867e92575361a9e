"""Reading a POP3 mailbox without taking anything out of it (RFC 1939).

A mail is known by its UIDL, which a server gives once and for ever. Numbers only hold while the
connection lasts.
"""

from __future__ import annotations

import base64
import poplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol

from helpdesk.lib.errors import TemporaryFailure
from tickets.mail.lines import Limit
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.mail.xoauth2 import XOAUTH2, TokenRefused, response

SOCKET_SECONDS = 20
SESSION_SECONDS = 300  # for all of it, as in fetch_imap
STLS_PORT = 110
PIECE_BYTES = 65_536  # poplib breaks off at lines above 2,048, which real mails have


class Account(Protocol):
    """What it takes to open a maildrop. A mailbox of ours is one."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> bool: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


class NotHandedOver(Exception):
    """The server names a mail and will not give it. The others are not affected."""


class Place(NamedTuple):
    """Where a mail lies while the connection lasts."""

    number: int
    size_bytes: int


class Maildrop:
    """An open maildrop. Every method raises TemporaryFailure if the server is lost."""

    def __init__(self, server: poplib.POP3) -> None:
        self._server = server

    def places(self) -> dict[str, Place]:
        """Where the mails lie, by their UIDL, oldest first."""
        with _as_temporary("The server does not name its mails (UIDL): use IMAP instead"):
            _, names, _ = self._server.uidl()
        with _as_temporary("The mail server broke off"):
            _, sizes, _ = self._server.list()
        size_of = dict(line.split()[:2] for line in sizes)
        places = {}
        for line in names:
            number, _blank, uidl = line.partition(b" ")
            places[uidl.strip().decode("ascii", "replace")] = Place(
                int(number), int(size_of.get(number, b"0"))
            )
        return places

    def raw(self, number: int, *, header_only: bool = False) -> bytes:
        """One mail as it lies there. Raises NotHandedOver."""
        with _as_temporary("The mail server broke off"):
            self._say(f"TOP {number} 0" if header_only else f"RETR {number}")
            answer = self._server.file.readline(PIECE_BYTES)
            if not answer:
                raise poplib.error_proto("it hung up")
            if not answer.startswith(b"+OK"):
                raise NotHandedOver(f"The server did not hand over mail {number}: {_text(answer)}")
            return b"".join(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """The lines of an answer up to the lone dot; what is beyond all measure is dropped."""
        left = RAW_MAX_BYTES
        begins = True
        while piece := self._server.file.readline(PIECE_BYTES):
            if begins and piece in (b".\r\n", b".\n"):
                return
            if begins and piece.startswith(b"."):
                piece = piece[1:]
            begins = piece.endswith(b"\n")
            yield piece[:left]
            left = max(0, left - len(piece))
        raise poplib.error_proto("it hung up")

    def _say(self, line: str) -> None:
        self._server.sock.sendall(f"{line}\r\n".encode("ascii"))


@contextmanager
def opened(account: Account, *, token: str = "") -> Iterator[Maildrop]:
    """The maildrop of an account. `token` is an OAuth2 access token, where it has no password.

    Raises TemporaryFailure with a sentence that says which step failed.
    """
    server = connected(account)
    try:
        log_in(server, account, token)
        yield Maildrop(server)
    finally:
        with suppress(poplib.error_proto, OSError):
            server.quit()
        with suppress(OSError):
            server.close()


def connected(account: Account) -> poplib.POP3:
    """A connection to the server of an account, encrypted if it wants that."""
    with _as_temporary(f"{account.host}:{account.port} cannot be reached"):
        if account.tls and account.port != STLS_PORT:
            return _Encrypted(account.host, account.port, SOCKET_SECONDS)
        server = _Plain(account.host, account.port, SOCKET_SECONDS)
        try:
            if account.tls:
                server.stls(tls_context())
        except BaseException:
            with suppress(OSError):
                server.close()
            raise
        return server


class _Plain(poplib.POP3):
    """One with a limit, and that leaves no socket behind where the server does not greet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.limit = Limit(SESSION_SECONDS)
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            self.limit.end()
            if hasattr(self, "file"):
                with suppress(OSError):
                    self.close()
            raise

    def _create_socket(self, timeout: float) -> socket.socket:
        return self.limit.over(socket.create_connection((self.host, self.port), timeout))

    def close(self) -> None:
        self.limit.end()
        super().close()


class _Encrypted(_Plain):
    """One that is encrypted before it says anything."""

    def _create_socket(self, timeout: float) -> socket.socket:
        line = super()._create_socket(timeout)
        return tls_context().wrap_socket(line, server_hostname=self.host)


def log_in(server: poplib.POP3, account: Account, token: str = "") -> None:
    """Say who we are, with a token in place of the password if there is one. Raises
    TemporaryFailure, which is TokenRefused where it was a token that did not do."""
    refused = f"{account.host}:{account.port} refused the login of {account.username}"
    with _as_temporary(refused, TokenRefused if token else TemporaryFailure):
        if token:
            _say_token(server, response(account.username, token))
        else:
            server.user(account.username)
            server.pass_(account.password)


def _say_token(server: poplib.POP3, said: str) -> None:
    """AUTH in two steps: a token is longer than a line with a command may be (RFC 5034)."""
    for line in (f"AUTH {XOAUTH2}", base64.b64encode(said.encode()).decode(), ""):
        server.sock.sendall(f"{line}\r\n".encode("ascii"))
        answer = server.file.readline(PIECE_BYTES)
        if answer.startswith(b"+OK"):
            return
        if not answer.startswith(b"+"):
            raise poplib.error_proto(_text(answer))
        # A question after the token is the reason to refuse; an empty line lets the server do so.
    raise poplib.error_proto("the token was refused")


def tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def _as_temporary(what: str, kind: type[TemporaryFailure] = TemporaryFailure) -> Iterator[None]:
    try:
        yield
    except (poplib.error_proto, OSError, UnicodeError, ValueError) as error:
        raise kind(f"{what}: {_plain(str(error))}") from error


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


def _plain(text: str) -> str:
    """poplib's errors are often the text of a bytes object."""
    return text.removeprefix("b'").removesuffix("'").removeprefix("-ERR ")[:300]
