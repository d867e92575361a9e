"""Who hears which news. Names on the left are published below, paths on the right live above."""

from __future__ import annotations

SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "message.posted": ("ai.operations.consider_message", "chat.unread.consider_message"),
}
