"""The address of a file that stays: it asks the door of its conversation, every time."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from attachments.links import link_to
from tickets.access import access_file, viewer_for
from tickets.views.frame import DeskRequest, desk_page


@require_safe
@desk_page
def file_link(request: DeskRequest, uuid: UUID, name: str) -> HttpResponse:
    """On to the bytes. `?download` saves what a browser would otherwise show.

    Raises NotFound, and Refused for a file that nobody may open.
    """
    file = access_file(viewer_for(request.user), uuid)
    return redirect(link_to(file, "save" if "download" in request.GET else "show"))


@require_safe
@desk_page
def preview_link(request: DeskRequest, uuid: UUID) -> HttpResponse:
    """On to the small picture of a file. Raises as `file_link`, and NotFound if it has none."""
    return redirect(link_to(access_file(viewer_for(request.user), uuid), "preview"))
