"""A visitor's next message in one statement, from the event loop.

What `post_reply` does for by far the most messages: words of a customer, in a chat that staff
answer, whose ticket is open or waits. Anything else finds no row here and is left to `post_reply`;
so is whatever goes wrong. Who may write and who hears by mail are the same querysets as there, and
the columns of a message come from its model; what `timeline.ticket_hears` does is written a second
time, and a test compares the rows that the two leave behind.
"""

from __future__ import annotations

import logging
from functools import cache
from uuid import UUID

import psycopg
from django.conf import settings

from helpdesk.lib import direct, news, prepared
from helpdesk.lib.live import ring_all_async
from helpdesk.lib.text import clean, preview, says_nothing
from tickets import events
from tickets.access import WRITABLE_FOR_CUSTOMER, Viewer
from tickets.models import Conversation, Message, Ticket
from tickets.operations.timeline import EMAILED_SEATS, MessagePosted, searched

log = logging.getLogger(__name__)

# The update of the conversation takes its lock. What is asked of other rows is asked as they were
# when the statement began, so nothing may have happened in between: what happens in a conversation
# has a place in it. A ticket that changed without one leaves the message without a place, and the
# database refuses all of it. Tickets are found by their conversation only; the plan is made once,
# and by the inbox it would read all of them. Where tickets were merged, the same words may have
# been stored before in another conversation: `post_reply` looks there.
STATEMENT = """
WITH moved AS (
    UPDATE tickets_conversation c
       SET last_seq = c.last_seq + 1, last_public_seq = c.last_seq + 1
     WHERE c.id = %(conversation)s AND c.channel = 'chat' AND NOT c.is_group
       AND c.merged_into_id IS NULL AND c.merged_from = '{{}}'
       AND c.last_seq = (SELECT last_seq FROM tickets_conversation WHERE id = %(conversation)s)
       AND EXISTS ({writable})
       AND NOT EXISTS (SELECT FROM ({emailed}) AS seat WHERE seat.person_id <> %(person)s)
       AND EXISTS (SELECT FROM tickets_ticket t WHERE {answered_by_staff})
    RETURNING c.id, c.last_seq, c.seats_version
), ticket AS (
    UPDATE tickets_ticket t
       SET status = 'open', unread = true, live = true, last_preview = %(preview)s,
           last_author_name = %(author)s,
           waiting_since = CASE t.status WHEN 'open' THEN t.waiting_since ELSE %(moment)s END,
           last_message_at = greatest(t.last_message_at, %(moment)s)
      FROM moved WHERE {answered_by_staff}
    RETURNING t.number
), message AS (
    INSERT INTO tickets_message
        (conversation_id, seq, author_id, body, client_token, created_at, search, {columns})
    SELECT moved.id, CASE WHEN ticket.number IS NOT NULL THEN moved.last_seq END, %(person)s,
           %(body)s, %(client_token)s, %(moment)s, to_tsvector('simple', %(searched)s), {values}
      FROM moved LEFT JOIN ticket ON true
    RETURNING id
)
SELECT moved.last_seq, moved.seats_version, message.id, ticket.number,
       (SELECT last_public_seq FROM tickets_conversation WHERE id = %(conversation)s)
  FROM moved, ticket, message
"""
ANSWERED_BY_STAFF = """t.conversation_id = %(conversation)s
       AND t.inbox_id IS NOT DISTINCT FROM %(inbox)s
       AND t.handler = 'staff' AND t.status <> 'solved'"""
GIVEN = ("id", "conversation", "seq", "author", "body", "client_token", "created_at", "search")


async def reply_at_once(
    viewer: Viewer, conversation_id: int, *, body: str, client_token: UUID, inbox_id: int
) -> Message | None:
    """As `post_reply` of a visitor in the widget, or None: then nothing was done, or nobody knows,
    and `post_reply` is to be asked with the same token. Raises nothing.
    """
    body = clean(body).strip()
    if says_nothing(body) or len(body) > settings.MESSAGE_MAX_CHARS or viewer.is_staff:
        return None
    if news.is_wanted("message.posted", _news(conversation_id, inbox_id)):
        return None
    message = _new_message(viewer, body, client_token)
    values = {
        "conversation": conversation_id,
        "person": viewer.person.pk,
        "inbox": inbox_id,
        "body": body,
        "client_token": client_token,
        "moment": message.created_at,
        "searched": searched(message),
        "preview": preview(body),
        "author": viewer.person.name,
    }
    try:
        found = await direct.fetched(_statement(), values)
    except (psycopg.OperationalError, psycopg.IntegrityError):
        return None  # away, or sent before, or a ticket that changed meanwhile
    except Exception:
        log.exception("a message could not be written at once")
        return None
    if not found:
        return None
    message.seq, seats, message.pk, number, after = found[0]
    message.conversation_id = conversation_id
    bells = [
        events.bell_of_message(conversation_id, message, after=after, seats=seats),
        events.bell_of_ticket(number, conversation_id, inbox_id),
    ]
    await ring_all_async(bells)
    return message


def _news(conversation_id: int, inbox_id: int) -> MessagePosted:
    """What others would be told, as far as it is known before."""
    return MessagePosted(
        conversation_id=conversation_id,
        channel=Conversation.Channel.CHAT,
        seq=0,
        author_role="customer",
        ticket_number=0,
        inbox_id=inbox_id,
        handler=Ticket.Handler.STAFF,
    )


def _new_message(viewer: Viewer, body: str, client_token: UUID | None) -> Message:
    return Message(
        kind=Message.Kind.REPLY,
        audience=Message.Audience.EVERYONE,
        via=Message.Via.WIDGET,
        author=viewer.person,
        body=body,
        client_token=client_token,
    )


@cache
def _statement() -> str:
    blank = Message(
        kind=Message.Kind.REPLY, audience=Message.Audience.EVERYONE, via=Message.Via.WIDGET
    )
    columns = prepared.literals(blank, without=GIVEN)
    return STATEMENT.format(
        writable=WRITABLE_FOR_CUSTOMER.text("person", "conversation"),
        answered_by_staff=ANSWERED_BY_STAFF,
        emailed=EMAILED_SEATS.text("conversation"),
        columns=", ".join(columns),
        values=", ".join(columns.values()),
    )
