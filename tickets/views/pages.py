"""The list and the ticket page: whole, or the one pane that a script asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from tickets.access import (
    Viewer,
    access_survivor,
    access_ticket,
    assignable_users,
    seeing_teams,
    viewer_for,
)
from tickets.forms import ComposerForm, TimelineForm
from tickets.models import EmailAddress, Participant, Ticket
from tickets.operations import MovedOn
from tickets.queries import merged_numbers, previous_tickets, with_marks
from tickets.views.entries import earlier_entries, latest_entries
from tickets.views.frame import DeskRequest, desk_page, frame, place_query
from tickets.views.marks import place_marks, read_marks


@require_safe
@desk_page
def ticket_list(request: DeskRequest) -> HttpResponse:
    """A view, an inbox or a search. `?after=` is the page below, `?rows=` all rows again."""
    viewer = viewer_for(request.user)
    context = frame(viewer, request)
    if not request.htmx:
        return render(request, "tickets/list.html", context)
    if request.htmx.target == "more":
        rows = render(request, "tickets/_rows.html", context)
        return push_url(rows, False)  # the page is the same list still
    return render(request, "tickets/_list_again.html", context)


@require_safe
@desk_page
def ticket_page(request: DeskRequest, number: int) -> HttpResponse:
    """One ticket beside its list; only its own pane where that is all a script asks for.

    One that was merged leads to the one that goes on; who may not see that reads this one.
    """
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    if onward := access_survivor(viewer, ticket):
        address, query = reverse("tickets:ticket", args=[onward.number]), request.GET.urlencode()
        return redirect(f"{address}?{query}" if query else address)
    return show_ticket(request, viewer, ticket, ComposerForm())


def show_ticket(
    request: DeskRequest,
    viewer: Viewer,
    ticket: Ticket,
    form: ComposerForm,
    *,
    kind: str = "reply",
    guard: MovedOn | None = None,
    status: int = 200,
) -> HttpResponse:
    """The ticket page with this composer in it, and with this guard above it."""
    context = about_ticket(viewer, ticket) | _pane(request, viewer, ticket)
    place_marks(context["timeline"], read_marks(viewer, context["seats"]))
    context |= {"form": form, "kind": kind, "guard": guard, "place_query": place_query(request)}
    if request.htmx and request.htmx.target == "ticket":
        context["viewer"] = viewer
        return render(request, "tickets/_ticket.html", context, status=status)
    context |= frame(viewer, request)
    return render(request, "tickets/ticket.html", context, status=status)


def _pane(request: DeskRequest, viewer: Viewer, ticket: Ticket) -> dict[str, Any]:
    """Timeline and composer. `?before=` shows older entries where no script can."""
    conversation = ticket.conversation
    query = TimelineForm(request.GET)
    if query.is_valid() and (before := query.cleaned_data["before"]):
        joint = query.cleaned_data["joint"]
        timeline = earlier_entries(viewer, conversation, before=before, joint=joint)
    else:
        timeline = latest_entries(viewer, conversation, unread=ticket.unread)
    return {
        "timeline": timeline,
        "body_max_chars": settings.MESSAGE_MAX_CHARS,
    }


def show_about(request: DeskRequest, viewer: Viewer, ticket: Ticket) -> HttpResponse:
    """Head and side column, each in a part of its own; the one head where it is a column."""
    if "column" in request.GET:
        return render(request, "tickets/_column_head.html", {"viewer": viewer, "ticket": ticket})
    context = about_ticket(viewer, ticket)
    context |= {"viewer": viewer, "place_query": place_query(request)}
    return render(request, "tickets/_about.html", context)


def about_ticket(viewer: Viewer, ticket: Ticket) -> dict[str, Any]:
    """Head and side column."""
    seats = list(_seats(ticket))
    return {
        "ticket": ticket,
        "seats": seats,
        "customers": [seat for seat in seats if seat.role == Participant.Role.CUSTOMER],
        "copied": [seat for seat in seats if seat.copied],
        "is_behind": is_behind(viewer, ticket, seats),
        "requester_seat": next(
            (seat for seat in seats if seat.person_id == ticket.requester_id), None
        ),
        "assignable": list(assignable_users(ticket.inbox)),
        "teams": vars(seats[0])["teams"] if seats else [],
        "hand_token": uuid4(),
        "previous": previous_tickets(viewer, ticket),
        "continued_in": vars(seats[0])["continued_in"] if seats else [],
        "merged": merged_numbers(ticket),
    }


def is_behind(viewer: Viewer, ticket: Ticket, seats: Iterable[Participant]) -> bool:
    """Has the viewer a seat in it whose mark does not stand at the end?"""
    mine = (seat for seat in seats if seat.person_id == viewer.person.pk)
    return any(seat.last_read_seq < ticket.conversation.last_seq for seat in mine)


def _seats(ticket: Ticket) -> QuerySet[Participant]:
    """Who takes part, and with each, to save queries, which tickets continue this one and which
    teams see it."""
    later = Ticket.objects.filter(continues=ticket.number).order_by("number")
    primary = EmailAddress.objects.filter(person=OuterRef("person"), is_primary=True)
    seats = Participant.objects.filter(conversation=ticket.conversation_id, left_at=None)
    teams = seeing_teams(ticket.inbox)
    return (
        with_marks(seats.select_related("person"))
        .annotate(
            address=Subquery(primary.values("address")[:1]),
            is_unverified=Exists(primary.filter(is_verified=False)),
            continued_in=ArraySubquery(later.values("number")),
            teams=ArraySubquery(teams.values(team=JSONObject(pk="pk", name="name"))),
        )
        .order_by("pk")
    )
