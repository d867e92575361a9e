"""What people on staff set for themselves."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from helpdesk.lib.errors import Refused
from tickets.access import viewer_for
from tickets.operations.me import save_signature, set_away
from tickets.operations.timeline import line_of
from tickets.queries import calls_for
from tickets.team_queries import team_calls
from tickets.views.frame import DeskRequest, desk_page, nav


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def settings_page(request: DeskRequest) -> HttpResponse:
    """The signature; a POST saves it. Whatever is wrong, what was typed stays."""
    viewer = viewer_for(request.user)
    context = nav(viewer) | {"page": "me", "signature": request.user.signature}
    if request.method != "POST":
        return render(request, "tickets/me.html", context)
    text = request.POST.get("signature", "")
    try:
        save_signature(viewer, text)
    except Refused as error:
        context |= {"signature": text, "error": str(error)}
        return render(request, "tickets/me.html", context, status=422)
    messages.success(request, _("Saved. It stands below your replies from now on."))
    return redirect("tickets:me")


@require_POST
@desk_page
def away(request: DeskRequest) -> HttpResponse:
    """`away` is "on", or empty for who is back."""
    viewer = viewer_for(request.user)
    set_away(viewer, away=bool(request.POST.get("away")))
    if not request.htmx:
        return redirect("tickets:me")
    request.user.refresh_from_db(fields=["away"])
    return render(request, "tickets/_me.html", {"viewer": viewer})


@require_safe
@desk_page
def calls(request: DeskRequest) -> HttpResponse:
    """What asks for this person now, for a page that tells them so."""
    viewer = viewer_for(request.user)
    found: list[dict[str, Any]] = [
        {
            "number": ticket.number,
            "address": reverse("tickets:ticket", args=[ticket.number]),
            "name": str(ticket.requester),
            "text": ticket.last_preview,
            "at": ticket.last_message_at.isoformat(),
        }
        for ticket in calls_for(viewer)
    ]
    found += [
        {
            "address": reverse("chat:team", args=[row.conversation.pk]),
            "name": str(message.author) if row.other else f"{message.author} · {row.title}",
            "text": line_of(message),
            "at": message.created_at.isoformat(),
        }
        for row, message in team_calls(viewer)
    ]
    return JsonResponse({"calls": found})
