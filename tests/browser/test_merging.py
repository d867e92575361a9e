"""Two tickets become one, one becomes two, and a solved one goes on, by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk import PHONE, log_in, said, send
from tests.browser.test_desk_access import violations
from tests.browser.test_widget import bubble, open_chat, settled, ticket_with, words, write
from tests.fakes.mails import mail
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

WAIT_MS = 20_000
LOOKS = [("light", WIDE), ("dark", WIDE), ("light", PHONE["viewport"])]


@pytest.fixture(scope="module", autouse=True)
def _no_assistant(stack: Stack) -> Iterator[None]:
    """Here people answer."""
    stack.rows("UPDATE tickets_inbox SET assistant_on = false")
    yield
    stack.rows("UPDATE tickets_inbox SET assistant_on = true WHERE widget_key IS NOT NULL")


def mailed(stack: Stack, text: str, *, sender: str = "Una <una@mail.example>") -> int:
    """A ticket that somebody opened by mail."""
    raw = mail(text, subject=f"About {text}", sender=sender)
    path = stack.data / f"{text.replace(' ', '-')}.eml"
    path.write_bytes(raw)
    stack.manage("ingest_email", str(path))
    return ticket_with(stack, text)


def asked_in_widget(new_page: NewPage, text: str) -> Page:
    visitor = open_chat(new_page())
    write(visitor, text)
    settled(visitor)
    return visitor


def more(page: Page) -> Any:
    return page.locator("#head [data-menu=more] summary")


def test_a_chat_is_merged_into_a_mail_and_its_widget_goes_on_there(
    new_page: NewPage, stack: Stack
) -> None:
    by_mail, by_chat, answer, after, last = words("merging", 5)
    there = mailed(stack, by_mail)
    visitor = asked_in_widget(new_page, by_chat)
    here = ticket_with(stack, by_chat)
    bob = log_in(new_page(), to=f"/tickets/{there}/")
    expect(said(bob, by_mail)).to_be_visible()

    maya = log_in(new_page(), to=f"/tickets/{here}/")
    more(maya).click()
    maya.get_by_role("link", name="Merge into another ticket").click()
    maya.get_by_label("Number of the ticket that goes on").fill("99999999")
    maya.get_by_role("button", name="Look").click()
    expect(maya.get_by_text("There is no ticket #99999999.")).to_be_visible()
    maya.get_by_label("Number of the ticket that goes on").fill(f"#{there}")
    maya.get_by_role("button", name="Look").click()
    expect(maya.get_by_role("heading", name=f"Merge #{here} into #{there}?")).to_be_visible()
    expect(maya.get_by_text("This brings together customers")).to_be_visible()
    expect(maya.get_by_text("This cannot be undone.")).to_be_visible()
    maya.get_by_role("button", name="Merge", exact=True).click()
    maya.wait_for_url(f"**/tickets/{there}/")
    expect(said(maya, by_mail)).to_be_visible()
    expect(said(maya, by_chat)).to_be_visible()
    # Whoever had the other ticket open sees both, in one order, without doing anything.
    expect(said(bob, by_chat)).to_be_visible(timeout=WAIT_MS)
    for page in (maya, bob):
        shown = page.locator("[data-timeline]").text_content() or ""
        assert shown.index(by_mail) < shown.index(by_chat) < shown.index("merged")

    send(maya, answer)
    expect(bubble(visitor, answer)).to_be_visible(timeout=WAIT_MS)
    # What the visitor said stays before their eyes, and nothing of others comes.
    expect(bubble(visitor, by_chat)).to_have_count(1)
    assert bubble(visitor, by_mail).count() == 0
    write(visitor, after)
    settled(visitor)
    for page in (maya, bob):
        expect(said(page, after)).to_be_visible(timeout=WAIT_MS)
    assert ticket_with(stack, after) == there
    visitor.reload()
    expect(bubble(visitor, answer)).to_be_visible(timeout=WAIT_MS)
    expect(bubble(visitor, by_chat)).to_have_count(1)
    shown = visitor.locator("helpdesk-widget [role=log]").text_content() or ""
    assert shown.index(by_chat) < shown.index(answer) < shown.index(after)
    write(visitor, last)
    expect(said(bob, last)).to_be_visible(timeout=WAIT_MS)
    told = stack.rows(
        "SELECT count(*) FROM tickets_message WHERE body = ANY(%s)", [by_chat, after, last]
    )
    assert told == [(3,)]

    maya.goto(f"/tickets/{here}/")
    expect(maya).to_have_url(re.compile(f"/tickets/{there}/"))
    maya.goto(f"/tickets/?q={by_chat.split()[-1]}")
    expect(maya.locator(f".row-link[href^='/tickets/{there}/']")).to_be_visible()


def test_a_customers_other_ticket_is_chosen_by_keyboard(new_page: NewPage, stack: Stack) -> None:
    first, second = words("choosing", 2)
    there = mailed(stack, first, sender="Otto <otto@mail.example>")
    here = mailed(stack, second, sender="Otto <otto@mail.example>")
    page = log_in(new_page(), to=f"/tickets/{here}/")
    more(page).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    link = page.get_by_role("link", name="Merge into another ticket")
    expect(link).to_be_focused()
    page.keyboard.press("Escape")
    expect(more(page)).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Number of the ticket that goes on")).to_be_focused()
    other = page.get_by_role("link", name=f"#{there} About {first}")
    page.keyboard.press("Tab")  # Look
    page.keyboard.press("Tab")
    expect(other).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("This brings together customers")).to_have_count(0)
    page.get_by_role("button", name="Merge", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/tickets/{there}/")
    expect(said(page, second)).to_be_visible()
    row = page.locator("dt", has_text="Merged from").locator("+ dd")
    expect(row).to_have_text(f"#{here}")


def test_one_of_two_questions_becomes_a_ticket_of_its_own(new_page: NewPage, stack: Stack) -> None:
    first, second = words("splitting", 2)
    visitor = asked_in_widget(new_page, first)
    write(visitor, second)
    settled(visitor)
    here = ticket_with(stack, first)
    page = log_in(new_page(), to=f"/tickets/{here}/")
    more(page).click()
    page.get_by_role("link", name="Split into a new ticket").first.click()
    page.get_by_role("button", name="Split", exact=True).click()
    expect(page.get_by_text("Choose a message.")).to_be_visible()
    page.get_by_role("checkbox", name=re.compile(second)).check()
    page.get_by_label("Subject of the new ticket").fill("The second")
    page.get_by_role("button", name="Split", exact=True).click()
    expect(page.locator("#head h2")).to_have_text("The second")
    expect(said(page, second)).to_be_visible()
    page.get_by_role("link", name=f"#{here}").click()
    expect(said(page, first)).to_be_visible()
    line = page.locator(".change", has_text="split a message by")
    expect(line).to_be_visible()


def test_a_mail_is_split_from_its_own_menu(new_page: NewPage, stack: Stack) -> None:
    (text,) = words("by menu")
    here = mailed(stack, text)
    page = log_in(new_page(), to=f"/tickets/{here}/")
    page.get_by_label("Why it is here").click()
    page.locator(".menu-why").get_by_role("link", name="Split into a new ticket").click()
    expect(page.get_by_role("checkbox", name=re.compile(text))).to_be_checked()
    page.get_by_role("button", name="Split", exact=True).click()
    expect(page.locator(".change", has_text="split this from")).to_be_visible()


def test_a_solved_ticket_goes_on_in_a_new_one(new_page: NewPage, stack: Stack) -> None:
    text, asked, draft = words("solved", 3)
    here = mailed(stack, text)
    page = log_in(new_page(), to=f"/tickets/{here}/")
    page.get_by_role("button", name="Solve").click()
    expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    more(page).click()
    page.get_by_role("link", name="Continue in a new ticket").click()
    expect(page.get_by_label("To", exact=True)).to_have_value("una@mail.example")
    expect(page.get_by_label("Subject")).to_have_value(f"About {text}")
    page.get_by_label("Message").fill(draft)
    page.wait_for_timeout(500)
    page.reload()
    expect(page.get_by_label("Message")).to_have_value(draft)  # nothing typed is lost
    page.goto("/tickets/new/")
    expect(page.get_by_label("Message")).to_have_value("")  # nor mistaken for another
    page.goto(f"/tickets/new/?continues={here}")
    page.get_by_label("Message").fill(asked)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(lambda url: re.search(r"/tickets/\d+/", url) is not None)
    expect(page.locator(".change", has_text="This continues")).to_be_visible()
    page.locator(".change").get_by_role("link", name=f"#{here}").click()
    expect(page.locator(".change", has_text="This is continued in")).to_be_visible()


@pytest.mark.parametrize(("scheme", "size"), LOOKS, ids=["light", "dark", "narrow"])
def test_axe_finds_nothing(
    scheme: str, size: dict[str, int], new_page: NewPage, stack: Stack
) -> None:
    one, two, three = words(f"axe {scheme} {size['width']}", 3)
    here = mailed(stack, one)
    there = mailed(stack, two, sender="Otto <otto@mail.example>")
    chat = asked_in_widget(new_page, three)
    chat.context.close()
    page = log_in(new_page(color_scheme=scheme, viewport=size, bypass_csp=True))
    for address in (
        f"/tickets/{here}/merge/",
        f"/tickets/{here}/merge/?into={there}",
        f"/tickets/{here}/merge/?into=99999999",
        f"/tickets/{here}/split/",
    ):
        page.goto(address)
        assert violations(page) == [], address
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], address
    page.goto(f"/tickets/{ticket_with(stack, three)}/merge/?into={here}")
    page.get_by_role("button", name="Merge", exact=True).click()
    page.wait_for_url(f"**/tickets/{here}/")
    expect(said(page, three)).to_be_visible()
    more(page).click()
    assert violations(page) == []
    menu = page.locator("#head [data-menu=more] .menu").bounding_box()
    assert menu is not None
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= size["width"]
