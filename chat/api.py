"""The widget's door over HTTP: everything it can do where websockets are blocked."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from attachments.api import UploadMixin, UploadsMixin
from attachments.links import link_to
from attachments.uploads import PIECE_BYTES, Limits
from chat import presence
from chat.access import Visit, WrongOrigin, access_inbox, access_visit_file, visit_of
from chat.identify import identify, read_hmac, read_jwt
from chat.languages import spoken, wanted
from chat.links import remove_from_widget
from chat.operations import (
    count_group,
    count_identify,
    count_page,
    count_upload,
    introduce_visitor,
    resume_session,
    send_from_visitor,
    set_attributes,
    start_another,
    start_session,
)
from chat.pages import note_page
from chat.protocol import FILES_MAX, FRAME_MAX_CHARS, ID_MAX, SEQ_MAX
from chat.queries import (
    acknowledged,
    earlier_chats,
    group_of,
    page_after,
    page_before,
    standing,
    widget_config,
)
from chat.tokens import WrongToken, token_for
from chat.transcripts import ask_for_transcript
from helpdesk.lib.addresses import sender_of
from helpdesk.lib.errors import NotFound
from helpdesk.lib.fields import Words
from tickets.access import owner_of
from tickets.events import file_as_json
from tickets.models import Inbox
from tickets.operations import (
    ask_for_human,
    end_chat,
    mark_got,
    mark_read,
    rate_ticket,
    seats,
)

PREFLIGHT_SECONDS = 7_200  # what browsers keep at most
LAST_MAX = 100


class Unauthorized(APIException):
    status_code = 401
    default_detail = _("This chat has ended. Write again to begin a new one.")


class Unproved(APIException):
    status_code = 422
    default_code = "unproved"
    default_detail = _("The signature of this identity is not valid.")


class Forbidden(APIException):
    status_code = 403
    default_detail = _("This page is not among the allowed origins of the inbox.")


class TooLarge(APIException):
    status_code = 413
    default_detail = _("This is more than one message can hold.")


class NewMessage(serializers.Serializer[Any]):
    client_token = serializers.UUIDField()
    body = Words()
    files = serializers.ListField(child=serializers.UUIDField(), max_length=FILES_MAX, default=list)


class Seen(serializers.Serializer[Any]):
    seq = serializers.IntegerField(min_value=0, max_value=SEQ_MAX)


class Asked(serializers.Serializer[Any]):
    """Which messages: those after one, those before one, or the last of either."""

    after = serializers.IntegerField(min_value=0, max_value=SEQ_MAX, default=0)
    before = serializers.IntegerField(min_value=0, max_value=SEQ_MAX, default=None)
    last = serializers.IntegerField(min_value=1, max_value=LAST_MAX, default=None)
    chat = serializers.IntegerField(min_value=0, max_value=ID_MAX, default=0)


class About(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=150, allow_blank=True, default="")
    email = serializers.CharField(max_length=254, allow_blank=True, default="")
    answer = serializers.CharField(max_length=200, allow_blank=True, default="")


class Score(serializers.Serializer[Any]):
    score = serializers.IntegerField(min_value=1, max_value=5)
    comment = serializers.CharField(max_length=2_000, allow_blank=True, default="")


class Addressed(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)


class Title(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=1_000, allow_blank=True)


class Muted(serializers.Serializer[Any]):
    muted = serializers.BooleanField()


class Looked(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=1_000, allow_blank=True, default="")
    url = serializers.CharField(max_length=4_000)


class Attributes(serializers.Serializer[Any]):
    attributes = serializers.DictField()


class Proof(serializers.Serializer[Any]):
    """A JWT, or an id with its HMAC-SHA256."""

    jwt = serializers.CharField(max_length=8_000, default="")
    id = serializers.CharField(max_length=1_000, default="")
    hmac = serializers.CharField(max_length=200, default="")


class WidgetView(APIView):
    """Lets a page in by its origin, for one inbox. No cookie counts here."""

    authentication_classes = ()
    permission_classes = ()
    inbox: Inbox | None = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        # In the visitor's language, which our own pages need not speak.
        return spoken(self.language_of(request), super().dispatch, request, *args, **kwargs)

    @staticmethod
    def language_of(request: Any) -> str:
        return wanted(request.headers.get("Accept-Language", ""))

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
            patch_vary_headers(response, ["Origin", "Accept-Language"])
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
        try:
            self.visit = resume_session(self.door, bearer(request))
        except WrongToken as error:
            raise Unauthorized from error


class MessagesView(VisitView):
    def get(self, request: Request, key: str) -> Response:
        asked = valid(Asked, request.query_params)
        last = asked["last"] or 0
        if asked["before"] is None:
            page = page_after(self.visit, asked["after"], last=last)
            # Whoever polls is here, too. A widget that has a socket, and asks now and then, ends
            # both.
            person, pk = self.visit.viewer.person, self.visit.conversation_id
            presence.mark([presence.mark_in(pk, person, "customer", presence.POLL)])
            if asked["after"] > self.visit.has_seq:  # what one asks beyond, one has
                mark_got(self.visit.viewer, pk, asked["after"])
            return Response(page)
        older = page_before(
            self.visit, asked["before"], last=last or LAST_MAX, conversation_id=asked["chat"]
        )
        return Response(older)

    def post(self, request: Request, key: str) -> Response:
        new = valid(NewMessage, request.data)
        message = send_from_visitor(self.visit, **new, address=self.address)
        return Response({"message": acknowledged(message)}, status=201)


class HumanView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        ask_for_human(self.visit.viewer, self.visit.conversation_id)
        return Response(standing(self.visit))


class SeenView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        seen = valid(Seen, request.data)
        mark_read(self.visit.viewer, self.visit.conversation_id, seen["seq"])
        return Response(seen)


class EndView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        end_chat(self.visit.viewer, self.visit.conversation_id)
        return Response(standing(self.visit))


class RatingView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        given = valid(Score, request.data)
        rate_ticket(self.visit.viewer, self.visit.conversation_id, **given)
        return Response(standing(self.visit))


class AnotherView(VisitView):
    """Another chat, for who is done with the one they have."""

    def post(self, request: Request, key: str) -> Response:
        return Response(standing(start_another(self.visit)))


class ChatsView(VisitView):
    """Chats before this one. Their messages are at `messages?before=…&chat=…`."""

    def get(self, request: Request, key: str) -> Response:
        return Response({"chats": earlier_chats(self.visit)})


class PeopleView(VisitView):
    """Who is in the conversation: names and faces, and what the visitor may do about them."""

    def get(self, request: Request, key: str) -> Response:
        return Response(group_of(self.visit))


class GroupView(VisitView):
    """Something that a member does about their group; the answer is the group as it is then."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        self.act(request, **kwargs)
        return Response(group_of(self.visit))

    def act(self, request: Request, **kwargs: Any) -> None:
        raise NotImplementedError


class TitleView(GroupView):
    def act(self, request: Request, **kwargs: Any) -> None:
        title = valid(Title, request.data)["title"]
        count_group(self.visit)
        seats.rename(self.visit.viewer, self.visit.conversation_id, title)


class MuteView(GroupView):
    def act(self, request: Request, **kwargs: Any) -> None:
        muted = valid(Muted, request.data)["muted"]
        seats.mute(self.visit.viewer, self.visit.conversation_id, muted=muted)


class RemoveView(GroupView):
    def act(self, request: Request, **kwargs: Any) -> None:
        remove_from_widget(self.visit, kwargs["person"])


class LeaveView(VisitView):
    """Go. The token opens nothing from then on."""

    def post(self, request: Request, key: str) -> Response:
        seats.leave(self.visit.viewer, self.visit.conversation_id)
        return Response({})


class TranscriptView(VisitView):
    def post(self, request: Request, key: str) -> Response:
        email = valid(Addressed, request.data)["email"]
        language = self.language_of(request)
        ask_for_transcript(self.visit, email=email, language=language, address=self.address)
        return Response({}, status=202)


class AboutView(VisitView):
    """What a visitor says about themselves: unproved."""

    def post(self, request: Request, key: str) -> Response:
        introduce_visitor(self.visit, **valid(About, request.data))
        return Response({})


class AttributesView(VisitView):
    """What the page says about its visitor: unproved."""

    def post(self, request: Request, key: str) -> Response:
        set_attributes(self.visit, valid(Attributes, request.data)["attributes"])
        return Response({})


class PagesView(VisitView):
    """Where the visitor is. Kept only where the inbox shows that to staff."""

    def post(self, request: Request, key: str) -> Response:
        looked = valid(Looked, request.data)
        count_page(self.visit)
        if self.door.sees_pages:
            origin = request.headers.get("Origin", "")
            note_page(self.visit.session_id, **looked, origin=origin)
        return Response({})


class IdentifyView(WidgetView):
    """Who the visitor is, with the shop's signature. Answers with the token to use from now on."""

    def post(self, request: Request, key: str) -> Response:
        count_identify(self.address)
        proof = valid(Proof, request.data)
        try:
            if proof["jwt"]:
                claim = read_jwt(self.door, proof["jwt"])
            else:
                claim = read_hmac(self.door, proof["id"], proof["hmac"])
            origin = request.headers.get("Origin", "")
            session = identify(self.door, self._here(request), claim, origin=origin)
        except WrongToken as error:
            raise Unproved from error
        token = token_for(session.pk)
        return Response({"token": token, **standing(visit_of(session))})

    def _here(self, request: Request) -> Visit | None:
        """Who this browser was until now; nobody, where its token is good no longer."""
        try:
            return resume_session(self.door, bearer(request)) if bearer(request) else None
        except (WrongToken, NotFound):
            return None


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
        file = access_visit_file(self.visit, uuid)
        shown = file_as_json(file)
        return Response({**shown, "save": shown["url"] and link_to(file, "save")})


def bearer(request: Request) -> str:
    """The token that a request brings; empty without one."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


Shape = TypeVar("Shape", bound=serializers.Serializer[Any])


def valid(shape: type[Shape], data: Any) -> dict[str, Any]:
    """The fields of `data` as `shape` wants them. Raises ValidationError, a 400."""
    serializer = shape(data=data)
    serializer.is_valid(raise_exception=True)
    fields: dict[str, Any] = serializer.validated_data
    return fields
