"""Mail that stays away, on the open desk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import BOB, MAYA, PHONE, log_in
from tests.browser.test_desk_access import violations
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

RAISE = """
WITH mailbox AS (
    INSERT INTO tickets_mailbox (name, inbox_id, kind, host, port, tls, username, password, folder,
        mark_seen, fetch_every_seconds, last_uid, state, attempts, due_at, error, last_ok_at)
    SELECT 'Sales <abroad>', id, 'imap', 'imap.example', 993, true, 'sales', '', 'INBOX', false, 30,
        0, 'queued', 1, now() + interval '1 day', 'imap.example:993 cannot be reached: no answer',
        now() - interval '1 hour'
    FROM tickets_inbox ORDER BY id LIMIT 1 RETURNING id
)
INSERT INTO tickets_mailboxalarm (mailbox_id, kind, text, raised_at, state, attempts, due_at, error)
SELECT id, 'silent', 'imap.example:993 cannot be reached: no answer', now(), 'done', 1, now(), ''
FROM mailbox
"""
LOOK_AGAIN = "dispatchEvent(new Event('online'))"


@pytest.fixture
def _no_mailbox_left(stack: Stack) -> Iterator[None]:
    yield
    for table, column in (("mailboxalarm", "mailbox_id"), ("mailbox", "id")):
        stack.rows(
            f"DELETE FROM tickets_{table} WHERE {column} IN "
            "(SELECT id FROM tickets_mailbox WHERE name LIKE 'Sales%%')"
        )


@pytest.mark.usefixtures("_no_mailbox_left")
def test_an_alarm_comes_and_goes_on_an_open_desk(stack: Stack, new_page: NewPage) -> None:
    maya, bob = (
        log_in(new_page(), MAYA),
        log_in(new_page(**PHONE), BOB),
    )
    assert "does not come in" not in maya.content() + bob.content()
    stack.rows(RAISE)
    for page in (maya, bob):
        alarm = page.get_by_text("Mail of Sales <abroad> does not come in.")
        page.evaluate(LOOK_AGAIN)
        expect(alarm).to_be_visible()
        assert violations(page) == []
    expect(bob.get_by_text("The administrators know.")).to_be_visible()
    expect(bob.get_by_role("link", name="See the mailbox")).to_be_hidden()
    stack.rows("UPDATE tickets_mailboxalarm SET cleared_at = now()")
    maya.evaluate(LOOK_AGAIN)
    expect(maya.get_by_text("does not come in")).to_be_hidden()
    stack.rows("UPDATE tickets_mailboxalarm SET cleared_at = NULL")
    maya.evaluate(LOOK_AGAIN)
    maya.get_by_role("link", name="See the mailbox").click()
    expect(maya.get_by_role("heading", name="Sales <abroad>")).to_be_visible()
