"""Reads of what colleagues talk about among themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, seats_of, side_conversations
from tickets.models import Conversation, Message, Participant, Person, Ticket
from tickets.operations.timeline import line_of
from tickets.queries import search_query, unseen_mentions

TEAM_ROWS = 100
TEAM_HITS = 10
TEAM_HITS_DEPTH_ROWS = 200
NAMES_MAX = 3  # of a conversation that nobody has named

Replies = Message.objects.filter(kind=Message.Kind.REPLY)


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A conversation among colleagues, as its viewer's list shows it."""

    conversation: Conversation
    title: str
    other: Person | None  # the colleague, of a direct message
    number: int | None  # of the ticket that it is beside
    message: Message | None  # the last reply, or what was looked for
    line: str
    is_mine: bool
    is_unread: bool
    is_named: bool
    is_muted: bool


@dataclass(frozen=True, slots=True)
class Side:
    """A conversation beside a ticket, as its page shows it."""

    conversation: Conversation
    asker: Person | None
    people: list[Person]  # the others
    at: datetime  # of the last words
    line: str  # these words; empty without a seat
    has_seat: bool
    is_answered: bool  # by somebody else than who asked
    is_quoted: bool


def team_seats(viewer: Viewer) -> QuerySet[Participant]:
    """The viewer's seats among colleagues."""
    return seats_of(viewer).filter(conversation__channel=Conversation.Channel.INTERNAL)


def unread_seats(viewer: Viewer) -> QuerySet[Participant]:
    """Where somebody else has said something that the viewer has not read."""
    start = Greatest("last_read_seq", "sees_after_seq")
    return team_seats(viewer).filter(_unread(viewer), conversation__last_public_seq__gt=start)


def _unread(viewer: Viewer) -> Exists:
    start = Greatest(OuterRef("last_read_seq"), OuterRef("sees_after_seq"))
    said = Replies.filter(conversation=OuterRef("conversation"), seq__gt=start)
    return Exists(said.exclude(author=viewer.person))


def loud_seats(viewer: Viewer) -> QuerySet[Participant]:
    """As `unread_seats`, of what is not muted: what the counter counts."""
    return unread_seats(viewer).filter(muted=False)


def team_rows(
    viewer: Viewer, *, open_id: int | None = None, rows: int = TEAM_ROWS
) -> list[TeamRow]:
    """The viewer's groups, direct messages and conversations beside tickets, the latest first. A
    direct message in which nobody has said anything shows only while it is open."""
    seats = team_seats(viewer).filter(
        Q(conversation__pair=None) | Q(conversation__last_seq__gt=0) | Q(conversation=open_id)
    )
    return _rows(viewer, seats, rows)


def team_row(viewer: Viewer, conversation: Conversation) -> TeamRow:
    """One of these. Raises NotFound for who has just lost their seat."""
    found = _rows(viewer, team_seats(viewer).filter(conversation=conversation), 1)
    if not found:
        raise NotFound
    return found[0]


def _rows(viewer: Viewer, seats: QuerySet[Participant], rows: int) -> list[TeamRow]:
    replies = Replies.filter(
        conversation=OuterRef("conversation"), seq__gt=OuterRef("sees_after_seq")
    ).order_by("-seq")
    named = unseen_mentions(viewer).filter(message__conversation=OuterRef("conversation"))
    found = list(
        seats.annotate(
            last=Subquery(replies.values("pk")[:1]),
            at=Coalesce(Subquery(replies.values("created_at")[:1]), F("conversation__created_at")),
            is_unread=_unread(viewer),
            is_named=Exists(named),
        )
        .select_related("conversation__side_of__ticket")
        .order_by("-at", "-pk")[:rows]
    )
    messages = _messages(vars(seat)["last"] for seat in found)
    others = _others(viewer, found)
    return [
        _row(viewer, seat, messages.get(vars(seat)["last"]), others[seat.conversation_id])
        for seat in found
    ]


def _messages(pks: Iterable[int | None]) -> dict[int, Message]:
    messages = Message.objects.select_related("author").defer("search", "quoted")
    return messages.prefetch_related("files__attachment").in_bulk(
        [pk for pk in pks if pk is not None]
    )


def _others(viewer: Viewer, seats: Iterable[Participant]) -> dict[int, list[Person]]:
    """Who else sits where, for what has no name of its own."""
    nameless = [seat.conversation_id for seat in seats if not seat.conversation.title]
    people: dict[int, list[Person]] = defaultdict(list)
    around = Participant.objects.filter(conversation__in=nameless, left_at=None)
    for seat in around.exclude(person=viewer.person).select_related("person").order_by("pk"):
        people[seat.conversation_id].append(seat.person)
    return people


def _row(
    viewer: Viewer, seat: Participant, message: Message | None, others: list[Person]
) -> TeamRow:
    conversation = seat.conversation
    ticket: Ticket | None = getattr(conversation.side_of, "ticket", None)
    return TeamRow(
        conversation=conversation,
        title=conversation.title or _names(others),
        other=others[0] if conversation.pair and others else None,
        number=ticket.number if ticket else None,
        message=message,
        line=line_of(message) if message else "",
        is_mine=bool(message and message.author_id == viewer.person.pk),
        is_unread=bool(vars(seat)["is_unread"]),
        is_named=bool(vars(seat)["is_named"]),
        is_muted=seat.muted,
    )


def _names(people: list[Person]) -> str:
    if not people:
        return _("Only you")
    names = [str(one) if len(people) == 1 else one.first_name for one in people[:NAMES_MAX]]
    more = f" +{len(people) - NAMES_MAX}" if len(people) > NAMES_MAX else ""
    return ", ".join(names) + more


def team_calls(viewer: Viewer) -> list[tuple[TeamRow, Message]]:
    """What asks for the viewer among colleagues, with the message that does: unread words of a
    direct message or beside a ticket; in a group, what names them. Nothing that is muted."""
    seats = loud_seats(viewer)
    named = unseen_mentions(viewer).filter(message__conversation=OuterRef("conversation"))
    said = Replies.filter(conversation=OuterRef("conversation")).exclude(author=viewer.person)
    to_few = Q(conversation__pair__isnull=False) | Q(conversation__side_of__isnull=False)
    asking = seats.annotate(
        mention=Subquery(named.order_by("-message").values("message")[:1]),
        heard=Subquery(said.order_by("-seq").values("pk")[:1]),
    ).filter(to_few | Q(mention__isnull=False))
    calls = {
        seat.conversation_id: vars(seat)["heard"] if _is_to_few(seat) else vars(seat)["mention"]
        for seat in asking.select_related("conversation")
    }
    if not calls:
        return []
    messages = _messages(calls.values())
    rows = _rows(viewer, team_seats(viewer).filter(conversation__in=list(calls)), len(calls))
    return [(row, messages[calls[row.conversation.pk]]) for row in rows]


def _is_to_few(seat: Participant) -> bool:
    return bool(seat.conversation.pair or seat.conversation.side_of_id)


def search_team(viewer: Viewer, text: str, ids: Sequence[int] | None = None) -> list[TeamRow]:
    """The viewer's conversations among colleagues with a reply that has all the words, of what
    they may read: the latest first, at most TEAM_HITS, each with the latest such reply.

    `ids` are all the viewer's, where the caller knows them already.
    """
    query = search_query(text)
    if query is None:
        return []
    if ids is None:
        ids = list(team_seats(viewer).values_list("conversation", flat=True))
    if not ids:
        return []
    mine = seats_of(viewer).filter(
        conversation=OuterRef("conversation"), sees_after_seq__lt=OuterRef("seq")
    )
    # By the ids of the few there are, so that no index over everybody's words is walked for them.
    found = Replies.filter(Exists(mine), conversation__in=ids, search=query).order_by("-pk")
    latest: dict[int, int] = {}
    for pk, conversation_id in found.values_list("pk", "conversation")[:TEAM_HITS_DEPTH_ROWS]:
        if len(latest) < TEAM_HITS:
            latest.setdefault(conversation_id, pk)
    if not latest:
        return []
    messages = _messages(latest.values())
    rows = _rows(viewer, team_seats(viewer).filter(conversation__in=list(latest)), TEAM_HITS)
    hits = [_with(row, messages[latest[row.conversation.pk]], viewer) for row in rows]
    return sorted(hits, key=lambda row: -(row.message.pk if row.message else 0))


def _with(row: TeamRow, message: Message, viewer: Viewer) -> TeamRow:
    is_mine = message.author_id == viewer.person.pk
    return replace(row, message=message, line=line_of(message), is_mine=is_mine)


def sides_of(viewer: Viewer, ticket: Ticket) -> list[Side]:
    """What colleagues talk about beside a ticket, as it stands; what they say only where the
    viewer has a seat."""
    said = Replies.filter(conversation=OuterRef("pk")).order_by("seq")
    mine = seats_of(viewer).filter(conversation=OuterRef("pk"))
    beside = side_conversations(viewer, ticket).annotate(
        asker=Subquery(said.values("author")[:1]),
        last=Subquery(said.order_by("-seq").values("pk")[:1]),
        was_answered=Exists(said.exclude(author=OuterRef("asker"))),
        has_seat=Exists(mine),
    )
    found: Any = list(beside.order_by("pk").prefetch_related("participants__person"))
    messages = _messages(vars(side)["last"] for side in found)
    quoted = {conversation for conversation, _seq in quoted_from(ticket.conversation.all_merged)}
    return [
        _side(side, messages.get(vars(side)["last"]), is_quoted=side.pk in quoted) for side in found
    ]


def _side(side: Conversation, last: Message | None, *, is_quoted: bool) -> Side:
    about = vars(side)
    seats = side.participants.all()
    asker = next((seat.person for seat in seats if seat.person_id == about["asker"]), None)
    return Side(
        conversation=side,
        asker=asker,
        people=[seat.person for seat in seats if seat.left_at is None and seat.person != asker],
        at=last.created_at if last else side.created_at,
        line=line_of(last) if last and about["has_seat"] else "",
        has_seat=about["has_seat"],
        is_answered=about["was_answered"],
        is_quoted=is_quoted,
    )


def quoted_from(conversations: Collection[int]) -> set[tuple[int, int]]:
    """What notes of a ticket quote: conversations among colleagues, and places in them."""
    notes = Message.objects.filter(conversation__in=conversations, kind=Message.Kind.NOTE)
    return {
        (source["conversation"], source["seq"])
        for sources in notes.exclude(sources=[]).values_list("sources", flat=True)
        for source in sources
        if "conversation" in source
    }
