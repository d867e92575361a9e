"""The desk's pages for everyone: axe-core finds nothing, light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk import log_in
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", WIDE), ("dark", WIDE), ("light", {"width": 380, "height": 800})],
    ids=["light", "dark", "narrow"],
)
def test_axe_finds_nothing(
    scheme: str, size: dict[str, int], new_page: NewPage, stack: Stack
) -> None:
    page = new_page(color_scheme=scheme, viewport=size)
    found: dict[str, list[str]] = {}

    def look(name: str, address: str = "") -> None:
        if address:
            page.goto(address)
        page.wait_for_timeout(100)
        found[name] = violations(page)

    look("login", "/")
    page.get_by_role("button", name="Sign in").click()
    log_in(page)
    look("list")
    look("nothing waiting", "/tickets/?view=solved")
    look("search", "/tickets/?q=burr")
    look("nothing found", "/tickets/?q=zebra")
    mail = stack.row("SELECT number FROM tickets_ticket WHERE subject LIKE 'Grinder arrived%'")[0]
    chat = stack.row("SELECT number FROM tickets_ticket WHERE subject LIKE '%which filter%'")[0]
    look("mail", f"/tickets/{mail}/")
    look("chat", f"/tickets/{chat}/")
    page.locator("[data-menu=assign] summary").click()
    look("menu")
    page.keyboard.press("Escape")
    page.locator("[data-menu=hand] summary").click()
    look("handing over")
    page.keyboard.press("Escape")
    page.get_by_label("Message", exact=True).click()
    page.get_by_label("Note").check(force=True)
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_text("Write something first.")).to_be_visible()
    look("note, with an error")
    look("assistant", "/assistant/")
    page.keyboard.press("?")
    look("shortcuts")
    look("not here", "/tickets/999999/")

    assert {name: faults for name, faults in found.items() if faults} == {}
