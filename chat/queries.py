"""What a widget reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, TypedDict

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext

from chat.access import Visit
from chat.models import VisitorSession
from chat.pages import PageVisit, pages_of
from helpdesk.lib.colours import palette
from helpdesk.lib.errors import NotFound
from helpdesk.lib.prepared import Prepared
from helpdesk.lib.redis_client import AWAY, asking_redis
from tickets.access import access_conversation, may_lead, visible_messages
from tickets.events import as_json, role_of
from tickets.models import (
    Asked,
    Conversation,
    EmailAddress,
    Inbox,
    Message,
    Participant,
    Person,
    Ticket,
)
from tickets.operations.files import read_files
from tickets.operations.hours import is_open, next_opening
from tickets.operations.seats import members
from tickets.operations.timeline import assistant_is_on

PAGE_MESSAGES = 200
RECENT = timedelta(days=7)
RECENT_CHATS_MIN = 5  # of fewer nobody can say how soon they are usually answered
RECENT_CHATS_MAX = 1_000
RECENT_KEPT_SECONDS = 300
FACES_MAX = 3
NAMES_MAX = 20


class Recent(TypedDict):
    """Who answers an inbox's chats, and how soon: the median of the last days."""

    seconds: int | None
    faces: list[dict[str, Any]]


class Older(TypedDict):
    messages: list[dict[str, Any]]
    older: bool


class Standing(TypedDict):
    """How far a visitor's conversation has come."""

    upto: int  # the last entry that customers can see
    you: int  # the visitor's person
    chat: int  # the conversation
    handler: str | None  # who answers next; None before the first message
    read: int  # the last entry that staff have seen
    ended: bool
    rating: int | None
    earlier: int  # how many chats came before this one
    title: str  # what a group is called
    people: str  # the names of those in a group; empty where there are two sides only
    merged: list[int]  # chats of this browser that were merged into this one


class Page(Standing):
    messages: list[dict[str, Any]]
    more: bool  # there are messages after these
    older: bool  # and before these, where the last ones were asked for


_standings = Prepared(
    lambda pk: Conversation.objects.filter(pk=pk).values_list(
        "last_public_seq",
        "ticket__handler",
        "ticket__read_seq",
        "ticket__status",
        "ticket__rating__score",
        "title",
        "is_group",
        "merged_from",
    ),
    -1,
)


def standing(visit: Visit) -> Standing:
    """Where the conversation stands now. Raises NotFound for one that is gone."""
    rows = _standings.tuples(visit.conversation_id)
    if not rows:
        raise NotFound
    ((upto, handler, read, status, rating, title, is_group, merged_from),) = rows
    return {
        "upto": upto,
        "you": visit.viewer.person.pk,
        "chat": visit.conversation_id,
        "handler": handler,
        "read": read or 0,
        "ended": status == Ticket.Status.SOLVED,
        "rating": rating,
        "earlier": len(visit.earlier),
        "title": title,
        "people": _names(visit) if is_group else "",
        "merged": [pk for pk in merged_from if pk in visit.earlier],
    }


def _names(visit: Visit) -> str:
    """Who is in the group besides the reader: names, and nothing else of them."""
    seats = Participant.objects.filter(conversation=visit.conversation_id, left_at=None)
    others = seats.exclude(person=visit.viewer.person).select_related("person").order_by("pk")
    return ", ".join(seat.person.name or gettext("Visitor") for seat in others[:NAMES_MAX])


class Member(TypedDict):
    id: int
    name: str
    role: str
    rank: str
    you: bool
    removable: bool  # by the reader
    address: str  # empty where the inbox does not show it


class Group(TypedDict):
    """Who is in the visitor's conversation, and what they may do there."""

    title: str
    people: list[Member]
    leads: bool  # may rename it, and remove people
    leaves: bool  # may go: everyone but who began it
    muted: bool


def group_of(visit: Visit) -> Group:
    """The people of a visitor's conversation, as they may know them. Raises NotFound."""
    conversation = access_conversation(visit.viewer, visit.conversation_id)
    ticket = Ticket.objects.select_related("inbox").filter(conversation=conversation).first()
    began = ticket.requester_id if ticket else 0
    you = visit.viewer.person.pk
    leads = may_lead(visit.viewer, conversation)
    taken = members(conversation)
    addresses = _addresses_in(taken) if ticket and ticket.inbox.shows_addresses else {}
    return {
        "title": conversation.title,
        "people": [
            {
                "id": seat.person_id,
                "name": seat.person.name or gettext("Visitor"),
                "role": role_of(seat.person),
                "rank": seat.rank,
                "you": seat.person_id == you,
                "removable": leads
                and seat.person_id not in (you, began)
                and seat.role != Participant.Role.ASSISTANT,
                "address": addresses.get(seat.person_id, ""),
            }
            for seat in taken
        ],
        "leads": leads,
        "leaves": you != began,
        "muted": any(seat.muted for seat in taken if seat.person_id == you),
    }


def _addresses_in(seats: list[Participant]) -> dict[int, str]:
    """Of customers: colleagues are reached through the inbox."""
    customers = [seat.person_id for seat in seats if seat.role == Participant.Role.CUSTOMER]
    found = EmailAddress.objects.filter(person__in=customers, is_primary=True)
    return dict(found.values_list("person", "address"))


def page_after(visit: Visit, after: int, *, last: int = 0) -> Page:
    """At most PAGE_MESSAGES entries after `after`, first entry first.

    `upto` moves the reader's cursor: over entries that customers may not see, and never over
    one that was not in this or an earlier page. `more` says that the next page is not empty.
    With `last` it is the last so many instead, and `older` says that there are some before them.
    Raises NotFound.
    """
    conversation = access_conversation(visit.viewer, visit.conversation_id)
    now_at = standing(visit)
    entries = visible_messages(visit.viewer, conversation)
    entries = entries.filter(seq__gt=after, seq__lte=now_at["upto"])
    if last:
        messages, older = _last(entries, last)
        return {**now_at, "messages": messages, "more": False, "older": older}
    found = list(entries[: PAGE_MESSAGES + 1])
    more = len(found) > PAGE_MESSAGES
    messages = _as_json(found[:PAGE_MESSAGES])
    if more:
        now_at["upto"] = messages[-1]["seq"]
    return {**now_at, "messages": messages, "more": more, "older": False}


def page_before(visit: Visit, before: int, *, last: int, conversation_id: int = 0) -> Older:
    """The last entries before `before`, first entry first, of this chat or an earlier one of the
    same visitor. Raises NotFound for one that is not theirs."""
    pk = conversation_id or visit.conversation_id
    if pk != visit.conversation_id and pk not in visit.earlier:
        raise NotFound
    conversation = access_conversation(visit.viewer, pk)
    entries = visible_messages(visit.viewer, conversation).filter(seq__lt=before)
    messages, older = _last(entries, last)
    return {"messages": messages, "older": older}


def earlier_chats(visit: Visit) -> list[dict[str, Any]]:
    """What the visitor said before in other chats, latest first."""
    rows = Ticket.objects.filter(
        conversation__in=[*visit.earlier], conversation__participants__person=visit.viewer.person
    ).order_by("-last_message_at")
    return [
        {
            "chat": ticket.conversation_id,
            "preview": ticket.last_preview,
            "at": ticket.last_message_at.isoformat(),
        }
        for ticket in rows
    ]


@dataclass(frozen=True, slots=True)
class VisitCard:
    """What staff are shown of a visitor beside their ticket: the browser seen last."""

    pages: list[PageVisit]  # latest first
    external_id: str  # proved by the shop; empty for everyone else
    claimed_email: str
    proved: list[tuple[str, Any]]
    said: list[tuple[str, Any]]
    origin: str

    @property
    def earlier_pages(self) -> list[PageVisit]:
        return self.pages[1:]


def visit_card(ticket: Ticket) -> VisitCard | None:
    """None for a chat that no browser has a session in. One that was merged into it may not have
    come here yet."""
    session = (
        VisitorSession.objects.filter(conversation__in=ticket.conversation.all_merged)
        .select_related("identity")
        .order_by("-last_seen_at")
        .first()
    )
    if session is None:
        return None
    identity = session.identity
    return VisitCard(
        pages_of(session.pk) if ticket.inbox.sees_pages else [],
        identity.external_id if identity else "",
        session.claimed_email,
        sorted(identity.attributes.items()) if identity else [],
        sorted(session.attributes.items()),
        session.origin,
    )


def _last(entries: QuerySet[Message], count: int) -> tuple[list[dict[str, Any]], bool]:
    found = list(entries.order_by("-seq")[: count + 1])
    return _as_json(found[:count][::-1]), len(found) > count


def _as_json(messages: list[Message]) -> list[dict[str, Any]]:
    read_files(messages)
    return [as_json(message) for message in messages]


def acknowledged(message: Message) -> dict[str, Any]:
    """A message as its sender gets it: with the chat it stands in, which may not be the one they
    are in by now."""
    return {**as_json(message), "chat": message.conversation_id}


def widget_config(inbox: Inbox) -> dict[str, Any]:
    """What a widget shows before anything was said."""
    moment = now()
    away = not is_open(inbox, moment)
    opens_at = next_opening(inbox, moment) if away else None
    recent = recent_answers(inbox)
    return {
        "name": inbox.from_name or inbox.name,
        "greeting": _greeting(inbox),
        "assistant": assistant_is_on(inbox.pk),
        "message_max_chars": settings.VISITOR_MESSAGE_MAX_CHARS,
        "files_max": inbox.files_max,
        "looks": {
            "theme": inbox.widget_theme,
            "position": inbox.widget_position,
            "colors": palette(inbox.accent),
        },
        "faces": recent["faces"] if inbox.shows_faces else [],
        "answers_within_seconds": recent["seconds"],
        "opens_at": opens_at and opens_at.isoformat(),
        "form": form_of(inbox),
        "starters": inbox.starters,
        "pages": inbox.sees_pages,
        # Staff see what is typed before it is sent: then the widget says so, and sends it.
        "preview": inbox.previews_typing,
    }


def _greeting(inbox: Inbox) -> str:
    """The inbox's own, or ours in the reader's language."""
    ours = Inbox._meta.get_field("greeting").get_default()
    return gettext("Hello, what can we do for you?") if inbox.greeting == ours else inbox.greeting


def form_of(inbox: Inbox) -> list[dict[str, Any]]:
    """What is asked before a chat, in this order."""
    asked: list[dict[str, Any]] = [
        {"name": "name", "asked": inbox.asks_name},
        {"name": "email", "asked": inbox.asks_email},
        {
            "name": "answer",
            "asked": inbox.asks_question if inbox.question else Asked.NEVER,
            "label": inbox.question,
            "choices": inbox.question_choices,
        },
    ]
    return [
        {**field, "required": field["asked"] == Asked.REQUIRED}
        for field in asked
        if field["asked"] != Asked.NEVER
    ]


def recent_answers(inbox: Inbox) -> Recent:
    """Who answered chats of an inbox in the last RECENT, and how soon, from one index. Counted
    anew every RECENT_KEPT_SECONDS; no time where there were too few to say."""
    key = f"widget:recent:{inbox.pk}"
    try:
        with asking_redis():
            kept: Recent | None = cache.get(key)
            if kept is None:
                kept = _recent_answers(inbox)
                cache.set(key, kept, RECENT_KEPT_SECONDS)
            return kept
    except AWAY:
        return _recent_answers(inbox)


def _recent_answers(inbox: Inbox) -> Recent:
    answered = Ticket.objects.filter(
        inbox=inbox,
        first_reply_at__gt=now() - RECENT,
        conversation__channel=Conversation.Channel.CHAT,
    ).order_by("-first_reply_at")
    rows = list(
        answered.values_list("opened_at", "first_reply_at", "conversation")[:RECENT_CHATS_MAX]
    )
    waits = sorted((to - since).total_seconds() for since, to, _pk in rows if to)
    people = (
        Person.objects.filter(
            user__is_active=True, messages__conversation__in=[pk for *_times, pk in rows[:100]]
        )
        .annotate(said=Count("messages"))
        .order_by("-said")[:FACES_MAX]
    )
    return {
        "seconds": round(median(waits)) if len(waits) >= RECENT_CHATS_MIN else None,
        "faces": [{"id": one.pk, "name": one.first_name, "role": "staff"} for one in people],
    }


def previews_typing(inbox_id: int) -> bool:
    """Do staff see in this inbox what visitors type?"""
    return Inbox.objects.filter(pk=inbox_id, previews_typing=True).exists()
