"""Staff begin a conversation: they write first, by mail."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import PREVIEW_CHARS, clean, says_nothing
from tickets import events
from tickets.access import Viewer, access_ticket, visible_inboxes, visible_tickets
from tickets.mail.render import one_line
from tickets.models import Conversation, Inbox, Message, Participant, Ticket
from tickets.operations.conversations import checked
from tickets.operations.files import check_limits, show_files, uploaded_files
from tickets.operations.people import checked_address, person_at
from tickets.operations.related import hold_address
from tickets.operations.timeline import (
    announce,
    append_change,
    append_entry,
    open_ticket,
    queue_email,
    ticket_hears,
)

# What a ticket shows of its subject: a longer one would leave otherwise than it was written.
SUBJECT_MAX_CHARS = PREVIEW_CHARS


def open_ticket_by_mail(
    viewer: Viewer,
    *,
    inbox_id: int,
    address: str,
    name: str,
    subject: str,
    body: str,
    client_token: UUID,
    files: Sequence[UUID] = (),
    continues: int | None = None,
) -> Ticket:
    """Write to a customer who has not written: a ticket of the viewer's that waits for the answer.

    The mail goes to `address`, and the ticket is of whoever has it, or of someone new called
    `name`. `subject` is 1 to SUBJECT_MAX_CHARS characters on one line; `body` and `files` are as
    in `post_reply`. `continues` is a solved ticket of the same customer whose matter it takes up
    again; both say so. A second call of the viewer's with the same `client_token` returns the first
    call's ticket and does nothing else.

    Raises NotFound for an inbox or a ticket that the viewer cannot see, Refused with a sentence for
    an address nobody can be reached at or that is one of our own, an inbox without an address, for
    words or files that cannot be sent, and for a ticket that is not solved or another customer's.
    """
    address = checked_address(address)
    subject = checked_subject(subject)
    body = checked(body, may_be_empty=bool(files))
    try:
        with transaction.atomic():
            # First, so that a second call is told before it asks for files that are taken.
            conversation = Conversation.objects.create(
                channel=Conversation.Channel.EMAIL, opened_with=client_token
            )
            inbox = _inbox(viewer, inbox_id)
            ticket = _open(
                viewer, conversation, inbox, address, name, subject, body, files, continues
            )
            if continues is not None:
                _say_continued(viewer, ticket, continues)
            return ticket
    except IntegrityError as refused:
        if "conversation_opened_once" not in str(refused):
            raise
    return opened_with(viewer, client_token)


def checked_subject(subject: str) -> str:
    """The subject as it will be sent. Raises Refused with a sentence if it cannot be."""
    subject = one_line(clean(subject))
    if says_nothing(subject):
        raise Refused(_("Write a subject."))
    if len(subject) > SUBJECT_MAX_CHARS:
        raise Refused(
            _("This subject has %(length)s characters. At most %(limit)s can be sent.")
            % {"length": len(subject), "limit": SUBJECT_MAX_CHARS}
        )
    return subject


def _inbox(viewer: Viewer, inbox_id: int) -> Inbox:
    inbox = visible_inboxes(viewer).filter(pk=inbox_id).first()
    if inbox is None:
        raise NotFound
    if not inbox.address:
        raise Refused(_("%(inbox)s has no address to write from.") % {"inbox": inbox.name})
    return inbox


def _open(
    viewer: Viewer,
    conversation: Conversation,
    inbox: Inbox,
    address: str,
    name: str,
    subject: str,
    body: str,
    files: Sequence[UUID],
    continues: int | None,
) -> Ticket:
    attached = uploaded_files(viewer, files)
    check_limits(inbox, attached)
    hold_address(address)
    person = person_at(address, name=one_line(clean(name)))
    Participant.objects.create(
        conversation=conversation,
        person=person,
        role=Participant.Role.CUSTOMER,
        reach=Participant.Reach.EMAIL,
    )
    message = Message(
        kind=Message.Kind.REPLY,
        via=Message.Via.WEB,
        author=viewer.person,
        body=body,
        file_count=len(attached),
    )
    append_entry(
        conversation,
        message,
        searched_too=" ".join([subject, *(file.name for file in attached)]),
        attach=partial(show_files, files=attached) if attached else None,
    )
    ticket = open_ticket(
        conversation,
        inbox_id=inbox.pk,
        requester=person,
        subject=subject,
        first=message,
        assignee=viewer.user,
        continues=continues,
    )
    ticket_hears(ticket, message, role="staff")
    announce(ticket, message, role="staff")
    queue_email(message, person.pk, address)
    return ticket


def _say_continued(viewer: Viewer, ticket: Ticket, number: int) -> None:
    old = access_ticket(viewer, number, lock=True)
    if old.requester_id != ticket.requester_id:
        sentence = _("#%(number)s is a ticket of %(name)s. Write to them, or open another ticket.")
        raise Refused(sentence % {"number": number, "name": old.requester})
    if old.status != Ticket.Status.SOLVED:
        sentence = _("#%(number)s is not solved: write there, and nothing is torn apart.")
        raise Refused(sentence % {"number": number})
    append_change(ticket, "continues", None, number, author=viewer.person)
    append_change(old, "continued", None, ticket.number, author=viewer.person)
    events.ticket_changed(old)


def opened_with(viewer: Viewer, client_token: UUID) -> Ticket:
    """What the viewer opened with this token before. Raises Refused if it was somebody else."""
    theirs = Q(conversation__messages__seq=1, conversation__messages__author=viewer.person) | Q(
        conversation__messages__change__field="split_from",
        conversation__messages__author=viewer.person,
    )
    ticket = (
        visible_tickets(viewer)
        .select_related("conversation")
        .filter(theirs, conversation__opened_with=client_token)
        .first()
    )
    if ticket is None:
        raise Refused(_("This form was sent already. Open it anew to write another mail."))
    return ticket
