"""What visitors attach, and what they get to see of others' files."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from pytest_django import Settings

from attachments.models import Attachment, Check
from attachments.uploads import PIECE_BYTES
from chat.models import VisitorSession
from chat.operations import revoke_session
from helpdesk.lib import work
from tests import make
from tests.chat.conftest import Visitor, new_visitor
from tickets.access import Viewer
from tickets.models import Inbox, Message, Participant
from tickets.operations import post_note, post_reply
from tickets.operations.files import check_failed, check_file

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"
NOBODYS = uuid4()


def ask(who: Visitor, method: str, name: str, content: object = None, **more: Any) -> Any:
    """As the widget does; `content` is JSON, or a piece of a file."""
    raw = isinstance(content, bytes)
    headers = {"Authorization": f"Bearer {more.pop('token', who.token)}"} | more.pop("headers", {})
    return Client().generic(
        method,
        f"/widget/{who.key}/{name}",
        content if isinstance(content, bytes) else json.dumps(content or {}),
        content_type="application/octet-stream" if raw else "application/json",
        headers=headers,
        **more,
    )


def begin(who: Visitor, name: str = "photo.png", size: object = len(make.PNG)) -> Any:
    return ask(who, "POST", "files", {"name": name, "size": size})


def send(who: Visitor, *files: object, body: str = "", **more: Any) -> Any:
    content = {"client_token": str(uuid4()), "body": body, "files": [str(file) for file in files]}
    return ask(who, "POST", "messages", content | more)


def uploaded(who: Visitor, name: str = "photo.png", content: bytes = make.PNG) -> UUID:
    return make.upload(who.visit.viewer, name, content).uuid


def files_of(who: Visitor) -> list[dict[str, Any]]:
    page = ask(who, "GET", "messages").json()
    return [file for message in page["messages"] for file in message["files"]]


@async_to_sync
async def bytes_of(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


def test_a_file_is_uploaded_in_pieces_sent_and_saved_as_it_was(visitor: Visitor) -> None:
    content = make.PNG + b"\0" * 100
    begun = begin(visitor, "photo.png", len(content))
    assert begun.status_code == 201
    address = f"files/{begun.json()['id']}"

    assert ask(visitor, "PUT", f"{address}?offset=0", content[:50]).json()["offset"] == 50
    again = ask(visitor, "PUT", f"{address}?offset=0", content[:50])
    assert (again.status_code, again.json()["offset"]) == (409, 50)
    whole = ask(visitor, "PUT", f"{address}?offset=50", content[50:])
    assert whole.json()["state"] == "checking"
    work.perform(Check, Check.objects.get().pk, check_file, gave_up=check_failed)
    upload = ask(visitor, "GET", address).json()
    assert (upload["state"], upload["type"]) == ("ready", "image/png")

    sent = send(visitor, upload["id"])
    assert sent.status_code == 201
    (shown,) = sent.json()["message"]["files"]
    assert (shown["name"], shown["size"]) == ("photo.png", len(content))
    assert [file["id"] for file in files_of(visitor)] == [upload["id"]]

    link = ask(visitor, "GET", f"{address}/link").json()
    saved = Client().get(link["save"])
    assert saved["Content-Disposition"].startswith("attachment")
    received = bytes_of(saved)
    assert hashlib.sha256(received).digest() == hashlib.sha256(content).digest()


def test_words_and_files_go_together_and_order_is_kept(visitor: Visitor) -> None:
    names = ["b.png", "a.png", "ø \N{PILE OF POO}.png"]
    files = [uploaded(visitor, name) for name in names]
    send(visitor, *files, body="See these.")
    assert [file["name"] for file in files_of(visitor)] == names


def test_a_message_with_files_sent_again_is_the_same_message(visitor: Visitor) -> None:
    token, file = str(uuid4()), uploaded(visitor)
    first = send(visitor, file, client_token=token).json()["message"]
    again = send(visitor, file, client_token=token).json()["message"]
    assert [first["seq"], first["files"][0]["id"]] == [again["seq"], again["files"][0]["id"]]
    assert Message.objects.count() == 1


def test_a_message_without_words_or_files_is_refused(visitor: Visitor) -> None:
    assert send(visitor).status_code == 422


def test_files_of_a_page_cost_one_query_and_none_where_there_are_none(
    visitor: Visitor,
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            ask(visitor, "GET", "messages")
        return len(made)

    send(visitor, body="Hello?")
    without = queries()
    for _ in range(3):
        send(visitor, uploaded(visitor), uploaded(visitor))
    assert queries() == without + 1


# --- Limits ---


def test_what_is_too_large_empty_or_too_many_is_refused_with_a_sentence(
    visitor: Visitor, inbox: Inbox
) -> None:
    inbox.file_max_mb, inbox.files_max = 1, 2
    inbox.save()
    for size in (0, 1024 * 1024 + 1):
        refused = begin(visitor, size=size)
        assert (refused.status_code, bool(refused.json()["sentence"])) == (422, True)
    assert not Attachment.objects.exists()

    files = [uploaded(visitor) for _ in range(3)]
    refused = send(visitor, *files)
    assert refused.status_code == 422
    assert "At most 2 files" in refused.json()["sentence"]
    assert send(visitor, *files[:2]).status_code == 201


def test_a_kind_that_visitors_may_not_send_is_rejected_by_its_content(
    visitor: Visitor, inbox: Inbox
) -> None:
    inbox.visitor_types = ["image/*"]
    inbox.save()
    content = b"<script>alert(1)</script>"
    address = f"files/{begin(visitor, 'photo.png', len(content)).json()['id']}"
    ask(visitor, "PUT", f"{address}?offset=0", content)
    work.perform(Check, Check.objects.get().pk, check_file, gave_up=check_failed)
    upload = ask(visitor, "GET", address).json()
    assert (upload["state"], "not taken here" in upload["sentence"]) == ("rejected", True)
    assert send(visitor, upload["id"]).status_code == 422


@pytest.mark.parametrize("content", [{}, {"name": "a"}, {"name": 1, "size": "x"}, [], "x"])
def test_a_malformed_upload_is_a_400(visitor: Visitor, content: object) -> None:
    assert ask(visitor, "POST", "files", content).status_code == 400


@pytest.mark.parametrize("files", [["x"], "x", [str(NOBODYS)] * 101])
def test_malformed_files_of_a_message_are_a_400(visitor: Visitor, files: object) -> None:
    assert send(visitor, body="Hi", files=files).status_code == 400


def test_only_pieces_of_files_may_be_large_and_not_beyond_one_piece(visitor: Visitor) -> None:
    content = b"x" * (PIECE_BYTES + 1)
    address = f"files/{begin(visitor, 'a.txt', len(content)).json()['id']}"
    assert ask(visitor, "PUT", f"{address}?offset=0", content).status_code == 413
    assert ask(visitor, "PUT", f"{address}?offset=0", content[1:]).status_code == 200
    for method, name in (("POST", "files"), ("POST", address), ("POST", "messages")):
        assert ask(visitor, method, name, content[:70_000]).status_code == 413


def test_who_begins_too_many_uploads_is_asked_to_slow_down(
    visitor: Visitor, stranger: Visitor, settings: Settings
) -> None:
    settings.VISITOR_UPLOADS_PER_MINUTE = 2
    assert [begin(visitor).status_code for _ in range(3)] == [201, 201, 429]
    assert begin(stranger).status_code == 201
    settings.ADDRESS_UPLOADS_PER_MINUTE = 4
    assert begin(stranger).status_code == 429


# --- Who gets in ---

DOORS = [
    ("POST", "files"),
    ("GET", "files/{file}"),
    ("PUT", "files/{file}?offset=0"),
    ("POST", "files/{file}"),
    ("DELETE", "files/{file}"),
    ("GET", "files/{sent}/link"),
]


def knock(who: Visitor, method: str, name: str, mine: Visitor, **more: Any) -> int:
    """Ask for files of `mine`, one uploading and one sent."""
    file = begin(mine).json()["id"]
    sent = uploaded(mine)
    send(mine, sent)
    content = make.PNG if method == "PUT" else {"name": "a", "size": 1}
    answer = ask(who, method, name.format(file=file, sent=sent), content, **more)
    return int(answer.status_code)


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_a_visitor_opens_their_own(visitor: Visitor, method: str, name: str) -> None:
    # Only where the storage takes whole files there is something to report by POST.
    reported = (method, name) == ("POST", "files/{file}")
    assert knock(visitor, method, name, visitor) in ({422} if reported else {200, 201, 204})


@pytest.mark.parametrize(("method", "name"), DOORS[1:])
def test_another_visitors_files_are_not_found(
    visitor: Visitor, stranger: Visitor, method: str, name: str
) -> None:
    assert knock(stranger, method, name, visitor) == 404


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_a_token_of_another_inbox_finds_no_files(
    visitor: Visitor, mallory: Viewer, method: str, name: str
) -> None:
    elsewhere = new_visitor(Inbox.objects.get(name="Elsewhere"))
    assert knock(visitor, method, name, visitor, token=elsewhere.token) == 404


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_without_a_good_token_no_file_opens(visitor: Visitor, method: str, name: str) -> None:
    for token in ("", "not:ours", visitor.token[:-1]):
        assert knock(visitor, method, name, visitor, token=token) == 401


@pytest.mark.parametrize("how", ["expired", "revoked", "left"])
@pytest.mark.parametrize(("method", "name"), DOORS)
def test_who_is_shut_out_has_no_files(visitor: Visitor, method: str, name: str, how: str) -> None:
    file, sent = begin(visitor).json()["id"], uploaded(visitor)
    send(visitor, sent)
    if how == "expired":
        past = now() - timedelta(days=1)
        VisitorSession.objects.update(expires_at=now(), created_at=past)
    elif how == "revoked":
        revoke_session(visitor.session.pk)
    else:
        Participant.objects.update(left_at=now())
    content = make.PNG if method == "PUT" else {"name": "a", "size": 1}
    answer = ask(visitor, method, name.format(file=file, sent=sent), content)
    assert answer.status_code == (404 if how == "left" else 401)


def test_another_persons_upload_cannot_be_sent(
    visitor: Visitor, stranger: Visitor, alice: Viewer
) -> None:
    for file in (uploaded(stranger), make.upload(alice).uuid, NOBODYS):
        assert send(visitor, file).status_code == 422
    assert not Message.objects.exists()


def test_a_file_is_sent_once(visitor: Visitor) -> None:
    file = uploaded(visitor)
    assert [send(visitor, file).status_code for _ in range(2)] == [201, 422]


def test_a_file_that_is_not_ready_cannot_be_sent_or_linked(visitor: Visitor) -> None:
    begun = begin(visitor).json()["id"]
    assert send(visitor, begun).status_code == 422
    ask(visitor, "PUT", f"files/{begun}?offset=0", make.PNG)  # being checked
    assert send(visitor, begun).status_code == 422
    assert ask(visitor, "GET", f"files/{begun}/link").status_code == 404
    send(visitor, body="Hello?")
    assert files_of(visitor) == []


def test_an_upload_that_no_message_shows_has_no_link(visitor: Visitor) -> None:
    assert ask(visitor, "GET", f"files/{uploaded(visitor)}/link").status_code == 404


def test_a_file_of_a_note_is_not_there_for_the_customer(visitor: Visitor, alice: Viewer) -> None:
    send(visitor, body="Hello?")
    pk = visitor.session.conversation_id
    shown, secret = (make.upload(alice, name) for name in ("answer.png", "secret.png"))
    post_reply(alice, pk, body="", via="web", files=[shown.uuid])
    post_note(alice, pk, body="", via="web", files=[secret.uuid])

    assert "secret" not in ask(visitor, "GET", "messages").content.decode()
    assert [file["id"] for file in files_of(visitor)] == [str(shown.uuid)]
    assert ask(visitor, "GET", f"files/{shown.uuid}/link").status_code == 200
    assert ask(visitor, "GET", f"files/{secret.uuid}/link").status_code == 404


def test_a_file_with_a_virus_says_so_and_has_no_address(visitor: Visitor) -> None:
    file = uploaded(visitor)
    send(visitor, file)
    blob = Attachment.objects.get(uuid=file).stored
    blob.virus = "Eicar"
    blob.save()
    (shown,) = files_of(visitor)
    assert "Eicar" in shown["sentence"]
    link = ask(visitor, "GET", f"files/{file}/link").json()
    for answer in (shown, link):
        assert {answer.get(name) for name in ("url", "preview", "save")} <= {"", None}


def test_a_page_that_may_show_the_widget_may_upload(visitor: Visitor, inbox: Inbox) -> None:
    def preflight() -> Any:
        headers = {"Origin": SHOP, "Access-Control-Request-Method": "PUT"}
        return ask(visitor, "OPTIONS", f"files/{NOBODYS}", headers=headers)

    assert preflight().status_code == 403
    inbox.allowed_origins = [SHOP]
    inbox.save()
    answer = preflight()
    assert answer.status_code == 204
    assert {"PUT", "DELETE"} <= set(answer["Access-Control-Allow-Methods"].split(", "))
    assert begin(visitor).status_code == 201
