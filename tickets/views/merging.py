"""Two tickets become one, and one becomes two."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from helpdesk.lib.errors import Refused
from tickets.access import Viewer, access_survivor, access_ticket, viewer_for
from tickets.forms import MergeForm, SplitForm, TimelineForm
from tickets.models import Message, Ticket
from tickets.operations import merge_tickets, split_ticket
from tickets.operations.merging import plan_merging
from tickets.queries import tickets_to_merge
from tickets.views.entries import earlier_entries, latest_entries
from tickets.views.frame import DeskRequest, desk_page, nav


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def merge(request: DeskRequest, number: int) -> HttpResponse:
    """Choose the ticket that goes on; with `?into=` what becomes of both, before a POST does it."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    asked = request.POST if request.method == "POST" else request.GET
    form = MergeForm(asked) if "into" in asked else None
    context: dict[str, Any] = nav(viewer) | {"page": "merge", "ticket": ticket}
    error = ""
    if form is None:
        if onward := access_survivor(viewer, ticket):
            return redirect("tickets:ticket", onward.number)
    elif not form.is_valid():
        error = str(next(iter(form.errors.values()))[0])
    else:
        into, sees_all = form.cleaned_data["into"], form.cleaned_data["sees_all"]
        try:
            if request.method == "POST":
                target = merge_tickets(viewer, number, into, sees_all=sees_all)
                return redirect("tickets:ticket", target.number)
            context["plan"] = plan_merging(viewer, number, into)
        except Refused as refused:
            error = str(refused)
    context |= {
        "error": error,
        "typed": asked.get("into", ""),
        "others": [] if "plan" in context else tickets_to_merge(viewer, ticket),
    }
    return render(request, "tickets/merge.html", context, status=422 if error else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def split(request: DeskRequest, number: int) -> HttpResponse:
    """Choose what was said, with `?message=` what is chosen already; a POST opens the ticket of
    it."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    if onward := access_survivor(viewer, ticket):
        address = reverse("tickets:split", args=[onward.number])
        return redirect(f"{address}?{request.GET.urlencode()}")
    if request.method != "POST":
        return _choose(request, viewer, ticket, request.GET.getlist("message"))
    form = SplitForm(request.POST)
    if not form.is_valid():
        raise Refused(_("Choose a message."))
    words = form.cleaned_data
    try:
        new = split_ticket(
            viewer,
            number,
            words["message"],
            client_token=words["client_token"],
            subject=words["subject"],
        )
    except Refused as refused:
        chosen = request.POST.getlist("message")
        return _choose(request, viewer, ticket, chosen, error=str(refused))
    return redirect(reverse("tickets:ticket", args=[new.number]))


def _choose(
    request: DeskRequest, viewer: Viewer, ticket: Ticket, chosen: list[str], *, error: str = ""
) -> HttpResponse:
    query = TimelineForm(request.GET)
    conversation = ticket.conversation
    if query.is_valid() and (before := query.cleaned_data["before"]):
        joint = query.cleaned_data["joint"]
        timeline = earlier_entries(viewer, conversation, before=before, joint=joint)
    else:
        timeline = latest_entries(viewer, conversation, unread=False)
    said = [one for one in timeline.entries if one.message.kind != Message.Kind.CHANGE]
    context = nav(viewer) | {
        "page": "split",
        "ticket": ticket,
        "timeline": timeline,
        "said": [
            (f"{(one.merged or ticket).number}-{one.message.seq}", one) for one in reversed(said)
        ],
        "chosen": chosen,
        "subject": request.POST.get("subject", ""),
        "client_token": request.POST.get("client_token") or uuid4(),
        "error": error,
    }
    return render(request, "tickets/split.html", context, status=422 if error else 200)
