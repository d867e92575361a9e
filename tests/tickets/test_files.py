"""Files that came with a mail: who may open them, and how they arrive."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils.timezone import now

from attachments import storage
from attachments.links import link_to
from attachments.models import Attachment, Blob
from attachments.operations import purge
from helpdesk.lib.errors import NotFound
from helpdesk.management.commands.check_invariants import problems
from tests.fakes.mails import mail
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer, access_file
from tickets.models import InboundEmail, Inbox, Message, MessageFile, Ticket
from tickets.operations import post_note

pytestmark = pytest.mark.django_db

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63"
    "f8cfc0f01f0005000101a5f645400000000049454e44ae426082"
)
HTML = b"<!doctype html><script>document.title = 'taken over'</script>"
FILES = {
    "chip.png": ("image/png", PNG),
    "page.html": ("text/html", HTML),
    "said to be a picture.png": ("image/png", HTML),
    'größe "2" 📎.bin': ("application/octet-stream", bytes(range(256)) * 40),
}


@pytest.fixture
def mailed(inbox: Inbox) -> InboundEmail:
    return come_in(mail(body="See the pictures.", message_id="<first@mail.example>", files=FILES))


@pytest.fixture
def number(mailed: InboundEmail) -> int:
    return Ticket.objects.get(conversation=mailed.conversation_id).number


def file(name: str) -> Attachment:
    return Attachment.objects.get(name=name)


def address(attachment: Attachment) -> str:
    return f"/files/{attachment.uuid}/{attachment.name}"


async def _body(response: Any) -> bytes:
    return b"".join([piece async for piece in response.streaming_content])


def content(response: HttpResponseBase) -> bytes:
    if response.streaming:
        return async_to_sync(_body)(response)
    return response.content  # type: ignore[attr-defined,no-any-return]


def opened(browser: Client, attachment: Attachment, query: str = "", **more: Any) -> Any:
    response = browser.get(address(attachment) + query)
    assert response.status_code == 302, response.status_code
    return browser.get(response["Location"], **more)


def test_every_file_is_on_the_page_and_comes_byte_for_byte(
    enter: Enter, alice: Viewer, number: int
) -> None:
    browser = enter(alice)
    page = browser.get(f"/tickets/{number}/").content.decode()
    for name, (_type, sent) in FILES.items():
        attachment = file(name)
        assert f"/files/{attachment.uuid}/" in page
        got = content(opened(browser, attachment))
        assert hashlib.sha256(got).digest() == hashlib.sha256(sent).digest()


def test_only_what_cannot_carry_a_script_is_shown(enter: Enter, alice: Viewer, number: int) -> None:
    browser = enter(alice)
    shown = opened(browser, file("chip.png"))
    assert (shown["Content-Type"], shown["Content-Disposition"]) == (
        "image/png",
        'inline; filename="chip.png"',
    )
    for name in ("page.html", "said to be a picture.png"):
        saved = opened(browser, file(name))
        assert saved["Content-Type"] == "application/octet-stream"
        assert saved["Content-Disposition"].startswith("attachment;")
    for response in (shown, saved):
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response["Content-Security-Policy"]
    saved = opened(browser, file("chip.png"), "?download")
    assert saved["Content-Disposition"].startswith("attachment;")


def test_a_part_can_be_asked_for(enter: Enter, alice: Viewer, number: int) -> None:
    attachment = file('größe "2" 📎.bin')
    size = attachment.stored.size_bytes
    browser = enter(alice)
    for asked, start, end in (
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, size),
        ("bytes=-10", size - 10, size),
        (f"bytes=5-{size * 2}", 5, size),
    ):
        response = opened(browser, attachment, headers={"Range": asked})
        assert response.status_code == 206
        assert response["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert content(response) == (bytes(range(256)) * 40)[start:end]
    beyond = opened(browser, attachment, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{size}")
    odd = opened(browser, attachment, headers={"Range": "pages=1-2"})
    assert (odd.status_code, len(content(odd))) == (200, size)


def test_an_empty_file_is_an_empty_file(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    come_in(mail(files={"empty.txt": ("text/plain", b"")}))
    response = opened(enter(alice), file("empty.txt"))
    assert (response.status_code, content(response)) == (200, b"")


def test_a_stranger_is_asked_to_log_in(number: int) -> None:
    response = Client().get(address(file("chip.png")))
    assert (response.status_code, response["Location"].partition("?")[0]) == (302, "/")


def test_files_of_another_team_look_like_no_files(
    enter: Enter, mallory: Viewer, number: int
) -> None:
    browser = enter(mallory)
    forbidden = browser.get(address(file("chip.png")))
    missing = browser.get(f"/files/{uuid4()}/chip.png")
    assert (forbidden.status_code, missing.status_code) == (404, 404)
    assert forbidden.content == missing.content


def test_a_link_that_is_old_or_altered_opens_nothing(number: int) -> None:
    link = link_to(file("chip.png"), "show")
    assert Client().get(link).status_code == 200
    signed = link.split("/")[3]
    other = "A" if signed[-1] != "A" else "B"
    for bad in (signed[:-1] + other, signed.swapcase(), "x", "..%2f..%2fetc%2fpasswd"):
        assert Client().get(f"/files/bytes/{bad}/chip.png").status_code == 404
    with mock.patch("django.core.signing.time.time", return_value=(now().timestamp() + 301)):
        assert Client().get(link).status_code == 404


def test_a_customer_opens_files_of_replies_and_never_of_notes(
    alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    come_in(mail(sender="Dave <dave@mail.example>", files={"chip.png": FILES["chip.png"]}))
    attachment = file("chip.png")
    moved = MessageFile.objects.get(attachment=attachment)
    with pytest.raises(NotFound):
        access_file(carol, attachment.uuid)
    moved.message = Message.objects.filter(conversation=chat.conversation_id).latest("seq")
    moved.save()
    assert access_file(carol, attachment.uuid) == attachment
    moved.message = post_note(alice, chat.conversation_id, body="Look at this.", via="web")
    moved.save()
    assert access_file(alice, attachment.uuid) == attachment
    with pytest.raises(NotFound):
        access_file(carol, attachment.uuid)


def test_the_same_signature_in_two_mails_is_stored_once(mailed: InboundEmail) -> None:
    before = Blob.objects.count()
    come_in(mail(body="Once more.", message_id="<second@mail.example>", files=FILES))
    assert Blob.objects.count() == before
    assert Attachment.objects.filter(name="chip.png").count() == 2


def test_a_mail_that_came_twice_has_its_files_once(mailed: InboundEmail) -> None:
    again = come_in(mail(body="See the pictures.", message_id="<first@mail.example>", files=FILES))
    assert again.decision == "duplicate"
    assert Attachment.objects.count() == len(FILES)


def test_a_storage_that_is_away_delays_the_mail_and_loses_nothing(inbox: Inbox) -> None:
    raw = mail(body="See the pictures.", files={"new.bin": ("application/x-new", b"never seen")})
    with mock.patch("attachments.storage.put", side_effect=OSError("no space left")):
        row = come_in(raw)
    assert (row.state, row.error) == ("queued", "no space left")
    assert not Message.objects.exists()


def test_files_go_with_their_conversation(mailed: InboundEmail) -> None:
    assert mailed.conversation is not None
    mailed.conversation.delete()
    old = now() - timedelta(hours=25)
    Attachment.objects.update(created_at=old)
    Blob.objects.update(created_at=old)
    purge()
    assert not Attachment.objects.exists()
    assert not Blob.objects.exists()


def test_a_file_whose_bytes_are_gone_looks_like_no_file(
    enter: Enter, alice: Viewer, number: int
) -> None:
    attachment = file("chip.png")
    assert not list(problems())
    storage.drop(attachment.stored.key)
    assert opened(enter(alice), attachment).status_code == 404
    assert [line for line in problems() if "its bytes are gone" in line]
