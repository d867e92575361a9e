"""What staff do to a ticket. Each is one operation; a browser is sent back to the ticket."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from attachments.uploads import upload_json
from helpdesk.lib.errors import Refused
from tickets.access import Viewer, access_ticket, viewer_for
from tickets.forms import AssignForm, ComposerForm, HandForm, MoveForm, SeqForm
from tickets.models import Message
from tickets.operations import (
    MovedOn,
    assign_ticket,
    hand_ticket_to,
    mark_seen,
    move_message,
    post_note,
    post_reply,
    reopen_ticket,
    solve_ticket,
    take_back,
)
from tickets.operations.copies import leave_out
from tickets.operations.email import retry_all_failed, retry_delivery
from tickets.views.frame import DeskRequest, desk_page, place_query
from tickets.views.pages import show_about, show_ticket


@require_POST
@desk_page
def reply(request: DeskRequest, number: int) -> HttpResponse:
    return _compose(request, number, post_reply, Message.Kind.REPLY)


@require_POST
@desk_page
def note(request: DeskRequest, number: int) -> HttpResponse:
    return _compose(request, number, post_note, Message.Kind.NOTE)


@require_POST
@desk_page
def assign(request: DeskRequest, number: int) -> HttpResponse:
    viewer = viewer_for(request.user)
    form = AssignForm(request.POST)
    if not form.is_valid():
        raise Refused(_("Choose someone from the list."))
    assign_ticket(viewer, number, form.cleaned_data["assignee"])
    return _about(request, number)


@require_POST
@desk_page
def hand(request: DeskRequest, number: int) -> HttpResponse:
    """Give it to a colleague or a team, with a note."""
    viewer = viewer_for(request.user)
    form = HandForm(request.POST)
    if not form.is_valid():
        raise Refused(_("Choose a colleague or a team."))
    hand_ticket_to(viewer, number, **form.cleaned_data)
    return _about(request, number)


@require_POST
@desk_page
def solve(request: DeskRequest, number: int) -> HttpResponse:
    solve_ticket(viewer_for(request.user), number)
    return _about(request, number)


@require_POST
@desk_page
def reopen(request: DeskRequest, number: int) -> HttpResponse:
    reopen_ticket(viewer_for(request.user), number)
    return _about(request, number)


@require_POST
@desk_page
def seen(request: DeskRequest, number: int) -> HttpResponse:
    """The reader has the timeline before them up to `seq`."""
    viewer = viewer_for(request.user)
    form = SeqForm(request.POST)
    if not form.is_valid():
        raise Refused(_("Say how far the timeline was read."))
    mark_seen(viewer, number, form.cleaned_data["seq"])
    return HttpResponse(status=204) if request.htmx else _back(request, number)


@require_POST
@desk_page
def deliver(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """Try again to send what did not arrive."""
    retry_delivery(viewer_for(request.user), number, seq)
    return HttpResponse(status=204) if request.htmx else _back(request, number)


@require_POST
@desk_page
def leave_out_copy(request: DeskRequest, number: int, seat: int) -> HttpResponse:
    """Somebody in copy hears no more."""
    leave_out(viewer_for(request.user), number, seat)
    return _about(request, number)


@require_POST
@desk_page
def deliver_all(request: DeskRequest) -> HttpResponse:
    """Try again to send everything that did not arrive."""
    retry_all_failed(viewer_for(request.user))
    return redirect(f"{reverse('tickets:list')}?view=undelivered")


@require_POST
@desk_page
def move(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """Move a message to another ticket. The page stays with the old one, whose line links."""
    viewer = viewer_for(request.user)
    access_ticket(viewer, number)
    form = MoveForm(request.POST)
    if not form.is_valid():
        raise Refused(_("Write the number of a ticket, such as 12."))
    move_message(viewer, number, seq, to=form.cleaned_data["to"])
    return HttpResponse(status=204) if request.htmx else _back(request, number)


@require_POST
@desk_page
def take_back_reply(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """Take a reply back before it leaves: its words are in the box again, and not sent.

    A script gets them as JSON, with the files as uploads.
    """
    viewer = viewer_for(request.user)
    draft = take_back(viewer, number, seq)
    if request.htmx:
        files = [upload_json(file) for file in draft.files]
        return JsonResponse({"body": draft.body, "files": files, "cc": draft.cc, "bcc": draft.bcc})
    copies = {"cc": ", ".join(draft.cc), "bcc": ", ".join(draft.bcc)}
    form = ComposerForm(initial={"body": draft.body, **copies})
    return show_ticket(request, viewer, access_ticket(viewer, number), form)


def _compose(
    request: DeskRequest, number: int, post: Callable[..., Message], kind: Message.Kind
) -> HttpResponse:
    """Post what was written. Whatever is wrong, the text stays in the box.

    A script gets 204, or 422 with the sentence to show, or 409 with the guard: others have spoken
    since. Without a script the page is shown again with what they said, and can be sent from there.
    """
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    form = ComposerForm(request.POST)
    if form.is_valid():
        words = form.cleaned_data
        files = words.pop("file")
        if kind == Message.Kind.NOTE:
            del words["cc"], words["bcc"], words["choices"], words["seen_seq"]
        try:
            message = post(
                viewer, ticket.conversation_id, via=Message.Via.WEB, files=files, **words
            )
        except MovedOn as guard:
            return _moved_on(request, viewer, number, form, guard)
        shown = [file.attachment.uuid for file in message.files.all()] if files else []
        if (message.kind, message.body, shown) == (kind, words["body"], files):
            return HttpResponse(status=204) if request.htmx else _back(request, number)
        # The token was used before, for other words: someone went back and wrote anew.
        form.add_error("body", _("This form was sent already. Send again to send the new text."))
    if request.htmx:
        return render(request, "tickets/_composer_errors.html", {"form": form}, status=422)
    form.data = request.POST.copy()
    form.data["client_token"] = str(uuid4())
    return show_ticket(request, viewer, ticket, form, kind=kind, status=422)


def _moved_on(
    request: DeskRequest, viewer: Viewer, number: int, form: ComposerForm, guard: MovedOn
) -> HttpResponse:
    """Nothing was sent: what others said meanwhile comes first."""
    ticket = access_ticket(viewer, number)
    if request.htmx:
        context = {"guard": guard, "ticket": ticket}
        return render(request, "tickets/_guard.html", context, status=409)
    return show_ticket(request, viewer, ticket, form, guard=guard, status=409)


def _about(request: DeskRequest, number: int) -> HttpResponse:
    """The head of the ticket as it is now, or the whole page again."""
    if not request.htmx:
        return _back(request, number)
    viewer = viewer_for(request.user)
    return show_about(request, viewer, access_ticket(viewer, number))


def _back(request: DeskRequest, number: int) -> HttpResponse:
    address = reverse("tickets:ticket", args=[number])
    query = place_query(request)
    return redirect(f"{address}?{query}" if query else address)
