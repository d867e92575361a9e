"""The widget's door over HTTP: everything it can do where websockets are blocked."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.utils.cache import patch_vary_headers
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from attachments.api import UploadMixin, UploadsMixin
from attachments.links import link_to
from attachments.uploads import PIECE_BYTES, Limits
from chat import presence
from chat.access import Visit, WrongOrigin, access_inbox
from chat.operations import count_upload, resume_session, send_from_visitor, start_session
from chat.protocol import FILES_MAX, FRAME_MAX_CHARS, SEQ_MAX
from chat.queries import page_after, standing, widget_config
from chat.tokens import WrongToken, token_for
from helpdesk.lib.addresses import sender_of
from helpdesk.lib.fields import Words
from tickets.access import access_file, owner_of
from tickets.events import as_json, file_as_json
from tickets.models import Inbox
from tickets.operations import ask_for_human, mark_read

PREFLIGHT_SECONDS = 7_200  # what browsers keep at most


class Unauthorized(APIException):
    status_code = 401
    default_detail = "This chat has ended. Write again to begin a new one."


class Forbidden(APIException):
    status_code = 403
    default_detail = "This page is not among the allowed origins of the inbox."


class TooLarge(APIException):
    status_code = 413
    default_detail = "This is more than one message can hold."


class NewMessage(serializers.Serializer[Any]):
    client_token = serializers.UUIDField()
    body = Words()
    files = serializers.ListField(child=serializers.UUIDField(), max_length=FILES_MAX, default=list)


class Seen(serializers.Serializer[Any]):
    seq = serializers.IntegerField(min_value=0, max_value=SEQ_MAX)


class After(serializers.Serializer[Any]):
    after = serializers.IntegerField(min_value=0, max_value=SEQ_MAX, default=0)


class WidgetView(APIView):
    """Lets a page in by its origin, for one inbox. No cookie counts here."""

    authentication_classes = ()
    permission_classes = ()
    inbox: Inbox | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        origin = request.headers.get("Origin", "")
        try:
            self.inbox = access_inbox(kwargs["key"], origin=origin, host=request.get_host())
        except WrongOrigin as error:
            raise Forbidden from error
        most = PIECE_BYTES if request.method == "PUT" else FRAME_MAX_CHARS
        if int(request.META.get("CONTENT_LENGTH") or 0) > most:
            raise TooLarge

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """What a browser asks before another site's page may talk to us."""
        response = Response(status=204)
        response["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
        response["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        if origin := request.headers.get("Origin"):
            # Who is refused may read the sentence that says why, and nothing else.
            response["Access-Control-Allow-Origin"] = origin if self.inbox else "*"
            response["Access-Control-Expose-Headers"] = "Retry-After"
            patch_vary_headers(response, ["Origin"])
        return response

    @property
    def door(self) -> Inbox:
        assert self.inbox is not None  # noqa: S101 - `initial` let the page in or raised
        return self.inbox

    @property
    def address(self) -> str:
        return sender_of(self.request)


class ConfigView(WidgetView):
    def get(self, request: Request, key: str) -> Response:
        return Response(widget_config(self.door))


class SessionsView(WidgetView):
    def post(self, request: Request, key: str) -> Response:
        session = start_session(
            self.door, origin=request.headers.get("Origin", ""), address=self.address
        )
        answer = {"token": token_for(session.pk), "you": session.person_id}
        return Response(answer, status=201)


class VisitView(WidgetView):
    """For a visitor who was here before: the token says whose conversation it is."""

    visit: Visit

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "OPTIONS":
            return
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        try:
            self.visit = resume_session(self.door, token if scheme == "Bearer" else "")
        except WrongToken as error:
            raise Unauthorized from error


class MessagesView(VisitView):
    def get(self, request: Request, key: str) -> Response:
        page = page_after(self.visit, valid(After, request.query_params)["after"])
        # Whoever polls is here, too. A widget that has a socket, and asks now and then, ends both.
        person, pk = self.visit.viewer.person, self.visit.conversation_id
        presence.mark([presence.mark_in(pk, person, "customer", presence.POLL)])
        return Response(page)

    def post(self, request: Request, key: str) -> Response:
        new = valid(NewMessage, request.data)
        message = send_from_visitor(self.visit, **new, address=self.address)
        return Response({"message": as_json(message)}, status=201)


class HumanView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        ask_for_human(self.visit.viewer, self.visit.conversation_id)
        return Response(standing(self.visit))


class SeenView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        seen = valid(Seen, request.data)
        mark_read(self.visit.viewer, self.visit.conversation_id, seen["seq"])
        return Response(seen)


class UploaderView(VisitView):
    """What a visitor uploads is theirs alone until a message shows it."""

    def owner(self) -> str:
        return owner_of(self.visit.viewer)


class FilesView(UploaderView, UploadsMixin):
    """As in `UploadsMixin`, within the limits of the inbox."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        count_upload(self.visit, address=self.address)
        return super().post(request, **kwargs)

    def limits(self, request: Request) -> Limits:
        return Limits(self.door.file_max_bytes, self.door.visitor_types)


class FileView(UploaderView, UploadMixin):
    """As in `UploadMixin`."""


class LinkView(VisitView):
    """A file of a message, with addresses that open and save it for minutes from now."""

    def get(self, request: Request, key: str, uuid: UUID) -> Response:
        file = access_file(self.visit.viewer, uuid)
        shown = file_as_json(file)
        return Response({**shown, "save": shown["url"] and link_to(file, "save")})


Shape = TypeVar("Shape", bound=serializers.Serializer[Any])


def valid(shape: type[Shape], data: Any) -> dict[str, Any]:
    """The fields of `data` as `shape` wants them. Raises ValidationError, a 400."""
    serializer = shape(data=data)
    serializer.is_valid(raise_exception=True)
    fields: dict[str, Any] = serializer.validated_data
    return fields
