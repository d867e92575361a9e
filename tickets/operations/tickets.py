"""Working on a ticket: who answers, and how far along it is."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib import prepared
from helpdesk.lib.errors import NotFound, Refused
from tickets import events
from tickets.access import Viewer, access_ticket, assignable_users
from tickets.models import Message, Ticket
from tickets.operations.conversations import move_mark
from tickets.operations.mentions import mentions_seen
from tickets.operations.timeline import append_change, sets_handler

Status = Ticket.Status


@transaction.atomic
def assign_ticket(viewer: Viewer, number: int, user_id: int | None) -> Ticket:
    """Give a ticket to someone on staff, or to no one (None). A second call changes nothing.

    A ticket given to a person is no longer the assistant's. Raises NotFound for a ticket the
    viewer may not see, Refused for someone who may not see it.
    """
    _only_staff(viewer)
    ticket = access_ticket(viewer, number, lock=True)
    if ticket.assignee_id == user_id:
        return ticket
    user = None
    if user_id is not None:
        user = assignable_users(ticket.inbox).filter(pk=user_id).first()
        if user is None:
            raise Refused(_("This person cannot see the inbox of this ticket."))
    old = ticket.assignee.person.name if ticket.assignee else None
    ticket.assignee = user
    ticket.save(update_fields=["assignee"])
    append_change(ticket, "assignee", old, user and user.person.name, author=viewer.person)
    if user is not None:
        sets_handler(ticket, Ticket.Handler.STAFF, author=viewer.person, reason="assigned")
    events.ticket_changed(ticket)
    return ticket


@transaction.atomic
def solve_ticket(viewer: Viewer, number: int) -> Ticket:
    """Say that the work is done. Solving a solved ticket changes nothing. Raises NotFound."""
    return _set_status(viewer, number, Status.SOLVED)


@transaction.atomic
def reopen_ticket(viewer: Viewer, number: int) -> Ticket:
    """Make it our turn again. Reopening an open ticket changes nothing. Raises NotFound."""
    return _set_status(viewer, number, Status.OPEN)


@transaction.atomic
def mark_seen(viewer: Viewer, number: int, seq: int) -> None:
    """Someone on staff has read a ticket up to `seq`, and so has their own seat, if they have one.
    Never hides what came later."""
    _only_staff(viewer)
    ticket = access_ticket(viewer, number, lock=True)
    read = min(seq, ticket.conversation.last_seq)
    is_news = move_mark(viewer, ticket.conversation_id, read)
    if read > ticket.read_seq:
        ticket.read_seq = read
        prepared.save(ticket, "read_seq")
        is_news = True
    if is_news:
        events.seen_changed(ticket.conversation_id, viewer.person.pk, "staff", read)
    was_named = mentions_seen(viewer, ticket.conversation, read)
    if ticket.unread and seq >= ticket.conversation.last_public_seq:
        ticket.unread = False
        ticket.save(update_fields=["unread"])
        was_named = True
    if was_named:
        events.ticket_changed(ticket)


def _set_status(viewer: Viewer, number: int, status: Status) -> Ticket:
    _only_staff(viewer)
    ticket = access_ticket(viewer, number, lock=True)
    if ticket.status == status:
        return ticket
    old, ticket.status = ticket.status, status
    moment = now()
    ticket.solved_at = moment if status == Status.SOLVED else None
    ticket.waiting_since = asked_at(ticket) or moment if status == Status.OPEN else None
    ticket.live = False
    if status == Status.SOLVED:
        ticket.unread = False
    ticket.save(update_fields=["status", "solved_at", "waiting_since", "unread", "live"])
    append_change(ticket, "status", old, status, author=viewer.person)
    events.ticket_changed(ticket)
    events.ended_changed(ticket)
    return ticket


def asked_at(ticket: Ticket) -> datetime | None:
    """When the customer wrote what nobody has answered yet; None if everything is answered."""
    replies = Message.objects.filter(
        conversation=ticket.conversation_id, kind=Message.Kind.REPLY
    ).order_by("seq")
    by_us = Q(author__user__isnull=False) | Q(author__is_assistant=True)
    answered = replies.filter(by_us).values_list("seq", flat=True).last() or 0
    asked = replies.filter(~by_us, author__isnull=False, seq__gt=answered)
    return asked.values_list("created_at", flat=True).first()


def _only_staff(viewer: Viewer) -> None:
    if not viewer.is_staff:
        raise NotFound
