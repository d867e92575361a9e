"""What open browsers see of an answer while it is being written. None of it is stored.

`assistant.typing` at once, `assistant.delta` with the next piece and its index, counted from 0,
and `assistant.stopped` where nothing is posted in the end. A posted answer ends it by itself.
"""

from __future__ import annotations

import time

from helpdesk.lib.live import ring
from tickets import events

# A bell for every token would queue up in front of the first one. That one rings at once.
DELTA_SECONDS = 0.04
# Browsers take somebody who does not go on typing for gone.
TYPING_SECONDS = 4.0


class Stage:
    """One attempt at an answer, shown to everyone in the conversation."""

    def __init__(self, conversation_id: int, answer_id: int) -> None:
        self._group = events.everyone(conversation_id)
        self._conversation_id = conversation_id
        self._answer_id = answer_id
        self._held = ""
        self._index = 0
        self._typed_at = self._shown_at = 0.0

    def begin(self) -> None:
        """Show the dots."""
        self._typed_at = time.monotonic()
        self._ring({"type": "assistant.typing"})

    def show(self, text: str) -> None:
        """Add a piece; "" lets go of what is held back."""
        self._held += text
        moment = time.monotonic()
        if self._held and moment - self._shown_at >= DELTA_SECONDS:
            self._ring(
                {
                    "type": "assistant.delta",
                    "answer": self._answer_id,
                    "index": self._index,
                    "text": self._held,
                }
            )
            self._held = ""
            self._index += 1
            self._shown_at = moment
        elif not (self._held or self._index) and moment - self._typed_at >= TYPING_SECONDS:
            self.begin()

    def stop(self) -> None:
        """Take back what was shown."""
        self._ring({"type": "assistant.stopped", "answer": self._answer_id})

    def _ring(self, event: dict[str, object]) -> None:
        ring(self._group, {**event, "conversation": self._conversation_id})
