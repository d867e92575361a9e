"""Uploading at the desk: what the browser's script asks, and who is turned away."""

from __future__ import annotations

import errno
from io import BytesIO
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from django.test import Client

from attachments.api import parts
from attachments.folder import Folder
from attachments.models import Attachment, Check
from attachments.uploads import PIECE_BYTES
from helpdesk.lib import work
from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Inbox, Ticket
from tickets.operations import post_reply
from tickets.operations.files import check_failed, check_file

pytestmark = pytest.mark.django_db


def begin(browser: Client, inbox: Inbox, size: int = 5, name: str = "a.txt") -> Any:
    return browser.post(
        f"/files/uploads/?inbox={inbox.pk}",
        {"name": name, "size": size},
        content_type="application/json",
    )


def put(browser: Client, id: str, content: bytes, offset: int = 0) -> Any:  # noqa: A002
    address = f"/files/uploads/{id}?offset={offset}"
    return browser.put(address, content, content_type="application/octet-stream")


def test_a_file_goes_up_in_pieces_and_is_looked_into(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    browser = enter(alice)
    begun = begin(browser, inbox)
    assert begun.status_code == 201
    upload = begun.json()
    assert (upload["state"], upload["offset"], upload["to"]) == (
        "uploading",
        0,
        {"pieces": PIECE_BYTES},
    )
    assert put(browser, upload["id"], b"he").json()["offset"] == 2
    assert put(browser, upload["id"], b"llo", 2).json()["state"] == "checking"
    row = Check.objects.get()
    work.perform(Check, row.pk, check_file, gave_up=check_failed)
    ready = browser.get(f"/files/uploads/{upload['id']}").json()
    assert (ready["state"], ready["type"]) == ("ready", "text/plain")


def test_a_piece_for_another_place_is_told_where_we_are(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    browser = enter(alice)
    upload = begin(browser, inbox).json()
    put(browser, upload["id"], b"he")
    again = put(browser, upload["id"], b"he")
    assert (again.status_code, again.json()["offset"]) == (409, 2)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (0, "This file is empty."),
        (25 * 1024 * 1024 + 1, "At most 25.0\xa0MB can be attached."),
        (-1, "size: Ensure this value is greater than or equal to 0."),
        ("many", "size: A valid integer is required."),
    ],
)
def test_what_will_not_do_gets_a_sentence(
    enter: Enter, alice: Viewer, inbox: Inbox, size: Any, sentence: str
) -> None:
    refused = begin(enter(alice), inbox, size)
    assert refused.status_code in {400, 422}
    assert sentence in refused.json()["sentence"]


def test_a_name_may_be_anything(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    browser = enter(alice)
    for name, kept in (("nul\0byte.txt", "nulbyte.txt"), ("", "file"), ("../a\r\nb", "a b")):
        assert begin(browser, inbox, name=name).json()["name"] == kept
    assert (
        browser.post(
            f"/files/uploads/?inbox={inbox.pk}", {"name": 5, "size": 5}, "application/json"
        ).status_code
        == 400
    )


def test_a_piece_that_is_too_large_is_refused(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    browser = enter(alice)
    upload = begin(browser, inbox, PIECE_BYTES + 1).json()
    assert put(browser, upload["id"], bytes(PIECE_BYTES + 1)).status_code == 422
    assert put(browser, upload["id"], bytes(PIECE_BYTES)).status_code == 200


def test_a_full_disk_is_a_pause_and_no_fault(
    enter: Enter, alice: Viewer, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    browser = enter(alice)
    upload = begin(browser, inbox).json()
    monkeypatch.setattr(Folder, "append", full)
    paused = put(browser, upload["id"], b"hello")
    assert (paused.status_code, paused.headers["Retry-After"]) == (503, "5")
    monkeypatch.undo()
    assert put(browser, upload["id"], b"hello").json()["state"] == "checking"


def test_of_a_body_only_what_it_announced_is_taken() -> None:
    body = BytesIO(bytes(200_000))
    assert sum(map(len, parts(body.read, 150_000))) == 150_000
    assert list(parts(body.read, 0)) == []  # sent in chunks: nobody said how many


def test_a_cancelled_upload_is_gone(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    browser = enter(alice)
    upload = begin(browser, inbox).json()
    assert browser.delete(f"/files/uploads/{upload['id']}").status_code == 204
    assert browser.get(f"/files/uploads/{upload['id']}").status_code == 404
    assert browser.delete(f"/files/uploads/{upload['id']}").status_code == 404


def test_an_inbox_of_others_takes_nothing_from_us(
    enter: Enter, mallory: Viewer, inbox: Inbox
) -> None:
    assert begin(enter(mallory), inbox).status_code == 404
    assert enter(mallory).post("/files/uploads/", {}, "application/json").status_code == 400
    assert not Attachment.objects.exists()


def test_nobody_reaches_somebody_elses_upload(
    enter: Enter, alice: Viewer, bob: Viewer, inbox: Inbox
) -> None:
    upload = begin(enter(alice), inbox).json()
    browser = enter(bob)
    for id in (upload["id"], str(uuid4())):  # noqa: A001
        address = f"/files/uploads/{id}"
        assert browser.get(address).status_code == 404
        assert put(browser, id, b"hello").status_code == 404
        assert browser.post(address).status_code == 404
        assert browser.delete(address).status_code == 404
    assert Attachment.objects.get().state == Attachment.State.UPLOADING


def test_strangers_and_forged_requests_are_turned_away(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    assert begin(Client(), inbox).status_code == 403
    upload = begin(enter(alice), inbox).json()
    assert Client().get(f"/files/uploads/{upload['id']}").status_code == 403
    strict = Client(enforce_csrf_checks=True)
    assert alice.user
    strict.force_login(alice.user)
    assert begin(strict, inbox).status_code == 403
    assert put(strict, upload["id"], b"hello").status_code == 403
    assert strict.delete(f"/files/uploads/{upload['id']}").status_code == 403


def test_what_a_message_shows_is_no_upload_any_more(
    enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    upload = make.upload(alice)
    post_reply(alice, ticket.conversation_id, body="", via="web", files=[upload.uuid])
    browser = enter(alice)
    assert browser.get(f"/files/uploads/{upload.uuid}").status_code == 404
    assert browser.delete(f"/files/uploads/{upload.uuid}").status_code == 404
    assert Attachment.objects.get().claimed_at


def test_a_reply_may_be_only_files(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    upload = make.upload(alice, "the label.png")
    answer = enter(alice).post(
        f"/tickets/{ticket.number}/reply/",
        {"body": "", "client_token": str(uuid4()), "file": [str(upload.uuid)]},
        headers={"HX-Request": "true"},
    )
    assert answer.status_code == 204
    ticket.refresh_from_db()
    assert ticket.last_preview == "the label.png"


def test_a_reply_whose_file_is_gone_keeps_its_text(
    enter: Enter, alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    for id in (str(uuid4()), str(make.upload(bob).uuid), "no id"):  # noqa: A001
        answer = enter(alice).post(
            f"/tickets/{ticket.number}/reply/",
            {"body": "Here it is.", "client_token": str(uuid4()), "file": [id]},
            headers={"HX-Request": "true"},
        )
        assert answer.status_code == 422
        assert "One of the files" in answer.content.decode()
    assert ticket.conversation.messages.count() == 1
