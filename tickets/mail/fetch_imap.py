"""Reading an IMAP mailbox without leaving a trace: EXAMINE and BODY.PEEK (RFC 3501).

A mail is known by (UIDVALIDITY, UID). A folder that was made anew has another UIDVALIDITY, and
its UIDs begin again. UIDs only rise, and may have gaps of any size.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple, Protocol

from imap_tools.imap_utf7 import utf7_encode

from helpdesk.lib.errors import TemporaryFailure
from tickets.mail.lines import BrokeOff, Limit
from tickets.mail.xoauth2 import XOAUTH2, TokenRefused, response

CONNECT_SECONDS = 10  # until the server has greeted us
SOCKET_SECONDS = 20  # for each piece of an answer
SESSION_SECONDS = 300  # for all of it: a server that trickles is as dead as one that is silent
MAILS_PER_SEARCH = 20_000
MAILS_PER_FETCH = 500
STARTTLS_PORT = 143
TOOK = re.compile(r"\s*\(\d[\d.]* \+ \d.*? secs\)")
UID = re.compile(rb"\bUID (\d+)")
SIZE = re.compile(rb"RFC822\.SIZE (\d+)")


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


class Outline(NamedTuple):
    """What the server says about a mail. `came_at` is when it got it, whatever its Date says."""

    size: int
    came_at: datetime | None


class Span(NamedTuple):
    """Which UIDs are asked for: from `low` up to `high`, both included.

    Of those up to `floor` only what the server got on the day of `since` or later.
    """

    low: int
    high: int
    floor: int = 0
    since: datetime | None = None

    @property
    def criteria(self) -> list[str]:
        """As SEARCH takes them; no mail matches two."""
        low, found = self.low, []
        if self.since is not None and low <= self.floor:
            end = min(self.floor, self.high)
            found.append(f"UID {low}:{end} SINCE {_imap_date(self.since)}")
            low = end + 1
        if low <= self.high:
            found.append(f"UID {low}:{self.high}")
        return found


class Folder:
    """An open folder on a server. Every method raises TemporaryFailure if the server is lost."""

    def __init__(
        self, server: imaplib.IMAP4, *, uidvalidity: int, uid_next: int | None, count: int
    ) -> None:
        self.uidvalidity = uidvalidity
        self.count = count
        self._server = server
        self._uid_next = uid_next

    @property
    def highest_uid(self) -> int:
        """No mail had a higher one when the folder was opened."""
        if self._uid_next is None:  # asked once: `*` is the last mail, if there is one
            self._uid_next = max(self._search("UID *"), default=0) + 1
        return self._uid_next - 1

    def uids(self, span: Span, *, most: int) -> list[int]:
        """The lowest UIDs of `span`, in order, `most` of them. Costs one command as a rule."""
        if span.high - span.low < MAILS_PER_SEARCH or self.count <= MAILS_PER_SEARCH:
            return sorted(self._within(span))[:most]
        found: set[int] = set()
        for some in self.windows(span):
            found = set(sorted(found | some)[:most])
        return sorted(found)

    def windows(self, span: Span) -> Iterator[set[int]]:
        """The UIDs of `span`, latest first, some at a time: at most MAILS_PER_SEARCH.

        By places in the folder, so that gaps between UIDs cost nothing. Places shrink when
        somebody removes mails meanwhile: from the end to the beginning that skips none.
        """
        for end in range(self.count, 0, -MAILS_PER_SEARCH):
            yield self._within(span, f"{max(end - MAILS_PER_SEARCH, 0) + 1}:{end} ")

    def _within(self, span: Span, places: str = "") -> set[int]:
        found = [self._search(f"{places}{one}") for one in span.criteria]
        # `n:*` and some servers' `n:m` name the last mail even when its UID is below n.
        return {uid for uid in set().union(*found) if span.low <= uid <= span.high}

    def _search(self, criteria: str) -> set[int]:
        status, data = self._uid("SEARCH", *criteria.split())
        if status != "OK":
            raise TemporaryFailure(f"The server would not list its mails: {_words(data)}")
        return {int(uid) for line in data if isinstance(line, bytes) for uid in line.split()}

    def outlines(self, uids: Sequence[int]) -> dict[int, Outline]:
        """By UID, of those that are still there."""
        found: dict[int, Outline] = {}
        for start in range(0, len(uids), MAILS_PER_FETCH):
            some = ",".join(map(str, uids[start : start + MAILS_PER_FETCH]))
            _, data = self._uid("FETCH", some, "(UID RFC822.SIZE INTERNALDATE)")
            for line in data:
                if not isinstance(line, bytes):
                    continue
                uid, size = UID.search(line), SIZE.search(line)
                if uid and size:
                    found[int(uid[1])] = Outline(int(size[1]), _internal_date(line))
        return found

    def raw(self, uid: int, *, header_only: bool = False) -> bytes:
        """One mail as it lies there; it stays as unread as it is.

        Raises NotHandedOver, or BrokeOff if the server is lost meanwhile.
        """
        what = "BODY.PEEK[HEADER]" if header_only else "BODY.PEEK[]"
        try:
            status, data = self._uid("FETCH", str(uid), f"({what})")
        except TemporaryFailure as error:
            raise BrokeOff(str(error), str(uid)) from error
        for part in data:
            if isinstance(part, tuple):
                return bytes(part[1])
        raise NotHandedOver(f"The server did not hand over mail {uid}: {status} {_words(data)}")

    def mark_seen(self, uids: Sequence[int]) -> None:
        self._uid("STORE", ",".join(map(str, uids)), "+FLAGS.SILENT", r"(\Seen)")

    def _uid(self, command: str, *words: str) -> tuple[str, list[object]]:
        with as_temporary("The mail server broke off"):
            status, data = self._server.uid(command, *words)
            return status, list(data)


@contextmanager
def opened(account: Account, *, writable: bool, token: str = "") -> Iterator[Folder]:
    """The folder of an account, opened for reading only unless `writable`, for SESSION_SECONDS.

    `token` is an OAuth2 access token, where the account has no password. Raises TemporaryFailure
    with a sentence that says which step failed.
    """
    where = _where(account)
    with signed_in(account, token) as server:
        count = choose(server, account, writable=writable)
        uidvalidity = _number(server, "UIDVALIDITY")
        if uidvalidity is None:
            raise TemporaryFailure(f"{where} names no UIDVALIDITY for {account.folder}.")
        uid_next = _number(server, "UIDNEXT")
        yield Folder(server, uidvalidity=uidvalidity, uid_next=uid_next, count=count)


@contextmanager
def signed_in(account: Account, token: str = "") -> Iterator[Server]:
    """A connection that has logged in; it is logged out afterwards. For whoever reads mail and
    for whoever listens for it. Raises TemporaryFailure."""
    server = connected(account)
    try:
        log_in(server, account, token)
        yield server
    finally:
        with suppress(imaplib.IMAP4.error, OSError):
            server.logout()
        with suppress(OSError):  # a goodbye that fails leaves the line open
            server.shutdown()


def choose(server: imaplib.IMAP4, account: Account, *, writable: bool) -> int:
    """Turn to the account's folder; how many mails lie in it. Raises TemporaryFailure."""
    with as_temporary(f"{_where(account)} has no folder {account.folder}"):
        status, data = server.select(quoted(account.folder), readonly=not writable)
        if status != "OK":
            raise imaplib.IMAP4.error(_words(data))
    return int(data[0] or 0) if data and isinstance(data[0], bytes) else 0


def log_in(server: imaplib.IMAP4, account: Account, token: str = "") -> None:
    """Say who we are, with a token in place of the password if there is one. Raises
    TemporaryFailure, which is TokenRefused where it was a token that did not do."""
    kind = TokenRefused if token else TemporaryFailure
    with as_temporary(f"{_where(account)} refused the login of {account.username}", kind):
        if token:
            said = response(account.username, token).encode()
            # A question is the server's reason to refuse; an empty line lets it do so.
            server.authenticate(XOAUTH2, lambda question: b"" if question else said)
        elif account.username.isascii() and account.password.isascii():
            server.login(account.username, account.password)
        else:  # LOGIN takes no other letters (RFC 4616)
            plain = f"\0{account.username}\0{account.password}".encode()
            server.authenticate("PLAIN", lambda _challenge: plain)


class Server(imaplib.IMAP4):
    """A server of an account, for SESSION_SECONDS from the first packet on, unless somebody lifts
    that limit."""

    def __init__(self, account: Account) -> None:
        self.limit = Limit(SESSION_SECONDS)
        try:
            super().__init__(account.host, account.port, timeout=CONNECT_SECONDS)
        except BaseException:
            self.limit.end()
            raise

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return self.limit.over(socket.create_connection((self.host, self.port), timeout))

    def shutdown(self) -> None:
        self.limit.end()
        super().shutdown()


class _Encrypted(Server):
    """One that is encrypted before it says anything."""

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        line = super()._create_socket(timeout)
        return tls_context().wrap_socket(line, server_hostname=self.host)


def connected(account: Account) -> Server:
    """A connection to the server of an account, encrypted if it wants that."""
    with as_temporary(f"{_where(account)} cannot be reached"):
        server = _greeted(account)
        server.socket().settimeout(SOCKET_SECONDS)
    return server


def tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _greeted(account: Account) -> Server:
    if account.tls and account.port != STARTTLS_PORT:
        return _Encrypted(account)
    server = Server(account)
    if account.tls:
        try:
            server.starttls(tls_context())
        except BaseException:
            server.shutdown()
            raise
    return server


def _where(account: Account) -> str:
    return f"{account.host}:{account.port}"


def quoted(folder: str) -> str:
    """A folder's name as the protocol writes it (modified UTF-7, RFC 3501, 5.1.3)."""
    name = utf7_encode(folder).decode("ascii")
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _imap_date(moment: datetime) -> str:
    return "-".join(format_datetime(moment).split()[1:4])  # 3-Mar-2025, in every locale


def _internal_date(line: bytes) -> datetime | None:
    local = imaplib.Internaldate2tuple(line)
    return datetime.fromtimestamp(time.mktime(local), UTC) if local else None


@contextmanager
def as_temporary(what: str, kind: type[TemporaryFailure] = TemporaryFailure) -> Iterator[None]:
    try:
        yield
    except (imaplib.IMAP4.error, OSError, UnicodeEncodeError) as error:
        raise kind(f"{what}: {_plain(str(error))}") from error


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
