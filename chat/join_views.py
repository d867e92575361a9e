"""The page behind a join link: a name, and then the conversation itself."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat.forms import NameForm
from chat.links import access_link, join, link_shown
from chat.models import JoinLink
from chat.tokens import WrongToken, form_id_in, form_token_for, token_for
from helpdesk.lib.addresses import sender_of
from helpdesk.lib.errors import NotFound, Refused


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join_page(request: HttpRequest, token: str) -> HttpResponse:
    """Ask for a name, and let in. A browser that came before goes on, even by a link that has
    ended: its key stands in its own storage, under the link's id."""
    link = link_shown(token)
    form = NameForm(request.POST or None)
    context: dict[str, Any] = {"error": ""}
    try:
        if request.method == "POST" and form.is_valid():
            session_id = form_id_in(form.cleaned_data["form"])
            session = join(
                token,
                session_id,
                name=form.cleaned_data["name"],
                address=sender_of(request),
                origin="",
            )
            return _page(request, link, {"token": token_for(session.pk)})
        access_link(token)
    except WrongToken:
        return _page(request, link, {"ended": True}, status=410)
    except Refused as error:
        context["error"] = str(error)
    context |= {
        "name": request.POST.get("name", ""),
        "form_token": request.POST.get("form") or form_token_for(uuid.uuid4()),
    }
    return _page(request, link, context, status=422 if context["error"] else 200)


def _page(
    request: HttpRequest, link: JoinLink, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    inbox = link.conversation.ticket.inbox
    if not inbox.widget_key:
        raise NotFound
    about = {"link": link, "conversation": link.conversation, "inbox": inbox}
    response = render(request, "chat/join.html", about | context, status=status)
    # The address is the key; a form without a referrer would be taken for another site's.
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response
