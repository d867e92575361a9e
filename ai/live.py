"""What open browsers see of an answer while it is being written. None of it is stored.

`assistant.typing` at once, `assistant.delta` with the next piece and its index, counted from 0,
and `assistant.stopped` where nothing is posted in the end. A posted answer ends it by itself.
"""

from __future__ import annotations

import time

from helpdesk.lib.live import ring
from tickets import events

# A bell for every token would queue up in front of the first one.
DELTA_SECONDS = 0.04
# Browsers take somebody who does not go on typing for gone.
TYPING_SECONDS = 4.0


class Stage:
    """One attempt at an answer, shown to everyone in the conversation."""

    def __init__(self, conversation_id: int, answer_id: int) -> None:
        self._group = events.everyone(conversation_id)
        self._frame = {"conversation": conversation_id}
        self._answer = answer_id
        self._held = ""
        self._index = 0
        self._rang_at = 0.0

    def begin(self) -> None:
        """Show the dots."""
        self._ring("assistant.typing")

    def show(self, text: str) -> None:
        """Add a piece; "" lets go of what is held back."""
        self._held += text
        waited = time.monotonic() - self._rang_at
        if self._held and waited >= DELTA_SECONDS:
            piece, self._held = self._held, ""
            self._ring("assistant.delta", answer=self._answer, index=self._index, text=piece)
            self._index += 1
        elif not (self._held or self._index) and waited >= TYPING_SECONDS:
            self._ring("assistant.typing")

    def stop(self) -> None:
        """Take back what was shown."""
        self._ring("assistant.stopped", answer=self._answer)

    def _ring(self, kind: str, **more: object) -> None:
        self._rang_at = time.monotonic()
        ring(self._group, {"type": kind, **self._frame, **more})
