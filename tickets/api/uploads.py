"""Uploading at the desk."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from attachments.api import UploadMixin, UploadsMixin
from attachments.uploads import Limits
from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, owner_of, viewer_for, visible_inboxes

FILE_MAX_BYTES = 25 * 1024 * 1024


class ForInbox(serializers.Serializer[Any]):
    inbox = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class DeskView(APIView):
    """For someone on staff, by their session; what changes something brings a CSRF token."""

    viewer: Viewer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.viewer = viewer_for(request.user)

    def owner(self) -> str:
        return owner_of(self.viewer)


class UploadsView(DeskView, UploadsMixin):
    """As in `UploadsMixin`. With `?inbox=` its limits hold, without FILE_MAX_BYTES. Raises NotFound
    for an inbox that the viewer cannot see."""

    def limits(self, request: Request) -> Limits:
        if "inbox" not in request.query_params:
            return Limits(FILE_MAX_BYTES)  # of an article: it belongs to no inbox
        place = ForInbox(data=request.query_params)
        place.is_valid(raise_exception=True)
        inbox = visible_inboxes(self.viewer).filter(pk=place.validated_data["inbox"]).first()
        if inbox is None:
            raise NotFound
        return Limits(inbox.file_max_bytes)


class UploadView(DeskView, UploadMixin):
    """As in `UploadMixin`."""
