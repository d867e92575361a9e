"""The line to a mail server, and how it ends."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from helpdesk.lib.errors import TemporaryFailure


class BrokeOff(TemporaryFailure):
    """The server was lost while it handed over the mail it calls `name`: that mail may be why."""

    def __init__(self, words: str, name: str) -> None:
        super().__init__(words)
        self.name = name


class Limit:
    """Cuts a line when its time is up, whoever waits on it.

    A server that sends a byte now and then is as dead as one that is silent, and the timeout of a
    socket never sees it. The time runs from the making of it until `end`.
    """

    def __init__(self, seconds: float) -> None:
        self._line: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def over(self, line: socket.socket) -> socket.socket:
        """Hold this line, which may still be wrapped by TLS. Returns it."""
        self._line = line.dup()
        return line

    def end(self) -> None:
        """Let go of the line. A second call does nothing."""
        self._timer.cancel()
        if self._line is not None:
            self._line.close()

    def _cut(self) -> None:
        if self._line is not None:
            cut(self._line)


def cut(line: socket.socket) -> None:
    """End a connection that another thread waits on."""
    with suppress(OSError):  # it is closed already
        # Not by the method of an SSL socket: that one is for its own thread only.
        socket.socket.shutdown(line, socket.SHUT_RDWR)
