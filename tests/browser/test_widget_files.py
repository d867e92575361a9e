"""Files in the widget: attached in every way, seen by staff, and opened again byte for byte."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import FilePayload, Locator, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import WIDE, NewPage, Shop
from tests.browser.test_desk_access import violations
from tests.browser.test_widget import (
    POLLED_MS,
    box,
    greeting,
    mine,
    open_chat,
    settled,
    staff_on,
    stored,
    unsent,
    without_sockets,
    words,
    write,
)
from tests.browser.test_widget_access import PHONE
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

UPLOADED_MS = 30_000  # a worker looks into each file, on a busy machine
WIDGET = "helpdesk-widget"
PDF = b"%PDF-1.4\n"
SMALL = {"width": 380, "height": 420}  # a phone with its keyboard out


def picture(width: int = 320, height: int = 200) -> bytes:
    """A PNG that no other test has."""
    seed = uuid4().bytes
    rows = b"".join(
        b"\0"
        + bytes(c for x in range(width) for c in (x * 255 // width, y * 255 // height, seed[0]))
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"tEXt", b"Seed\0" + seed.hex().encode())
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


Files = dict[str, bytes]

MAKE_FILES = """
(files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of Object.entries(files)) {
    const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  return transfer;
}
"""


def carried(page: Page, files: Files) -> Any:
    """What a hand or a clipboard holds."""
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return page.evaluate_handle(MAKE_FILES, encoded)


def payload(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "", "buffer": content}


def by_button(page: Page, files: Files) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    assert chooser.value.is_multiple()
    chooser.value.set_files([payload(name, content) for name, content in files.items()])


def by_drop(page: Page, files: Files) -> None:
    panel = page.locator(f"{WIDGET} dialog").first
    held = carried(page, files)
    over = {"dataTransfer": held, "bubbles": True, "cancelable": True}
    for _ in range(20):  # a browser says so again and again; what shows it comes with the first
        panel.dispatch_event("dragover", over)
        if "dropping" in (panel.get_attribute("class") or ""):
            break
        page.wait_for_timeout(100)
    expect(panel).to_have_class(re.compile("dropping"))
    panel.dispatch_event("drop", {"dataTransfer": held, "bubbles": True, "cancelable": True})
    expect(panel).not_to_have_class(re.compile("dropping"))


def by_paste(page: Page, files: Files) -> None:
    paste = (
        "(node, held) => node.dispatchEvent(new ClipboardEvent('paste', { clipboardData: held }))"
    )
    box(page).evaluate(paste, carried(page, files))


WAYS = [by_button, by_drop, by_paste]


def rows(page: Page) -> Locator:
    return page.locator(f"{WIDGET} .up")


def attached(page: Page, *names: str) -> None:
    """They are uploaded, looked into, and wait above the box."""
    for name in names:
        row = rows(page).filter(has_text=name)
        expect(row).to_have_attribute("data-state", "ready", timeout=UPLOADED_MS)


def chip(page: Page, name: str) -> Locator:
    return page.locator(f"{WIDGET} .files").get_by_role("button", name=name)


def saved(page: Page, name: str) -> bytes:
    """Click a file that is not for looking at."""
    with page.expect_download() as download:
        chip(page, name).click()
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_bytes()


def saved_from_lightbox(page: Page, name: str) -> bytes:
    chip(page, name).click()
    lightbox = page.get_by_role("dialog", name=name)
    expect(lightbox).to_be_visible()
    if name.endswith(".png"):
        expect(lightbox.locator("img")).not_to_have_js_property("naturalWidth", 0)
    with page.expect_download() as download:
        lightbox.get_by_role("button", name="Save").click()
    page.keyboard.press("Escape")
    expect(lightbox).to_be_hidden()
    return Path(download.value.path()).read_bytes()


@pytest.mark.parametrize("attach", WAYS)
def test_what_is_attached_arrives_and_opens_everywhere_as_it_was(
    new_page: NewPage, page: Page, stack: Stack, attach: Callable[[Page, Files], None]
) -> None:
    (text,) = words(attach.__name__)
    files = {
        "what broke.png": picture(),
        "größe 📎.pdf": PDF + uuid4().bytes + bytes(range(256)) * 999,
        "log.zip": b"PK\5\6" + b"\0" * 16 + b"\x10\0" + uuid4().bytes,  # empty, with a comment
    }
    open_chat(page)
    write(page, text)
    settled(page)
    staff = staff_on(new_page, stack, text)
    attach(page, files)
    attached(page, *files)
    box(page).press("Enter")
    expect(rows(page)).to_have_count(0)
    settled(page)

    expect(staff.locator(".atts a")).to_have_count(3)
    for name, content in files.items():
        address = staff.locator(f'.atts a[title^="{name}"]').get_attribute("href") or ""
        assert digest(staff.request.get(address).body()) == digest(content), name

    def opens_on(one: Page) -> None:
        for name, content in files.items():
            read = saved if name == "log.zip" else saved_from_lightbox
            assert digest(read(one, name)) == digest(content), name

    opens_on(page)
    page.reload()
    opens_on(page)
    state = page.context.storage_state()
    opens_on(open_chat(new_page(storage_state=state)))


def test_a_shop_with_a_strict_policy_has_files_too(page: Page, shop: Shop, stack: Stack) -> None:
    stack.rows("UPDATE tickets_inbox SET allowed_origins = ARRAY[%s]", shop.origin)
    shop.open_on(page, stack.widget_key)
    words_of_it = f"Order {uuid4().hex}, größer"
    files = {
        "ours.png": picture(),
        "ours.pdf": PDF + uuid4().bytes,
        "ours.txt": words_of_it.encode(),
    }
    by_button(page, files)
    attached(page, *files)
    page.get_by_role("button", name="Send").click()
    expect(chip(page, "ours.png").locator("img")).not_to_have_js_property("naturalWidth", 0)
    assert digest(saved_from_lightbox(page, "ours.png")) == digest(files["ours.png"])
    assert digest(saved_from_lightbox(page, "ours.pdf")) == digest(files["ours.pdf"])
    chip(page, "ours.txt").click()
    expect(shown_text(page)).to_have_text(words_of_it)
    assert page.url.startswith(shop.origin)


def test_the_first_thing_said_may_be_a_file(new_page: NewPage, page: Page, stack: Stack) -> None:
    name = f"{uuid4().hex}.png"
    open_chat(page)
    by_button(page, {name: picture()})
    attached(page, name)
    page.get_by_role("button", name="Send").click()
    settled(page)
    expect(chip(page, name)).to_be_visible()
    subject = "SELECT subject FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(subject, name))


def test_a_file_from_staff_shows_beside_the_launcher_by_its_name(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    (text,) = words("peek")
    open_chat(page)
    write(page, text)
    settled(page)
    page.get_by_role("button", name="Close").click()
    staff = staff_on(new_page, stack, text)
    content = picture()
    staff.locator("[data-file-input]").set_input_files(payload("label.png", content))
    ready = staff.locator('.up[data-state="ready"]')
    expect(ready).to_be_visible(timeout=UPLOADED_MS)
    staff.locator('[data-send="reply"]').click()

    page.locator(f"{WIDGET} .peek", has_text="label.png").click()
    assert digest(saved_from_lightbox(page, "label.png")) == digest(content)


# --- While it is under way ---


def held_back(page: Page, path: str = r"/files/.*offset=") -> Callable[[], None]:
    """Let no piece through, or whatever goes to `path`, until the returned function is called."""
    waiting: list[Route] | None = []

    def hold(route: Route) -> None:
        if waiting is None:
            route.fallback()
        else:
            waiting.append(route)

    def let_go() -> None:
        nonlocal waiting
        held, waiting = waiting or [], None
        for route in held:
            route.fallback()

    page.route(re.compile(path), hold)
    return let_go


def test_what_is_sent_while_a_file_is_under_way_goes_out_with_it(page: Page, stack: Stack) -> None:
    (text,) = words("soon")
    open_chat(page)
    let_go = held_back(page)
    by_button(page, {"a.png": picture()})
    expect(rows(page).get_by_role("progressbar", name="a.png")).to_be_visible()
    write(page, text)
    expect(page.get_by_text("This is sent as soon as its files are ready.")).to_be_visible()
    expect(box(page)).to_have_value(text)
    page.wait_for_timeout(300)
    assert stored(stack, [text]) == []

    let_go()
    expect(chip(page, "a.png")).to_be_visible(timeout=UPLOADED_MS)
    expect(mine(page)).to_have_text([text])
    expect(box(page)).to_have_value("")
    expect(page.get_by_text("This is sent as soon as")).to_be_hidden()
    assert stored(stack, [text]) == [text]


def test_a_file_goes_with_the_first_words_however_fast_they_are_sent(
    page: Page, stack: Stack
) -> None:
    (text,) = words("fast")
    open_chat(page)
    let_go = held_back(page, "/sessions")
    by_button(page, {"a.png": picture()})
    write(page, text)
    expect(page.get_by_text("This is sent as soon as its files are ready.")).to_be_visible()
    let_go()
    expect(chip(page, "a.png")).to_be_visible(timeout=UPLOADED_MS)
    expect(mine(page)).to_have_text([text])
    assert stored(stack, [text]) == [text]


def test_a_file_that_is_cancelled_is_not_sent_and_costs_no_word(page: Page, stack: Stack) -> None:
    (text,) = words("cancelled")
    open_chat(page)
    held_back(page)
    box(page).fill(text)
    by_button(page, {"a.png": picture()})
    page.get_by_role("button", name="Remove a.png").click()
    expect(rows(page)).to_have_count(0)
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value(text)
    box(page).press("Enter")
    settled(page)
    expect(page.locator(f"{WIDGET} .file")).to_have_count(0)
    assert stored(stack, [text]) == [text]


def test_a_failed_upload_keeps_the_text_and_can_be_tried_again(page: Page, stack: Stack) -> None:
    (text,) = words("failed")
    open_chat(page)
    page.route(re.compile(r"/files/.*offset="), lambda route: route.fulfill(status=500, json={}))
    by_button(page, {"a.png": picture()})
    expect(rows(page)).to_have_attribute("data-state", "failed", timeout=UPLOADED_MS)
    write(page, text)
    expect(page.get_by_text("A file could not be attached.")).to_be_visible()
    expect(box(page)).to_have_value(text)
    page.unroute_all()
    page.get_by_role("button", name="Retry").click()
    attached(page, "a.png")
    box(page).press("Enter")
    settled(page)
    expect(chip(page, "a.png")).to_be_visible()
    assert stored(stack, [text]) == [text]


def test_a_refused_kind_of_file_says_why(page: Page, stack: Stack) -> None:
    open_chat(page)
    by_button(page, {"photo.png": b"MZ\x90\0\3" + b"\0" * 200, "empty.txt": b""})
    for name in ("photo.png", "empty.txt"):
        row = rows(page).filter(has_text=name)
        expect(row).to_have_attribute("data-state", "rejected", timeout=UPLOADED_MS)
    expect(page.get_by_text("This file is empty.")).to_be_visible()
    expect(page.get_by_text("is not taken here.")).to_be_visible()


def test_a_draft_keeps_its_files_over_a_reload(page: Page, stack: Stack) -> None:
    (text,) = words("draft")
    open_chat(page)
    box(page).fill(text)
    by_button(page, {"a.png": picture()})
    attached(page, "a.png")
    page.reload()
    attached(page, "a.png")
    expect(box(page)).to_have_value(text)
    box(page).press("Enter")
    expect(chip(page, "a.png")).to_be_visible()
    expect(mine(page)).to_have_text([text])
    page.reload()
    expect(chip(page, "a.png")).to_be_visible()
    expect(rows(page)).to_have_count(0)


def test_a_message_with_a_file_waits_for_a_connection(page: Page, stack: Stack) -> None:
    (text,) = words("later")
    without_sockets(page)
    open_chat(page)
    by_button(page, {"a.png": picture()})
    attached(page, "a.png")
    page.context.set_offline(True)
    write(page, text)
    expect(unsent(page)).to_be_visible()
    expect(page.locator(f"{WIDGET} .unsent .file")).to_contain_text("a.png")
    page.context.set_offline(False)
    expect(chip(page, "a.png")).to_be_visible(timeout=POLLED_MS)
    assert stored(stack, [text]) == [text]


def test_no_more_files_than_one_message_takes(page: Page) -> None:
    open_chat(page)
    expect(greeting(page)).to_be_visible()
    by_button(page, {f"{number}.png": picture(8, 8) for number in range(16)})
    expect(rows(page)).to_have_count(15)
    expect(page.get_by_text("At most 15 files can be sent at once.")).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["wide", "small"])
def test_many_files_leave_room_for_everything_else(size: dict[str, int], new_page: NewPage) -> None:
    page = new_page(viewport=size)
    open_chat(page)
    expect(greeting(page)).to_be_visible()
    held_back(page)
    by_button(page, {f"{number}.png": picture(8, 8) for number in range(15)})
    expect(rows(page)).to_have_count(15)
    box(page).fill("Line\n" * 30)
    panel = page.get_by_role("dialog").bounding_box()
    listed = page.locator(f"{WIDGET} .ups").bounding_box()
    assert panel is not None
    assert listed is not None
    assert 60 < listed["height"] <= panel["height"] * 0.3 + 1
    for one in (
        box(page),
        page.get_by_role("button", name="Send"),
        page.get_by_role("button", name="Close"),
    ):
        place = one.bounding_box()
        assert place is not None
        assert panel["y"] <= place["y"]
        assert place["y"] + place["height"] <= panel["y"] + panel["height"]
    page.get_by_role("button", name="Remove 14.png").click()
    expect(rows(page)).to_have_count(14)


# --- Looking at them ---


def entry(seq: int, *files: dict[str, object], body: str = "", author_id: int = 7) -> Any:
    return {
        "seq": seq,
        "kind": "reply",
        "author": {"id": author_id, "name": "Maya Lindqvist", "role": "staff"},
        "body": body,
        "change": None,
        "sources": [],
        "files": files,
        "created_at": "2030-01-02T03:04:05+00:00",
        "client_token": None,
    }


def file(name: str, kind: str, **more: object) -> dict[str, object]:
    plain = {"id": str(uuid4()), "name": name, "type": kind, "size": 48_213, "url": "/x/show"}
    return plain | {"preview": "", "width": 0, "height": 0, "sentence": ""} | more


PICTURE = {"preview": "/x/preview", "width": 320, "height": 200}
# A second of silence.
SOUND = (
    b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\x40\x1f\0\0"
    + b"\x80" * 8_000
)
VIRUS = "A virus was found in this file: Eicar. It cannot be opened."
SHOWN = [
    file("kettle.png", "image/png", **PICTURE),
    file("manual of the Harbour kettle 0.9 l, second edition.pdf", "application/pdf"),
    file("invoice.zip", "application/zip", url="", sentence=VIRUS),
    file("hum.wav", "audio/x-wav"),
]
PAPER = file("invoice.pdf", "application/pdf", **PICTURE)
NOTES = file("notes.txt", "text/plain")
LID = file("lid.png", "image/png", **PICTURE)


def with_history(page: Page, stack: Stack, *entries: Any) -> list[str]:
    """A visitor whose conversation is these entries. Returns what is asked of their files."""
    asked: list[str] = []
    shown = {
        one["id"]: SOUND for message in entries for one in message["files"] if "wav" in one["type"]
    }
    pictured = {one["id"] for message in entries for one in message["files"] if one["preview"]}
    content = picture()

    def link(route: Route) -> None:
        uuid = route.request.url.split("/")[-2]
        asked.append(uuid)
        url = f"/x/show/{uuid}"
        preview = "/x/preview" if uuid in pictured else ""
        route.fulfill(json={"url": url, "save": "/x/save", "preview": preview})

    def history(route: Route) -> None:
        messages = list(entries) if "after=0" in route.request.url else []
        upto = len(entries)
        answer = {"messages": messages, "upto": upto, "more": False, "you": -1, "handler": "staff"}
        route.fulfill(json=answer)

    without_sockets(page)
    page.route(re.compile("/pages$"), lambda route: route.fulfill(json={}))
    page.route(re.compile("/messages[?]"), history)
    page.route(re.compile("/files/.*/link"), link)
    page.route(re.compile("/x/preview"), lambda route: route.fulfill(body=content))
    page.route(
        re.compile("/x/show"),
        lambda route: route.fulfill(body=shown.get(route.request.url.split("/")[-1], content)),
    )
    page.route(re.compile("/seen"), lambda route: route.fulfill(json={}))
    page.add_init_script(f"localStorage['helpdesk:{stack.widget_key}:token'] = 'a token'")
    return asked


def looked_at(page: Page) -> Locator:
    """The name of the file that lies over everything."""
    return page.locator(f"{WIDGET} .light[open] h2")


def shown_text(page: Page) -> Locator:
    return page.locator(f"{WIDGET} .light[open] pre")


def test_arrow_keys_go_from_file_to_file_and_escape_goes_back(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, *SHOWN), entry(2, LID, author_id=-1))
    open_chat(page)
    chip(page, "kettle.png").click()
    expect(looked_at(page)).to_have_text("kettle.png")
    for key, name in (
        ("ArrowRight", SHOWN[1]["name"]),
        ("ArrowRight", "hum.wav"),  # what is closed is passed over
        ("ArrowRight", "lid.png"),
        ("ArrowRight", "kettle.png"),
        ("ArrowLeft", "lid.png"),
    ):
        page.keyboard.press(key)
        expect(looked_at(page)).to_have_text(str(name))
    page.get_by_role("button", name="Previous file").click()
    expect(looked_at(page)).to_have_text("hum.wav")
    expect(page.locator(f"{WIDGET} .light audio")).to_have_attribute("controls", "")
    page.keyboard.press("Escape")
    expect(looked_at(page)).to_have_count(0)
    expect(page.get_by_role("dialog")).to_be_visible()  # the chat itself
    expect(chip(page, "kettle.png")).to_be_focused()


def test_a_closed_file_says_why_and_opens_nothing(page: Page, stack: Stack) -> None:
    asked = with_history(page, stack, entry(1, *SHOWN))
    open_chat(page)
    closed = page.locator(f"{WIDGET} .file", has_text="invoice.zip")
    expect(closed).to_contain_text(VIRUS)
    closed.click()
    expect(chip(page, "invoice.zip")).to_have_count(0)
    expect(looked_at(page)).to_have_count(0)
    assert asked == []


def test_a_file_that_is_looked_into_opens_without_a_reload(page: Page, stack: Stack) -> None:
    waiting = file("label.pdf", "", url="", sentence="This file is being checked.")
    message = entry(1, waiting)
    with_history(page, stack, message)
    sockets: list[WebSocketRoute] = []

    def answer(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        ready = {"type": "ready", "upto": 1, "you": -1, "handler": "staff"}
        socket.on_message(lambda text: socket.send(json.dumps(ready)) if "hello" in text else None)

    page.route_web_socket(re.compile("/ws/"), answer)
    open_chat(page)
    expect(page.get_by_text("This file is being checked.")).to_be_visible()
    message["files"] = [file("label.pdf", "application/pdf", id=waiting["id"])]
    sockets[-1].send(json.dumps({"type": "files.changed", "conversation": 1, "seq": 1}))
    expect(chip(page, "label.pdf")).to_be_visible()
    expect(page.get_by_text("This file is being checked.")).to_be_hidden()


def test_a_preview_whose_address_grew_old_is_asked_for_again(page: Page, stack: Stack) -> None:
    old = SHOWN[0] | {"preview": "/x/old"}
    asked = with_history(page, stack, entry(1, old))
    page.route(re.compile("/x/old"), lambda route: route.fulfill(status=404, body=""))
    open_chat(page)
    shown = chip(page, "kettle.png").locator("img")
    expect(shown).to_have_js_property("naturalWidth", 320)
    assert asked == [old["id"]]


def test_a_picture_takes_its_place_before_it_is_there(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, SHOWN[0]))
    page.route(re.compile("/x/preview"), lambda route: None)  # never answered
    open_chat(page)
    place = chip(page, "kettle.png").bounding_box()
    assert place is not None
    assert place["height"] > 100


def test_a_tall_picture_is_seen_whole(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, file("receipt.png", "image/png")))
    page.route(re.compile("/x/show"), lambda route: route.fulfill(body=picture(300, 4_000)))
    open_chat(page)
    chip(page, "receipt.png").click()
    shown = page.locator(f"{WIDGET} .light img")
    expect(shown).not_to_have_js_property("naturalWidth", 0)
    place = shown.bounding_box()
    assert place is not None
    assert place["y"] + place["height"] <= WIDE["height"]


def test_it_says_how_large_a_file_is_and_which_of_them(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, *SHOWN), entry(2, LID))
    open_chat(page)
    said = page.locator(f"{WIDGET} .light .head p")
    chip(page, "kettle.png").click()
    expect(said).to_have_text("47.1 KB · 1 of 4")
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("47.1 KB · 2 of 4")


def test_the_only_file_is_one_of_nothing(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, LID))
    open_chat(page)
    chip(page, "lid.png").click()
    expect(page.locator(f"{WIDGET} .light .head p")).to_have_text("47.1 KB")
    expect(page.get_by_role("button", name="Next file")).to_be_hidden()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<b>Grind</b> <script>finer</script>", "<b>Grind</b> <script>finer</script>"),
        ("größer ☕".encode(), "größer ☕"),
        ("größer".encode("latin-1"), "größer"),
        (b"", ""),
        ("é".encode() * 40_000, "é" * 32_768 + "\n…"),
        (b"x" + "é".encode() * 40_000, "x" + "é" * 32_767 + "\n…"),
    ],
    ids=["markup", "utf-8", "latin-1", "empty", "long", "cut"],
)
def test_text_is_read_in_place_and_stays_text(
    content: bytes, text: str, page: Page, stack: Stack
) -> None:
    with_history(page, stack, entry(1, NOTES | {"size": len(content)}))
    asked: list[str] = []

    def show(route: Route) -> None:
        asked.append(route.request.headers["range"])
        route.fulfill(status=206, body=content[: 64 * 1024], content_type="text/html")

    page.route(re.compile("/x/show"), show)
    open_chat(page)
    chip(page, "notes.txt").click()
    shown = shown_text(page)
    expect(shown).to_have_count(1)
    assert shown.text_content() == text
    assert shown.locator("*").count() == 0
    assert asked == ["bytes=0-65535"]


@pytest.mark.parametrize("status", [0, 404])
def test_text_that_cannot_be_had_can_be_saved(status: int, page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, NOTES))
    attachment = {"Content-Disposition": "attachment; filename=notes.txt"}
    page.route(
        re.compile("/x/show"),
        lambda route: route.fulfill(status=404, body="Not here") if status else route.abort(),
    )
    page.route(re.compile("/x/save"), lambda route: route.fulfill(body=b"x", headers=attachment))
    open_chat(page)
    chip(page, "notes.txt").click()
    expect(page.get_by_text("This file cannot be opened here. Try to save it.")).to_be_visible()
    expect(page.get_by_text("Not here")).to_have_count(0)
    with page.expect_download():
        page.get_by_role("button", name="Save").click()


def test_a_pdf_shows_its_first_page_and_opens_beside_the_shop(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, PAPER, SHOWN[1], LID))
    let_go = held_back(page, "/files/.*/link")
    open_chat(page)
    chip(page, "invoice.pdf").click()
    opens = page.locator(f"{WIDGET} .light a")
    expect(opens).to_be_visible()
    assert opens.get_attribute("href") is None
    let_go()
    first_page = page.locator(f"{WIDGET} .light img")
    expect(first_page).to_have_js_property("naturalWidth", 320)
    place = first_page.bounding_box()
    assert place is not None
    assert place["height"] > WIDE["height"] * 0.8
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open", exact=True).click()
    assert popup.value.url.endswith(f"/x/show/{PAPER['id']}")
    assert popup.value.evaluate("opener") is None

    page.get_by_role("button", name="Next file").click()
    expect(page.get_by_text("There is no preview of this file.")).to_be_visible()
    expect(opens).to_have_attribute("href", re.compile(f"/x/show/{SHOWN[1]['id']}"))
    opens.focus()
    page.keyboard.press("ArrowRight")
    expect(opens).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(looked_at(page)).to_have_text("invoice.pdf")


def test_where_nothing_can_be_looked_at_a_click_saves_the_file(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, LID))
    attachment = {"Content-Disposition": "attachment; filename=lid.png"}
    page.route(re.compile("/x/save"), lambda route: route.fulfill(body=b"x", headers=attachment))
    page.route(re.compile("/widget/look.js"), lambda route: route.abort())
    open_chat(page)
    with page.expect_download():
        chip(page, "lid.png").click()
    page.unroute(re.compile("/widget/look.js"))
    chip(page, "lid.png").click()
    expect(looked_at(page)).to_have_text("lid.png")


def test_sound_and_film_have_shapes_of_their_own(page: Page, stack: Stack) -> None:
    film = file("steam.mp4", "video/mp4")
    with_history(page, stack, entry(1, SHOWN[1], SHOWN[3], film))
    open_chat(page)
    shapes = page.locator(f"{WIDGET} .file path")
    expect(shapes).to_have_count(3)
    drawn = [shape.get_attribute("d") for shape in shapes.all()]
    assert len({*drawn}) == 3
    assert None not in drawn


def test_what_a_browser_cannot_show_can_be_saved(page: Page, stack: Stack) -> None:
    with_history(page, stack, entry(1, file("photo.heic", "image/heic")))
    page.route(re.compile("/x/show"), lambda route: route.fulfill(body=b"no picture"))
    open_chat(page)
    chip(page, "photo.heic").click()
    expect(page.get_by_text("This file cannot be opened here.")).to_be_visible()
    attachment = {"Content-Disposition": "attachment; filename=photo.heic"}
    page.route(re.compile("/x/save"), lambda route: route.fulfill(body=b"x", headers=attachment))
    with page.expect_download():
        page.get_by_role("button", name="Save").click()
    page.route(re.compile("/files/.*/link"), lambda route: route.fulfill(json={"sentence": VIRUS}))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(VIRUS)).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    scheme: str, size: dict[str, int], new_page: NewPage, stack: Stack
) -> None:
    page = new_page(color_scheme=scheme, viewport=size)
    see = [SHOWN[0], PAPER, NOTES, *SHOWN[1:]]
    with_history(page, stack, entry(1, *see, body="See these."), entry(2, LID, author_id=-1))
    open_chat(page)
    expect(chip(page, "lid.png").locator("img")).to_have_js_property("naturalWidth", 320)
    page.route(
        re.compile("/files$"), lambda route: route.fulfill(status=422, json={"sentence": "No."})
    )
    by_button(page, {"a very long name of a file that does not fit anywhere.png": picture()})
    expect(rows(page)).to_have_attribute("data-state", "rejected")
    box(page).fill("Hello?")
    box(page).press("Enter")
    found = {"attached": violations(page)}
    chip(page, "kettle.png").click()
    expect(page.locator(f"{WIDGET} .light img")).to_be_visible()
    found["looked at"] = violations(page)
    for name, there in (("invoice.pdf", "img"), ("notes.txt", "pre")):
        page.get_by_role("button", name="Next file").click()
        expect(looked_at(page)).to_have_text(name)
        expect(page.locator(f"{WIDGET} .light {there}")).to_be_visible()
        found[name] = violations(page)
    assert {name: faults for name, faults in found.items() if faults} == {}
