"""Uploading over HTTP: the same for staff and visitors, who differ in the door they come in by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from attachments.uploads import (
    PIECE_BYTES,
    Limits,
    WrongOffset,
    begin_upload,
    cancel_upload,
    form_posted,
    receive_piece,
    upload_json,
    upload_of,
)
from helpdesk.lib.errors import Refused
from helpdesk.lib.fields import Words

SIZE_MAX = 2**62
PART_BYTES = 64 * 1024


class NewUpload(serializers.Serializer[Any]):
    name = Words()
    size = serializers.IntegerField(min_value=0, max_value=SIZE_MAX)


class Offset(serializers.Serializer[Any]):
    offset = serializers.IntegerField(min_value=0, max_value=SIZE_MAX)


def parts(read: Callable[[int], bytes], size_bytes: int) -> Iterator[bytes]:
    """The first `size_bytes` of a body and no more: one that is sent in chunks says nothing of its
    size. Read past the framework, whose limit is for forms.

    A little at a time, because a thread that asks for megabytes gets every page of them anew from
    the kernel.
    """
    while size_bytes > 0 and (part := read(min(PART_BYTES, size_bytes))):
        size_bytes -= len(part)
        yield part


class UploadsMixin:
    """`POST {"name", "size"}` begins an upload. What it answers is as in `upload_json`."""

    def owner(self) -> str:
        raise NotImplementedError

    def limits(self, request: Request) -> Limits:
        raise NotImplementedError

    def post(self, request: Request, **kwargs: Any) -> Response:
        new = NewUpload(data=request.data)
        new.is_valid(raise_exception=True)
        attachment = begin_upload(
            self.owner(),
            name=new.validated_data["name"],
            size_bytes=new.validated_data["size"],
            limits=self.limits(request),
        )
        return Response(upload_json(attachment), status=201)


class UploadMixin:
    """One upload: how far it is, the next piece of it, all of it by another way, no more of it."""

    def owner(self) -> str:
        raise NotImplementedError

    def get(self, request: Request, uuid: UUID, **kwargs: Any) -> Response:
        return Response(upload_json(upload_of(self.owner(), uuid)))

    def put(self, request: Request, uuid: UUID, **kwargs: Any) -> Response:
        """The bytes from `?offset=` on, as they are. 409 with what we have for another offset."""
        place = Offset(data=request.query_params)
        place.is_valid(raise_exception=True)
        size_bytes = int(request.META.get("CONTENT_LENGTH") or 0)
        if size_bytes > PIECE_BYTES:
            raise Refused(f"At most {PIECE_BYTES} bytes can be sent at once.")
        piece = parts(request._request.read, size_bytes)
        offset = place.validated_data["offset"]
        try:
            attachment = receive_piece(self.owner(), uuid, offset, piece, size_bytes)
        except WrongOffset as error:
            return Response(upload_json(error.attachment), status=409)
        return Response(upload_json(attachment))

    def post(self, request: Request, uuid: UUID, **kwargs: Any) -> Response:
        """The browser has posted the form that the upload's `to` named."""
        return Response(upload_json(form_posted(self.owner(), uuid)))

    def delete(self, request: Request, uuid: UUID, **kwargs: Any) -> Response:
        cancel_upload(self.owner(), uuid)
        return Response(status=204)
