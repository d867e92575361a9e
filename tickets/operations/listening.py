"""Listening to all IMAP mailboxes at once. It only rings: mail is fetched by the work of the
mailbox, which goes on every so often whether anybody listens or not."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from django.db import InterfaceError, OperationalError, connection
from django.utils.timezone import now

from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp, TemporaryFailure
from tickets.mail.lines import cut
from tickets.mail.listen_imap import CannotListen, listen
from tickets.models import Mailbox
from tickets.operations.sign_in import signing_in

log = logging.getLogger(__name__)
chance = random.SystemRandom()

LOOK_SECONDS = 10.0  # between two looks at which mailboxes there are
PENDING_SECONDS = 0.3  # until a mailbox that is being fetched is rung for once more
RETRY_MIN_SECONDS = 2.0
RETRY_MAX_SECONDS = 300.0
HELD_SECONDS = 60.0  # a line that held this long was a good one
WITHOUT_IDLE_SECONDS = 3_600.0

# What a line is opened with: where it changes, it is opened anew. Tokens come and go meanwhile.
SETTINGS = (
    *("host", "port", "tls", "username", "password", "folder"),
    *("auth", "oauth_client_id", "oauth_client_secret", "oauth_tenant", "lacks_sign_in"),
)


def ring_mailbox(pk: int) -> bool:
    """Let a mailbox be fetched at once. False while it is being fetched: what came meanwhile may
    not be seen by that, so ring again."""
    waiting = Mailbox.objects.filter(pk=pk, state=Mailbox.State.QUEUED)
    if waiting.update(due_at=now()):
        work.ring(Mailbox, pk)
        return True
    return not Mailbox.in_use().filter(pk=pk).exists()


class Listener:
    """One mailbox, listened to from a thread of its own. It asks the database for a token at most,
    and has no connection to it while it listens."""

    def __init__(self, mailbox: Mailbox, heard: Callable[[int], None]) -> None:
        self.mailbox = mailbox  # as of the last look; the next line is opened with it
        self._heard = heard
        self._line: socket.socket | None = None
        self._ended = False
        self._wake = threading.Event()
        name = f"listens to {mailbox.pk}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def look(self, mailbox: Mailbox) -> None:
        """Take note of what the mailbox is set to now."""
        before, self.mailbox = self.mailbox, mailbox
        if any(getattr(before, name) != getattr(mailbox, name) for name in SETTINGS):
            self._begin_anew()

    def end(self) -> None:
        self._ended = True
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._wake.set()
        self._cut()

    def _cut(self) -> None:
        if self._line is not None:
            cut(self._line)

    def _run(self) -> None:
        pause = RETRY_MIN_SECONDS
        while True:
            self._wake.clear()  # first: who ends us says so before they wake us
            if self._ended:
                return
            began = time.monotonic()
            rest = self._listen()
            held = time.monotonic() - began > HELD_SECONDS
            pause = RETRY_MIN_SECONDS if held else pause
            # With some chance, so that a server that comes back is not met by all at once.
            if self._wake.wait(rest or pause * chance.uniform(0.5, 1.0)):
                pause = RETRY_MIN_SECONDS
            else:
                pause = min(pause * 2, RETRY_MAX_SECONDS)

    def _listen(self) -> float:
        """Until the line is lost. How long to rest then, where that is known."""
        mailbox = self.mailbox
        try:
            with signing_in(mailbox) as token:
                listen(
                    mailbox,
                    token=token,
                    connected=self._connected,
                    heard=lambda: self._heard(mailbox.pk),
                )
        except CannotListen:
            log.info(
                "mailbox %s: its server has no IDLE, so it is only asked now and then", mailbox
            )
            return WITHOUT_IDLE_SECONDS
        except (TemporaryFailure, GiveUp) as error:
            if not self._ended:
                log.warning("mailbox %s: not listened to, %s", mailbox, error)
        except Exception:
            log.exception("mailbox %s: not listened to", mailbox)
        finally:
            self._line = None
            connection.close()  # signing in may have asked it for something
        return 0

    def _connected(self, line: socket.socket) -> None:
        log.info("mailbox %s: listening", self.mailbox)
        connection.close()
        self._line = line
        if self._wake.is_set():
            self._cut()


class Switchboard:
    """Follows which mailboxes there are, and rings for those that mail was heard in.

    It has the one connection to the database. While that is away, what was heard is kept.
    """

    def __init__(self) -> None:
        self.listeners: dict[int, Listener] = {}
        self._bells: SimpleQueue[int | None] = SimpleQueue()
        self._pending: set[int] = set()
        self._ended = False

    def end(self) -> None:
        """Let `run` return at once. May be called by a signal."""
        self._ended = True
        self._bells.put(None)

    def run(self) -> None:
        look_at = time.monotonic()
        try:
            while not self._ended:
                try:
                    if time.monotonic() >= look_at:
                        look_at = time.monotonic() + LOOK_SECONDS
                        self._look()
                    self._ring()
                except (OperationalError, InterfaceError) as error:
                    log.warning("the database is away: %s", error)
                    connection.close()
                self._hear(PENDING_SECONDS if self._pending else look_at - time.monotonic())
        finally:
            for listener in self.listeners.values():
                listener.end()

    def _look(self) -> None:
        rows = Mailbox.in_use().filter(kind=Mailbox.Kind.IMAP, idle=True)
        mailboxes = {one.pk: one for one in rows}
        for pk in self.listeners.keys() - mailboxes.keys():
            self.listeners.pop(pk).end()
        for pk, mailbox in mailboxes.items():
            if pk in self.listeners:
                self.listeners[pk].look(mailbox)
            else:
                self.listeners[pk] = Listener(mailbox, self._bells.put)

    def _ring(self) -> None:
        for pk in list(self._pending):
            if ring_mailbox(pk):
                self._pending.discard(pk)

    def _hear(self, seconds: float) -> None:
        try:
            pk = self._bells.get(timeout=max(seconds, 0.01))
            while pk is not None:
                self._pending.add(pk)
                pk = self._bells.get_nowait()
        except Empty:
            pass
