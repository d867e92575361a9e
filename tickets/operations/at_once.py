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
from tickets.access import LOCKED_FOR_CUSTOMER, Viewer
from tickets.models import Conversation, Message, Ticket
from tickets.operations.timeline import EMAILED_SEATS, MessagePosted, searched

log = logging.getLogger(__name__)

# The lock and the seat; then the ticket as it is once the lock is ours. Other rows are seen as they
# were when the statement began, so nothing may have happened in between: what happens in a
# conversation has a place in it.
STATEMENT = """
WITH place AS MATERIALIZED ({place}),
held AS MATERIALIZED (
    SELECT t.number, t.status, t.waiting_since, t.last_message_at
      FROM tickets_ticket t JOIN place ON place.id = t.conversation_id
     WHERE place.channel = 'chat' AND NOT place.is_group
       AND t.handler = 'staff' AND t.status <> 'solved'
       AND t.inbox_id = %(inbox)s
       AND place.last_seq =
           (SELECT last_seq FROM tickets_conversation WHERE id = %(conversation)s)
       AND NOT EXISTS (SELECT FROM ({emailed}) AS seat WHERE seat.person_id <> %(person)s)
       FOR NO KEY UPDATE OF t
), moved AS (
    UPDATE tickets_conversation c
       SET last_seq = place.last_seq + 1, last_public_seq = place.last_seq + 1
      FROM place, held WHERE c.id = place.id
), message AS (
    INSERT INTO tickets_message
        (conversation_id, seq, author_id, body, client_token, created_at, search, {columns})
    SELECT place.id, place.last_seq + 1, %(person)s, %(body)s, %(client_token)s, %(moment)s,
           to_tsvector('simple', %(searched)s), {values}
      FROM place, held
    RETURNING id
), ticket AS (
    UPDATE tickets_ticket t
       SET status = 'open', unread = true, live = true, last_preview = %(preview)s,
           last_author_name = %(author)s,
           waiting_since = CASE held.status WHEN 'open' THEN held.waiting_since
                           ELSE %(moment)s END,
           last_message_at = greatest(held.last_message_at, %(moment)s)
      FROM held WHERE t.number = held.number
)
SELECT place.last_seq + 1, place.last_public_seq, place.seats_version, message.id, held.number
  FROM place, held, message
"""
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
    except (psycopg.OperationalError, psycopg.errors.UniqueViolation):
        return None  # away, or sent before
    except Exception:
        log.exception("a message could not be written at once")
        return None
    if not found:
        return None
    message.seq, after, seats, message.pk, number = found[0]
    message.conversation_id = conversation_id
    ticket = Ticket(number=number, conversation_id=conversation_id, inbox_id=inbox_id)
    bells = [
        events.bell_of_message(conversation_id, message, after=after, seats=seats),
        events.bell_of_ticket(ticket, inbox_id),
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
        place=LOCKED_FOR_CUSTOMER.text("person", "conversation"),
        emailed=EMAILED_SEATS.text("conversation"),
        columns=", ".join(columns),
        values=", ".join(columns.values()),
    )
