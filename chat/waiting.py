"""Looking after chats that wait for a person: where their inbox wants that, each is given to
somebody who is free; and once its visitor has gone, it is open like any other.

Called every few seconds by beat. What it finds it hands to operations, which look again under the
lock of the conversation: so it may run twice, or two at once.
"""

from __future__ import annotations

from datetime import timedelta

from django.utils.timezone import now

from chat import presence
from helpdesk.lib.errors import NotFound
from tickets.models import Ticket
from tickets.operations import nobody_waits, share_chat

GONE_SECONDS = 120  # a visitor who is not back by then does not wait any more
BATCH_ROWS = 200


def look_after_waiting() -> None:
    """See to every chat that waits live, those first that have waited longest."""
    waiting = (
        Ticket.objects.filter(status=Ticket.Status.OPEN, live=True)
        .select_related("inbox", "conversation")
        .order_by("waiting_since", "number")[:BATCH_ROWS]
    )
    at_desk: set[int] | None = None
    for ticket in waiting:
        try:
            if _has_gone(ticket) and nobody_waits(
                ticket.conversation_id, last_seq=ticket.conversation.last_seq
            ):
                continue
            if ticket.assignee_id is None and ticket.inbox.assigns_chats:
                at_desk = presence.at_desk() if at_desk is None else at_desk
                share_chat(ticket.conversation_id, at_desk=at_desk)
        except NotFound:
            continue  # deleted meanwhile


def _has_gone(ticket: Ticket) -> bool:
    wrote_long_ago = ticket.last_message_at < now() - timedelta(seconds=GONE_SECONDS)
    return wrote_long_ago and presence.nobody_here_for(ticket.conversation_id, GONE_SECONDS)
