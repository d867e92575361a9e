"""Who is in a group, in the widget of a customer, and what they do about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk_access import violations
from tests.browser.test_group import join, link_of, panel
from tests.browser.test_widget import (
    POLLED_MS,
    bubble,
    greeting,
    open_chat,
    settled,
    staff_on,
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


def people(page: Page) -> Page:
    """The page of the widget that says who is there."""
    expect(page.locator("helpdesk-widget .head p")).to_contain_text("Visitor")  # it knows them
    page.locator("helpdesk-widget").get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="People").click()
    expect(page.get_by_role("switch", name="Email me what I miss")).to_be_focused()
    return page


def test_an_owner_names_the_group_and_removes_somebody_and_a_member_leaves(
    new_page: NewPage, stack: Stack
) -> None:
    asked, late = words("people", 2)
    vera = open_chat(new_page())
    write(vera, asked)
    settled(vera)
    maya = staff_on(new_page, stack, asked)
    panel(maya).get_by_text("Invite by link…").click()
    panel(maya).get_by_label("People").fill("3")
    panel(maya).get_by_role("button", name="Make a link").click()
    link = panel(maya).get_by_label("Link").input_value()
    ken, dana = (join(new_page(), link, name) for name in ("Ken Abe", "Dana Fox"))

    people(dana)
    listed = dana.get_by_role("list", name="People").get_by_role("listitem")
    expect(listed).to_have_count(3)
    expect(listed.filter(has_text="Dana Fox")).to_contain_text("you")
    expect(dana.get_by_role("button", name="Name this conversation")).to_have_count(0)
    expect(dana.get_by_role("button", name="Remove: Ken Abe")).to_have_count(0)
    assert violations(dana) == []

    panel(maya).get_by_label("What to do about Ken Abe").click()
    panel(maya).get_by_role("button", name="Owner").click()
    expect(panel(maya).locator("li", has_text="Ken Abe")).to_contain_text("owner")
    people(ken)
    ken.get_by_role("button", name="Name this conversation").click()
    ken.get_by_label("Name").fill("Filters for three")
    ken.get_by_role("button", name="Save").click()
    expect(ken.locator("helpdesk-widget .page h2")).to_have_text("Filters for three")
    # Dana's page is up to date without a word from her.
    expect(dana.locator("helpdesk-widget .page h2")).to_have_text(
        "Filters for three", timeout=POLLED_MS
    )
    ken.get_by_role("button", name="Remove: Dana Fox").click()
    assert violations(ken) == []
    expect(ken.get_by_role("button", name="Cancel")).to_be_focused()
    ken.get_by_role("button", name="Remove").click()
    expect(ken.get_by_role("listitem")).to_have_count(2)
    expect(panel(maya).get_by_text("Dana Fox")).to_have_count(0)
    expect(greeting(dana)).to_be_visible(timeout=POLLED_MS)

    ken.get_by_role("button", name="Leave this conversation").click()
    ken.get_by_role("button", name="Leave this conversation").click()
    expect(ken.get_by_text("You have left this conversation.")).to_be_visible()
    expect(ken.get_by_text("This chat is not available here.")).to_be_hidden()
    write(vera, late)
    settled(vera)
    ken.wait_for_timeout(1_000)
    expect(bubble(ken, late)).to_have_count(0)
    expect(maya.locator("[data-timeline]")).to_contain_text("Ken Abe left")


def test_who_wants_no_mail_says_so_by_keyboard(new_page: NewPage, stack: Stack) -> None:
    (asked,) = words("muted")
    vera = open_chat(new_page())
    write(vera, asked)
    settled(vera)
    maya = staff_on(new_page, stack, asked)
    ken = join(new_page(viewport={"width": 380, "height": 800}), link_of(maya), "Ken Abe")
    people(ken)
    mails = ken.get_by_role("switch", name="Email me what I miss")
    expect(mails).to_be_checked()
    ken.keyboard.press("Enter")
    expect(mails).not_to_be_checked()
    expect(mails).to_be_focused()
    assert violations(ken) == []
    ken.keyboard.press("Space")
    expect(mails).to_be_checked()
    ken.get_by_role("button", name="Back").click()
    expect(ken.get_by_role("textbox", name="Write a message…")).to_be_visible()
