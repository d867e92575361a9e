"""Takes the pictures of docs/img anew (`make pictures`): the demo shop, in a real browser.

They show what the tests beside it click. `make test` leaves this file alone.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FloatRect, Page, expect

from helpdesk.stack.kept import BASE_DIR
from tests.browser.conftest import NewPage, Shop
from tests.browser.test_desk import BOB, MAYA, log_in, send
from tests.browser.test_group import join, panel
from tests.browser.test_team import direct, say
from tests.browser.test_widget import open_chat, settled, staff_on, write
from tests.stack import Stack, data_folder, running

FOLDER = BASE_DIR / "docs/img"
SHOP = {"width": 900, "height": 700}
CORNER: FloatRect = {"x": 460, "y": 0, "width": 440, "height": 700}  # where the widget is
PHONE = {"width": 380, "height": 700}
SHEET = """
<style>
  body { margin: 0; padding: 24px; background: #ece9e4; display: grid;
         grid-template-columns: repeat(3, 440px); gap: 24px; width: max-content; }
  figure { margin: 0; height: 700px; text-align: center; }
  img { height: 700px; border-radius: 10px; box-shadow: 0 1px 6px #0002; }
</style>
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A shop of its own, where nothing has happened but the demo's story; people answer."""
    with data_folder() as folder, running(Stack(folder)) as up:
        up.rows("UPDATE tickets_inbox SET assistant_on = false")
        yield up


def seen(page: Page, clip: FloatRect | None = None) -> bytes:
    page.wait_for_timeout(700)  # what moves has come to rest
    return page.screenshot(clip=clip)


def keep(page: Page, name: str) -> None:
    Path(FOLDER / f"{name}.png").write_bytes(seen(page))


def asked(page: Page, text: str) -> Page:
    """A widget in which a visitor has written."""
    open_chat(page)
    write(page, text)
    settled(page)
    return page


def test_desk(new_page: NewPage) -> None:
    for scheme, name in (("light", "desk"), ("dark", "desk-dark")):
        page = log_in(new_page(color_scheme=scheme), MAYA, "/tickets/1/")
        expect(page.locator("[data-timeline]")).to_be_visible()
        keep(page, name)


def test_team(new_page: NewPage) -> None:
    bob = direct(log_in(new_page(), BOB), "Maya Lindqvist")
    say(bob, "The carrier found the parcel of ticket 6.")
    maya = log_in(new_page(), MAYA)
    maya.goto("/team/new/")
    maya.get_by_label("Name").fill("Roasters")
    for name in ("Bob Okafor", "Ines Carvalho"):
        maya.get_by_label(name).check()
    maya.get_by_role("button", name="Start the group").click()
    expect(maya.locator("#head h2")).to_have_text("Roasters")
    say(maya, "The new beans arrive on Thursday. Who writes the card for the shop?")
    bob.goto(maya.url)
    say(bob, "I do. Ines, may I have the tasting notes?")
    expect(maya.get_by_text("may I have the tasting notes?").first).to_be_visible()
    keep(maya, "team")


def test_group(new_page: NewPage, stack: Stack) -> None:
    question = "We are three who want to buy filters together. Can we all be in this chat?"
    asked(new_page(), question)
    maya = staff_on(new_page, stack, question)
    panel(maya).get_by_text("Invite by link…").click()
    panel(maya).get_by_label("People").fill("2")
    panel(maya).get_by_role("button", name="Make a link").click()
    link = panel(maya).get_by_label("Link").input_value()
    ken, dana = (join(new_page(), link, name) for name in ("Ken Abe", "Dana Fox"))
    reply = "Of course: here is everybody. How many boxes does each of you need?"
    send(maya, reply)
    expect(maya.locator("[data-timeline]")).to_contain_text(reply)
    for page, answer in ((ken, "Four of the 02."), (dana, "Two, and a kettle if it ships.")):
        write(page, answer)
        settled(page)
    expect(maya.get_by_text("Two, and a kettle if it ships.").first).to_be_visible()
    maya.reload()
    keep(maya, "group")


def test_chats(new_page: NewPage, stack: Stack) -> None:
    numbers = []
    for question, answer in (
        ("Is the glass server dishwasher safe?", "It is, on the upper rack."),
        ("My order P-10402 has not moved for 4 days.", "I have just asked the carrier."),
        ("Do you ship to Norway?", ""),
    ):
        asked(new_page(), question)
        maya = staff_on(new_page, stack, question)
        numbers.append(maya.url.rstrip("/").rpartition("/")[2])
        if answer:
            send(maya, answer)
            expect(maya.locator("[data-timeline]")).to_contain_text(answer)
    maya.goto(f"/chats/?open={','.join(numbers)}")
    expect(maya.locator("[data-column]")).to_have_count(3)
    keep(maya, "chats")


def test_widget(new_page: NewPage, stack: Stack, shop: Shop) -> None:
    def at_the_shop(**options: Any) -> Page:
        page = new_page(viewport=SHOP, **options)
        page.goto("/demo/")
        return page

    closed = at_the_shop()
    expect(closed.get_by_role("button", name="Open chat")).to_be_visible()
    first = open_chat(at_the_shop())

    question = "Does the Tern 02 fit on a wide mug?"
    talk = asked(at_the_shop(), question)
    send(staff_on(new_page, stack, question), "It does, up to **10 cm** across. Is yours wider?")
    expect(talk.locator("helpdesk-widget .bubble b")).to_be_visible()
    write(talk, "9 cm, so it fits. Thank you!")
    settled(talk)

    dark = asked(at_the_shop(color_scheme="dark"), "Thanks, it arrived today.")
    dark.locator("helpdesk-widget").get_by_role("button", name="More").click()
    dark.get_by_role("menuitem", name="End chat").click()
    dark.locator("helpdesk-widget").get_by_text("Great", exact=True).click()

    stack.rows("UPDATE tickets_inbox SET allowed_origins = ARRAY[%s]", shop.origin)
    arabic = new_page(viewport=SHOP, locale="ar")
    arabic.goto(shop.address(stack.widget_key, html="lang=ar dir=rtl"))
    arabic.locator("helpdesk-widget .launch").click()
    expect(arabic.get_by_role("dialog")).to_be_visible()

    phone = open_chat(new_page(viewport=PHONE, has_touch=True))
    phone.get_by_role("textbox", name="Write a message…").fill("Which filter fits my dripper?")
    phone.get_by_role("button", name="Send").click()
    settled(phone)

    left: FloatRect = {**CORNER, "x": 0}
    shown = [(closed, CORNER), (first, CORNER), (talk, CORNER), (dark, CORNER), (arabic, left)]
    pictures = [*(seen(page, clip) for page, clip in shown), seen(phone)]
    images = (f"<img src='data:image/png;base64,{b64encode(one).decode()}'>" for one in pictures)
    sheet = new_page(viewport={"width": 3 * 440 + 4 * 24, "height": 2 * 700 + 3 * 24})
    sheet.set_content(SHEET + "".join(f"<figure>{image}</figure>" for image in images))
    keep(sheet, "widget")
