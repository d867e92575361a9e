"""The widget for everyone: axe-core finds nothing, and the keyboard is enough."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk_access import violations
from tests.browser.test_widget import (
    greeting,
    mine,
    open_chat,
    unsent,
    without_sockets,
    words,
    write,
)
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

PHONE = {"width": 380, "height": 800}


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, size: dict[str, int], new_page: NewPage) -> None:
    page = new_page(color_scheme=scheme, viewport=size)
    page.goto("/demo/")
    expect(page.get_by_role("button", name="Open chat")).to_be_visible()
    found = {"closed": violations(page)}
    open_chat(page)
    expect(greeting(page)).to_be_visible()
    found["open"] = violations(page)
    write(page, "Which paper filter fits my dripper?")
    expect(page.locator("helpdesk-widget .sources a").first).to_be_visible()
    found["answered"] = violations(page)
    page.get_by_role("button", name="Talk to a human").click()
    expect(page.get_by_text("A person will answer you here.")).to_be_visible()
    page.context.set_offline(True)
    write(page, "Hello?", "x" * 5_001)
    expect(unsent(page)).to_be_visible()
    found["offline"] = violations(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/demo/")
    launcher = page.get_by_role("button", name="Open chat")
    expect(launcher).to_be_visible()
    while not launcher.evaluate("(node) => node.getRootNode().activeElement === node"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    (text,) = words("keys")
    page.keyboard.type(text)
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("and a second line")
    page.keyboard.press("Enter")
    expect(mine(page)).to_have_text([f"{text}\nand a second line"])
    focused = "() => document.querySelector('helpdesk-widget').shadowRoot.activeElement?.ariaLabel"
    for name in ("Attach files", "Messages", "Close"):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(focused) == name
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(launcher).to_be_focused()


def test_a_phone_shows_the_chat_alone_on_the_whole_screen(new_page: NewPage) -> None:
    page = new_page(viewport=PHONE, has_touch=True)
    open_chat(page)
    place = page.get_by_role("dialog").bounding_box()
    assert place == {"x": 0, "y": 0, "width": 380, "height": 800}
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = "() => [document.body, document.querySelector('helpdesk-widget')]"
        assert page.evaluate(f"({inside})().includes(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Open chat")).to_be_focused()


def test_nothing_moves_for_who_asked_for_that(new_page: NewPage) -> None:
    page = new_page(reduced_motion="reduce")
    page.route(re.compile("/sessions"), lambda route: route.abort())
    open_chat(page)
    write(page, "Hello?")
    expect(unsent(page)).to_be_visible()
    moving = "(node) => [...node.querySelectorAll('*')].filter((n) => n.getAnimations().length)"
    assert page.get_by_role("dialog").evaluate(f"(n) => ({moving})(n).length") == 0


def test_the_log_is_read_out_once_and_the_answer_when_it_is_finished(
    page: Page, stack: Stack
) -> None:
    without_sockets(page)
    open_chat(page)
    (text,) = words("log")
    write(page, text)
    entry = page.get_by_role("log").locator(".me")
    expect(entry.get_by_text("Sent", exact=True)).to_be_visible()
    entry.evaluate("(node) => { node.same = true; }")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name=re.compile("Open chat")).click()
    page.wait_for_timeout(3_500)  # a poll redraws
    assert entry.evaluate("(node) => node.same")
