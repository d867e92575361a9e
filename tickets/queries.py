"""Reads for pages that are more than a filter."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.contrib.postgres.search import SearchQuery
from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce, Greatest
from django.db.models.lookups import Exact
from django.utils.timezone import now

from helpdesk.lib.text import fold, words_of
from tickets.access import Viewer, seats_of, visible_inboxes, visible_tickets
from tickets.models import (
    Conversation,
    Inbox,
    Mention,
    Message,
    MessageFile,
    OutgoingEmail,
    Participant,
    Ticket,
    TicketCount,
)

View = Literal[
    "live", "yours", "unassigned", "open", "mentions", "waiting", "undelivered", "solved"
]
VIEWS: tuple[View, ...] = (
    *("live", "yours", "unassigned", "open"),
    *("mentions", "waiting", "undelivered", "solved"),
)

PAGE_ROWS = 50
CHATS_AT_HAND = 12
CALLS = 20
CHAT_GOES_ON = timedelta(days=1)  # after its last words, although it was answered
SEARCH_ROWS = 50
# Messages looked at for one search: enough for a full page when most of them are of one ticket.
SEARCH_DEPTH_ROWS = 400

# A logo, a face, the sign of a network. What people paste to show something is larger.
SIGNATURE_MAX_BYTES = 20_000
SIGNATURE_MAX_PX = 200  # on either side

LIVE_MARK = "live_"  # in an address
Status = Ticket.Status


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of the list ended: the moment its view sorts by, and the ticket's number; and
    whether that was among those who wait live, where they come first."""

    moment: datetime
    number: int
    live: bool = False

    def __str__(self) -> str:
        return f"{LIVE_MARK if self.live else ''}{self.moment.isoformat()}_{self.number}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """The cursor written as `text`; None if it is none of ours."""
        moment, _, number = text.removeprefix(LIVE_MARK).rpartition("_")
        try:
            at = datetime.fromisoformat(moment)
            return cls(at, int(number), text.startswith(LIVE_MARK)) if at.tzinfo else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Page:
    tickets: list[Ticket]
    next: Cursor | None  # None: this was the last page


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers beside the views and the inboxes. Inboxes count what is open."""

    yours: int
    unassigned: int
    open: int
    waiting: int
    by_inbox: dict[int, int]


def list_tickets(
    viewer: Viewer,
    view: View,
    *,
    inbox: Inbox | None = None,
    after: Cursor | None = None,
    rows: int = PAGE_ROWS,
) -> Page:
    """One page of a view: of open ones those who wait live, then the longest waiting; of others the
    latest first.

    A page is one walk along the index of its view, whatever the number of tickets and
    however deep the page.
    """
    tickets = visible_tickets(viewer).select_related(
        "requester", "inbox", "assignee__person", "conversation"
    )
    if inbox is not None:
        tickets = tickets.filter(inbox=inbox)
    match view:
        case "waiting":
            tickets, field, latest_first = tickets.filter(status="waiting"), "last_message_at", True
        case "solved":
            # What was merged is solved too, and stands in the list by the one that goes on.
            tickets = tickets.filter(status="solved", conversation__merged_into=None)
            field, latest_first = "solved_at", True
        case "mentions":
            tickets, field, latest_first = _naming(tickets, viewer), "last_message_at", True
        case "undelivered":
            tickets, field, latest_first = with_undelivered(tickets), "last_message_at", True
        case "live":
            tickets = tickets.filter(status="open", live=True)
            return _page(tickets, "waiting_since", latest_first=False, after=after, rows=rows)
        case _:
            tickets = tickets.filter(status="open")
            return _live_first(_of_view(tickets, viewer, view), after=after, rows=rows)
    return _page(tickets, field, latest_first=latest_first, after=after, rows=rows)


def _of_view(tickets: QuerySet[Ticket], viewer: Viewer, view: View) -> QuerySet[Ticket]:
    if view == "yours":
        return tickets.filter(assignee=viewer.user)
    if view == "unassigned":
        return tickets.filter(assignee=None)
    return tickets


def _live_first(tickets: QuerySet[Ticket], *, after: Cursor | None, rows: int) -> Page:
    """Open tickets, those who wait live before the others."""
    if after is not None:
        beyond = Q(waiting_since__gt=after.moment) | Q(
            waiting_since=after.moment, number__gt=after.number
        )
        if after.live:
            # They are few: to walk over those of the pages before costs next to nothing.
            tickets = tickets.filter(Q(live=False) | beyond)
        else:
            # The second condition bounds the index walk, the third settles equal moments.
            tickets = tickets.filter(live=False, waiting_since__gte=after.moment).filter(beyond)
    found = list(tickets.order_by("-live", "waiting_since", "number")[: rows + 1])
    return _cut(found, rows, "waiting_since")


def chats_at_hand(viewer: Viewer) -> list[Ticket]:
    """Chats that ask for this person: theirs that go on, those that wait first; then those that
    wait for anybody. At most CHATS_AT_HAND of each."""
    chats = _with_people(visible_tickets(viewer)).filter(conversation__channel="chat")
    mine = chats.filter(assignee=viewer.user)
    waiting = mine.filter(status="open").order_by("-live", "waiting_since", "number")
    # The index of waiting tickets is by their last words: so they are looked through by day.
    today = now() - CHAT_GOES_ON
    answered = mine.filter(status="waiting", last_message_at__gt=today).order_by(
        "-last_message_at", "-number"
    )
    free = chats.filter(status="open", live=True, assignee=None).order_by("waiting_since", "number")
    theirs = [*waiting[:CHATS_AT_HAND], *answered[:CHATS_AT_HAND]][:CHATS_AT_HAND]
    return [*theirs, *free[:CHATS_AT_HAND]]


def calls_for(viewer: Viewer) -> list[Ticket]:
    """What asks for this person: their tickets in which a customer wrote and nobody has read it,
    and chats that wait for anybody. At most CALLS of each, the latest first. Nothing that they have
    muted."""
    muted = seats_of(viewer).filter(conversation=OuterRef("conversation"), muted=True)
    unread = visible_tickets(viewer).filter(~Exists(muted), status="open", unread=True)
    unread = unread.select_related("requester")
    mine = unread.filter(assignee=viewer.user).order_by("-last_message_at")
    free = unread.filter(live=True, assignee=None).order_by("-last_message_at")
    return [*mine[:CALLS], *free[:CALLS]]


def chats_by_number(viewer: Viewer, numbers: Sequence[int]) -> list[Ticket]:
    """Those of these chats that the viewer may see, in this order."""
    chats = _with_people(visible_tickets(viewer)).filter(conversation__channel="chat")
    found = chats.in_bulk(list(numbers))
    return [found[number] for number in numbers if number in found]


def _naming(tickets: QuerySet[Ticket], viewer: Viewer) -> QuerySet[Ticket]:
    """Those in which the viewer was named and has not read it."""
    return tickets.filter(
        conversation__in=unseen_mentions(viewer).values(goes_on=_goes_on("message"))
    )


def _goes_on(message: str) -> Coalesce:
    """The conversation that goes on with that of a message, itself where it was not merged."""
    return Coalesce(f"{message}__conversation__merged_into", f"{message}__conversation")


def unseen_mentions(viewer: Viewer) -> QuerySet[Mention]:
    """Where somebody named the viewer, and they have not read it yet."""
    return Mention.objects.filter(person=viewer.person, seen_at=None)


def with_undelivered(tickets: QuerySet[Ticket]) -> QuerySet[Ticket]:
    """Those in which a mail failed for good and nobody has set the matter aside as solved."""
    failed = OutgoingEmail.objects.filter(state=OutgoingEmail.State.FAILED)
    return tickets.exclude(status=Status.SOLVED).filter(
        conversation__in=failed.values(goes_on=_goes_on("message"))
    )


def undelivered_mails(viewer: Viewer) -> QuerySet[OutgoingEmail]:
    """The failed mails of those tickets, of all that the viewer can see."""
    tickets = visible_tickets(viewer).exclude(status=Status.SOLVED)
    failed = OutgoingEmail.objects.filter(state=OutgoingEmail.State.FAILED)
    return failed.alias(goes_on=_goes_on("message")).filter(
        goes_on__in=tickets.values("conversation")
    )


def _page(
    tickets: QuerySet[Ticket], field: str, *, latest_first: bool, after: Cursor | None, rows: int
) -> Page:
    sign, side = ("-", "lt") if latest_first else ("", "gt")
    if after is not None:
        # The first condition bounds the index walk, the second settles equal moments.
        tickets = tickets.filter(**{f"{field}__{side}e": after.moment}).filter(
            Q(**{f"{field}__{side}": after.moment}) | Q(**{f"number__{side}": after.number})
        )
    found = list(tickets.order_by(f"{sign}{field}", f"{sign}number")[: rows + 1])
    return _cut(found, rows, field)


def _cut(found: list[Ticket], rows: int, field: str) -> Page:
    if len(found) <= rows:
        return Page(found, None)
    last = found[rows - 1]
    return Page(found[:rows], Cursor(getattr(last, field), last.number, last.live))


def count_tickets(viewer: Viewer, inbox_ids: Sequence[int] | None = None) -> Counts:
    """What stands where, from the counter rows: never a count over the tickets.

    `inbox_ids` saves a query where the viewer's inboxes are known already.
    """
    if inbox_ids is None:
        inbox_ids = list(visible_inboxes(viewer).values_list("pk", flat=True))
    rows = (
        TicketCount.objects.filter(inbox__in=inbox_ids, status__in=[Status.OPEN, Status.WAITING])
        .values_list("inbox", "status", "assignee")
        .annotate(total=Sum("amount"))
    )
    yours = unassigned = waiting = 0
    by_inbox: dict[int, int] = defaultdict(int)
    for inbox_id, status, assignee_id, total in rows:
        if status == Status.WAITING:
            waiting += total
            continue
        by_inbox[inbox_id] += total
        if assignee_id is None:
            unassigned += total
        elif viewer.user is not None and assignee_id == viewer.user.pk:
            yours += total
    return Counts(yours, unassigned, sum(by_inbox.values()), waiting, dict(by_inbox))


@dataclass(frozen=True, slots=True)
class Hit:
    ticket: Ticket
    message: Message | None  # the latest message that has the words; None: found by number


def search_tickets(viewer: Viewer, text: str, inbox_ids: Sequence[int] | None = None) -> list[Hit]:
    """Tickets with a message that has all the words, latest first, at most SEARCH_ROWS.

    Words match by their beginning, without case or accents; the subject counts as part of
    the first message, the author's name of each of theirs. `#12` and `12` also find ticket 12.
    `inbox_ids` are those the viewer can see, where the caller knows them already. What is found in
    a ticket that was merged leads to the one that goes on with it.
    """
    written = re.fullmatch(r"\s*#?(\d{1,18})\s*", text)
    number = int(written[1]) if written else 0
    latest = _latest_matches(viewer, text, inbox_ids)
    numbers = [_survivor(number), number] if number else []
    places = {pk for pk, message in latest.items() for pk in (pk, message.conversation_id)}
    wanted = visible_tickets(viewer).filter(Q(conversation__in=places) | Q(number__in=numbers))
    found = {ticket.conversation_id: ticket for ticket in _with_people(wanted)}
    by_number = {ticket.number: ticket for ticket in found.values()}
    asked = next((by_number[one] for one in numbers if one in by_number), None)
    hits = [Hit(asked, None)] if asked else []
    for pk, message in latest.items():
        # Who does not see the one that goes on still finds what they can see.
        ticket = found.get(pk) or found[message.conversation_id]
        if ticket != asked:
            hits.append(Hit(ticket, message))
    return hits[:SEARCH_ROWS]


def _survivor(number: int) -> int:
    """The ticket that goes on with this one; itself, where it was not merged."""
    merged = Conversation.objects.filter(ticket=number).values("merged_into")
    onward = Ticket.objects.filter(conversation__in=merged).values_list("number", flat=True)
    return onward.first() or number


def _latest_matches(
    viewer: Viewer, text: str, inbox_ids: Sequence[int] | None
) -> dict[int, Message]:
    """The latest message with these words in each of SEARCH_ROWS visible conversations."""
    query = search_query(text)
    if query is None or not viewer.is_staff:
        return {}
    if inbox_ids is None:
        inbox_ids = list(visible_inboxes(viewer).values_list("pk", flat=True))
    seats = seats_of(viewer).filter(
        conversation=OuterRef("conversation"),
        conversation__ticket__isnull=False,
        sees_after_seq__lt=OuterRef("seq"),
    )
    # Inboxes by their ids, not by a subquery: PostgreSQL would join with every ticket there is.
    matches = Message.objects.filter(
        Q(conversation__ticket__inbox__in=inbox_ids)
        | Q(conversation__merged_into__ticket__inbox__in=inbox_ids)
        | Exists(seats),
        search=query,
    ).annotate(goes_on=Coalesce("conversation__merged_into", "conversation"))
    latest: dict[int, Message] = {}
    rows = matches.select_related("author").defer("search", "quoted").order_by("-pk")
    for message in rows[:SEARCH_DEPTH_ROWS]:
        if len(latest) < SEARCH_ROWS:
            latest.setdefault(vars(message)["goes_on"], message)
    return latest


def _with_people(tickets: QuerySet[Ticket]) -> QuerySet[Ticket]:
    return tickets.select_related("requester", "inbox", "assignee__person", "conversation")


def search_query(text: str) -> SearchQuery | None:
    """All words of a text, each by its beginning; None if it has none."""
    words = words_of(fold(text[:500])).split()[:12]
    if not words:
        return None
    return SearchQuery(" & ".join(f"{w}:*" for w in words), config="simple", search_type="raw")


def previous_tickets(viewer: Viewer, ticket: Ticket, *, limit: int = 5) -> QuerySet[Ticket]:
    """Other tickets of the same customer, latest first. What was merged is no other."""
    mine = visible_tickets(viewer).filter(
        requester=ticket.requester_id, conversation__merged_into=None
    )
    return mine.exclude(number=ticket.number).order_by("-number")[:limit]


def with_marks(seats: QuerySet[Participant]) -> QuerySet[Participant]:
    """Seats with two places each: `read_at` of the last words of others that they have read, and
    `got_at` of those that their browser has. None where there are none."""
    is_staff = Exact(OuterRef("role"), Value(Participant.Role.STAFF))
    said = Message.objects.filter(conversation=OuterRef("conversation")).filter(
        Q(kind=Message.Kind.REPLY) | Q(is_staff, kind=Message.Kind.NOTE)
    )
    by_others = said.exclude(author=OuterRef("person")).order_by("-seq").values("seq")
    has_seq = Greatest(OuterRef("got_seq"), OuterRef("last_read_seq"), output_field=IntegerField())
    return seats.annotate(
        read_at=Subquery(by_others.filter(seq__lte=OuterRef("last_read_seq"))[:1]),
        got_at=Subquery(by_others.filter(seq__lte=has_seq)[:1]),
    )


def merged_numbers(ticket: Ticket) -> list[int]:
    """The tickets that were merged into this one."""
    merged = ticket.conversation.merged_from
    if not merged:
        return []
    numbers = Ticket.objects.filter(conversation__in=merged).order_by("number")
    return list(numbers.values_list("number", flat=True))


def tickets_to_merge(viewer: Viewer, ticket: Ticket, *, limit: int = 10) -> list[Ticket]:
    """Other tickets of the same customer in inboxes the viewer sees, unsolved ones first, then the
    latest."""
    theirs = Ticket.objects.filter(
        inbox__in=visible_inboxes(viewer),
        requester=ticket.requester_id,
        conversation__merged_into=None,
    ).exclude(number=ticket.number)
    is_solved = ExpressionWrapper(Q(status=Status.SOLVED), BooleanField())
    rows = _with_people(theirs).order_by(is_solved, "-number")
    return list(rows[:limit])


def looks_like_signature() -> Q:
    """A condition on MessageFile: a picture inside the text that belongs to the writer's signature.

    It is small, or the same picture came with an earlier message of the conversation. As an
    annotation it needs no query of its own.
    """
    before = MessageFile.objects.filter(
        message__conversation=OuterRef("message__conversation"),
        message__seq__lt=OuterRef("message__seq"),
        attachment__blob=OuterRef("attachment__blob"),
    )
    # What a picture measures says more than its bytes: a screenshot of text has few. A preview is
    # never larger than its picture, and 0 where there is none.
    is_small = Q(
        attachment__blob__preview_width=0,
        attachment__blob__size_bytes__lte=SIGNATURE_MAX_BYTES,
    ) | Q(
        attachment__blob__preview_width__range=(1, SIGNATURE_MAX_PX),
        attachment__blob__preview_height__lte=SIGNATURE_MAX_PX,
    )
    return Q(inline=True, attachment__blob__type__startswith="image/") & (
        is_small | Q(Exists(before))
    )
