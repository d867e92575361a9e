"""Saying something: replies and notes."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from helpdesk.lib import prepared
from helpdesk.lib.errors import Refused
from helpdesk.lib.text import clean, says_nothing
from tickets.access import Viewer, access_conversation
from tickets.models import Conversation, Message, Participant, Person, Ticket
from tickets.operations.timeline import (
    announce,
    append_change,
    append_entry,
    open_ticket,
    queue_emails,
    sets_handler,
    ticket_hears,
    ticket_of,
)


@transaction.atomic
def start_chat(*, name: str = "") -> Participant:
    """A new visitor in a chat of their own. No ticket yet: they have said nothing."""
    person = Person.objects.create(name=clean(name).strip()[:150])
    conversation = Conversation.objects.create(channel=Conversation.Channel.CHAT)
    return Participant.objects.create(
        conversation=conversation, person=person, role=Participant.Role.CUSTOMER
    )


def post_reply(
    viewer: Viewer,
    conversation_id: int,
    *,
    body: str,
    via: str,
    client_token: UUID | None = None,
    inbox_id: int | None = None,
) -> Message:
    """Say something to everyone in a conversation, and let its ticket notice.

    `body` is plain text of 1 to MESSAGE_MAX_CHARS characters once trimmed. A second call
    with the same `client_token` returns the first call's message and does nothing else. One
    email is queued for each other customer here who is reached by email. If the conversation has no
    ticket yet, one is opened in `inbox_id`. A reply by staff takes the conversation from the
    assistant, and an unassigned ticket becomes theirs.

    Raises NotFound if the viewer may not see the conversation, Refused if the body is empty
    or too long.
    """
    body = checked(body)

    def write() -> Message:
        return _reply(viewer, conversation_id, body, via, client_token, inbox_id)

    return _once(write, viewer, conversation_id, client_token)


def _reply(
    viewer: Viewer,
    conversation_id: int,
    body: str,
    via: str,
    client_token: UUID | None,
    inbox_id: int | None,
) -> Message:
    role = "staff" if viewer.is_staff else "customer"
    message = Message(
        kind=Message.Kind.REPLY,
        via=via,
        author=viewer.person,
        body=body,
        client_token=client_token,
    )
    conversation = access_conversation(viewer, conversation_id, lock=True)
    ticket = ticket_of(conversation)
    if ticket is None and inbox_id is not None:
        ticket = open_ticket(conversation, inbox_id=inbox_id, requester=viewer.person, subject=body)
    if ticket is not None and viewer.is_staff:
        _take(ticket, viewer)
    append_entry(conversation, message)
    if ticket is not None:
        ticket_hears(ticket, message, role=role)
        announce(ticket, message, role=role)
    if viewer.is_staff or via != Message.Via.EMAIL:
        # A mail has reached the people it was addressed to already.
        queue_emails(message)
    return message


def post_note(
    viewer: Viewer,
    conversation_id: int,
    *,
    body: str,
    via: str,
    client_token: UUID | None = None,
) -> Message:
    """Write something that only staff can read. It has no road to the outbox.

    Same rules for `body` and `client_token` as `post_reply`. Raises NotFound as `post_reply`
    does, Refused if the viewer is not staff.
    """
    if not viewer.is_staff:
        raise Refused(_("Only staff write notes."))
    body = checked(body)

    def write() -> Message:
        note = Message(
            kind=Message.Kind.NOTE,
            via=via,
            author=viewer.person,
            body=body,
            client_token=client_token,
        )
        return append_entry(access_conversation(viewer, conversation_id, lock=True), note)

    return _once(write, viewer, conversation_id, client_token)


def mark_read(viewer: Viewer, conversation_id: int, seq: int) -> None:
    """Move the viewer's mark forward to `seq`; a mark never moves back or past the end."""
    Participant.objects.filter(
        conversation_id=conversation_id,
        person=viewer.person,
        left_at=None,
        last_read_seq__lt=seq,
        sees_after_seq__lt=seq,
        conversation__last_seq__gte=seq,
    ).update(last_read_seq=seq)


def checked(body: str) -> str:
    """The body as it will be stored. Raises Refused with a sentence if it cannot be."""
    body = clean(body).strip()
    if says_nothing(body):
        raise Refused(_("Write something first."))
    if len(body) > settings.MESSAGE_MAX_CHARS:
        raise Refused(
            _("This text has %(length)s characters. At most %(limit)s can be sent at once.")
            % {"length": f"{len(body):,}", "limit": f"{settings.MESSAGE_MAX_CHARS:,}"}
        )
    return body


def _once(
    write: Callable[[], Message], viewer: Viewer, conversation_id: int, client_token: UUID | None
) -> Message:
    """What `write` writes in one transaction, or what this sender wrote with the same token.

    The database refuses a token that comes twice, and takes back everything that went with it.
    To look first would cost every message a question that hardly ever has an answer.
    """
    try:
        with transaction.atomic():
            return write()
    except IntegrityError as refused:
        if "message_token_once" not in str(refused):
            raise
    return Message.objects.select_related("author").get(
        conversation=conversation_id, author=viewer.person, client_token=client_token
    )


def _take(ticket: Ticket, viewer: Viewer) -> None:
    """Whoever on staff answers first takes the conversation."""
    sets_handler(ticket, Ticket.Handler.STAFF, author=viewer.person, reason="staff_wrote")
    if ticket.assignee_id is None and viewer.user is not None:
        ticket.assignee = viewer.user
        prepared.save(ticket, "assignee")
        append_change(ticket, "assignee", None, viewer.person.name, author=viewer.person)
