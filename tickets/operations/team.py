"""What colleagues talk about among themselves: direct messages, groups, and conversations beside a
ticket, whose outcome is quoted there."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from tickets import events
from tickets.access import (
    Viewer,
    access_conversation,
    access_team,
    access_ticket,
    access_to_join,
    access_to_write,
    visible_messages,
)
from tickets.models import Conversation, Message, Participant, Person
from tickets.operations.conversations import checked, mark_read, post_note, post_reply
from tickets.operations.mentions import mentions_seen
from tickets.operations.seats import (
    Guests,
    check_groups,
    checked_title,
    colleagues,
    seat_people,
)
from tickets.operations.timeline import line_of, record_change, survivor_of

Channel = Conversation.Channel
Rank = Participant.Rank
Role = Participant.Role

# Quoting the same message again has the same token, whoever does it.
QUOTES = UUID("9f1c8f1e-5a0a-4c0e-8c52-3a8e3f4d6b27")


def start_direct(viewer: Viewer, user_id: int) -> Conversation:
    """The direct message with a colleague: the one there is, or a new one.

    Two people have one, whoever of them starts it, and at the same time too. Raises NotFound for
    who is not staff, Refused for nobody who works here and for oneself.
    """
    if not viewer.is_staff:
        raise NotFound
    other = next(iter(colleagues(Guests(user_ids=[user_id]))), None)
    if other is None:
        raise Refused(_("Choose a colleague."))
    if other == viewer.person:
        raise Refused(_("Choose somebody else than yourself."))
    pair = "{}-{}".format(*sorted([viewer.person.pk, other.pk]))
    known = Conversation.objects.filter(pair=pair)
    if (conversation := known.first()) is not None:
        return conversation
    try:
        with transaction.atomic():
            conversation = Conversation.objects.create(channel=Channel.INTERNAL, pair=pair)
            _seat(conversation, viewer.person, other)
            return conversation
    except IntegrityError as refused:
        if "conversation_pair_once" not in str(refused):
            raise
    return known.get()


def start_group(
    viewer: Viewer, guests: Guests, *, title: str = "", token: UUID | None = None
) -> Conversation:
    """A group of colleagues, which the viewer owns.

    A second call with the same `token` returns the first call's group. Raises NotFound for who is
    not staff, Refused as `add_people` does.
    """
    if not viewer.is_staff:
        raise NotFound
    title = checked_title(title)
    people = _others(viewer, guests)

    def begin(conversation: Conversation) -> None:
        check_groups(viewer.person)
        _seat(conversation, viewer.person, rank=Rank.OWNER)
        seat_people(conversation, people, by=viewer.person, sees_all=True)

    return _begun_once(viewer, Conversation(title=title, opened_with=token), begin)


def ask_colleagues(
    viewer: Viewer,
    number: int,
    guests: Guests,
    *,
    question: str,
    token: UUID | None = None,
) -> Conversation:
    """Ask colleagues about a ticket, in a conversation beside it that its customer never sees.

    Who is asked sees that conversation and not the ticket, unless they see its inbox anyway. A
    line on the ticket says who was asked. A second call with the same `token` returns the first
    call's conversation. Raises NotFound for a ticket the viewer may not see, Refused for who may
    only read it, for nobody to ask and nothing to ask, and as `add_people` does.
    """
    ticket = access_ticket(viewer, number)
    question = checked(question)
    people = _others(viewer, guests)

    def begin(conversation: Conversation) -> None:
        _seat(conversation, viewer.person, rank=Rank.OWNER)
        seat_people(conversation, people, by=viewer.person, sees_all=True)
        post_reply(viewer, conversation.pk, body=question, via=Message.Via.WEB, client_token=token)
        beside = access_to_write(viewer, ticket.conversation_id)
        names = ", ".join(str(person) for person in people)
        record_change(beside, "side", None, names, author=viewer.person)
        events.sides_changed(beside.pk)

    side = Conversation(side_of_id=ticket.conversation_id, opened_with=token)
    return _begun_once(viewer, side, begin)


def join_beside(viewer: Viewer, conversation_id: int) -> Participant:
    """Take a seat in a conversation beside a ticket of one's own inbox. A line says so, and
    everything said before is there to read. A second call changes nothing. Raises NotFound."""
    with transaction.atomic():
        conversation = access_to_join(viewer, conversation_id, lock=True)
        seat_people(conversation, [viewer.person], by=viewer.person, sees_all=True)
        return conversation.participants.get(person=viewer.person)


def quote_back(viewer: Viewer, conversation_id: int, seq: int, *, words: str = "") -> Message:
    """Put what was said beside a ticket on the ticket, as a note that names who said it.

    `words` of the viewer's own stand below it. A message is quoted once: a second call, by anybody,
    returns the first one's note. Raises NotFound where the viewer has no seat, for a message they
    may not read and for a ticket they may not see, Refused for who may only read the ticket.
    """
    side = access_team(viewer, conversation_id)
    if side.side_of_id is None:
        raise NotFound
    message = visible_messages(viewer, side).filter(seq=seq, kind=Message.Kind.REPLY).first()
    if message is None:
        raise NotFound
    words = checked(words, may_be_empty=True)
    token = uuid5(QUOTES, str(message.pk))
    with transaction.atomic():
        beside = access_to_write(viewer, survivor_of(side.side_of_id))
        places = {beside.pk, side.side_of_id}  # it may have been quoted before that was merged
        notes = Message.objects.filter(conversation__in=places, client_token=token)
        if (quoted := notes.first()) is not None:
            return quoted
        events.sides_changed(beside.pk)
        return post_note(
            viewer,
            beside.pk,
            body=_quote(message, words),
            via=Message.Via.WEB,
            client_token=token,
            sources=[_source(side, message)],
        )


def mark_team_read(viewer: Viewer, conversation_id: int, seq: int) -> None:
    """The viewer has read a conversation among colleagues up to `seq`. Raises NotFound."""
    with transaction.atomic():
        conversation = access_team(viewer, conversation_id)
        mark_read(viewer, conversation.pk, min(seq, conversation.last_seq))
        mentions_seen(viewer, conversation, seq)
        events.team_changed(conversation.pk, [viewer.person.pk])


def _quote(message: Message, words: str) -> str:
    """Who said it, what they said as a Markdown quote, and the quoter's own words."""
    said = message.body or line_of(message)
    lines = "\n".join(f"> {line}".rstrip() for line in said.splitlines())
    who = _("**%(name)s** said:") % {"name": message.author}
    return "\n\n".join(part for part in (f"{who}\n\n{lines}", words) if part)


def _source(side: Conversation, message: Message) -> dict[str, str | int]:
    """Where a quote is from, as its note links to it."""
    address = reverse("chat:team", args=[side.pk])
    title = _("a conversation among colleagues")
    return {"title": title, "url": address, "conversation": side.pk, "seq": message.seq}


def _begun_once(
    viewer: Viewer, conversation: Conversation, begin: Callable[[Conversation], None]
) -> Conversation:
    """A new conversation, begun in one transaction, or what was begun with the same token."""
    conversation.channel = Channel.INTERNAL
    try:
        with transaction.atomic():
            conversation.save(force_insert=True)
            begin(conversation)
        return access_conversation(viewer, conversation.pk)
    except IntegrityError as refused:
        if "conversation_opened_once" not in str(refused):
            raise
    begun = Conversation.objects.get(opened_with=conversation.opened_with)
    return access_conversation(viewer, begun.pk)


def _others(viewer: Viewer, guests: Guests) -> list[Person]:
    people = [one for one in colleagues(guests) if one != viewer.person]
    if not people:
        raise Refused(_("Choose at least one colleague."))
    return people


def _seat(conversation: Conversation, *people: Person, rank: str = Rank.MEMBER) -> None:
    Participant.objects.bulk_create(
        Participant(conversation=conversation, person=one, role=Role.STAFF, rank=rank)
        for one in people
    )
