"""Pieces of a ticket page, for pages that keep themselves up to date."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, access_ticket, viewer_for, visible_emails
from tickets.forms import TimelineForm
from tickets.models import Conversation
from tickets.views.downloads import original_mail
from tickets.views.entries import earlier_entries, entries_after, latest_entries, one_entry
from tickets.views.frame import DeskRequest, desk_page
from tickets.views.marks import marks_in
from tickets.views.pages import show_about


@require_safe
@desk_page
def timeline(request: DeskRequest, number: int) -> HttpResponse:
    """Entries after `?after=`, ready to append, or before `?before=`, ready to put above; the
    latest without either.

    The header `X-More` says that the answer was cut short; ask again from its end.
    """
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    return show_timeline(request, viewer, ticket.conversation, {"ticket": ticket})


@require_safe
@desk_page
def message(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """One entry again: its delivery has moved on."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    return show_entry(request, viewer, ticket.conversation, seq, {"ticket": ticket})


@require_safe
@desk_page
def marks(request: DeskRequest, number: int) -> HttpResponse:
    """Who has read how far, each mark with the entry that it stands below."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    return show_marks(request, viewer, ticket.conversation)


@require_safe
@desk_page
def about(request: DeskRequest, number: int) -> HttpResponse:
    """Head and side column again: status, assignee, who takes part."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    return show_about(request, viewer, ticket)


@require_safe
@desk_page
def original(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """The mail behind a message, byte for byte, as a download: it is never shown as a page."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    emails = visible_emails(viewer).filter(message__conversation=ticket.conversation_id)
    email = emails.filter(message__seq=seq).defer("raw").first()
    if email is None:
        raise NotFound
    return original_mail(email, f"ticket-{ticket.number}-{seq}.eml")


# --- What tickets share with conversations that have none: `context` says which it is ---


def show_timeline(
    request: DeskRequest, viewer: Viewer, conversation: Conversation, context: dict[str, Any]
) -> HttpResponse:
    """The entries that the request asks for. Raises NotFound for what is no question."""
    query = TimelineForm(request.GET)
    if not query.is_valid():
        raise NotFound
    before, after = query.cleaned_data["before"], query.cleaned_data["after"]
    more = False
    if before is not None:
        joint = query.cleaned_data["joint"]
        shown = earlier_entries(viewer, conversation, before=before, joint=joint)
    elif after is not None:
        shown, more = entries_after(viewer, conversation, after)
    else:
        shown = latest_entries(viewer, conversation, unread=False)
    context |= {"timeline": shown, "viewer": viewer}
    response = render(request, "tickets/_timeline.html", context)
    if more:
        response["X-More"] = "1"
    return response


def show_entry(
    request: DeskRequest,
    viewer: Viewer,
    conversation: Conversation,
    seq: int,
    context: dict[str, Any],
) -> HttpResponse:
    """One entry. Raises NotFound."""
    entry = one_entry(viewer, conversation, seq)
    if entry is None:
        raise NotFound
    return render(request, "tickets/_entry.html", context | {"entry": entry, "viewer": viewer})


def show_marks(request: DeskRequest, viewer: Viewer, conversation: Conversation) -> HttpResponse:
    """Who has read how far."""
    marks = {"marks": marks_in(viewer, conversation)}
    return render(request, "tickets/_marks.html", marks)
