"""A mail as it looked: a page of its own, in which nothing runs, for a frame on the desk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from attachments.kinds import kind_of
from helpdesk.lib.errors import NotFound
from tickets.access import access_ticket, viewer_for, visible_messages
from tickets.mail.sanitize import with_pictures, without_remote_pictures
from tickets.models import Message, MessageFile
from tickets.views.frame import DeskRequest, desk_page

# The frame says the same (_mail_html.html); here it holds in a tab, too. Our own origin is needed
# for the cookie, without which no picture that came along would be handed out, and for the page
# around the frame, which asks how tall it is. Scripts are never allowed.
SANDBOX = ["allow-popups", "allow-popups-to-escape-sandbox", "allow-same-origin"]
PICTURES: list[str] = [*settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"]]
POLICY: dict[str, Any] = {
    "default-src": [NONE],
    "style-src": [SELF, "'unsafe-inline'"],
    "img-src": PICTURES,
    "base-uri": [NONE],
    "form-action": [NONE],
    "frame-ancestors": [SELF],
    "sandbox": SANDBOX,
}
POLICY_WITH_PICTURES = POLICY | {"img-src": [*PICTURES, "https:", "http:"]}

# Of a mail without any it can be shown in those of the desk, dark ones included.
HAS_COLOURS = re.compile(r"""<[^>]*(?:color|background)[^>]*[=:]""", re.I)


@require_safe
@desk_page
@xframe_options_sameorigin
def mail_html(request: DeskRequest, number: int, seq: int) -> HttpResponse:
    """The sanitised HTML of one mail. `?quoted` adds what it repeats; `?pictures` lets the browser
    ask other servers for pictures, who learn then that it was opened."""
    viewer = viewer_for(request.user)
    ticket = access_ticket(viewer, number)
    messages = visible_messages(viewer, ticket.conversation).filter(seq=seq, has_html=True)
    message = messages.select_related("html").defer("search").first()
    if message is None:
        raise NotFound
    asks_others = "pictures" in request.GET
    addresses = _addresses(message)
    parts = [message.html.visible, message.html.quoted if "quoted" in request.GET else ""]
    shown = [with_pictures(part, addresses) for part in parts]
    if not asks_others:
        shown = [without_remote_pictures(part) for part in shown]
    context = {
        "message": message,
        "ticket": ticket,
        # What `sanitize` returned, with addresses of ours put in.
        "parts": [mark_safe(part) for part in shown if part],  # noqa: S308
        "has_colours": any(HAS_COLOURS.search(part) for part in parts),
    }

    @csp(POLICY_WITH_PICTURES if asks_others else POLICY)
    def page(request: HttpRequest) -> HttpResponseBase:
        return render(request, "tickets/mail_html.html", context)

    response = cast(HttpResponse, page(request))
    response["Referrer-Policy"] = "no-referrer"
    response["X-DNS-Prefetch-Control"] = "off"
    return response


def _addresses(message: Message) -> Mapping[str, str]:
    """Where each picture that came along is, by its Content-ID. Every one asks its door again."""
    files = MessageFile.objects.filter(message=message, inline=True).exclude(content_id="")
    return {
        file.content_id: reverse("tickets:file", args=[file.attachment.uuid, file.attachment.name])
        for file in files.select_related("attachment__blob")
        if not file.attachment.why_closed and kind_of(file.attachment.stored.type) == "image"
    }
