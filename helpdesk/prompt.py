"""What is written to a browser leaves at once, where nothing waits before it.

Twisted keeps it until the loop's next turn, and asks the system to be told when the socket can
take it and, a moment later, not to be told any more: three calls and a turn for each frame, where
one call does. A socket that is full, or has somebody who sends by turns, is left to Twisted.
"""

from __future__ import annotations

from twisted.internet import tcp


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


def write_at_once() -> None:
    """For every port that is opened from now on."""
    tcp.Port.transport = PromptConnection
