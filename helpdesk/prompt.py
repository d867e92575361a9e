"""What is written to a browser leaves at once, where nothing waits before it.

Twisted keeps it until the loop's next turn, and asks the system to be told when the socket can
take it and, a moment later, not to be told any more: three calls and a turn for each frame, where
one call does. Autobahn takes six calls to put a header of two bytes before a frame. A socket that
is full, or has somebody who sends by turns, is left to them.
"""

from __future__ import annotations

import itertools
import struct
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import tcp

PINGS_SECONDS = 2.0  # Daphne looks this often who is to be pinged
GOLDEN = 0.618

_count = itertools.count()
_usual_send, _usual_ping = WebSocketProtocol.serverSend, WebSocketProtocol._sendAutoPing


class PromptConnection(tcp.Server):
    """A browser's connection."""

    def write(self, data: bytes) -> None:
        if self._is_free() and data:
            sent = self.writeSomeData(data)
            if isinstance(sent, int) and sent > 0:
                data = data[sent:]
        if data:
            super().write(data)  # type: ignore[no-untyped-call]

    def _is_free(self) -> bool:
        waiting = self.dataBuffer or self._tempDataBuffer
        ending = self.disconnecting or self.disconnected or self._writeDisconnecting
        by_turns = self.producer is not None and not self.streamingProducer
        return bool(self.connected) and not (self.TLS or by_turns or waiting or ending)


def send(socket: Any, content: str | bytes, binary: bool = False) -> None:
    """`WebSocketProtocol.serverSend`."""
    is_plain = not (binary or socket._perMessageCompress or socket.send_queue)
    if is_plain and socket.state == socket.STATE_OPEN and isinstance(content, str):
        socket.transport.write(text_frame(content))
    else:
        _usual_send(socket, content, binary)


def ping(socket: Any) -> None:
    """`WebSocketProtocol._sendAutoPing`, but not with all others that are due: everybody's words
    would wait for a thousand pings."""

    def now() -> None:
        if socket.state == socket.STATE_OPEN:
            _usual_ping(socket)

    part = next(_count) * GOLDEN % 1  # of the time, evenly
    socket.factory.reactor.callLater(part * PINGS_SECONDS, now)


def text_frame(text: str) -> bytes:
    """A message of one frame from a server (RFC 6455, 5.2): final, text, not masked."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def write_at_once() -> None:
    """For every port and socket that is opened from now on."""
    tcp.Port.transport = PromptConnection
    WebSocketProtocol.serverSend, WebSocketProtocol._sendAutoPing = send, ping
