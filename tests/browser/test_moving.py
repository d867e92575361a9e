"""Why a mail is where it is, and the way out, by mouse and by keyboard."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import PHONE, log_in
from tests.fakes.mails import mail
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

numbers = count(1)


@pytest.fixture
def tickets(stack: Stack) -> tuple[int, int]:
    """Numbers of two tickets; the first has a second mail, about something else."""
    key = next(numbers)
    first = f"<m{key}-1@mail.example>"
    for number, raw in enumerate(
        [
            mail(f"Grinder {key}", subject=f"Grinder {key}", message_id=first),
            mail(f"Kettle {key}", subject=f"Kettle {key}"),
            mail(f"Kettle {key} leaks.", subject="Kettle", in_reply_to=first),
        ]
    ):
        (stack.data / "mail" / "in").mkdir(parents=True, exist_ok=True)
        path = stack.data / f"m{key}-{number}.eml"
        path.write_bytes(raw)
        stack.manage("ingest_email", str(path))
    sql = "SELECT number FROM tickets_ticket WHERE subject = %s"

    def there() -> list[tuple[Any, ...]]:
        leaks = "SELECT 1 FROM tickets_message WHERE body = %s"
        return stack.rows(leaks, f"Kettle {key} leaks.")

    stack.wait_until(there)
    return stack.row(sql, f"Grinder {key}")[0], stack.row(sql, f"Kettle {key}")[0]


def card(page: Page, body: str) -> Any:
    return page.locator("article.msg").filter(has_text=body)


def why(page: Page) -> Any:
    """The button of the mail that leaks."""
    return card(page, "leaks.").get_by_label("Why it is here")


def test_a_mail_says_why_it_is_here_and_moves_by_number(
    page: Page, new_page: NewPage, tickets: tuple[int, int]
) -> None:
    here, there = tickets
    log_in(page, to=f"/tickets/{here}/")
    beside = log_in(new_page(), to=f"/tickets/{there}/")
    why(page).click()
    menu = card(page, "leaks.").locator(".menu-why")
    expect(menu).to_contain_text(f"In-Reply-To matched message 1 of #{here}.")
    menu.get_by_label("Move it to ticket").fill("999999")
    menu.get_by_role("button", name="Move", exact=True).click()
    expect(menu.get_by_role("alert")).to_have_text("There is no ticket #999999.")
    expect(menu.get_by_label("Move it to ticket")).to_be_focused()
    menu.get_by_label("Move it to ticket").fill(f"#{there}")
    menu.get_by_role("button", name="Move", exact=True).click()
    line = page.locator(".change", has_text="moved a message by Carol to")
    expect(line).to_be_visible()
    expect(card(page, "leaks.")).to_have_count(0)
    # Whoever has the other ticket open sees it come.
    expect(card(beside, "leaks.")).to_be_visible()
    line.get_by_role("link", name=f"#{there}").click()
    expect(page).to_have_url(re.compile(f"/tickets/{there}/"))
    expect(card(page, "leaks.")).to_be_visible()


def test_a_mail_becomes_a_ticket_of_its_own_by_keyboard(
    page: Page, stack: Stack, tickets: tuple[int, int]
) -> None:
    here, _there = tickets
    log_in(page, to=f"/tickets/{here}/")
    why(page).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(card(page, "leaks.").get_by_label("Move it to ticket")).to_be_focused()
    page.keyboard.press("Escape")
    expect(why(page)).to_be_focused()
    expect(card(page, "leaks.").locator(".menu-why")).to_be_hidden()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
    button = card(page, "leaks.").get_by_role("button", name="Move it to a new ticket")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".change", has_text="moved a message by Carol to")).to_be_visible()
    (new,) = stack.row("SELECT max(number) FROM tickets_ticket")
    page.get_by_role("link", name=f"#{new}", exact=True).click()
    expect(page.locator("#head h2")).to_have_text("Kettle")


def test_the_menu_of_the_last_mail_opens_where_there_is_room(
    new_page: NewPage, tickets: tuple[int, int]
) -> None:
    page = log_in(new_page(viewport={"width": 1440, "height": 560}), to=f"/tickets/{tickets[0]}/")
    why(page).click()
    menu = card(page, "leaks.").locator(".menu-why").bounding_box()
    shown = page.locator("[data-scroller]").bounding_box()
    assert menu is not None
    assert shown is not None
    assert shown["y"] <= menu["y"]
    assert menu["y"] + menu["height"] <= shown["y"] + shown["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_in_the_open_menu(
    new_page: NewPage, tickets: tuple[int, int], scheme: str, size: dict[str, Any]
) -> None:
    page = log_in(
        new_page(color_scheme=scheme, bypass_csp=True, **size), to=f"/tickets/{tickets[0]}/"
    )
    why(page).click()
    menu = card(page, "leaks.").locator(".menu-why")
    menu.get_by_label("Move it to ticket").fill("999999")
    menu.get_by_role("button", name="Move", exact=True).click()
    expect(menu.get_by_role("alert")).not_to_be_empty()
    box = menu.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= (size.get("viewport") or {"width": 1440})["width"]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
