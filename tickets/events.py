"""What open browsers learn when a conversation changes.

Events for everyone carry the message itself with `after`, the entry before it that customers
can see: a browser whose cursor is at `after` appends, any other asks. Events for staff carry
numbers only; their pages fetch what they show.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attachments.links import link_to
from attachments.models import Attachment
from helpdesk.lib.live import Bell, ring_on_commit, rings_on_commit
from tickets.models import Conversation, Message, Person, Ticket


def everyone(conversation_id: int) -> str:
    """The group of all browsers that show a conversation."""
    return f"conversation.{conversation_id}.everyone"


def staff(conversation_id: int) -> str:
    """The group of staff's browsers that show a conversation."""
    return f"conversation.{conversation_id}.staff"


def person(person_id: int) -> str:
    """The group of all browsers of somebody on staff."""
    return f"person.{person_id}"


def desk(inbox_id: int) -> str:
    """The group of staff's browsers that list an inbox."""
    return f"desk.{inbox_id}"


def role_of(person: Person) -> str:
    """How a person is shown to others: customer, staff or assistant."""
    if person.is_assistant:
        return "assistant"
    return "customer" if person.user_id is None else "staff"


def as_json(message: Message) -> dict[str, Any]:
    """A message as every browser gets it. Only for entries whose audience is everyone."""
    author = message.author
    return {
        "seq": message.seq,
        "kind": message.kind,
        "author": author and {"id": author.pk, "name": author.name, "role": role_of(author)},
        "body": message.body,
        "change": message.change,
        "sources": message.sources,
        "choices": message.choices,
        "files": [file_as_json(file.attachment) for file in message.files.all()]
        if message.file_count
        else [],
        "created_at": message.created_at.isoformat(),
        "client_token": message.client_token and str(message.client_token),
    }


def file_as_json(attachment: Attachment) -> dict[str, Any]:
    """A file of a message. `url` and `preview` open it for minutes; both are empty, and
    `sentence` says why, while nobody may have it."""
    blob, sentence = attachment.blob, attachment.why_closed
    preview = bool(blob and blob.preview_key and not sentence)
    return {
        "id": str(attachment.uuid),
        "name": attachment.name,
        "type": blob.type if blob else "",
        "size": blob.size_bytes if blob else attachment.announced_bytes,
        "url": "" if sentence else link_to(attachment, "show"),
        "preview": link_to(attachment, "preview") if preview else "",
        "width": blob.preview_width if blob and preview else 0,
        "height": blob.preview_height if blob and preview else 0,
        "sentence": sentence,
    }


def message_posted(conversation: Conversation, message: Message, *, after: int) -> None:
    """Tell whoever may see it that the timeline grew, once the transaction commits."""
    bell = bell_of_message(conversation.pk, message, after=after, seats=conversation.seats_version)
    ring_on_commit(*bell)


def bell_of_message(pk: int, message: Message, *, after: int, seats: int) -> Bell:
    """Who hears of an entry of a conversation, and what."""
    if not message.is_public:
        return staff(pk), {"type": "timeline.grew", "conversation": pk, "seq": message.seq}
    event = {
        "type": "message.posted",
        "conversation": pk,
        "seq": message.seq,
        "after": after,
        "seats": seats,
        "message": as_json(message),
    }
    return everyone(pk), event


def seat_lost(conversation: Conversation, person_id: int) -> None:
    """Somebody has no seat any more: their sockets let go of the conversation."""
    event = {
        "type": "seat.lost",
        "conversation": conversation.pk,
        "person": person_id,
        "seats": conversation.seats_version,
    }
    ring_on_commit(everyone(conversation.pk), event)
    ring_on_commit(staff(conversation.pk), event)


def people_changed(conversation: Conversation) -> None:
    """Who takes part, or what it is called, is no longer what pages show."""
    event = {"type": "people.changed", "conversation": conversation.pk}
    ring_on_commit(everyone(conversation.pk), event)


def seen_changed(conversation_id: int, person_id: int, role: str, seq: int) -> None:
    """Somebody has read up to this entry."""
    event = {
        "type": "seen.changed",
        "conversation": conversation_id,
        "person": person_id,
        "role": role,
        "seq": seq,
    }
    ring_on_commit(everyone(conversation_id), event)


def got_changed(conversation_id: int, person_id: int, seq: int) -> None:
    """Somebody's browser has got everything up to this entry. Only staff are told."""
    event = {
        "type": "got.changed",
        "conversation": conversation_id,
        "person": person_id,
        "seq": seq,
    }
    ring_on_commit(staff(conversation_id), event)


def mentioned(person_id: int, conversation_id: int) -> None:
    """Somebody on staff was named."""
    event = {"type": "mention.posted", "conversation": conversation_id}
    ring_on_commit(person(person_id), event)


def team_changed(conversation_id: int, person_ids: Iterable[int]) -> None:
    """Lists of what these people talk about among colleagues are out of date."""
    event = {"type": "team.changed", "conversation": conversation_id}
    rings_on_commit([person(pk) for pk in person_ids], event)


def sides_changed(conversation_id: int) -> None:
    """What colleagues talk about beside this conversation is no longer what its page shows."""
    event = {"type": "sides.changed", "conversation": conversation_id}
    ring_on_commit(staff(conversation_id), event)


def files_changed(message: Message) -> None:
    """A file of this message was looked into."""
    event = {
        "type": "files.changed",
        "conversation": message.conversation_id,
        "seq": message.seq,
    }
    ring_on_commit(staff(message.conversation_id), event)
    if message.is_public:
        ring_on_commit(everyone(message.conversation_id), event)


def delivery_changed(message: Message) -> None:
    """A mail that carries this message moved on."""
    event = {
        "type": "delivery.changed",
        "conversation": message.conversation_id,
        "seq": message.seq,
    }
    ring_on_commit(staff(message.conversation_id), event)


def ended_changed(ticket: Ticket) -> None:
    """A ticket was solved, or opened again: its customer is told whether the chat goes on."""
    ended = ticket.status == Ticket.Status.SOLVED
    event = {"type": "ended.changed", "conversation": ticket.conversation_id, "ended": ended}
    ring_on_commit(everyone(ticket.conversation_id), event)


def merged(conversation: Conversation) -> None:
    """It goes on in another one: widgets that show it come there."""
    event = {"type": "conversation.merged", "conversation": conversation.pk}
    ring_on_commit(everyone(conversation.pk), event)


def ticket_changed(ticket: Ticket, *, also_inbox_id: int | None = None) -> None:
    """Lists that may show this ticket are out of date."""
    for inbox_id in {ticket.inbox_id, also_inbox_id or ticket.inbox_id}:
        ring_on_commit(*bell_of_ticket(ticket.number, ticket.conversation_id, inbox_id))


def bell_of_ticket(number: int, conversation_id: int, inbox_id: int) -> Bell:
    """Who lists a ticket, and that it is out of date there."""
    event = {"type": "ticket.changed", "number": number, "conversation": conversation_id}
    return desk(inbox_id), event
