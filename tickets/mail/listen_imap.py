"""Hearing at once that mail has come: IMAP IDLE (RFC 2177). Nothing is read here."""

from __future__ import annotations

import imaplib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imap_tools.errors import ImapToolsError
from imap_tools.mailbox import BaseMailBox

from helpdesk.lib.errors import TemporaryFailure
from tickets.mail.fetch_imap import Account, as_temporary, choose, signed_in

# A server that died, or a router that forgot us, says nothing at all: so we ask again this often.
IDLE_SECONDS = 240.0


class CannotListen(Exception):
    """The server has no IDLE."""


def listen(
    account: Account,
    *,
    token: str = "",
    connected: Callable[[socket.socket], None],
    heard: Callable[[], None],
) -> None:
    """Call `heard` now, for what came while nobody listened, and whenever mail comes; never return.

    `connected` gets the line once it is there, so that another thread can cut it. Raises
    CannotListen, or TemporaryFailure once the line is lost.
    """
    with signed_in(account, token) as server, _line_of(account):
        connected(server.socket())
        if "IDLE" not in _capabilities(server):
            raise CannotListen
        choose(server, account, writable=False)
        server.limit.end()
        _said_to_have_come(server)  # how many there are is no news
        idle = _Idling(server).idle
        heard()
        while True:
            said = idle.wait(timeout=IDLE_SECONDS)
            # What came with the end of IDLE is where imaplib keeps it.
            came = _said_to_have_come(server)
            if came or any(b"EXISTS" in line.upper() for line in said):
                heard()


@contextmanager
def _line_of(account: Account) -> Iterator[None]:
    try:
        with as_temporary(f"{account.host}:{account.port} broke off"):
            yield
    except ImapToolsError as error:
        raise TemporaryFailure(f"{account.host}:{account.port} broke off: {error}") from error


class _Idling(BaseMailBox):
    """What imap_tools needs to see to do IDLE on a connection of ours."""

    def __init__(self, server: imaplib.IMAP4) -> None:
        self._server = server
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        return self._server


def _capabilities(server: imaplib.IMAP4) -> set[str]:
    """As they are for those who have logged in: some servers tell strangers less."""
    _, data = server.capability()
    words = b" ".join(line for line in data if isinstance(line, bytes))
    return set(words.decode("ascii", "replace").upper().split())


def _said_to_have_come(server: imaplib.IMAP4) -> bool:
    _, data = server.response("EXISTS")
    return data != [None]
