"""Naming a colleague in a message: @Bob, or @Bob Okafor. They find it under Mentions until they
have read it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import Q
from django.utils.timezone import now

from helpdesk.lib.text import fold
from tickets import events
from tickets.access import Viewer, assignable_users
from tickets.models import Conversation, Mention, Message, Participant, Person, Ticket

NAMED_MAX = 20


def note_mentions(viewer: Viewer, conversation: Conversation, message: Message) -> None:
    """Remember whom somebody on staff has named, of those who may see the conversation, and let
    them know. The caller has just written the message, in this transaction."""
    if not viewer.is_staff or "@" not in message.body:
        return
    people = named_in(message.body, may_be_named(conversation))
    people = [one for one in people if one.pk != viewer.person.pk][:NAMED_MAX]
    Mention.objects.bulk_create(Mention(message=message, person=one) for one in people)
    for one in people:
        events.mentioned(one.pk, conversation.pk)


def may_be_named(conversation: Conversation) -> list[Person]:
    """Staff who see it: by its inbox, or by a seat."""
    ticket = Ticket.objects.filter(conversation=conversation).select_related("inbox").first()
    seats = Participant.objects.filter(
        conversation=conversation, role=Participant.Role.STAFF, left_at=None
    )
    sees = Q(pk__in=seats.values("person"))
    if ticket is not None:
        sees |= Q(user__in=assignable_users(ticket.inbox).order_by().values("pk"))
    return list(Person.objects.filter(sees, user__is_active=True).order_by("pk"))


def named_in(body: str, people: Iterable[Person]) -> list[Person]:
    """Whom a text names after an @: by the whole name, or by a first name that only one has."""
    text = fold(body)
    people = list(people)
    firsts = [fold(one.first_name) for one in people]
    found = []
    for one in people:
        names = {fold(str(one))}
        first = fold(one.first_name)
        if firsts.count(first) == 1:
            names.add(first)
        if any(re.search(rf"(?<!\w)@{re.escape(name)}(?!\w)", text) for name in names):
            found.append(one)
    return found


def mentions_seen(viewer: Viewer, conversation: Conversation, seq: int) -> bool:
    """The viewer has read a conversation up to `seq`, and what was merged into it. Returns whether
    they were named there."""
    read = Q(message__conversation=conversation, message__seq__lte=seq)
    if conversation.merged_from:
        read |= Q(message__conversation__in=conversation.merged_from)
    unseen = Mention.objects.filter(read, person=viewer.person, seen_at=None)
    return bool(unseen.update(seen_at=now()))
