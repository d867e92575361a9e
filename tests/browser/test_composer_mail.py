"""Writing a mail: who gets it in copy, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import editor, log_in, said, send
from tests.fakes.mails import mail
from tests.stack import Stack, data_folder, running

pytestmark = [pytest.mark.browser, pytest.mark.stack]

WAIT_MS = 20_000  # a second server answers, and takes its time on a busy machine
UNDO_SECONDS = 8


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    settings = {"OUTGOING_UNDO_SECONDS": str(UNDO_SECONDS)}
    with data_folder() as folder, running(Stack(folder, settings=settings)) as up:
        yield up


@pytest.fixture
def address(stack: Stack) -> str:
    """A ticket that somebody opened by mail."""
    subject = f"A question {uuid4().hex[:6]}"
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{uuid4().hex}.eml").write_bytes(mail("Is it in stock?", subject=subject))
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, subject))
    return f"/tickets/{stack.row(query, subject)[0]}/"


@pytest.fixture
def page(new_page: NewPage) -> Page:
    page = new_page()
    page.set_default_timeout(WAIT_MS)
    return page


def mails_with(stack: Stack, words: str) -> list[tuple[str, str]]:
    """To and Cc of each mail that left with these words."""
    found = [path.read_bytes() for path in (stack.data / "mail" / "out").glob("*.eml")]
    read = [message_from_bytes(raw, policy=default) for raw in found]
    return [
        (str(one["To"]), str(one["Cc"] or ""))
        for one in read
        if words in one.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    ]


def test_a_reply_is_taken_back_with_its_files_and_copies_and_sent_otherwise(
    page: Page, address: str, stack: Stack
) -> None:
    words, later = f"Too early {uuid4().hex[:6]}", f"Just right {uuid4().hex[:6]}"
    log_in(page, to=address)
    page.get_by_text("Cc, Bcc").click()
    page.get_by_label("Cc", exact=True).fill("Jonas <jonas@mail.example>; ada@mail.example")
    file = FilePayload(name="offer.txt", mimeType="text/plain", buffer=b"12 euros")
    page.locator("[data-file-input]").set_input_files([file])
    send(page, words)
    expect(said(page, words)).to_be_visible()
    expect(page.get_by_label("Cc", exact=True)).to_be_hidden()

    page.get_by_role("button", name="Undo").click()

    expect(editor(page)).to_have_value(words)
    expect(page.get_by_label("Cc", exact=True)).to_have_value(
        "jonas@mail.example, ada@mail.example"
    )
    expect(page.locator(".up").get_by_text("offer.txt")).to_be_visible()
    expect(page.get_by_text("took back a reply before it left")).to_be_visible()
    expect(said(page, words)).to_have_count(0)
    page.get_by_label("Cc", exact=True).fill("ada@mail.example")
    send(page, later)
    expect(page.get_by_text("Sent to")).to_be_visible(timeout=WAIT_MS + UNDO_SECONDS * 1_000)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    left = mails_with(stack, later)
    assert len(left) == 2
    assert all("carol@mail.example" in to and "ada@mail.example" in cc for to, cc in left)
    assert mails_with(stack, words) == []


def test_who_is_in_copy_is_shown_and_taken_out_with_one_click(
    page: Page, address: str, stack: Stack
) -> None:
    log_in(page, to=address)
    page.get_by_text("Cc, Bcc").click()
    page.get_by_label("Cc", exact=True).fill("dave@mail.example")
    page.get_by_label("Bcc").fill("boss@shop.example")
    send(page, "We look into it.")
    pill = page.locator("#to .pill", has_text="dave")
    expect(pill).to_be_visible()
    log = page.locator("[data-timeline] .log")
    log.locator("summary").click()
    expect(log.get_by_text("boss@shop.example · Bcc")).to_be_visible()

    pill.get_by_role("button", name="Take dave out of copy").click()

    expect(pill).to_have_count(0)
    expect(page.get_by_text("dave@mail.example out of copy")).to_be_visible()
    expect(editor(page)).to_have_value("")


def test_a_wrong_address_is_named_and_nothing_is_lost(page: Page, address: str) -> None:
    log_in(page, to=address)
    page.get_by_text("Cc, Bcc").click()
    page.get_by_label("Cc", exact=True).fill("ada@mail.example, nobody")
    send(page, "Dear both,")
    expect(page.get_by_text("nobody: Write an email address")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Cc", exact=True)).to_have_value("ada@mail.example, nobody")
    expect(editor(page)).to_have_value("Dear both,")


def test_a_note_has_no_copies_and_goes_to_nobody(page: Page, address: str) -> None:
    log_in(page, to=address)
    page.get_by_text("Cc, Bcc").click()
    page.get_by_label("Cc", exact=True).fill("ada@mail.example")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.get_by_text("Cc, Bcc")).to_be_hidden()
    editor(page).fill("For us alone.")
    page.get_by_role("button", name="Add note").click()
    expect(said(page, "For us alone.")).to_be_visible()
    expect(page.locator("#to .pill")).to_have_count(1)


def test_the_key_z_takes_back_what_was_just_sent(page: Page, address: str) -> None:
    log_in(page, to=address)
    send(page, "Oh, wait.")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    expect(editor(page)).to_have_value("Oh, wait.")


def test_the_composer_with_copies_is_accessible(page: Page, address: str) -> None:
    log_in(page, to=address)
    page.get_by_text("Cc, Bcc").click()
    page.get_by_label("Cc", exact=True).fill("dave@mail.example")
    send(page, "Hello both.")
    expect(page.locator("#to .pill", has_text="dave")).to_be_visible()
    page.get_by_text("Cc, Bcc").click()
    page.locator("[data-timeline] .log > summary").click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_it_works_without_a_script(new_page: NewPage, address: str, stack: Stack) -> None:
    page = new_page(java_script_enabled=False)
    page.set_default_timeout(WAIT_MS)
    log_in(page, to=address)
    page.get_by_text("Cc, Bcc").click()
    page.get_by_label("Cc", exact=True).fill("dave@mail.example")
    send(page, "By hand.")
    page.get_by_role("button", name="Take dave out of copy").click()
    expect(page.locator("#to .pill")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(editor(page)).to_have_value("By hand.")
