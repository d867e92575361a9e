"""How far words have come, as staff see it: delivered to the customer's browser, read, and by whom
in a group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import AT_ONCE_MS, BOB, log_in, said, send
from tests.browser.test_desk_access import violations
from tests.browser.test_group import join, link_of
from tests.browser.test_widget import (
    bubble,
    open_chat,
    settled,
    staff_on,
    ticket_with,
    words,
    write,
)
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]


@pytest.fixture(scope="module", autouse=True)
def _no_assistant(stack: Stack) -> Iterator[None]:
    """Here people answer."""
    stack.rows("UPDATE tickets_inbox SET assistant_on = false")
    yield
    stack.rows("UPDATE tickets_inbox SET assistant_on = true WHERE widget_key IS NOT NULL")


def marks(page: Page) -> Any:
    return page.locator("[data-mark]")


def mark_below(page: Page, text: str) -> Any:
    return page.locator("[data-seq]", has_text=text).locator("[data-mark]")


def test_a_reply_is_delivered_and_then_read(new_page: NewPage, stack: Stack) -> None:
    asked, first, second = words("marked", 3)
    visitor = open_chat(new_page())
    write(visitor, asked)
    settled(visitor)
    maya = staff_on(new_page, stack, asked)
    number = ticket_with(stack, asked)
    column = log_in(new_page(), to=f"/chats/?open={number}")
    send(maya, first)
    for page in (maya, column):
        expect(mark_below(page, first)).to_have_text("Read", timeout=AT_ONCE_MS)

    visitor.get_by_role("button", name="Close").click()
    send(maya, second)
    for page in (maya, column):
        expect(mark_below(page, second)).to_have_text("Delivered", timeout=AT_ONCE_MS)
        expect(mark_below(page, first)).to_have_text("Read")
    assert violations(maya) == []
    maya.reload()
    expect(mark_below(maya, second)).to_have_text("Delivered")

    visitor.get_by_role("button", name="Open chat").click()
    for page in (maya, column):
        expect(mark_below(page, second)).to_have_text("Read", timeout=AT_ONCE_MS)
        expect(marks(page)).to_have_count(1)
    maya.reload()
    expect(mark_below(maya, second)).to_have_text("Read")


def test_what_never_reached_the_customer_is_not_called_delivered(
    new_page: NewPage, stack: Stack
) -> None:
    asked, answer = words("gone", 2)
    visitor = open_chat(new_page())
    write(visitor, asked)
    settled(visitor)
    visitor.close()
    maya = staff_on(new_page, stack, asked)
    send(maya, answer)
    expect(said(maya, answer)).to_be_visible()
    maya.wait_for_timeout(4_000)
    expect(marks(maya)).to_have_count(0)


def test_in_a_group_each_mark_says_whose_it_is(new_page: NewPage, stack: Stack) -> None:
    asked, first, second = words("among many", 3)
    visitor = open_chat(new_page())
    write(visitor, asked)
    settled(visitor)
    maya = staff_on(new_page, stack, asked)
    number = ticket_with(stack, asked)
    name = maya.locator("#side b bdi").first.text_content()
    people = maya.locator('[data-panel="people"]')
    people.get_by_text("Add people…").click()
    people.get_by_label("Bob Okafor").check()
    people.get_by_role("button", name="Add", exact=True).click()
    ken = join(new_page(), link_of(maya), "Ken Abe")
    bob = log_in(new_page(), BOB, to=f"/tickets/{number}/")
    send(maya, first)
    expect(bubble(ken, first)).to_be_visible()
    expect(mark_below(maya, first)).to_have_text(f"Read by {name}, Bob, Ken", timeout=AT_ONCE_MS)

    bob.close()
    ken.get_by_role("button", name="Close").click()
    send(maya, second)
    expect(mark_below(maya, second)).to_have_text(
        [f"Read by {name}", "Delivered to Ken"], timeout=AT_ONCE_MS
    )
    expect(mark_below(maya, first)).to_have_text("Read by Bob, Ken")
    assert violations(maya) == []
    maya.reload()
    expect(mark_below(maya, first)).to_have_text("Read by Bob, Ken")
