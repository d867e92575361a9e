"""Every place where files are attached × every way to attach them: they arrive at the other side
while it looks on, show what they are, and come back byte for byte; nobody else has them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import BOB, editor, log_in
from tests.browser.test_widget import open_chat, settled, staff_on, words, write
from tests.browser.test_widget_files import (
    UPLOADED_MS,
    Files,
    by_button,
    by_drop,
    by_paste,
    carried,
    chip,
    picture,
    saved,
    saved_from_lightbox,
)
from tests.fakes.mails import mail
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

SHOWN_MS = 20_000  # at the other side, without a reload, on a busy machine
WAYS = ("button", "drop", "paste")


@dataclass
class Sides:
    """Two browsers that have one conversation before them, and how a message leaves the first."""

    writer: Page
    reader: Callable[[], Page]  # looks on already, where there is something to look at
    send: Callable[[], None]
    stranger: Callable[[], Page] | None = None  # who must not learn of it


# --- Where they are attached ---


def mail_ticket(stack: Stack, text: str) -> str:
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".everywhere.tmp"
    temporary.write_bytes(mail(text, subject=text))
    temporary.rename(folder / f"{uuid4().hex}.eml")
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, text))
    return f"/tickets/{stack.row(query, text)[0]}/"


def pressed(page: Page, kind: str) -> Callable[[], None]:
    name = "Send" if kind == "Reply" else "Add note"
    return lambda: page.get_by_role("button", name=name, exact=True).click()


def desk_of(new_page: NewPage, address: str, kind: str) -> Page:
    page = log_in(new_page(), to=address)
    page.get_by_text(kind, exact=True).first.click()
    return page


def mail_reply(new_page: NewPage, stack: Stack, kind: str = "Reply") -> Sides:
    (text,) = words("mail")
    address = mail_ticket(stack, text)
    writer = desk_of(new_page, address, kind)
    reader = log_in(new_page(), BOB, to=address)
    return Sides(writer, lambda: reader, pressed(writer, kind))


def mail_note(new_page: NewPage, stack: Stack) -> Sides:
    return mail_reply(new_page, stack, "Note")


def chat_of(new_page: NewPage, stack: Stack) -> tuple[Page, Page]:
    (text,) = words("chat")
    customer = open_chat(new_page())
    write(customer, text)
    settled(customer)
    return customer, staff_on(new_page, stack, text)


def chat_reply(new_page: NewPage, stack: Stack) -> Sides:
    customer, staff = chat_of(new_page, stack)
    return Sides(staff, lambda: customer, pressed(staff, "Reply"))


def chat_note(new_page: NewPage, stack: Stack) -> Sides:
    customer, staff = chat_of(new_page, stack)
    staff.get_by_text("Note", exact=True).first.click()
    bob = log_in(new_page(), BOB, to=staff.url)
    return Sides(staff, lambda: bob, pressed(staff, "Note"), stranger=lambda: customer)


def widget(new_page: NewPage, stack: Stack) -> Sides:
    customer, staff = chat_of(new_page, stack)
    send = customer.get_by_role("button", name="Send", exact=True)
    return Sides(customer, lambda: staff, send.click)


def new_ticket(new_page: NewPage, stack: Stack) -> Sides:
    (text,) = words("new")
    writer = log_in(new_page(), to="/tickets/new/")
    form = writer.locator("[data-new-ticket]")
    form.get_by_label("To", exact=True).fill(f"{uuid4().hex[:8]}@customer.example")
    form.get_by_label("Subject", exact=True).fill(text)
    editor(writer).fill(text)

    def send() -> None:
        writer.get_by_role("button", name="Send", exact=True).click()
        writer.wait_for_url(re.compile(r"/tickets/\d+/"))

    return Sides(writer, lambda: log_in(new_page(), BOB, to=writer.url), send)


PLACES = (mail_reply, mail_note, chat_reply, chat_note, widget, new_ticket)


# --- How they are attached ---


def is_widget(page: Page) -> bool:
    return page.locator("helpdesk-widget").count() > 0


def attach(page: Page, way: str, files: Files) -> None:
    if is_widget(page):
        {"button": by_button, "drop": by_drop, "paste": by_paste}[way](page, files)
    elif way == "button":
        by_button(page, files)
    elif way == "drop":
        pane = page.locator("#ticket, [data-new-ticket]").first
        held = carried(page, files)
        pane.dispatch_event("dragover", {"dataTransfer": held, "bubbles": True, "cancelable": True})
        expect(page.get_by_text("Drop files to attach them")).to_be_visible()
        pane.dispatch_event("drop", {"dataTransfer": held, "bubbles": True, "cancelable": True})
        expect(page.get_by_text("Drop files to attach them")).to_be_hidden()
    else:
        paste = """(box, clipboardData) => box.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))"""
        editor(page).evaluate(paste, carried(page, files))


def rows(page: Page) -> Locator:
    return page.locator(".up")


# --- How they are opened ---


def shows(page: Page, name: str) -> Locator:
    if is_widget(page):
        return chip(page, name)
    return page.locator(f'[data-timeline] a[data-name="{name}"]')


def got(page: Page, name: str) -> bytes:
    """Click it, look at it where it can be looked at, save it."""
    looked_at = name.endswith(".png")
    if is_widget(page):
        return (saved_from_lightbox if looked_at else saved)(page, name)
    if not looked_at:
        with page.expect_download() as download:
            shows(page, name).click()
    else:
        expect(shows(page, name).locator("img")).not_to_have_js_property("naturalWidth", 0)
        shows(page, name).click()
        lightbox = page.locator("dialog.lightbox[open]")
        expect(lightbox.locator("[data-stage] img")).not_to_have_js_property("naturalWidth", 0)
        with page.expect_download() as download:
            lightbox.get_by_role("link", name="Save").click()
        page.keyboard.press("Escape")
        expect(lightbox).to_have_count(0)
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_bytes()


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_is_attached_is_seen_and_opened_at_the_other_side(
    new_page: NewPage, stack: Stack, place: Callable[[NewPage, Stack], Sides], way: str
) -> None:
    tag = uuid4().hex[:6]
    files = {
        f"what broke {tag}.png": picture(),
        f"größe 📎 {tag}.bin": b"PK\3\4" + uuid4().bytes + bytes(range(256)) * 999,
    }
    sides = place(new_page, stack)
    attach(sides.writer, way, files)
    for name in files:
        row = rows(sides.writer).filter(has_text=name)
        expect(row).to_have_attribute("data-state", "ready", timeout=UPLOADED_MS)
    sides.send()
    expect(rows(sides.writer)).to_have_count(0, timeout=SHOWN_MS)

    reader = sides.reader()
    for page in (reader, sides.writer):
        for name, content in files.items():
            expect(shows(page, name)).to_be_visible(timeout=SHOWN_MS)
            assert sum_of(got(page, name)) == sum_of(content), name
    reader.reload()
    for name, content in files.items():
        assert sum_of(got(reader, name)) == sum_of(content), name

    desk = reader if is_widget(sides.writer) else sides.writer
    links = [shows(desk, name).get_attribute("href") or "" for name in files]
    assert_nobody_else_has_them(new_page, stack, links, desk.url)
    if sides.stranger:
        customer = sides.stranger()
        customer.reload()
        expect(customer.locator("helpdesk-widget .bubble").first).to_be_visible()
        for name in files:
            expect(customer.get_by_text(name)).to_have_count(0)


def assert_nobody_else_has_them(
    new_page: NewPage, stack: Stack, links: list[str], ticket: str
) -> None:
    """A login of another team gets 404, and who has none is sent to the door."""
    number = int(re.findall(r"/tickets/(\d+)/", ticket)[0])
    stack.rows("INSERT INTO tickets_team (name) VALUES ('Elsewhere') ON CONFLICT DO NOTHING")
    stack.rows(
        "INSERT INTO tickets_inbox_teams (inbox_id, team_id) "
        "SELECT t.inbox_id, team.id FROM tickets_ticket t, tickets_team team "
        "WHERE t.number = %s AND team.name = 'Elsewhere'",
        number,
    )
    stack.rows(  # nobody has a seat there but by their inbox
        "UPDATE tickets_participant p SET left_at = now() FROM tickets_ticket t, tickets_person o, "
        "tickets_user u WHERE t.conversation_id = p.conversation_id AND t.number = %s "
        "AND o.id = p.person_id AND u.id = o.user_id AND u.email = %s",
        number,
        BOB,
    )
    try:
        bob = log_in(new_page(), BOB)
        stranger = new_page()
        for link in links:
            for address in (link, f"{link}?download", re.sub(r"[^/]+$", "preview/", link)):
                assert bob.request.get(address).status == 404
                assert stranger.request.get(address, max_redirects=0).status == 302
    finally:
        stack.rows(
            "DELETE FROM tickets_inbox_teams USING tickets_team team "
            "WHERE team.id = team_id AND team.name = 'Elsewhere'"
        )
