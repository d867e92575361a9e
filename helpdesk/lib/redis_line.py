"""Redis from the event loop: one line that many ask by turns, and one that only listens.

The asyncio client of redis costs more than a message does: it makes a task or a timer for every
answer. It still opens the line (address, TLS, password, database); what is said on it is said by
ourselves, by hiredis on both ways.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
from django.conf import settings
from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError

from helpdesk.lib.loops import PerLoop
from helpdesk.lib.redis_client import ANSWER_SECONDS

Word = str | bytes | int


class Line(asyncio.Protocol):
    """A connection whose answers come in the order of the questions.

    `heard` is called with each message of a subscription, (channel, text); `lost` once, when the
    line is gone.
    """

    def __init__(
        self,
        heard: Callable[[str, bytes], None] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        self.closed = False
        self._heard = heard
        self._lost = lost
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any] | None] = deque()
        self._unsent: list[bytes] = []
        self._writer: Any = None
        self._transport: Any = None

    async def open(self) -> Line:
        """Connect to REDIS_URL. Raises what redis raises."""
        pool = ConnectionPool.from_url(
            settings.REDIS_URL,
            protocol=2,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_keepalive=True,
        )
        connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        self._writer = connection._writer  # kept, for it closes its transport when it is forgotten
        self._transport = self._writer.transport
        connection._reader = connection._writer = None  # the line is ours from now on
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            self.connection_lost(None)
        return self

    async def ask(self, *words: Word) -> Any:
        """The answer to a command. Raises RedisError, of a line that breaks meanwhile too."""
        answer = asyncio.get_running_loop().create_future()
        self._say(words, answer)
        return await answer

    def tell(self, *words: Word) -> None:
        """A command whose answer nobody needs. What is lost with the line is lost."""
        self._say(words, None)

    def break_off(self) -> None:
        """End it at once; whoever waits for an answer learns of it."""
        self._transport.abort()
        self.connection_lost(None)

    def _say(self, words: tuple[Word, ...], answer: asyncio.Future[Any] | None) -> None:
        if self.closed:
            raise Lost("The line to Redis is gone.")
        self._waiting.append(answer)
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(hiredis.pack_command(cast(Any, words)))

    def _send(self) -> None:
        """All that was said in this turn of the loop, by whomever."""
        unsent, self._unsent = self._unsent, []
        if not self.closed:
            self._transport.write(b"".join(unsent))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError:
            self._transport.abort()

    def _take(self, reply: Any) -> None:
        if self._heard is not None and isinstance(reply, list) and reply[0] == b"message":
            self._heard(reply[1].decode(), reply[2])
            return
        answer = self._waiting.popleft() if self._waiting else None
        if answer is None or answer.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            answer.set_exception(RedisError(str(reply)))
        else:
            answer.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        while self._waiting:
            answer = self._waiting.popleft()
            if answer is not None and not answer.done():
                answer.set_exception(Lost("The line to Redis is gone."))
        if self._lost is not None:
            self._lost()


class Talk:
    """The line for questions; opened by whoever asks first, and again when it broke."""

    def __init__(self) -> None:
        self._opening: asyncio.Task[Line] | None = None

    async def line(self) -> Line:
        opening = self._opening
        if opening is not None and opening.done() and not opening.exception():
            line = opening.result()
            if not line.closed:
                return line
        if opening is None or opening.done():
            opening = self._opening = asyncio.create_task(Line().open())
        return await asyncio.shield(opening)

    async def end(self) -> None:
        if self._opening is not None and self._opening.done() and not self._opening.exception():
            self._opening.result().break_off()


_talk = PerLoop(Talk)


async def talk() -> Line:
    """The line of this event loop. Raises RedisError or OSError while Redis is away."""
    return await _talk().line()
