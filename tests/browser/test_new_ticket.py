"""A conversation that staff begin, in a real browser: files by every way, and nothing lost."""

from __future__ import annotations

import base64
import email
import re
import time
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk import BOB, PHONE, heading, log_in, said
from tests.browser.test_desk_access import violations
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

NEW = "/tickets/new/"
DRAFTS = "Object.keys(localStorage).filter((key) => key.endsWith(':new'))"
PNG = (Path(__file__).parents[2] / "docs" / "img" / "desk.png").read_bytes()
TICKET = re.compile(r"/tickets/\d+/$")


def field(page: Page, label: str) -> Any:
    return page.locator("[data-new-ticket]").get_by_label(label, exact=True)


def write(page: Page, subject: str, *, to: str = "", body: str = "Where shall we send it?") -> str:
    """Fill the form; return the address it is to."""
    to = to or f"dave-{uuid4().hex[:8]}@mail.example"
    field(page, "To").fill(to)
    field(page, "Name").fill("Dave Miller")
    field(page, "Subject").fill(subject)
    field(page, "Message").fill(body)
    return to


def press_send(page: Page) -> None:
    page.get_by_role("button", name="Send", exact=True).click()


def attach(page: Page, name: str, content: bytes, kind: str = "text/plain") -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files({"name": name, "mimeType": kind, "buffer": content})


def drop(page: Page, path: Path) -> None:
    """Drag a file of the disk over the page, and let go: the browser's own events."""
    box = field(page, "Message").bounding_box()
    assert box
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    place = {"x": box["x"] + 40, "y": box["y"] + 40, "data": data}
    browser = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver"):
        browser.send("Input.dispatchDragEvent", {"type": kind, **place})
    expect(page.get_by_text("Drop files to attach them")).to_be_visible()
    browser.send("Input.dispatchDragEvent", {"type": "drop", **place})


PASTE = """(box, [name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], name, { type: "image/png" }));
  box.dispatchEvent(
    new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }),
  );
}"""


def paste(page: Page, name: str, content: bytes) -> None:
    field(page, "Message").evaluate(PASTE, [name, base64.b64encode(content).decode()])


def ups(page: Page) -> Any:
    return page.locator("[data-files] .up")


def ready(page: Page, count: int) -> None:
    expect(page.locator('[data-files] .up[data-state="ready"]')).to_have_count(count)


def attached(page: Page, name: str) -> Any:
    """A file of a message on the ticket page."""
    return page.locator("[data-timeline]").get_by_role("link", name=name)


def wait_for(page: Page, held: list[Route]) -> None:
    """Until the browser has asked what is held back from it."""
    stop_at = time.monotonic() + 5
    while not held:
        assert time.monotonic() < stop_at
        page.wait_for_timeout(20)


def mails_to(stack: Stack, address: str) -> list[EmailMessage]:
    files = (stack.data / "mail" / "out").rglob("*.eml")
    mails = [
        email.message_from_bytes(file.read_bytes(), EmailMessage, policy=default) for file in files
    ]
    return [mail for mail in mails if mail["To"].addresses[0].addr_spec == address]


def tickets_of(stack: Stack, subject: str) -> list[Any]:
    return stack.rows("SELECT number FROM tickets_ticket WHERE subject = %s", subject)


def test_a_mail_with_files_by_every_way_opens_its_ticket(
    page: Page, stack: Stack, tmp_path: Path
) -> None:
    subject = f"Your parcel came back {uuid4().hex[:6]}"
    log_in(page)
    page.get_by_role("link", name="New ticket").click()
    to = write(page, subject)
    attach(page, "by button.txt", b"one")
    (tmp_path / "by drop.txt").write_bytes(b"two")
    drop(page, tmp_path / "by drop.txt")
    paste(page, "by paste.png", PNG)
    ready(page, 3)
    press_send(page)

    page.wait_for_url(TICKET)
    expect(heading(page)).to_have_text(subject)
    expect(said(page, "Where shall we send it?")).to_be_visible()
    for name in ("by button.txt", "by drop.txt", "by paste.png"):
        expect(attached(page, name)).to_be_visible()
    expect(page.get_by_text(f"Sent to {to}")).to_be_visible()
    expect(page.locator("[data-part=head]").get_by_text("Waiting", exact=True)).to_be_visible()
    stack.wait_until(lambda: mails_to(stack, to))
    (mail,) = mails_to(stack, to)
    assert mail["Subject"] == subject
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().strip().startswith("Where shall we send it?")
    assert page.evaluate(DRAFTS) == []
    page.go_back()
    page.wait_for_url("**/tickets/")  # not the form that was sent


def test_it_is_sent_when_its_files_are_there(page: Page, stack: Stack) -> None:
    subject = f"With a file {uuid4().hex[:6]}"
    held: list[Route] = []
    log_in(page, to=NEW)
    page.route("**/files/uploads/*?offset=*", lambda route: held.append(route))
    write(page, subject)
    attach(page, "slow.txt", b"slow")
    wait_for(page, held)
    press_send(page)
    expect(page.get_by_text("It is sent as soon as the files are uploaded.")).to_be_visible()
    assert tickets_of(stack, subject) == []
    held[0].continue_()
    page.wait_for_url(TICKET)
    expect(attached(page, "slow.txt")).to_be_visible()


def test_a_file_is_canceled_and_one_that_failed_is_uploaded_again(page: Page, stack: Stack) -> None:
    log_in(page, to=NEW)
    attach(page, "no.txt", b"no")
    ready(page, 1)
    page.get_by_role("button", name="Remove no.txt").click()
    expect(ups(page)).to_have_count(0)
    page.route("**/files/uploads/?inbox=*", lambda route: route.fulfill(status=500))
    attach(page, "again.txt", b"again")
    expect(page.get_by_text("Not uploaded")).to_be_visible()
    write(page, "With a file that failed")
    press_send(page)
    expect(page.get_by_text("Retry or remove it, then send.")).to_be_visible()
    page.unroute("**/files/uploads/?inbox=*")
    page.get_by_role("button", name="Retry").click()
    ready(page, 1)
    assert tickets_of(stack, "With a file that failed") == []


def test_everything_survives_a_reload_and_a_refusal(page: Page, stack: Stack) -> None:
    subject = f"Kept {uuid4().hex[:6]}"
    log_in(page, to=NEW)
    write(page, subject, to="dave@mail", body="Words that took an hour.")
    attach(page, "kept.txt", b"kept")
    ready(page, 1)
    page.reload()

    def all_is_here(to: str) -> None:
        expect(field(page, "To")).to_have_value(to)
        expect(field(page, "Name")).to_have_value("Dave Miller")
        expect(field(page, "Subject")).to_have_value(subject)
        expect(field(page, "Message")).to_have_value("Words that took an hour.")
        ready(page, 1)

    all_is_here("dave@mail")
    press_send(page)
    expect(page.get_by_text("Write an email address such as name@example.org.")).to_be_visible()
    expect(field(page, "To")).to_be_focused()
    expect(field(page, "To")).to_have_attribute("aria-invalid", "true")
    expect(field(page, "To")).to_have_accessible_description(
        "Write an email address such as name@example.org."
    )
    all_is_here("dave@mail")
    assert violations(page) == []
    own = stack.rows("SELECT upper(address) FROM tickets_inbox WHERE address IS NOT NULL")[0][0]
    field(page, "To").fill(own)
    press_send(page)
    expect(page.get_by_text("This is an address of your own desk.")).to_be_visible()
    all_is_here(own)
    page.reload()
    all_is_here(own)
    field(page, "To").fill("dave@mail.example")
    press_send(page)
    page.wait_for_url(TICKET)
    expect(attached(page, "kept.txt")).to_be_visible()
    assert len(tickets_of(stack, subject)) == 1


def test_a_lost_answer_and_a_double_click_are_one_ticket(page: Page, stack: Stack) -> None:
    """The server stores it with its files, the browser never hears, and asks again by itself."""
    subject = f"Once {uuid4().hex[:6]}"
    held: list[Route] = []
    log_in(page, to=NEW)
    page.route("**" + NEW, lambda route: held.append(route), times=1)
    to = write(page, subject)
    attach(page, "once.txt", b"once")
    ready(page, 1)
    page.get_by_role("button", name="Send", exact=True).dblclick()
    wait_for(page, held)
    assert len(held) == 1
    held[0].fetch()  # the server stores it
    held[0].abort()  # the browser never hears
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    page.wait_for_url(TICKET, timeout=20_000)
    expect(heading(page)).to_have_text(subject)
    assert len(tickets_of(stack, subject)) == 1
    stack.wait_until(lambda: mails_to(stack, to))
    assert len(mails_to(stack, to)) == 1


def test_what_was_sent_before_the_page_was_left_is_one_ticket(page: Page, stack: Stack) -> None:
    subject = f"Left {uuid4().hex[:6]}"
    log_in(page, to=NEW)
    page.route("**" + NEW, lambda route: (route.fetch(), route.abort()), times=1)
    write(page, subject)
    attach(page, "left.txt", b"left")
    ready(page, 1)
    press_send(page)
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    page.goto("/tickets/")
    page.goto(NEW, wait_until="commit")  # the files are taken, and the mail is still the same
    page.wait_for_url(TICKET)
    expect(heading(page)).to_have_text(subject)
    assert len(tickets_of(stack, subject)) == 1


def test_without_a_connection_everything_stays_and_goes_out_later(page: Page, stack: Stack) -> None:
    subject = f"Offline {uuid4().hex[:6]}"
    log_in(page, to=NEW)
    write(page, subject)
    page.context.set_offline(True)
    press_send(page)
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    expect(field(page, "Message")).to_have_value("Where shall we send it?")
    page.context.set_offline(False)
    page.wait_for_url(TICKET, timeout=20_000)
    assert len(tickets_of(stack, subject)) == 1


def test_a_draft_goes_with_the_person_who_wrote_it(page: Page, stack: Stack) -> None:
    log_in(page, BOB, to=NEW)
    write(page, "A secret draft")
    stack.wait_until(lambda: page.evaluate(DRAFTS))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.evaluate(DRAFTS) == []


def test_later_files_follow_the_limits_of_the_inbox_that_is_chosen(
    page: Page, stack: Stack
) -> None:
    stack.rows(
        "INSERT INTO tickets_inbox (name, from_name, address, allowed_origins, greeting, "
        "assistant_on, file_max_mb, files_max, visitor_types) "
        "VALUES ('Small', '', 'small@shop.example', '{}', '', false, 1, 2, '{}')"
    )
    try:
        log_in(page, to=NEW)
        before = stack.rows("SELECT id FROM tickets_inbox WHERE address LIKE 'hello@%%'")[0][0]
        large = bytes(1024 * 1024 + 1)
        field(page, "From").select_option(label="Small <small@shop.example>")
        attach(page, "large.bin", large)
        expect(page.get_by_text("At most 1.0\xa0MB can be attached.")).to_be_visible()
        attach(page, "second.txt", b"2")
        attach(page, "third.txt", b"3")
        expect(page.get_by_text("At most 2 files can be sent at once.")).to_be_visible()
        field(page, "From").select_option(value=str(before))
        attach(page, "large too.bin", large)
        ready(page, 2)
        page.reload()
        expect(ups(page)).to_have_count(2)  # what was refused is no part of the draft
        expect(field(page, "From")).to_have_value(str(before))
        assert violations(page) == []
    finally:
        stack.rows("DELETE FROM tickets_inbox WHERE name = 'Small'")


def test_it_is_written_from_the_keyboard_alone(page: Page, stack: Stack) -> None:
    subject = f"By hand {uuid4().hex[:6]}"
    log_in(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_text("New ticket")).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_be_visible()  # no key acts beside the sheet
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.wait_for_url("**" + NEW)
    expect(field(page, "To")).to_be_focused()
    page.keyboard.type("cnr-dave@mail.example")  # none of these keys acts
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type(subject)
    page.keyboard.press("Tab")
    page.keyboard.type("Once more, jkean?")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(TICKET)
    expect(said(page, "Once more, jkean?")).to_be_visible()
    assert len(tickets_of(stack, subject)) == 1


def test_the_form_works_without_script(new_page: NewPage, stack: Stack) -> None:
    log_in(new_page())
    page = new_page(java_script_enabled=False)
    subject = f"Plain {uuid4().hex[:6]}"
    log_in(page, to=NEW)
    expect(page.get_by_role("button", name="Attach files")).to_be_hidden()
    write(page, subject, to="dave@mail")
    press_send(page)
    expect(page.get_by_text("Write an email address")).to_be_visible()
    expect(field(page, "Message")).to_have_value("Where shall we send it?")
    field(page, "To").fill("dave@mail.example")
    press_send(page)
    page.wait_for_url(TICKET)
    assert len(tickets_of(stack, subject)) == 1


@pytest.mark.parametrize(
    ("scheme", "options"),
    [("light", {"viewport": WIDE}), ("dark", {"viewport": WIDE}), ("light", PHONE)],
    ids=["light", "dark", "narrow"],
)
def test_axe_finds_nothing(scheme: str, options: dict[str, Any], new_page: NewPage) -> None:
    page = log_in(new_page(color_scheme=scheme, **options), to=NEW)
    assert violations(page) == []
    write(page, "x" * 200, to="dave")
    attach(page, "a name that is much too long for a telephone to show all of it.txt", b"x")
    ready(page, 1)
    press_send(page)
    expect(page.get_by_text("200 characters")).to_be_visible()
    page.wait_for_timeout(200)
    assert violations(page) == []
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
