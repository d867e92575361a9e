"""The help pages in a browser: found by keyboard, readable by everyone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk_access import violations

pytestmark = [pytest.mark.browser, pytest.mark.stack]

NARROW = {"width": 380, "height": 800}


def test_a_customer_finds_an_article_with_the_keyboard(new_page: NewPage) -> None:
    page = new_page()
    page.goto("/help/")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("my scale turns off")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("“my scale turns off”")
    page.get_by_role("link", name="Batteries of the Slate scale").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Batteries of the Slate scale")
    page.get_by_role("navigation").get_by_role("link", name="It switches off by itself").click()
    expect(page).to_have_url("/help/slate-scale-batteries/#on-it-switches-off-by-itself")


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", WIDE), ("dark", WIDE), ("light", NARROW)],
    ids=["light", "dark", "narrow"],
)
def test_axe_finds_nothing_and_nothing_is_cut_off(
    scheme: str, size: dict[str, int], new_page: NewPage
) -> None:
    page = new_page(color_scheme=scheme, viewport=size)
    found: dict[str, list[str]] = {}
    for address in ("", "?q=kettle", "?q=zebra", "delivery-times-and-costs/"):
        page.goto(f"/help/{address}")
        found[address] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert {address: faults for address, faults in found.items() if faults} == {}
