"""The assistant's switches: one for the desk, one for each inbox."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from helpdesk.lib.errors import Refused
from tickets.access import viewer_for
from tickets.forms import SwitchForm
from tickets.operations import switch_assistant
from tickets.views.frame import DeskRequest, desk_page, nav


@require_http_methods(["GET", "POST"])
@desk_page
def assistant(request: DeskRequest) -> HttpResponse:
    """The switches; a POST of one of them acts at once."""
    viewer = viewer_for(request.user)
    if request.method == "POST":
        form = SwitchForm(request.POST)
        if not form.is_valid():
            raise Refused(_("Choose an inbox from the page."))
        on, inbox_id = form.cleaned_data["on"], form.cleaned_data["inbox"]
        switch_assistant(viewer, on=on, inbox_id=inbox_id)
        return redirect("tickets:assistant")
    around = nav(viewer)
    inboxes = [each["inbox"] for each in around["inboxes"]]
    widgets = [inbox for inbox in inboxes if inbox.widget_key]
    context = around | {"page": "assistant", "widgets": widgets}
    return render(request, "tickets/assistant.html", context)
