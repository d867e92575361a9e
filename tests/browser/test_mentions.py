"""Naming a colleague with an @, in two browsers."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import BOB, editor, log_in, said
from tests.browser.test_desk_access import violations
from tests.fakes.mails import mail
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

WAIT_MS = 20_000


def test_a_colleague_who_is_named_is_told_at_once_and_until_they_have_read_it(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    subject = f"A question {uuid4().hex[:6]}"
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{uuid4().hex}.eml").write_bytes(mail("Is it in stock?", subject=subject))
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, subject))
    (number,) = stack.row(query, subject)
    bob = log_in(new_page(), BOB)
    mentions = bob.get_by_role("link", name="Mentions")
    expect(mentions).to_have_count(0)

    log_in(page, to=f"/tickets/{number}/")
    page.get_by_role("radiogroup").get_by_text("Note").click()
    note = f"Could you look at this, @Bob? {uuid4().hex[:6]}"
    editor(page).fill(note)
    page.get_by_role("button", name="Add note").click()
    expect(said(page, note)).to_be_visible()

    expect(mentions).to_be_visible(timeout=WAIT_MS)
    mentions.click()
    assert violations(bob) == []
    bob.get_by_role("link", name=subject).click()
    expect(said(bob, note)).to_be_visible()
    expect(bob.locator('[data-count="mentions"]')).to_have_count(0, timeout=WAIT_MS)
