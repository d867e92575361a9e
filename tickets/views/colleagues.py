"""Who may be named in a conversation, for the list that opens at an @."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from tickets.access import access_conversation, viewer_for
from tickets.operations.mentions import may_be_named
from tickets.views.frame import DeskRequest, desk_page


@require_safe
@desk_page
def colleagues(request: DeskRequest, pk: int) -> HttpResponse:
    """Colleagues who see the conversation, by name; not the reader."""
    viewer = viewer_for(request.user)
    people = may_be_named(access_conversation(viewer, pk))
    found = [
        {"name": str(one), "initials": one.initials, "hue": one.hue}
        for one in people
        if one != viewer.person
    ]
    return JsonResponse({"colleagues": sorted(found, key=lambda one: str(one["name"]).casefold())})
