"""Files that came with a mail: who may open them, and how they arrive."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from attachments import storage
from attachments.links import link_to
from attachments.models import Attachment, Blob, new_key
from attachments.names import disposition
from attachments.operations import purge
from helpdesk.lib.errors import NotFound
from helpdesk.management.commands.check_invariants import problems
from tests.fakes.mails import mail
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer, access_file
from tickets.models import InboundEmail, Inbox, Message, MessageFile, Ticket
from tickets.operations import post_note
from tickets.views.entries import ShownFile

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


def test_a_script_of_another_site_may_read_what_a_link_opens(
    enter: Enter, alice: Viewer, number: int
) -> None:
    link = link_to(file("chip.png"), "show")
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Headers": "range"}
    asked = Client().options(link, headers=asks)
    assert asked.status_code == 204
    assert asked["Access-Control-Allow-Headers"] == "Range"
    for headers in ({}, {"Range": "bytes=0-9"}):
        response = Client().get(link, headers={**asks, **headers})
        assert response["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response


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
        ended = Client().get(link)
    assert ended.status_code == 410
    assert "Open the file from its message again." in ended.content.decode()


def test_a_name_with_a_percent_sign_is_saved_as_it_is() -> None:
    assert disposition("100% #1?.csv", shown=False) == (
        "attachment; filename*=utf-8''100%25%20%231%3F.csv"
    )


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


# --- The small picture, and what nobody may open ---


def preview_of(attachment: Attachment, picture: bytes = b"RIFF....WEBP") -> Attachment:
    """As if it had been made already."""
    key = new_key()
    storage.put(key, picture)
    Blob.objects.filter(pk=attachment.stored.pk).update(
        preview_key=key, preview_width=96, preview_height=72
    )
    return Attachment.objects.get(pk=attachment.pk)


def test_a_picture_is_shown_small_and_its_preview_asks_the_door_every_time(
    enter: Enter, alice: Viewer, mallory: Viewer, number: int
) -> None:
    attachment = preview_of(file("chip.png"), b"small")
    address = f"/files/{attachment.uuid}/preview/"
    browser = enter(alice)
    page = browser.get(f"/tickets/{number}/").content.decode()
    assert f'<img src="{address}" width="96" height="72"' in page
    asked = browser.get(address)
    assert (asked.status_code, "no-store" in asked["Cache-Control"]) == (302, True)
    got = browser.get(asked["Location"])
    assert (content(got), got["Content-Type"]) == (b"small", "image/webp")
    assert got["X-Content-Type-Options"] == "nosniff"
    assert content(opened(browser, attachment)) == PNG
    assert enter(mallory).get(address).status_code == 404
    assert Client().get(address)["Location"].startswith("/?next=")


def test_without_a_preview_there_is_a_chip_and_no_address(
    enter: Enter, alice: Viewer, number: int
) -> None:
    attachment = file("chip.png")
    browser = enter(alice)
    page = browser.get(f"/tickets/{number}/").content.decode()
    assert f"/files/{attachment.uuid}/preview/" not in page
    assert browser.get(f"/files/{attachment.uuid}/preview/").status_code == 404
    storage.drop(preview_of(attachment).stored.preview_key)
    asked = browser.get(f"/files/{attachment.uuid}/preview/")
    assert browser.get(asked["Location"]).status_code == 404


def test_a_file_called_preview_is_not_taken_for_one(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    come_in(mail(files={"preview": ("text/plain", b"A file of that name.")}))
    assert content(opened(enter(alice), file("preview"))) == b"A file of that name."


VIRUS = "A virus was found in this file: Eicar-Test-Signature. It cannot be opened."


def test_a_file_with_a_virus_is_opened_by_no_door(enter: Enter, alice: Viewer, number: int) -> None:
    attachment = preview_of(file("chip.png"))
    made_before = [link_to(attachment, way) for way in ("show", "save", "preview")]
    Blob.objects.filter(pk=attachment.stored.pk).update(virus="Eicar-Test-Signature")
    browser = enter(alice)
    addresses = [
        address(attachment),
        address(attachment) + "?download",
        f"/files/{attachment.uuid}/preview/",
        *made_before,
    ]
    for each in addresses:
        refused = browser.get(each)
        assert refused.status_code == 422, each
        assert VIRUS in refused.content.decode()
    page = browser.get(f"/tickets/{number}/").content.decode()
    assert VIRUS in page
    assert f"/files/{attachment.uuid}" not in page


@pytest.mark.parametrize(
    ("state", "more", "says"),
    [
        ("checking", {}, "is being checked"),
        ("rejected", {"refusal": "It is a bomb."}, "It is a bomb."),
    ],
)
def test_a_file_that_is_not_ready_is_opened_by_no_door(
    enter: Enter, alice: Viewer, number: int, state: str, more: dict[str, str], says: str
) -> None:
    attachment = preview_of(file("chip.png"))
    made_before = link_to(attachment, "show")
    Attachment.objects.filter(pk=attachment.pk).update(state=state, **more)
    browser = enter(alice)
    for each in (address(attachment), f"/files/{attachment.uuid}/preview/", made_before):
        refused = browser.get(each)
        assert refused.status_code == 422
        assert says in refused.content.decode()
    page = browser.get(f"/tickets/{number}/").content.decode()
    assert f"/files/{attachment.uuid}" not in page
    assert ("data-pending" in page, "Being checked</span>" in page) == (state == "checking",) * 2


def test_staff_are_told_of_files_that_no_scanner_has_looked_at(
    enter: Enter, alice: Viewer, number: int
) -> None:
    page = enter(alice).get(f"/tickets/{number}/").content.decode()
    assert page.count("not scanned for viruses") == len(FILES)
    Blob.objects.update(scanned_at=now())
    page = enter(alice).get(f"/tickets/{number}/").content.decode()
    assert "not scanned for viruses" not in page


def test_an_upload_without_bytes_shows_what_was_announced(
    enter: Enter, alice: Viewer, number: int
) -> None:
    moved = MessageFile.objects.get(attachment__name="chip.png")
    moved.attachment = Attachment.objects.create(
        name="film.mp4", state="checking", upload_key="x", announced_bytes=3_000_000
    )
    moved.save()
    page = enter(alice).get(f"/tickets/{number}/").content.decode()
    assert 'title="film.mp4"' in page


def test_pictures_inside_the_text_are_folded(enter: Enter, alice: Viewer, number: int) -> None:
    MessageFile.objects.update(inline=True)
    page = enter(alice).get(f"/tickets/{number}/").content.decode()
    attached, folded = page.split("1 picture inside the text")
    assert str(file("chip.png").uuid) in folded
    # What is no picture is nowhere in the text either, whatever the mail says.
    assert str(file("page.html").uuid) in attached


def test_a_large_picture_inside_the_text_was_pasted_to_be_seen(
    enter: Enter, alice: Viewer, number: int
) -> None:
    MessageFile.objects.update(inline=True)
    Blob.objects.update(size_bytes=300_000, preview_width=640, preview_height=400)
    page = enter(alice).get(f"/tickets/{number}/").content.decode()
    assert "inside the text" not in page
    assert "chip.png" in page


@pytest.mark.parametrize(
    ("name", "stem", "ending"),
    [
        ("report.pdf", "report", ".pdf"),
        ("archive.tar.gz", "archive.tar", ".gz"),
        ("invoice.pdf.exe", "invoice.pdf", ".exe"),
        (".bashrc", ".bashrc", ""),
        ("no ending", "no ending", ""),
        ("A sentence. It goes on and on", "A sentence. It goes on and on", ""),
    ],
)
def test_a_long_name_keeps_its_ending(name: str, stem: str, ending: str) -> None:
    shown = replace(SHOWN_FILE, name=name)
    assert (shown.stem, shown.ending) == (stem, ending)


SHOWN_FILE = ShownFile(
    uuid=uuid4(),
    name="a.png",
    size_bytes=1,
    kind="image",
    width=0,
    height=0,
    is_signature=False,
    is_scanned=True,
    is_waiting=False,
    closed="",
)


def test_files_cost_a_page_no_query(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    browser = enter(alice)
    counts = []
    for files in ({}, FILES):
        row = come_in(mail(message_id=f"<{len(files)}@mail.example>", files=files))
        number = Ticket.objects.get(conversation=row.conversation_id).number
        browser.get(f"/tickets/{number}/")
        with CaptureQueriesContext(connection) as queries:
            browser.get(f"/tickets/{number}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_chat_bubble_shows_its_files_with_and_without_words(
    enter: Enter, alice: Viewer, chat: Ticket
) -> None:
    come_in(mail(files={"chip.png": FILES["chip.png"]}))
    moved = MessageFile.objects.get()
    moved.message = Message.objects.filter(conversation=chat.conversation_id).latest("seq")
    moved.save()
    browser = enter(alice)
    page = browser.get(f"/tickets/{chat.number}/").content.decode()
    assert f'data-file="{moved.attachment.uuid}"' in page
    bubbles = page.count('class="bubble"')
    Message.objects.filter(pk=moved.message_id).update(body="", file_count=1)
    page = browser.get(f"/tickets/{chat.number}/").content.decode()
    assert f'data-file="{moved.attachment.uuid}"' in page
    assert page.count('class="bubble"') == bubbles - 1
