"""Chats whose visitor waits for a person: who is given them, and when nobody waits any more."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils.timezone import now

from tickets import events
from tickets.access import assignable_users
from tickets.models import Conversation, Ticket, User
from tickets.operations.timeline import append_change, locked, ticket_of

# A chat that was answered keeps its owner busy for so long after its last words.
BUSY_FOR = timedelta(minutes=30)


@transaction.atomic
def nobody_waits(conversation_id: int, *, last_seq: int) -> bool:
    """Whoever waited in the widget has gone: the ticket is open as any other is.

    False, and nothing is changed, if they have written after `last_seq`, or it is so already.
    Raises NotFound.
    """
    conversation = locked(conversation_id)
    ticket = ticket_of(conversation)
    if ticket is None or not ticket.live or conversation.last_seq != last_seq:
        return False
    ticket.live = False
    ticket.save(update_fields=["live"])
    events.ticket_changed(ticket)
    return True


@transaction.atomic
def share_chat(conversation_id: int, *, at_desk: Collection[int]) -> User | None:
    """Give a chat that waits live and is nobody's to somebody of the people `at_desk`.

    To one who may see its inbox, is not away and has fewer chats than their cap: the one with the
    fewest, and of those who was given none for longest. None, and nothing is changed, if there is
    no such person, if the chat is somebody's by now, or if it waits no longer; and if the one found
    was given another chat at this very moment: then ask again. Raises NotFound.
    """
    ticket = ticket_of(locked(conversation_id))
    if ticket is None or not ticket.live or ticket.assignee_id is not None:
        return None
    if not ticket.inbox.assigns_chats:
        return None
    user = _free(assignable_users(ticket.inbox), at_desk).first()
    if user is None or not _given(user):
        return None
    ticket.assignee = user
    ticket.save(update_fields=["assignee"])
    append_change(
        ticket, "assignee", None, user.person.name, author=None, via="system", reason="shared"
    )
    events.ticket_changed(ticket)
    return user


def _free(users: QuerySet[User], at_desk: Collection[int]) -> QuerySet[User]:
    """Those who can have one more chat, whose turn it is first."""
    busy = (
        Q(tickets__conversation__channel=Conversation.Channel.CHAT)
        & ~Q(tickets__status=Ticket.Status.SOLVED)
        & (Q(tickets__live=True) | Q(tickets__last_message_at__gt=now() - BUSY_FOR))
    )
    return (
        users.filter(person__in=at_desk, away=False)
        .annotate(chats=Count("tickets", filter=busy))
        .filter(chats__lt=F("chat_cap"))
        .order_by("chats", F("chat_given_at").asc(nulls_first=True), "pk")
    )


def _given(user: User) -> bool:
    """Note that this person is given a chat now. False if somebody else gave them one meanwhile:
    they may have as many as they can by now."""
    same = User.objects.filter(pk=user.pk, chat_given_at=user.chat_given_at)
    return bool(same.update(chat_given_at=now()))
