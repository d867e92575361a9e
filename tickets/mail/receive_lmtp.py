"""A mail server hands mail over by LMTP (RFC 2033), and keeps it until we say that we have it.

What a mail server does in front of us is not done again: who may send here, which addresses there
are. So only those may reach us whom the machine trusts anyway.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast
from urllib.parse import urlsplit

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

from helpdesk.lib.errors import TemporaryFailure
from tickets.mail.envelope import noted
from tickets.mail.parse import RAW_MAX_BYTES

log = logging.getLogger(__name__)

UNIX = "unix:"
CONNECTIONS_MAX = 100
STORED_AT_ONCE = 2  # each holds its mail in memory, and a connection to the database
RECIPIENTS_MAX = 100  # of one mail; the sending server brings it again for the others
SILENCE_SECONDS = 300  # RFC 5321, 4.5.3.2.7; as long may a mail take to come
IN_MEMORY_MAX_BYTES = 1_000_000  # of a mail that comes; more of it lies in a temporary file
PIECE_BYTES = 65_536  # longer lines are read in pieces

STORED = "250 2.0.0 Stored"
AWAY = "451 4.3.0 Not stored, try again later"
TOO_LARGE = "552 5.3.4 Too large"
TOO_MANY = "452 4.5.3 Too many recipients at once"
NOT_NOW = "421 4.3.2 Busy or stopping, try again later"
BROKEN = "421 4.3.0 Something went wrong, try again later"


class Receiver:
    """Everybody who is connected. `store` is called from a thread with each mail, and has it safe
    once it returns; whatever it raises, the sending server keeps the mail."""

    def __init__(self, store: Callable[[bytes], None]) -> None:
        self.store = store
        self.lines: set[Line] = set()
        self.threads = ThreadPoolExecutor(STORED_AT_ONCE, "stores mail")
        self.is_ending = False
        self.all_left = asyncio.Event()

    def line(self) -> Line:
        return Line(
            self,
            data_size_limit=RAW_MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=socket.gethostname(),  # a full name would be asked of DNS, for each line
            ident="LMTP",
            timeout=SILENCE_SECONDS,
            loop=asyncio.get_running_loop(),
        )

    async def handle_EHLO(
        self, line: Line, session: Session, envelope: Envelope, host: str, said: list[str]
    ) -> list[str]:
        session.host_name = host
        return [said[0], "250-PIPELINING", *said[1:]]

    async def handle_RCPT(
        self, line: Line, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return TOO_MANY
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def end(self) -> None:
        """Finish what is being stored and let it be answered; hang up on all others."""
        self.is_ending = True
        for line in list(self.lines):
            if not line.is_storing:
                line.hang_up(NOT_NOW)
        if self.lines:
            await self.all_left.wait()
        self.threads.shutdown()


class Line(LMTP):
    """One connection. The library speaks; only how a mail is taken is our own, because it answers
    once where LMTP answers for each recipient, refuses long lines, and keeps all in memory."""

    line_length_limit = PIECE_BYTES

    def __init__(self, receiver: Receiver, **options: Any) -> None:
        super().__init__(receiver, **options)
        self.receiver = receiver
        self.is_storing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.receiver.lines.add(self)
        if self.receiver.is_ending or len(self.receiver.lines) > CONNECTIONS_MAX:
            self.hang_up(NOT_NOW)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.receiver.lines.discard(self)
        if self.receiver.is_ending and not self.receiver.lines:
            self.receiver.all_left.set()

    def hang_up(self, why: str) -> None:
        self._writer.write(f"{why}\r\n".encode())
        self._writer.transport.abort()  # what it has sent already is not read any more

    async def handle_exception(self, error: Exception) -> str:
        log.error("a connection is closed", exc_info=error)
        self.hang_up(BROKEN)
        return ""

    async def smtp_DATA(self, arg: str | None) -> None:
        envelope = cast(Envelope, self.envelope)
        if arg or not envelope.rcpt_tos:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 RCPT comes first")
            return
        await self.push("354 End with a line of one dot")
        with SpooledTemporaryFile(IN_MEMORY_MAX_BYTES) as mail:
            mail.write(noted(envelope.rcpt_tos, sender=envelope.mail_from or ""))
            is_whole = await self._read_into(mail)
            answer = await self._stored(mail) if is_whole else TOO_LARGE
        self.envelope = self._create_envelope()
        await self.push("\r\n".join([answer] * len(envelope.rcpt_tos)))  # RFC 2033, 4.2
        if self.receiver.is_ending:
            self.hang_up(NOT_NOW)

    async def _read_into(self, mail: IO[bytes]) -> bool:
        """The mail as it came, without the dots that were put before its own. False if it is too
        large; it is read to its end all the same."""
        begins_line = True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as long:
                piece = await self._reader.read(long.consumed)
            if begins_line:
                if piece == b".\r\n":
                    return mail.tell() <= RAW_MAX_BYTES
                piece = piece.removeprefix(b".")
            begins_line = piece.endswith(b"\r\n")
            if mail.tell() <= RAW_MAX_BYTES:
                mail.write(piece)

    async def _stored(self, mail: IO[bytes]) -> str:
        self.is_storing = True
        self._reset_timeout()
        try:
            await self.loop.run_in_executor(self.receiver.threads, self._store, mail)
        except TemporaryFailure as error:
            log.warning("a mail was not taken: %s", error)
        except Exception:
            log.exception("a mail was not taken")
        else:
            return STORED
        finally:
            self.is_storing = False
        return AWAY

    def _store(self, mail: IO[bytes]) -> None:
        mail.seek(0)
        self.receiver.store(mail.read())


async def receive(door: socket.socket, store: Callable[[bytes], None]) -> None:
    """Let everybody in by this door until SIGTERM or SIGINT."""
    loop, asked_to_stop = asyncio.get_running_loop(), asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, asked_to_stop.set)
    receiver = Receiver(store)
    server = await loop.create_server(receiver.line, sock=door)
    await asked_to_stop.wait()
    server.close()
    await receiver.end()


def opened(listen: str) -> socket.socket:
    """The door at host:port or unix:/path. Raises OSError if there can be none."""
    if not listen.startswith(UNIX):
        place = urlsplit(f"//{listen}")
        family = socket.AF_INET6 if ":" in (place.hostname or "") else socket.AF_INET
        return socket.create_server((place.hostname, place.port), family=family)
    path = Path(listen.removeprefix(UNIX))
    if path.is_socket():
        path.unlink()  # a process that was killed has left it
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    path.chmod(0o666)  # a mail server is another user; its folder says who may come here
    return door
