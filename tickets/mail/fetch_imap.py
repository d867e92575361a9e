"""Reading an IMAP mailbox without leaving a trace: EXAMINE and BODY.PEEK (RFC 3501).

A mail is known by (UIDVALIDITY, UID). A folder that was made anew has another UIDVALIDITY, and
its UIDs begin again.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from helpdesk.lib.errors import TemporaryFailure
from tickets.mail.xoauth2 import XOAUTH2, response

SOCKET_SECONDS = 20
UIDS_PER_SEARCH = 20_000  # keeps the answer under imaplib's limit of 1 MB a line
STARTTLS_PORT = 143
TOOK = re.compile(r"\s*\(\d[\d.]* \+ \d.*? secs\)")
UID_AND_SIZE = re.compile(rb"UID (\d+)\b.*?RFC822\.SIZE (\d+)|RFC822\.SIZE (\d+)\b.*?UID (\d+)")


class Account(Protocol):
    """What it takes to open a folder. A mailbox of ours is one."""

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
    @property
    def folder(self) -> str: ...


class NotHandedOver(Exception):
    """The server names a mail and will not give it. The others are not affected."""


class Folder:
    """An open folder on a server. Every method raises TemporaryFailure if the server is lost."""

    def __init__(self, server: imaplib.IMAP4, *, uidvalidity: int, uid_next: int | None) -> None:
        self.uidvalidity = uidvalidity
        self._server = server
        self._uid_next = uid_next

    def uids_after(self, last_uid: int) -> Iterator[int]:
        """UIDs above `last_uid`, lowest first."""
        if self._uid_next is None:
            yield from self._search(last_uid + 1, "*")
            return
        for start in range(last_uid + 1, self._uid_next, UIDS_PER_SEARCH):
            end = min(start + UIDS_PER_SEARCH, self._uid_next) - 1
            yield from self._search(start, str(end))

    def _search(self, start: int, end: str) -> list[int]:
        _, data = self._uid("SEARCH", "UID", f"{start}:{end}")
        found = {int(uid) for line in data if isinstance(line, bytes) for uid in line.split()}
        # `n:*` names the last mail even when its UID is below n.
        return sorted(uid for uid in found if uid >= start)

    def sizes(self, uids: list[int]) -> dict[int, int]:
        """Bytes by UID, of those that are still there."""
        _, data = self._uid("FETCH", ",".join(map(str, uids)), "(UID RFC822.SIZE)")
        sizes: dict[int, int] = {}
        for line in data:
            if isinstance(line, bytes) and (match := UID_AND_SIZE.search(line)):
                uid, size, size_first, uid_last = match.groups()
                sizes[int(uid or uid_last)] = int(size or size_first)
        return sizes

    def raw(self, uid: int, *, header_only: bool = False) -> bytes:
        """One mail as it lies there; it stays as unread as it is. Raises NotHandedOver."""
        what = "BODY.PEEK[HEADER]" if header_only else "BODY.PEEK[]"
        status, data = self._uid("FETCH", str(uid), f"({what})")
        for part in data:
            if isinstance(part, tuple):
                return bytes(part[1])
        raise NotHandedOver(f"The server did not hand over mail {uid}: {status} {_words(data)}")

    def mark_seen(self, uids: list[int]) -> None:
        self._uid("STORE", ",".join(map(str, uids)), "+FLAGS.SILENT", r"(\Seen)")

    def _uid(self, command: str, *words: str) -> tuple[str, list[object]]:
        with _as_temporary("The mail server broke off"):
            status, data = self._server.uid(command, *words)
            return status, list(data)


@contextmanager
def opened(account: Account, *, writable: bool, token: str = "") -> Iterator[Folder]:
    """The folder of an account, opened for reading only unless `writable`.

    `token` is an OAuth2 access token, where the account has no password. Raises TemporaryFailure
    with a sentence that says which step failed.
    """
    server = connected(account)
    try:
        log_in(server, account, token)
        yield select(server, account, writable=writable)
    finally:
        with suppress(imaplib.IMAP4.error, OSError):
            server.logout()


def connected(account: Account) -> imaplib.IMAP4:
    """A connection to the server of an account, encrypted if it wants that."""
    with _as_temporary(f"{account.host}:{account.port} cannot be reached"):
        if not account.tls:
            return imaplib.IMAP4(account.host, account.port, timeout=SOCKET_SECONDS)
        if account.port != STARTTLS_PORT:
            return imaplib.IMAP4_SSL(
                account.host, account.port, ssl_context=tls_context(), timeout=SOCKET_SECONDS
            )
        server = imaplib.IMAP4(account.host, account.port, timeout=SOCKET_SECONDS)
        server.starttls(tls_context())
        return server


def log_in(server: imaplib.IMAP4, account: Account, token: str = "") -> None:
    """Say who we are, with a token in place of the password if there is one."""
    refused = f"{account.host}:{account.port} refused the login of {account.username}"
    with _as_temporary(refused):
        if token:
            said = response(account.username, token).encode()
            # A question is the server's reason to refuse; an empty line lets it do so.
            server.authenticate(XOAUTH2, lambda question: b"" if question else said)
        else:
            server.login(account.username, account.password)


def select(server: imaplib.IMAP4, account: Account, *, writable: bool) -> Folder:
    """Open the folder of an account that is logged in."""
    where = f"{account.host}:{account.port}"
    with _as_temporary(f"{where} has no folder {account.folder}"):
        quoted = '"' + account.folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
        status, data = server.select(quoted, readonly=not writable)
        if status != "OK":
            raise imaplib.IMAP4.error(_words(data))
    uidvalidity = _number(server, "UIDVALIDITY")
    if uidvalidity is None:
        raise TemporaryFailure(f"{where} names no UIDVALIDITY for {account.folder}.")
    return Folder(server, uidvalidity=uidvalidity, uid_next=_number(server, "UIDNEXT"))


def tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def _as_temporary(what: str) -> Iterator[None]:
    try:
        yield
    except (imaplib.IMAP4.error, OSError, UnicodeEncodeError) as error:
        raise TemporaryFailure(f"{what}: {_plain(str(error))}") from error


def _number(server: imaplib.IMAP4, name: str) -> int | None:
    """What the server said about the folder when it was opened."""
    _, data = server.response(name)
    number = data[0] if data else None
    return int(number) if isinstance(number, bytes) and number.isdigit() else None


def _words(data: Sequence[object]) -> str:
    return _plain(
        b" ".join(one for one in data if isinstance(one, bytes)).decode("utf-8", "replace")
    )


def _plain(text: str) -> str:
    """imaplib's errors are often the text of a bytes object; Dovecot adds how long it took."""
    return TOOK.sub("", text.removeprefix("b'").removesuffix("'"))[:300]
