"""Files in the composer: while they are under way, when something fails, and by whatever name."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import PHONE, Customer, editor, log_in, said, send
from tests.browser.test_desk_access import violations
from tests.browser.test_files import link
from tests.browser.test_widget_files import (
    UPLOADED_MS,
    by_button,
    carried,
    held_back,
    picture,
)
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]


@pytest.fixture
def text() -> str:
    """Words that no other test writes."""
    return f"See the files {uuid4().hex[:8]}"


@pytest.fixture
def desk(page: Page, stack: Stack, text: str) -> Page:
    """A ticket of a new chat."""
    Customer(stack).says(f"Which filter fits? {text}")
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    # Or what is written is held back when the assistant has spoken.
    stack.wait_until(
        lambda: stack.rows(
            "SELECT 1 FROM tickets_ticket WHERE number = %s AND status = 'waiting'", number
        )
    )
    return log_in(page, to=f"/tickets/{number}/")


def rows(page: Page) -> Locator:
    return page.locator(".up")


def attached(page: Page, *names: str) -> None:
    for name in names:
        row = rows(page).filter(has_text=name)
        expect(row).to_have_attribute("data-state", "ready", timeout=UPLOADED_MS)


def files_of(stack: Stack, body: str) -> list[str]:
    """The names that the messages with these words show."""
    query = (
        "SELECT a.name FROM tickets_message m JOIN tickets_messagefile f ON f.message_id = m.id "
        "JOIN attachments_attachment a ON a.id = f.attachment_id WHERE m.body = %s ORDER BY f.id"
    )
    return [name for (name,) in stack.rows(query, body)]


def count_of(stack: Stack, body: str) -> int:
    return int(stack.row("SELECT count(*) FROM tickets_message WHERE body = %s", body)[0])


def test_what_is_sent_while_files_are_under_way_goes_out_with_them(
    desk: Page, stack: Stack, text: str
) -> None:
    let_go = held_back(desk)
    by_button(desk, {"a.png": picture()})
    expect(rows(desk).get_by_role("progressbar", name="a.png")).to_be_visible()
    send(desk, text)
    expect(desk.get_by_text("It is sent as soon as the files are uploaded.")).to_be_visible()
    expect(editor(desk)).to_have_value(text)
    assert count_of(stack, text) == 0
    let_go()
    expect(said(desk, text)).to_be_visible(timeout=UPLOADED_MS)
    expect(editor(desk)).to_have_value("")
    assert files_of(stack, text) == ["a.png"]


def test_a_note_that_waits_for_its_file_stays_a_note(desk: Page, stack: Stack, text: str) -> None:
    let_go = held_back(desk)
    desk.get_by_text("Note", exact=True).first.click()
    by_button(desk, {"a.png": picture()})
    editor(desk).fill(text)
    desk.keyboard.press("Control+Enter")
    expect(desk.get_by_text("It is sent as soon as the files are uploaded.")).to_be_visible()
    desk.evaluate("document.activeElement.blur()")
    desk.keyboard.press("r")  # a reply is begun, or so they think
    expect(desk.get_by_text("It is sent as soon as the files are uploaded.")).to_be_hidden()
    let_go()
    attached(desk, "a.png")
    desk.wait_for_timeout(500)
    assert count_of(stack, text) == 0
    expect(editor(desk)).to_have_value(text)


def test_a_file_that_is_removed_is_not_sent_and_costs_no_word(
    desk: Page, stack: Stack, text: str
) -> None:
    held_back(desk)
    editor(desk).fill(text)
    by_button(desk, {"a.png": picture()})
    desk.get_by_role("button", name="Remove a.png").click()
    expect(rows(desk)).to_have_count(0)
    expect(editor(desk)).to_be_focused()
    expect(editor(desk)).to_have_value(text)
    desk.keyboard.press("Control+Enter")
    expect(said(desk, text)).to_be_visible()
    assert files_of(stack, text) == []


def test_a_failed_upload_keeps_the_text_and_can_be_tried_again(
    desk: Page, stack: Stack, text: str
) -> None:
    desk.route(re.compile("offset="), lambda route: route.fulfill(status=500, json={}))
    by_button(desk, {"a.png": picture()})
    expect(rows(desk)).to_have_attribute("data-state", "failed", timeout=UPLOADED_MS)
    send(desk, text)
    expect(desk.get_by_text("A file was not uploaded. Retry or remove it")).to_be_visible()
    expect(editor(desk)).to_have_value(text)
    assert violations(desk) == []
    desk.unroute_all()
    desk.get_by_role("button", name="Retry").click()
    attached(desk, "a.png")
    desk.keyboard.press("Control+Enter")
    expect(said(desk, text)).to_be_visible()
    assert files_of(stack, text) == ["a.png"]


def test_an_upload_that_fails_each_time_ends_as_failed(desk: Page) -> None:
    desk.route(re.compile("offset="), lambda route: route.fulfill(status=503, json={}))
    by_button(desk, {"a.png": picture()})
    expect(rows(desk)).to_have_attribute("data-state", "failed", timeout=30_000)
    expect(desk.get_by_role("button", name="Retry")).to_be_visible()


def test_a_connection_that_comes_back_is_enough(desk: Page, stack: Stack, text: str) -> None:
    cut: list[int] = []

    def cut_twice(route: Route) -> None:
        cut.append(1)
        route.abort() if len(cut) < 3 else route.continue_()

    desk.route(re.compile("offset="), cut_twice)
    by_button(desk, {"a.png": picture()})
    attached(desk, "a.png")
    assert len(cut) == 3


def test_an_empty_and_an_oversized_file_say_so_and_cost_nothing(
    desk: Page, stack: Stack, text: str
) -> None:
    stack.rows("UPDATE tickets_inbox SET file_max_mb = 1")
    try:
        by_button(desk, {"empty.txt": b"", "large.bin": bytes(1_100_000), "good.txt": b"good"})
        expect(desk.get_by_text("This file is empty.")).to_be_visible()
        sentence = re.compile(r"This file has 1.0\sMB. At most 1.0\sMB can be attached.")
        expect(desk.get_by_text(sentence)).to_be_visible()
    finally:
        stack.rows("UPDATE tickets_inbox SET file_max_mb = 25")
    attached(desk, "good.txt")
    for name in ("empty.txt", "large.bin"):
        desk.get_by_role("button", name=f"Remove {name}").click()
    send(desk, text)
    expect(said(desk, text)).to_be_visible()
    assert files_of(stack, text) == ["good.txt"]


def test_no_more_files_than_one_message_takes(desk: Page, stack: Stack) -> None:
    by_button(desk, {f"{number}.txt": b"some words" for number in range(17)})
    expect(rows(desk)).to_have_count(15)
    expect(desk.get_by_text("At most 15 files can be sent at once.")).to_be_visible()


def test_a_draft_keeps_its_files_over_a_reload(desk: Page, stack: Stack, text: str) -> None:
    editor(desk).fill(text)
    by_button(desk, {"a.png": picture()})
    attached(desk, "a.png")
    desk.reload()
    attached(desk, "a.png")
    expect(editor(desk)).to_have_value(text)
    desk.get_by_role("button", name="Send").click()
    expect(said(desk, text)).to_be_visible()
    assert files_of(stack, text) == ["a.png"]
    desk.reload()
    expect(said(desk, text)).to_be_visible()
    expect(rows(desk)).to_have_count(0)


def test_a_draft_may_be_only_files(desk: Page, stack: Stack) -> None:
    name = f"{uuid4().hex}.png"
    by_button(desk, {name: picture()})
    attached(desk, name)
    desk.reload()
    attached(desk, name)
    desk.get_by_role("button", name="Send").click()
    expect(link(desk, name)).to_be_visible()


def test_an_answer_that_got_lost_is_no_second_message_though_the_page_was_left(
    desk: Page, stack: Stack, text: str
) -> None:
    desk.route("**/reply/*", lambda route: (route.fetch(), route.abort()))
    by_button(desk, {"a.png": picture()})
    attached(desk, "a.png")
    send(desk, text)
    expect(desk.get_by_text("Not sent: no connection.")).to_be_visible()
    desk.goto("about:blank")
    desk.unroute_all()
    desk.go_back()
    expect(editor(desk)).to_have_value("", timeout=20_000)
    expect(rows(desk)).to_have_count(0)
    assert count_of(stack, text) == 1


def test_going_on_to_another_ticket_leaves_an_upload_running(
    desk: Page, stack: Stack, text: str
) -> None:
    let_go = held_back(desk)
    by_button(desk, {"a.png": picture()})
    expect(rows(desk)).to_have_attribute("data-state", "uploading")
    desk.wait_for_timeout(500)  # it has a name here
    address = desk.url
    desk.locator("[data-rows] .row-link").last.click()
    expect(desk).not_to_have_url(address)
    let_go()
    desk.go_back()
    attached(desk, "a.png")


@pytest.mark.parametrize("width", [1280, 380])
def test_a_file_opens_with_one_click_although_the_cursor_is_in_the_box(
    new_page: NewPage, stack: Stack, text: str, width: int
) -> None:
    customer = Customer(stack)
    for number in range(8):
        customer.says(f"{text} {number}")
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    page = log_in(new_page(viewport={"width": width, "height": 700}), to=f"/tickets/{number}/")
    editor(page).click()
    by_button(page, {"a.png": picture()})
    attached(page, "a.png")
    page.keyboard.press("Control+Enter")
    expect(rows(page)).to_have_count(0)
    expect(link(page, "a.png").locator("img")).to_be_visible(timeout=UPLOADED_MS)
    editor(page).focus()
    place = link(page, "a.png").bounding_box()
    assert place
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(80)  # as a finger does
    page.mouse.up()
    expect(page.locator("dialog.lightbox[open]")).to_be_visible()


@pytest.mark.parametrize("size", [(1280, 620), (380, 420)])
def test_many_files_leave_the_button_where_it_can_be_pressed(
    new_page: NewPage, stack: Stack, text: str, size: tuple[int, int]
) -> None:
    Customer(stack).says(f"Which filter fits? {text}")
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    width, height = size
    page = log_in(new_page(viewport={"width": width, "height": height}), to=f"/tickets/{number}/")
    editor(page).click()
    by_button(page, {f"{number}.txt": b"some words" for number in range(15)})
    expect(page.locator('.up[data-state="ready"]')).to_have_count(15, timeout=30_000)
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    expect(editor(page)).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Send").click()
    expect(rows(page)).to_have_count(0)


def test_a_file_that_is_dropped_beside_the_composer_is_attached(desk: Page) -> None:
    beside = desk.locator("#nav")
    held = carried(desk, {"a.png": picture()})
    drag = {"dataTransfer": held, "bubbles": True, "cancelable": True}
    beside.dispatch_event("dragover", drag)
    expect(desk.get_by_text("Drop files to attach them")).to_be_visible()
    beside.dispatch_event("drop", drag)
    attached(desk, "a.png")


NAMES = {
    "emoji 📎🇳🇱.txt": "emoji 📎🇳🇱.txt",
    "ü" * 190 + ".tar.gz": "ü" * 190 + ".tar.gz",
    "חשבונית.pdf": "חשבונית.pdf",
    "a \"quoted\" 'name'; x=1.txt": None,  # Chromium saves quotes as _
    "photo.jpg.exe": "photo.jpg.exe",
    "CON": None,
    "..\\..\\evil.txt": None,
    "<img src=x onerror=alert(1)>.txt": None,
}


def test_names_of_real_life_survive(desk: Page, stack: Stack, text: str) -> None:
    dialogs: list[str] = []
    desk.on("dialog", lambda dialog: dialogs.append(dialog.message))
    by_button(desk, {name: name.encode() for name in NAMES} | {"same.txt": b"one"})
    expect(rows(desk)).to_have_count(len(NAMES) + 1)
    by_button(desk, {"same.txt": b"two"})
    expect(desk.locator('.up[data-state="ready"]')).to_have_count(len(NAMES) + 2, timeout=30_000)
    send(desk, text)
    expect(said(desk, text)).to_be_visible()
    kept = files_of(stack, text)
    expected = [name.rpartition("\\")[2] for name in NAMES]
    assert sorted(kept) == sorted([*expected, "same.txt", "same.txt"])
    for name, saved_as in NAMES.items():
        shown_as = name.rpartition("\\")[2]
        address = next(
            a.get_attribute("href")
            for a in desk.locator("[data-timeline] a[data-file]").all()
            if a.get_attribute("data-name") == shown_as
        )
        with desk.expect_download() as download:
            desk.evaluate("href => location.assign(`${href}?download`)", address)
        assert Path(download.value.path()).read_bytes() == name.encode()
        if saved_as:
            assert download.value.suggested_filename == saved_as
    both = desk.locator('[data-timeline] a[data-name="same.txt"]')
    contents = {desk.request.get(a.get_attribute("href") or "").body() for a in both.all()}
    assert contents == {b"one", b"two"}
    assert dialogs == []


def test_a_phone_attaches_with_its_picker_and_nothing_is_too_wide(
    new_page: NewPage, stack: Stack, text: str
) -> None:
    Customer(stack).says(f"Which filter fits? {text}")
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    phone = log_in(new_page(**PHONE), to=f"/tickets/{number}/")
    editor(phone).tap()
    by_button(phone, {f"{'a long name ' * 8}.png": picture()})
    expect(rows(phone)).to_have_attribute("data-state", "ready", timeout=UPLOADED_MS)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 380
    assert violations(phone) == []
    phone.get_by_role("button", name="Send").tap()
    expect(rows(phone)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(new_page: NewPage, stack: Stack, text: str, scheme: str) -> None:
    Customer(stack).says(f"Which filter fits? {text}")
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    page = log_in(new_page(color_scheme=scheme), to=f"/tickets/{number}/")
    by_button(page, {"a.png": picture(), "empty.txt": b""})
    attached(page, "a.png")
    assert violations(page) == []
