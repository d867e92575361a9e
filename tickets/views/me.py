"""What people on staff set for themselves."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from helpdesk.lib.errors import Refused
from tickets.access import viewer_for
from tickets.operations.me import save_signature
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
