"""Writing first: the form that begins a conversation."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, access_survivor, access_ticket, viewer_for
from tickets.forms import NewTicketForm, SeqForm
from tickets.models import Inbox, Ticket
from tickets.operations import open_ticket_by_mail
from tickets.operations.files import read_files
from tickets.views.frame import DeskRequest, desk_page, nav


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def new_ticket(request: DeskRequest) -> HttpResponse:
    """The form; a POST of it sends the mail and leads on to the ticket.

    Whatever is wrong, what was typed stays in the form. A script gets the address of the ticket,
    or 422 with the form, which says what is wrong where.
    """
    viewer = viewer_for(request.user)
    around = nav(viewer)
    senders = [each["inbox"] for each in around["inboxes"] if each["inbox"].address]
    context = around | {"page": "new", "senders": senders}
    if not senders:
        return render(request, "tickets/new_ticket.html", context)
    if request.method != "POST":
        context["form"] = NewTicketForm(senders, initial=_initial(request, viewer, senders))
        return render(request, "tickets/new_ticket.html", context)
    form = NewTicketForm(senders, request.POST)
    if form.is_valid():
        ticket = _open(viewer, form.cleaned_data)
        if _says(ticket, form.cleaned_data):
            address = reverse("tickets:ticket", args=[ticket.number])
            return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
        # The token was used before, for other words: someone went back and wrote anew.
        form.add_error(None, _("This form was sent already. Send again to send the new text."))
        form.data = request.POST.copy()
        form.data["client_token"] = str(uuid4())
    context["form"] = form
    page = "tickets/_new_ticket.html" if request.htmx else "tickets/new_ticket.html"
    return render(request, page, context, status=422)


def _open(viewer: Viewer, words: dict[str, Any]) -> Ticket:
    return open_ticket_by_mail(
        viewer,
        inbox_id=words["inbox"],
        address=words["address"],
        name=words["name"],
        subject=words["subject"],
        body=words["body"],
        client_token=words["client_token"],
        files=words["file"],
        continues=words["continues"],
    )


def _initial(request: DeskRequest, viewer: Viewer, senders: list[Inbox]) -> dict[str, Any]:
    """What stands in the form. `?continues=` is a ticket whose matter it takes up again: to the
    same customer, under the same subject, out of the same inbox. Raises NotFound."""
    if "continues" not in request.GET:
        return {"inbox": senders[0].pk}
    asked = SeqForm({"seq": request.GET["continues"]})
    if not asked.is_valid():
        raise NotFound
    old = access_ticket(viewer, asked.cleaned_data["seq"])
    old = access_survivor(viewer, old) or old
    address = old.requester.addresses.filter(is_primary=True).first()
    return {
        "inbox": next((one.pk for one in senders if one.pk == old.inbox_id), senders[0].pk),
        "address": address.address if address else "",
        "name": old.requester.name,
        "subject": old.subject,
        "continues": old.number,
    }


def _says(ticket: Ticket, words: dict[str, Any]) -> bool:
    """Whether a ticket was opened with these words."""
    message = ticket.conversation.messages.get(seq=1)
    read_files([message])
    files = [file.attachment.uuid for file in message.files.all()]
    to = message.outgoing_emails.values_list("address", flat=True).first()
    said = (ticket.inbox_id, to, ticket.subject, message.body, files)
    return said == (*(words[name] for name in ("inbox", "address", "subject", "body", "file")),)
