"""Several chats side by side, each with a composer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tickets.access import Viewer, viewer_for
from tickets.forms import ComposerForm
from tickets.models import Participant, Ticket
from tickets.queries import chats_at_hand, chats_by_number, with_marks
from tickets.views.entries import Timeline, latest_entries
from tickets.views.frame import DeskRequest, desk_page, nav
from tickets.views.marks import place_marks, read_marks
from tickets.views.pages import is_behind

COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Column:
    """A conversation that stands on the page."""

    ticket: Ticket
    timeline: Timeline
    customers: list[Participant]
    is_behind: bool  # there is something in it that the viewer, who has a seat, has not read
    form: ComposerForm
    without: str  # the address of the page with the others


@dataclass(frozen=True, slots=True)
class Tab:
    """A chat that is at hand: on the page, or a click away."""

    ticket: Ticket
    is_open: bool
    address: str


@require_safe
@desk_page
def chats(request: DeskRequest) -> HttpResponse:
    """The chats of `?open=12,15`, at most COLUMNS; without it the latest that are the viewer's. A
    script that asks gets navigation and tabs again."""
    viewer = viewer_for(request.user)
    at_hand = chats_at_hand(viewer)
    if "open" in request.GET:
        shown = chats_by_number(viewer, _numbers(request.GET["open"]))
    else:
        shown = [ticket for ticket in at_hand if ticket.assignee_id == request.user.pk][:COLUMNS]
    numbers = [ticket.number for ticket in shown]
    others = [ticket for ticket in at_hand if ticket.number not in numbers]
    context = nav(viewer) | {
        "page": "chats",
        "open": _written(numbers),
        "tabs": [_tab(ticket, numbers) for ticket in [*shown, *others]],
    }
    if request.htmx:
        return render(request, "tickets/_chats_again.html", context)
    context |= {
        "columns": _columns(viewer, shown),
        "kind": "reply",
        "body_max_chars": settings.MESSAGE_MAX_CHARS,
    }
    return render(request, "tickets/chats.html", context)


def _numbers(text: str) -> list[int]:
    """What is no number is nobody's chat."""
    written = [word for word in text.split(",") if word.isascii() and word.isdigit()]
    return list(dict.fromkeys(int(word) for word in written if len(word) < 19))[:COLUMNS]


def _written(numbers: list[int]) -> str:
    return ",".join(str(number) for number in numbers)


def _tab(ticket: Ticket, numbers: list[int]) -> Tab:
    """One more column on the right; where there is no room, the first makes way."""
    is_open = ticket.number in numbers
    wanted = numbers if is_open else [*numbers, ticket.number][-COLUMNS:]
    return Tab(ticket, is_open, f"?open={_written(wanted)}#chat-{ticket.number}")


def _columns(viewer: Viewer, shown: list[Ticket]) -> list[Column]:
    seats: dict[int, list[Participant]] = {ticket.conversation_id: [] for ticket in shown}
    found: Any = Participant.objects.filter(conversation__in=list(seats), left_at=None)
    for seat in with_marks(found.select_related("person")).order_by("pk"):
        seats[seat.conversation_id].append(seat)
    numbers = [ticket.number for ticket in shown]
    return [
        _column(
            viewer,
            ticket,
            seats[ticket.conversation_id],
            without=f"?open={_written([one for one in numbers if one != ticket.number])}",
        )
        for ticket in shown
    ]


def _column(viewer: Viewer, ticket: Ticket, seats: list[Participant], *, without: str) -> Column:
    timeline = latest_entries(viewer, ticket.conversation, unread=ticket.unread)
    place_marks(timeline, read_marks(viewer, seats))
    return Column(
        ticket=ticket,
        timeline=timeline,
        customers=[seat for seat in seats if seat.role == Participant.Role.CUSTOMER],
        is_behind=is_behind(viewer, ticket, seats),
        form=ComposerForm(),
        without=without,
    )
