"""What every page of the desk needs: who looks, where they are, and the panes around."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django_htmx.middleware import HtmxDetails

from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, visible_alarms, visible_inboxes
from tickets.models import Desk, Inbox, Ticket, User
from tickets.queries import (
    PAGE_ROWS,
    VIEWS,
    Cursor,
    Hit,
    View,
    count_tickets,
    list_tickets,
    search_tickets,
    unseen_mentions,
    with_undelivered,
)
from tickets.team_queries import loud_seats, search_team, team_seats

P = ParamSpec("P")

ALARMS_SHOWN = 3
# A list that someone has paged through is refreshed as a whole up to this length.
REFRESH_MAX_ROWS = 500


class DeskRequest(HttpRequest):
    """A request by someone on staff, as the middleware leaves it."""

    user: User
    htmx: HtmxDetails


def desk_page(
    view: Callable[Concatenate[DeskRequest, P], HttpResponse],
) -> Callable[Concatenate[DeskRequest, P], HttpResponse]:
    """For staff only, with times as their browser's clock shows them.

    Strangers are sent to the login page; a script gets 401 instead, because a login page is
    no answer to it.
    """

    @wraps(view)
    def page(request: DeskRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            if request.htmx:
                return HttpResponse(status=401)
            return redirect_to_login(request.get_full_path() if request.method == "GET" else "")
        with timezone.override(_zone(request.COOKIES.get("timezone", ""))):
            response = view(request, *args, **kwargs)
        # The same address answers with a page or a piece of it, and what is on it is private.
        add_never_cache_headers(response)
        return response

    return page


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Place:
    """Which list stands beside a conversation: a view, an inbox, or what a search found."""

    view: View
    inbox: Inbox | None = None
    words: str | None = None

    @property
    def query(self) -> str:
        """The place as the part of an address after `?`."""
        if self.words is not None:
            return urlencode({"q": self.words})
        if self.inbox is not None:
            return urlencode({"inbox": self.inbox.pk})
        return urlencode({"view": self.view})

    @property
    def title(self) -> str:
        if self.words is not None:
            return _("Search")
        return self.inbox.name if self.inbox else view_titles()[self.view]

    @property
    def is_open_list(self) -> bool:
        """Its rows wait for us, so they say since when."""
        return self.words is None and self.view in ("live", "yours", "unassigned", "open")


def view_titles() -> dict[View, str]:
    return {
        "live": _("Live chats"),
        "yours": _("Yours"),
        "unassigned": _("Unassigned"),
        "open": _("All open"),
        "mentions": _("Mentions"),
        "waiting": _("Waiting"),
        "undelivered": _("Not delivered"),
        "solved": _("Solved"),
    }


VIEW_ICONS: dict[View, str] = {
    "live": "message-circle",
    "yours": "user-check",
    "unassigned": "user",
    "open": "layers",
    "mentions": "at-sign",
    "waiting": "hourglass",
    "undelivered": "circle-alert",
    "solved": "circle-check",
}


def place_of(request: HttpRequest, inboxes: list[Inbox]) -> Place:
    """Where the address says the reader is. Raises NotFound for a view or inbox that is not."""
    if "q" in request.GET:
        return Place("open", words=request.GET["q"].strip())
    if "inbox" in request.GET:
        for inbox in inboxes:
            if str(inbox.pk) == request.GET["inbox"]:
                return Place("open", inbox=inbox)
        raise NotFound
    for view in VIEWS:
        if view == request.GET.get("view", "open"):
            return Place(view)
    raise NotFound


def place_query(request: HttpRequest) -> str:
    """The place in the address, as it was given, to be carried on to the next page."""
    kept = {name: request.GET[name] for name in ("view", "inbox", "q") if name in request.GET}
    return urlencode(kept)


def cursor_of(request: HttpRequest) -> Cursor | None:
    """Where the page before this one ended. Raises NotFound for a cursor that is none."""
    text = request.GET.get("after")
    if text is None:
        return None
    cursor = Cursor.parse(text)
    if cursor is None:
        raise NotFound
    return cursor


def shown_rows(request: HttpRequest) -> int:
    """How many rows the browser shows already, when it asks for all of them again."""
    text = request.GET.get("rows", "")
    rows = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return min(max(rows, PAGE_ROWS), REFRESH_MAX_ROWS)


def frame(viewer: Viewer, request: HttpRequest) -> dict[str, Any]:
    """What navigation and list need: the desk, its inboxes, the counters, a page of rows."""
    around = nav(viewer)
    inboxes = [each["inbox"] for each in around["inboxes"]]
    place = place_of(request, inboxes)
    if place.inbox is not None:
        count = around["inbox_counts"].get(place.inbox.pk, 0)
    else:
        count = around["counts"].get(place.view) if place.words is None else None
    return around | {"place": place, "place_count": count} | rows(viewer, place, request, around)


def nav(viewer: Viewer) -> dict[str, Any]:
    """What the navigation needs."""
    desk, inboxes, alarms = _around(viewer)
    counts = count_tickets(viewer, [inbox.pk for inbox in inboxes])
    numbers = {
        "live": sum(vars(inbox)["live"] for inbox in inboxes),
        "yours": counts.yours,
        "unassigned": counts.unassigned,
        "open": counts.open,
        "mentions": vars(inboxes[0])["mentions"] if inboxes else 0,
        "team": vars(inboxes[0])["team"] if inboxes else loud_seats(viewer).count(),
        "waiting": counts.waiting,
        "undelivered": sum(vars(inbox)["undelivered"] for inbox in inboxes),
    }
    titles = view_titles()
    return {
        "viewer": viewer,
        "desk": desk,
        "views": [
            {"name": view, "title": titles[view], "icon": VIEW_ICONS[view]}
            | {"count": numbers.get(view)}
            for view in VIEWS
            if view not in ("mentions", "undelivered") or numbers[view]
        ],
        "inboxes": [
            {"inbox": inbox, "count": counts.by_inbox.get(inbox.pk, 0)} for inbox in inboxes
        ],
        "alarms": alarms,
        "counts": numbers,
        "team_ids": vars(inboxes[0])["team_ids"] if inboxes else None,
        "inbox_counts": counts.by_inbox,
    }


@dataclass(frozen=True, slots=True)
class Alarm:
    """A line across the top of the desk: mail that does not come in."""

    pk: int
    kind: str
    mailbox: str
    mailbox_id: int
    text: str
    since: datetime


def _around(viewer: Viewer) -> tuple[Desk, list[Inbox], list[Alarm]]:
    """All in one query, and how many tickets of each inbox have a mail that did not arrive, or
    somebody who waits live: they are on every page."""
    desk = Desk.objects.values(row=JSONObject(name="name", assistant_on="assistant_on"))
    alarm = JSONObject(
        pk="pk",
        kind="kind",
        mailbox="mailbox__name",
        mailbox_id="mailbox_id",
        text="text",
        since=Coalesce("mailbox__last_ok_at", "raised_at"),
    )
    alarms = visible_alarms(viewer).order_by("raised_at").values_list(alarm)[:ALARMS_SHOWN]
    here = Ticket.objects.filter(inbox=OuterRef("pk")).order_by()
    around = {
        "desk": Subquery(desk[:1]),
        "alarms": ArraySubquery(alarms),
        "undelivered": _count(with_undelivered(here)),
        "mentions": _mentions(viewer),
        "team": _unread_team(viewer),
        "team_ids": ArraySubquery(team_seats(viewer).values("conversation")),
        "live": _count(here.filter(status=Ticket.Status.OPEN, live=True)),
    }
    inboxes: list[Inbox] = [*visible_inboxes(viewer).annotate(**around)]
    if not inboxes:
        return Desk.objects.first() or Desk(), inboxes, []
    found = vars(inboxes[0])
    shown = [
        Alarm(**one | {"since": datetime.fromisoformat(one["since"])}) for one in found["alarms"]
    ]
    return Desk(**(found["desk"] or {})), inboxes, shown


def _mentions(viewer: Viewer) -> Coalesce:
    """How many tickets name the viewer in what they have not read."""
    named = unseen_mentions(viewer).filter(message__conversation__ticket__isnull=False)
    counted = (
        named.order_by()
        .values("person")
        .annotate(count=Count("message__conversation", distinct=True))
    )
    return Coalesce(Subquery(counted.values("count")), 0)


def _unread_team(viewer: Viewer) -> Coalesce:
    """In how many conversations colleagues have said something that the viewer has not read."""
    unread = loud_seats(viewer).order_by().values("person").annotate(count=Count("*"))
    return Coalesce(Subquery(unread.values("count")), 0)


def _count(tickets: QuerySet[Ticket]) -> Coalesce:
    counted = tickets.values("inbox").annotate(count=Count("*")).values("count")
    return Coalesce(Subquery(counted), 0)


def rows(
    viewer: Viewer, place: Place, request: HttpRequest, around: dict[str, Any]
) -> dict[str, Any]:
    """The rows of a place, and the address of those below them."""
    if place.words is not None:
        inbox_ids = [each["inbox"].pk for each in around["inboxes"]]
        return {
            "hits": search_tickets(viewer, place.words, inbox_ids),
            "team_hits": search_team(viewer, place.words, around["team_ids"]),
        }
    after = cursor_of(request)
    page = list_tickets(
        viewer, place.view, inbox=place.inbox, after=after, rows=shown_rows(request)
    )
    more = f"{place.query}&{urlencode({'after': str(page.next)})}" if page.next else ""
    return {
        "hits": [Hit(ticket, None) for ticket in page.tickets],
        "after": str(after or ""),
        "more": more,
    }
