"""Signing in to a mailbox with a service, and removing it, as an administrator clicks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import log_in
from tests.fakes.imap import Server, dovecot_or_skip, put
from tests.fakes.mails import mail
from tests.fakes.oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer, oauth_server
from tests.stack import Stack, data_folder, running

pytestmark = [pytest.mark.browser, pytest.mark.stack]

USER = "hello@shop.example"
FOUND_MS = 60_000


@pytest.fixture(scope="module")
def service() -> Iterator[OAuthServer]:
    with oauth_server() as server:
        yield server


@pytest.fixture(scope="module")
def imap(service: OAuthServer) -> Iterator[Server]:
    with dovecot_or_skip(tokens_at=service.url) as server:
        yield server


@pytest.fixture(scope="module")
def stack(service: OAuthServer) -> Iterator[Stack]:
    settings = {
        "MAIL_MICROSOFT_LOGIN_URL": service.url,
        "MAIL_MICROSOFT_CLIENT_ID": CLIENT_ID,
        "MAIL_MICROSOFT_CLIENT_SECRET": CLIENT_SECRET,
    }
    with data_folder() as folder, running(Stack(folder, settings=settings)) as up:
        service.redirects.add(f"{up.base_url}/settings/mailboxes/signed-in/")
        yield up


def accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_mailbox_is_signed_in_to_read_and_removed(
    new_page: NewPage, stack: Stack, service: OAuthServer, imap: Server
) -> None:
    page = new_page()
    page.set_default_timeout(20_000)
    log_in(page, to="/settings/mailboxes/new/")
    page.get_by_label("Address that customers write to").fill(USER)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.get_by_role("link", name="Microsoft", exact=True).click()
    expect(page.get_by_label("Sign in by")).to_have_value("microsoft")
    expect(page.get_by_label("Password")).to_be_hidden()
    expect(page.get_by_label("Server", exact=True)).to_have_value("outlook.office365.com")
    page.get_by_label("Server", exact=True).fill(imap.host)
    page.get_by_label("Port", exact=True).fill(str(imap.port))
    page.get_by_label("Encrypted").uncheck()
    page.get_by_label("Server to send by").fill("")
    page.get_by_label("Name of the new inbox").fill("Sign-in shop")
    accessible(page)
    page.get_by_role("button", name="Save and check").click()
    accessible(page)
    page.get_by_role("button", name="Sign in with Microsoft").click()

    page.wait_for_url(f"{service.url}/**")
    page.get_by_role("link", name="deny").click()
    expect(page.get_by_text("Microsoft gave no permission")).to_be_visible()
    page.goto("/settings/mailboxes/")
    expect(page.get_by_text("not signed in")).to_be_visible()
    page.get_by_role("link", name=USER).click()
    page.get_by_role("button", name="Sign in with Microsoft").click()
    page.get_by_role("link", name="allow").click()
    expect(page.get_by_text("All of it works")).to_be_visible(timeout=FOUND_MS)
    expect(page.get_by_text("Microsoft lets this helpdesk read and send")).to_be_visible()
    assert "code=" not in page.url
    accessible(page)
    put(imap, USER, mail("A new one.", subject="By token"))
    query = "SELECT 1 FROM tickets_ticket WHERE subject = 'By token'"
    stack.wait_until(lambda: stack.rows(query))

    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_text("Mails and tickets that came by it stay")).to_be_visible()
    accessible(page)
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Mailboxes")).to_be_visible()
    expect(page.get_by_text(USER)).to_have_count(0)
    assert stack.rows(query)
    assert CLIENT_SECRET not in stack.terminal
    assert not any(token in stack.terminal for token in (*service.access, *service.codes))
