"""The assistant's part: answering, stepping back, and its switches."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import clean
from tickets import events
from tickets.access import Viewer, access_conversation, visible_inboxes
from tickets.models import Desk, Message, Person, Ticket
from tickets.operations.loop_guard import queue_automatic
from tickets.operations.timeline import (
    announce,
    append_entry,
    assistant_is_on,
    hearers,
    locked,
    sets_handler,
    ticket_hears,
    ticket_of,
)

Reason = Literal["asked", "nothing_found", "failed", "off", "files"]


def the_assistant() -> Person:
    """The one person who is the assistant."""
    person, _created = Person.objects.get_or_create(
        is_assistant=True, defaults={"name": "Assistant"}
    )
    return person


@transaction.atomic
def post_answer(
    conversation_id: int,
    *,
    question_seq: int,
    body: str,
    sources: list[dict[str, str]],
    client_token: UUID,
) -> Message | None:
    """Say something as the assistant, if it still has the word.

    None, and nothing is said, if staff handle the ticket, the assistant is switched off, or
    another reply came after `question_seq`. A second call with the same `client_token`
    returns the first call's message.
    """
    conversation = locked(conversation_id)
    assistant = the_assistant()
    said = conversation.messages.filter(author=assistant, client_token=client_token).first()
    if said is not None:
        return said
    ticket = ticket_of(conversation)
    if ticket is None or not may_answer(ticket, question_seq):
        return None
    message = Message(
        kind=Message.Kind.REPLY,
        via=Message.Via.SYSTEM,
        author=assistant,
        body=clean(body).strip(),
        sources=sources,
        client_token=client_token,
    )
    append_entry(conversation, message)
    ticket_hears(ticket, message, role="assistant")
    announce(ticket, message, role="assistant")
    queue_automatic(ticket, message, hearers(message))
    return message


def may_answer(ticket: Ticket, question_seq: int) -> bool:
    """Has the assistant still the word? Asked before it begins, and again under the lock."""
    later = Message.objects.filter(
        conversation_id=ticket.conversation_id, kind=Message.Kind.REPLY, seq__gt=question_seq
    )
    return (
        ticket.handler == Ticket.Handler.ASSISTANT
        and assistant_is_on(ticket.inbox_id)
        and not later.exists()
    )


@transaction.atomic
def hand_over(conversation_id: int, *, reason: Reason) -> bool:
    """The assistant steps back and staff answer from now on.

    Returns False, and changes nothing, if staff had the conversation already.
    """
    ticket = ticket_of(locked(conversation_id))
    return ticket is not None and _hand_over(ticket, author=the_assistant(), reason=reason)


@transaction.atomic
def ask_for_human(viewer: Viewer, conversation_id: int) -> bool:
    """A customer wants a person. Returns False if staff had the conversation already.

    Raises NotFound, or Refused while nothing has been said that a person could answer.
    """
    conversation = access_conversation(viewer, conversation_id, lock=True)
    ticket = ticket_of(conversation)
    if ticket is None:
        raise Refused(_("Write your question first; then a person can answer it."))
    return _hand_over(ticket, author=viewer.person, reason="asked")


@transaction.atomic
def switch_assistant(viewer: Viewer, *, on: bool, inbox_id: int | None = None) -> None:
    """Turn the assistant on or off, for one inbox or (None) for the whole desk, at once.

    An answer that is being written when it is turned off is never posted. Raises NotFound
    for an inbox the viewer cannot see, and for anyone who is not staff.
    """
    if not viewer.is_staff:
        raise NotFound
    if inbox_id is None:
        Desk.objects.update_or_create(pk=1, defaults={"assistant_on": on})
    elif not visible_inboxes(viewer).filter(pk=inbox_id).update(assistant_on=on):
        raise NotFound


def _hand_over(ticket: Ticket, *, author: Person, reason: Reason) -> bool:
    if ticket.handler == Ticket.Handler.STAFF:
        return False
    if ticket.status != Ticket.Status.OPEN:
        ticket.status = Ticket.Status.OPEN
        ticket.solved_at = None
        ticket.waiting_since = now()
    ticket.unread = True
    ticket.save(update_fields=["status", "solved_at", "waiting_since", "unread"])
    sets_handler(ticket, Ticket.Handler.STAFF, author=author, reason=reason)
    events.ticket_changed(ticket)
    return True
