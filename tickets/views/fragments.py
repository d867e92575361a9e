"""Pieces of a ticket page, for pages that keep themselves up to date."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from helpdesk.lib.errors import NotFound
from tickets.access import access_ticket, viewer_for, visible_emails
from tickets.forms import TimelineForm
from tickets.queries import with_marks
from tickets.views.downloads import original_mail
from tickets.views.entries import earlier_entries, entries_after, latest_entries, one_entry
from tickets.views.frame import DeskRequest, desk_page
from tickets.views.marks import read_marks
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
    query = TimelineForm(request.GET)
    if not query.is_valid():
        raise NotFound
    context = {"ticket": ticket, "viewer": viewer}
    if (before := query.cleaned_data["before"]) is not None:
        joint = query.cleaned_data["joint"]
        context["timeline"] = earlier_entries(
            viewer, ticket.conversation, before=before, joint=joint
        )
        return render(request, "tickets/_timeline.html", context)
    if (after := query.cleaned_data["after"]) is None:
        context["timeline"] = latest_entries(viewer, ticket.conversation, unread=False)
        return render(request, "tickets/_timeline.html", context)
    shown, more = entries_after(viewer, ticket.conversation, after)
    context["timeline"] = shown
    response = render(request, "tickets/_timeline.html", context)
    if more:
        response["X-More"] = "1"
    return response


@require_safe
@desk_page
def message(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """One entry again: its delivery has moved on."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    entry = one_entry(viewer, ticket.conversation, seq)
    if entry is None:
        raise NotFound
    context = {"entry": entry, "ticket": ticket, "viewer": viewer}
    return render(request, "tickets/_entry.html", context)


@require_safe
@desk_page
def marks(request: DeskRequest, number: int) -> HttpResponse:
    """Who has read how far, each mark with the entry that it stands below."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    taken = ticket.conversation.participants.filter(left_at=None).select_related("person")
    found = read_marks(viewer, with_marks(taken).order_by("pk"))
    return render(request, "tickets/_marks.html", {"marks": found})


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
