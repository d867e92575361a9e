"""Team chat: what colleagues talk about among themselves, and beside a ticket."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chat.forms import AskForm, DirectForm, GroupForm, QuoteForm
from chat.people_views import valid
from tickets.access import (
    Viewer,
    access_team,
    access_ticket,
    access_to_join,
    joinable_conversations,
    viewer_for,
    visible_messages,
    visible_tickets,
)
from tickets.forms import ComposerForm, SeqForm, TimelineForm
from tickets.models import Conversation, Message, Participant, Team, Ticket, User
from tickets.operations import (
    ask_colleagues,
    join_beside,
    mark_team_read,
    post_reply,
    quote_back,
    start_direct,
    start_group,
)
from tickets.operations.files import FILES_MAX
from tickets.operations.seats import Guests
from tickets.operations.timeline import survivor_of
from tickets.team_queries import (
    quoted_from,
    sides_of,
    team_row,
    team_rows,
    team_seats,
)
from tickets.views.entries import earlier_entries, latest_entries
from tickets.views.fragments import show_entry, show_marks, show_timeline
from tickets.views.frame import DeskRequest, desk_page, nav
from tickets.views.marks import marks_in, place_marks

QUOTABLE = 8  # of the last replies


@require_safe
@desk_page
def team(request: DeskRequest) -> HttpResponse:
    """The list alone. A script that asks gets navigation and list again, for the page that shows
    `?open=7`."""
    viewer = viewer_for(request.user)
    shown = request.GET.get("open", "")
    open_id = int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 19 else None
    context = _frame(viewer, open_id)
    page = "chat/_team_again.html" if request.htmx else "chat/team.html"
    return render(request, page, context)


@require_safe
@desk_page
def conversation(request: DeskRequest, pk: int) -> HttpResponse:
    """One conversation beside the list. Who may take a seat beside their ticket is asked whether
    they want to."""
    viewer = viewer_for(request.user)
    if not team_seats(viewer).filter(conversation=pk).exists():
        return _show_door(request, viewer, access_to_join(viewer, pk))
    return _show(request, viewer, access_team(viewer, pk), ComposerForm())


@require_safe
@desk_page
def timeline(request: DeskRequest, pk: int) -> HttpResponse:
    """As of a ticket: entries after `?after=` or before `?before=`."""
    viewer = viewer_for(request.user)
    found = access_team(viewer, pk)
    return show_timeline(request, viewer, found, {"ticket": None, "conversation": found})


@require_safe
@desk_page
def message(request: DeskRequest, pk: int, seq: int) -> HttpResponse:
    """One entry again: its files were looked into."""
    viewer = viewer_for(request.user)
    found = access_team(viewer, pk)
    return show_entry(request, viewer, found, seq, {"ticket": None, "conversation": found})


@require_safe
@desk_page
def about(request: DeskRequest, pk: int) -> HttpResponse:
    """Head and side column again."""
    viewer = viewer_for(request.user)
    return _about_again(request, viewer, access_team(viewer, pk))


@require_safe
@desk_page
def marks(request: DeskRequest, pk: int) -> HttpResponse:
    """Who has read how far, each mark with the entry that it stands below."""
    viewer = viewer_for(request.user)
    return show_marks(request, viewer, access_team(viewer, pk))


@require_POST
@desk_page
def reply(request: DeskRequest, pk: int) -> HttpResponse:
    """Say something. Whatever is wrong, the text stays in the box."""
    viewer = viewer_for(request.user)
    found = access_team(viewer, pk)
    form = ComposerForm(request.POST)
    if form.is_valid():
        body, files = form.cleaned_data["body"], form.cleaned_data["file"]
        token = form.cleaned_data["client_token"]
        said = post_reply(
            viewer, found.pk, body=body, files=files, client_token=token, via=Message.Via.WEB
        )
        shown = [file.attachment.uuid for file in said.files.all()] if files else []
        if (said.body, shown) == (body, files):
            return HttpResponse(status=204) if request.htmx else redirect("chat:team", pk)
        form.add_error("body", _("This form was sent already. Send again to send the new text."))
    if request.htmx:
        return render(request, "tickets/_composer_errors.html", {"form": form}, status=422)
    form.data = request.POST.copy()
    form.data["client_token"] = str(uuid4())
    return _show(request, viewer, found, form, status=422)


@require_POST
@desk_page
def seen(request: DeskRequest, pk: int) -> HttpResponse:
    """The reader has the timeline before them up to `seq`."""
    form = valid(SeqForm(request.POST))
    mark_team_read(viewer_for(request.user), pk, form.cleaned_data["seq"])
    return HttpResponse(status=204) if request.htmx else redirect("chat:team", pk)


@require_POST
@desk_page
def join(request: DeskRequest, pk: int) -> HttpResponse:
    """Take a seat beside a ticket of one's own."""
    join_beside(viewer_for(request.user), pk)
    return redirect("chat:team", pk)


@require_POST
@desk_page
def quote(request: DeskRequest, pk: int) -> HttpResponse:
    """Put what was said on the ticket."""
    viewer = viewer_for(request.user)
    form = valid(QuoteForm(request.POST))
    note = quote_back(viewer, pk, form.cleaned_data["seq"], words=form.cleaned_data["words"])
    if request.htmx:
        return _about_again(request, viewer, access_team(viewer, pk))
    return redirect("tickets:ticket", note.conversation.ticket.number)


# --- Starting ---


@require_safe
@desk_page
def new(request: DeskRequest) -> HttpResponse:
    """Whom to write to: one colleague, or a group."""
    viewer = viewer_for(request.user)
    context = nav(viewer) | _choices(viewer) | {"page": "team", "token": uuid4()}
    return render(request, "chat/team_new.html", context)


@require_POST
@desk_page
def direct(request: DeskRequest) -> HttpResponse:
    form = valid(DirectForm(request.POST))
    return redirect(
        "chat:team", start_direct(viewer_for(request.user), form.cleaned_data["user"]).pk
    )


@require_POST
@desk_page
def group(request: DeskRequest) -> HttpResponse:
    words = valid(GroupForm(request.POST)).cleaned_data
    made = start_group(
        viewer_for(request.user), _guests(words), title=words["title"], token=words["token"]
    )
    return redirect("chat:team", made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def beside(request: DeskRequest, number: int) -> HttpResponse:
    """What colleagues talk about beside a ticket; a POST asks some of them."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    if request.method == "POST":
        words = valid(AskForm(request.POST)).cleaned_data
        ask_colleagues(
            viewer, number, _guests(words), question=words["question"], token=words["token"]
        )
        if not request.htmx:
            return redirect("chat:beside", number)
    context = _choices(viewer) | {
        "ticket": ticket,
        "sides": sides_of(viewer, ticket),
        "joinable": set(_joinable(viewer, ticket)),
        "token": uuid4(),
    }
    if request.htmx:
        return render(request, "chat/_beside.html", context)
    return render(request, "chat/beside.html", nav(viewer) | context)


# --- Parts ---


def _frame(viewer: Viewer, open_id: int | None) -> dict[str, Any]:
    return nav(viewer) | {
        "page": "team",
        "open_id": open_id,
        "rows": team_rows(viewer, open_id=open_id),
    }


def _show(
    request: DeskRequest,
    viewer: Viewer,
    found: Conversation,
    form: ComposerForm,
    *,
    status: int = 200,
) -> HttpResponse:
    """A conversation with this composer in it: the page, or the pane that a script asks for."""
    context = _about(viewer, found)
    query = TimelineForm(request.GET)
    if query.is_valid() and (before := query.cleaned_data["before"]):
        shown = earlier_entries(viewer, found, before=before)
    else:
        shown = latest_entries(viewer, found, read_seq=context["read_seq"])
    place_marks(shown, marks_in(viewer, found))
    context |= {
        "timeline": shown,
        "form": form,
        "files_max": FILES_MAX,
        "body_max_chars": settings.MESSAGE_MAX_CHARS,
    }
    if request.htmx and request.htmx.target == "ticket":
        context["viewer"] = viewer
        return render(request, "chat/_team_pane.html", context, status=status)
    context |= _frame(viewer, found.pk)
    return render(request, "chat/team_page.html", context, status=status)


def _joinable(viewer: Viewer, ticket: Ticket) -> QuerySet[Conversation, int]:
    beside = joinable_conversations(viewer).filter(side_of__in=ticket.conversation.all_merged)
    return beside.values_list("pk", flat=True)


def _show_door(request: DeskRequest, viewer: Viewer, found: Conversation) -> HttpResponse:
    ticket = _ticket_beside(found)
    sides = sides_of(viewer, ticket) if ticket else []
    side = next(one for one in sides if one.conversation == found)
    context = nav(viewer) | {"page": "team", "ticket": ticket, "side": side}
    return render(request, "chat/team_door.html", context)


def _about_again(request: DeskRequest, viewer: Viewer, found: Conversation) -> HttpResponse:
    return render(request, "chat/_team_about.html", _about(viewer, found) | {"viewer": viewer})


def _about(viewer: Viewer, found: Conversation) -> dict[str, Any]:
    """Head and side column: what it is called, who is in it, and the ticket that it is beside."""
    row = team_row(viewer, found)
    seats = list(_seats(found))
    mine = next(seat for seat in seats if seat.person_id == viewer.person.pk)
    ticket = _ticket_beside(found)
    may_quote = ticket is not None and visible_tickets(viewer).filter(pk=ticket.pk).exists()
    return {
        "ticket": None,  # what tickets and colleagues share asks for one
        "conversation": found,
        "row": row,
        "read_seq": mine.last_read_seq,
        "writes": mine.rank != Participant.Rank.READER,
        "people_count": len(seats),
        "beside": ticket,
        "sees_ticket": may_quote,
        "quotable": _quotable(viewer, found) if may_quote else [],
    }


def _quotable(viewer: Viewer, found: Conversation) -> list[tuple[Message, bool]]:
    """The last replies, the latest last, each with whether the ticket has it already."""
    said = visible_messages(viewer, found).filter(kind=Message.Kind.REPLY).defer("search")
    beside = cast(Conversation, found.side_of)
    quoted = quoted_from({beside.pk, survivor_of(beside.pk)})
    last = list(said.order_by("-seq")[:QUOTABLE])[::-1]
    return [(one, (found.pk, one.seq) in quoted) for one in last]


def _ticket_beside(found: Conversation) -> Ticket | None:
    if found.side_of_id is None:
        return None
    return Ticket.objects.filter(conversation=survivor_of(found.side_of_id)).first()


def _seats(found: Conversation) -> QuerySet[Participant]:
    taken = Participant.objects.filter(conversation=found, left_at=None)
    return taken.select_related("person").order_by("pk")


def _choices(viewer: Viewer) -> dict[str, Any]:
    users = User.objects.filter(is_active=True).exclude(pk=cast(User, viewer.user).pk)
    return {
        "colleagues": users.exclude(person=None).select_related("person").order_by("person__name"),
        "teams": Team.objects.order_by("name"),
    }


def _guests(words: dict[str, Any]) -> Guests:
    return Guests(user_ids=words["users"], team_ids=words["teams"])
