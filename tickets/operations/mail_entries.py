"""The statements by which a customer's mail enters a timeline: one for each mail.

What a mail changes lies in nine tables, and on a busy server each statement costs more than what it
does. All of it expects `related.look_up` to have been asked in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.utils.timezone import now

from attachments.checks import state_of_mailed, wants_check
from attachments.models import Attachment, Blob, Check
from attachments.names import safe_name
from helpdesk.lib import prepared, work
from helpdesk.lib.text import preview
from tickets import events
from tickets.mail.parse import Attachment as MailFile
from tickets.models import Conversation, Message, MessageFile, MessageHtml, Person, Ticket
from tickets.models.files import CONTENT_ID_MAX_CHARS as ID_MAX_CHARS
from tickets.models.people import NAME_MAX_CHARS
from tickets.models.tickets import SUBJECT_MAX_CHARS
from tickets.operations.files import remember_files
from tickets.operations.looks import keep_look, shown_inside
from tickets.operations.related import Guest
from tickets.operations.timeline import searched

# Who takes part, the writer first; who is new gets a number at once, so that it can be used below.
PEOPLE = """
given AS MATERIALIZED (
    SELECT place, name, address, known IS NULL AS is_new,
           coalesce(known, nextval(pg_get_serial_sequence('tickets_person', 'id'))) AS id
      FROM unnest(%(people)s::bigint[], %(names)s::varchar[], %(addresses)s::varchar[])
           WITH ORDINALITY AS one (known, name, address, place)
), person AS (
    INSERT INTO tickets_person (id, name, is_assistant, created_at)
    SELECT id, name, false, %(now)s FROM given WHERE is_new
), address AS (
    INSERT INTO tickets_emailaddress (person_id, address, is_primary)
    SELECT id, address, true FROM given WHERE is_new
)"""

NEW_PLACE = """
place AS (
    INSERT INTO tickets_conversation (channel, last_seq, last_public_seq, created_at)
    VALUES ('email', 1, 1, %(now)s) RETURNING id, channel, 0 AS last_seq, 0 AS after
), seat AS (
    INSERT INTO tickets_participant
        (conversation_id, person_id, role, reach, sees_after_seq, last_read_seq, copied)
    SELECT place.id, given.id, 'customer', 'email', 0, 0, given.place > 1
      FROM place, given ORDER BY given.place
)"""

# The lock, and then the ticket as it is once the lock is ours. What was merged while it was waited
# for is not there: the mail is looked at anew. Seats are read as they were before
# the lock was waited for: who was seated meanwhile is only said to be new once more.
NEXT_PLACE = """
place AS MATERIALIZED (
    SELECT id, channel, last_seq, last_public_seq AS after
      FROM tickets_conversation
     WHERE id = %(conversation)s AND merged_into_id IS NULL FOR NO KEY UPDATE
), held AS MATERIALIZED (
    SELECT t.number, t.status, t.waiting_since, t.last_message_at
      FROM tickets_ticket t JOIN place ON place.id = t.conversation_id
       FOR NO KEY UPDATE OF t
), moved AS (
    UPDATE tickets_conversation c
       SET last_seq = place.last_seq + 1, last_public_seq = place.last_seq + 1
      FROM place WHERE c.id = place.id
), sat AS (
    SELECT person_id FROM tickets_participant
     WHERE conversation_id = %(conversation)s AND person_id = ANY(%(people)s::bigint[])
), seat AS (
    INSERT INTO tickets_participant AS p
        (conversation_id, person_id, role, reach, sees_after_seq, last_read_seq, copied, left_at)
    SELECT place.id, given.id, 'customer', 'email', place.last_seq, 0, given.place > 1,
           CASE given.place WHEN 1 THEN %(left_at)s::timestamptz END
      FROM place, given ORDER BY given.place
        ON CONFLICT (conversation_id, person_id) DO UPDATE SET left_at = NULL, reach = 'email'
     WHERE NOT excluded.copied AND excluded.left_at IS NULL
       AND (p.left_at IS NOT NULL OR p.reach <> 'email')
)"""

MESSAGE = """
message AS (
    INSERT INTO tickets_message
        (conversation_id, seq, kind, audience, via, author_id, body, quoted, file_count, has_html,
         sources, created_at, search)
    SELECT place.id, place.last_seq + 1, 'reply', 'everyone', 'email', given.id, %(body)s,
           %(quoted)s, %(file_count)s, %(has_html)s, '[]'::jsonb, %(received_at)s,
           to_tsvector('simple', %(searched)s)
      FROM place, given WHERE given.place = 1
    RETURNING id
)"""

NEW_TICKET = """
ticket AS (
    INSERT INTO tickets_ticket
        (conversation_id, subject, requester_id, inbox_id, status, handler, opened_at,
         waiting_since, last_message_at, last_preview, last_author_name, unread, continues_id)
    SELECT place.id, %(subject)s, given.id, %(inbox)s, 'open', 'staff', %(received_at)s,
           %(received_at)s, %(received_at)s, %(preview)s, given.name, true,
           %(continues)s::bigint
      FROM place, given WHERE given.place = 1
    RETURNING number, inbox_id, handler, '' AS was
)"""

# What `timeline.ticket_hears` does for a customer.
TICKET_HEARS = """
ticket AS (
    UPDATE tickets_ticket t
       SET status = 'open', solved_at = NULL, unread = true, last_preview = %(preview)s,
           waiting_since = CASE held.status WHEN 'open' THEN held.waiting_since
                           ELSE %(received_at)s END,
           last_message_at = greatest(held.last_message_at, %(received_at)s),
           last_author_name = (SELECT name FROM given WHERE place = 1)
      FROM held WHERE t.number = held.number
    RETURNING t.number, t.inbox_id, t.handler, held.status AS was
)"""

# An automatic answer is a fact in the timeline, and changes nothing else.
TICKET_KEEPS = """
ticket AS (
    SELECT t.number, t.inbox_id, t.handler, held.status AS was
      FROM tickets_ticket t JOIN held ON t.number = held.number
)"""

# All rows of every file, in the order in which the mail has them.
FILES = """
files AS (
    SELECT * FROM unnest(%(uuids)s::uuid[], %(states)s::varchar[], %(file_names)s::varchar[],
                         %(blobs)s::bigint[], %(inlines)s::boolean[], %(content_ids)s::varchar[])
        WITH ORDINALITY AS one (uuid, state, name, blob_id, inline, content_id, place)
), attached AS (
    INSERT INTO attachments_attachment (uuid, state, name, blob_id, created_at, claimed_at)
    SELECT uuid, state, name, blob_id, now(), now() FROM files ORDER BY place
    RETURNING id, uuid
), shown AS (
    INSERT INTO tickets_messagefile (message_id, attachment_id, inline, content_id)
    SELECT message.id, attached.id, inline, content_id
      FROM message, files JOIN attached USING (uuid) ORDER BY place
), checked AS (
    INSERT INTO attachments_check (attachment_id, state, attempts, due_at, error)
    SELECT attached.id, 'queued', 0, now(), ''
      FROM attached WHERE uuid = ANY(%(unknown)s::uuid[])
    RETURNING id, attachment_id
)"""
FILE_ROWS = """
(SELECT json_agg(json_build_array(attached.uuid, attached.id, checked.id))
   FROM attached LEFT JOIN checked ON checked.attachment_id = attached.id)"""

WRITTEN = """
SELECT place.id, place.channel, place.last_seq + 1, place.after, message.id,
       (SELECT array_agg(id ORDER BY place) FROM given), {seated},
       ticket.number, ticket.inbox_id, ticket.handler, ticket.was, {files}
  FROM place CROSS JOIN message LEFT JOIN ticket ON true
"""
NEWLY_SEATED = """
(SELECT array_agg(address ORDER BY place) FROM given
  WHERE NOT EXISTS (SELECT FROM sat WHERE sat.person_id = given.id))"""

LOOK = """
look AS (
    INSERT INTO tickets_messagehtml (message_id, visible, quoted, has_remote)
    SELECT message.id, %(look_visible)s, %(look_quoted)s, %(look_has_remote)s FROM message
)"""

ATTACHED = """
WITH message AS (SELECT %(message)s::bigint AS id), {files} SELECT {rows}
"""


@dataclass(slots=True)
class MailFiles:
    """The files of a mail and its look, on their way to the message that it becomes."""

    files: Sequence[MailFile]
    blobs: Sequence[Blob]
    look: MessageHtml | None = None  # how the mail looked, not stored yet
    rows: list[MessageFile] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.blobs)

    @property
    def names(self) -> str:
        """What the message is found by."""
        return " ".join(file.name for file in self.files if not file.inline)

    def values(self) -> dict[str, Any]:
        self.rows = [
            MessageFile(
                attachment=Attachment(
                    name=safe_name(file.name), blob=blob, state=state_of_mailed(blob)
                ),
                inline=inline,
                content_id=file.content_id[:ID_MAX_CHARS],
            )
            for file, blob, inline in zip(
                self.files, self.blobs, shown_inside(self.look, self.files), strict=True
            )
        ]
        kept = [row.attachment for row in self.rows]
        # Each that waits for it, and one of those that show the same bytes otherwise.
        waiting = [one for one in kept if one.state == Attachment.State.CHECKING]
        first = {one.stored.pk: one for one in kept if wants_check(one.stored)}
        return {
            "uuids": [one.uuid for one in kept],
            "states": [str(one.state) for one in kept],
            "file_names": [one.name for one in kept],
            "blobs": [one.stored.pk for one in kept],
            "inlines": [row.inline for row in self.rows],
            "content_ids": [row.content_id for row in self.rows],
            "unknown": list({one.uuid for one in (*waiting, *first.values())}),
        }

    def attach(self, message: Message) -> None:
        """Let a message that stands in its timeline show them."""
        if self.look is not None:
            keep_look(message, self.look)
        if not self.blobs:
            return
        [(written,)] = prepared.fetched(
            ATTACHED.format(files=FILES, rows=FILE_ROWS), {**self.values(), "message": message.pk}
        )
        self.are_written(message, written)

    def are_written(self, message: Message, written: Any) -> None:
        by_uuid = {str(row.attachment.uuid): row.attachment for row in self.rows}
        for uuid, attachment_id, check_id in written:
            by_uuid[uuid].pk = attachment_id
            if check_id is not None:
                work.ring_on_commit(Check(pk=check_id))
        for row in self.rows:
            row.message, row.attachment = message, row.attachment  # and its key, known by now
        remember_files(message, self.rows)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a mail: its message, and the ticket as far as others are told of it."""

    message: Message
    ticket: Ticket
    has_ticket: bool  # a chat has none before its first word
    was: str  # the status of the ticket before; empty if it was opened
    seated: list[str]  # addresses of those who take part from now on


def open_with(
    message: Message,
    author: Person,
    files: MailFiles,
    people: Sequence[Guest],
    *,
    inbox_id: int,
    subject: str,
    continues: int | None = None,
) -> Written:
    """A new conversation of these people, the writer first, with a ticket and its first message.

    `author` is the writer. Who is new gets their key here.
    """
    text = subject or message.body
    more = {
        "inbox": inbox_id,
        "subject": preview(text)[:SUBJECT_MAX_CHARS],
        "continues": continues,
    }
    return _write(
        (NEW_PLACE, NEW_TICKET), message, author, files, people, more, searched_too=subject
    )


def join_with(
    message: Message,
    author: Person,
    files: MailFiles,
    people: Sequence[Guest],
    *,
    conversation_id: int,
    is_heard: bool = True,
    left_at: datetime | None = None,
) -> Written:
    """The next message of a conversation. Who of these people has no seat gets one from which they
    see what comes from now on; the writer hears by mail again. With `left_at` the writer's new seat
    is one that hears nothing, and an old one stays as it is. `is_heard` is whether it becomes our
    turn.

    Raises LookupError if the conversation is gone, or goes on in another one.
    """
    more = {"conversation": conversation_id, "left_at": left_at}
    ticket = TICKET_HEARS if is_heard else TICKET_KEEPS
    return _write((NEXT_PLACE, ticket), message, author, files, people, more)


def _write(
    parts: tuple[str, str],
    message: Message,
    author: Person,
    files: MailFiles,
    people: Sequence[Guest],
    more: dict[str, Any],
    *,
    searched_too: str = "",
) -> Written:
    line = message.body or ", ".join(safe_name(file.name) for file in files.files)
    values = {
        "people": [one.person_id for one in people],
        "names": [name_of(one) for one in people],
        "addresses": [one.address for one in people],
        "now": now(),
        "body": message.body,
        "quoted": message.quoted,
        "file_count": len(files),
        "has_html": message.has_html,
        "received_at": message.created_at,
        "searched": searched(message, f"{searched_too} {files.names}"),
        "preview": preview(line),
        **more,
        **(files.values() if files else {}),
    }
    look = files.look
    if look is not None:
        values |= {
            "look_visible": look.visible,
            "look_quoted": look.quoted,
            "look_has_remote": look.has_remote,
        }
    statement = _statement(*parts, has_files=bool(files), has_look=look is not None)
    found = prepared.fetched(statement, values)
    if not found:
        raise LookupError("The conversation is gone.")  # tried again later
    (pk, channel, seq, after, message_pk, ids, seated, number, inbox, handler, was, rows) = found[0]
    conversation = Conversation(pk=pk, channel=channel, last_seq=seq, last_public_seq=seq)
    message.conversation, message.seq, message.pk = conversation, seq, message_pk
    author.pk = ids[0]
    message.author = author  # again, or its new key would be looked up
    message._state.adding = False
    if files:
        files.are_written(message, rows if isinstance(rows, list) else json.loads(rows))
    events.message_posted(conversation, message, after=after)
    ticket = Ticket(number=number, conversation=conversation, inbox_id=inbox, handler=handler)
    ticket.subject = more.get("subject", "")
    return Written(message, ticket, number is not None, was or "", seated or [])


def name_of(person: Guest) -> str:
    """What somebody is called who gave no name."""
    return (person.name or person.address.partition("@")[0])[:NAME_MAX_CHARS]


@cache
def _statement(place: str, ticket: str, *, has_files: bool, has_look: bool) -> str:
    parts = [PEOPLE, place, MESSAGE, ticket]
    parts += [LOOK] if has_look else []
    parts += [FILES] if has_files else []
    seated = NEWLY_SEATED if place is NEXT_PLACE else "NULL"
    rows = FILE_ROWS if has_files else "NULL"
    return f"WITH {', '.join(parts)} {WRITTEN.format(seated=seated, files=rows)}"
