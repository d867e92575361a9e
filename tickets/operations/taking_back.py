"""A reply that has not left yet is taken back into the composer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.search import SearchVector
from django.db import transaction
from django.db.models import Max, Q, Value
from django.utils.timezone import now
from django.utils.translation import gettext as _

from attachments.models import Attachment
from attachments.uploads import release
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import fold, words_of
from tickets import events
from tickets.access import Viewer, access_ticket, owner_of
from tickets.models import (
    Conversation,
    Message,
    MessageFile,
    OutgoingEmail,
    Participant,
    Ticket,
)
from tickets.operations.tickets import asked_at
from tickets.operations.timeline import line_of

Status = Ticket.Status


@dataclass(frozen=True, slots=True)
class Draft:
    """What was written, as it can be sent again. `files` are ready uploads of the writer's."""

    body: str
    files: list[Attachment]
    cc: list[str]
    bcc: list[str]


@transaction.atomic
def take_back(viewer: Viewer, number: int, seq: int) -> Draft:
    """Take back a reply of the viewer's while none of its mails has begun to leave.

    What stays is a change line that says so; who was put in copy with it is so no more, its files
    are uploads again, and the ticket is as if it had not been written. Of two calls one gets the
    draft.

    Raises NotFound for a ticket or an entry the viewer may not see, Refused with a sentence where
    it is somebody else's, has begun to leave, or may have been read.
    """
    ticket = access_ticket(viewer, number, lock=True)
    message = ticket.conversation.messages.select_related("author").filter(seq=seq).first()
    if message is None or not viewer.is_staff:
        raise NotFound
    if message.author_id != viewer.person.pk:
        raise Refused(_("Only who wrote it can take it back."))
    if message.kind != Message.Kind.REPLY:
        raise Refused(_("It was taken back already."))
    if _may_have_been_read(ticket.conversation):
        raise Refused(_("It was read in the chat as soon as it was sent."))
    copied = _copied_with(message)
    draft = Draft(
        message.body,
        [file.attachment for file in message.files.select_related("attachment__blob")],
        *_unsent(message, [seat.person_id for seat in copied]),
    )
    _unseat(message, copied)
    MessageFile.objects.filter(message=message).delete()
    release(owner_of(viewer), draft.files)
    _leave_a_line(ticket, message)
    _as_before(ticket)
    events.delivery_changed(message)
    events.ticket_changed(ticket)
    return draft


def _may_have_been_read(conversation: Conversation) -> bool:
    if conversation.channel == Conversation.Channel.CHAT:
        return True
    return conversation.participants.filter(
        role=Participant.Role.CUSTOMER, reach=Participant.Reach.LIVE, left_at=None
    ).exists()


def _unsent(message: Message, copied: list[int]) -> tuple[list[str], list[str]]:
    """Delete the message's mails; who was put in copy with it, and who in blind copy. Raises
    Refused unless all of them are still as they were written.

    A worker claims a mail without this conversation's lock, so the deletion itself must look:
    PostgreSQL has it wait for a claim, and then finds the row no longer queued.
    """
    mails = list(message.outgoing_emails.order_by("pk"))
    untouched = message.outgoing_emails.filter(
        state=OutgoingEmail.State.QUEUED, attempts=0, error=""
    )
    gone, _rows = untouched.delete()
    if not mails or gone != len(mails):
        raise Refused(_("It has left already."))
    cc = [mail.address for mail in mails if mail.person_id in copied]
    bcc = [mail.address for mail in mails if mail.field == OutgoingEmail.Field.BCC]
    return cc, bcc


def _copied_with(message: Message) -> list[Participant]:
    """The seats that were given with this reply, as the line right before it says."""
    line = Message.objects.filter(
        conversation=message.conversation_id,
        seq=message.seq - 1,
        author=message.author_id,
        change__field="copied",
    ).first()
    ids = (line.change or {}).get("seats", []) if line else []
    return list(
        Participant.objects.filter(
            pk__in=ids, conversation=message.conversation_id, sees_after_seq=message.seq - 1
        )
    )


def _unseat(message: Message, seats: list[Participant]) -> None:
    """Unless they have heard or said something else here meanwhile."""
    here = Message.objects.filter(conversation=message.conversation_id)
    for seat in seats:
        heard = here.filter(outgoing_emails__person=seat.person_id)
        if not (heard.exists() or here.filter(author=seat.person_id).exists()):
            seat.delete()


def _leave_a_line(ticket: Ticket, message: Message) -> None:
    """The one entry that is written over: nobody has read it. Its token stays, so that a request
    that arrives once more does not send it after all."""
    subject = SearchVector(Value(words_of(fold(ticket.subject))), config="simple")
    Message.objects.filter(pk=message.pk).update(
        kind=Message.Kind.CHANGE,
        audience=Message.Audience.STAFF,
        body="",
        quoted="",
        sources=[],
        file_count=0,
        change={"field": "reply", "old": None, "new": None},
        search=subject if message.seq == 1 else None,
    )
    public = ticket.conversation.messages.filter(audience=Message.Audience.EVERYONE)
    ticket.conversation.last_public_seq = public.aggregate(last=Max("seq"))["last"] or 0
    ticket.conversation.save(update_fields=["last_public_seq"])


def _as_before(ticket: Ticket) -> None:
    """Whose turn it is and what the lists show, from what the timeline says now."""
    replies = ticket.conversation.messages.filter(kind=Message.Kind.REPLY)
    by_staff = replies.filter(author__user__isnull=False).order_by("seq").first()
    last = replies.exclude(author=None).select_related("author").order_by("seq").last()
    ticket.first_reply_at = max(by_staff.created_at, ticket.opened_at) if by_staff else None
    ticket.last_message_at = last.created_at if last else ticket.opened_at
    ticket.last_preview = line_of(last) if last else ""
    ticket.last_author_name = last.author.name if last and last.author else ""
    if ticket.status != Status.SOLVED and (since := _our_turn_since(ticket, last)):
        ticket.status, ticket.waiting_since = Status.OPEN, since
    ticket.save(
        update_fields=[
            *("first_reply_at", "last_message_at", "last_preview", "last_author_name"),
            *("status", "waiting_since"),
        ]
    )


def _our_turn_since(ticket: Ticket, last: Message | None) -> datetime | None:
    """Since when somebody waits for us; None where we wait for the customer."""
    if last is None:
        return now()  # nothing has been said at all
    asked = asked_at(ticket)
    if asked is not None:
        return asked
    # It was opened by hand, by a mail that did not arrive, or when the assistant stepped back.
    changes = ticket.conversation.messages.filter(kind=Message.Kind.CHANGE, seq__gt=last.seq)
    handed = Q(change__field="handler", change__new="staff") & ~Q(
        change__reason__in=["staff_wrote", "assigned"]
    )
    turned = changes.filter(Q(change__field="status") | handed).order_by("seq").last()
    if turned is None or (turned.change or {}).get("new") not in (Status.OPEN, "staff"):
        return None
    return turned.created_at
