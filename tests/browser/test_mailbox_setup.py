"""Setting up a mailbox, with a real IMAP and a real SMTP server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import log_in
from tests.fakes.imap import PASSWORD, Server, dovecot_or_skip, put
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox, smtp_server
from tests.stack import Stack, data_folder, running

pytestmark = [pytest.mark.browser, pytest.mark.stack]

WAIT_MS = 20_000
FOUND_MS = 60_000


@pytest.fixture(scope="module")
def imap() -> Iterator[Server]:
    with dovecot_or_skip() as server:
        yield server


@pytest.fixture(scope="module")
def smtp(imap: Server) -> Iterator[Inbox]:
    """What is sent arrives in the account of its recipient."""
    with smtp_server() as server:
        server.on_raw = lambda recipient, raw: put(imap, recipient.partition("@")[0], raw)
        yield server


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with data_folder() as folder, running(Stack(folder)) as up:
        yield up


@pytest.fixture
def page(new_page: NewPage) -> Page:
    page = new_page()
    page.set_default_timeout(WAIT_MS)
    return page


def fill(page: Page, imap: Server, smtp: Inbox, user: str, password: str = PASSWORD) -> None:
    """The form, as it lies before somebody whose server is none of the known ones."""
    smtp.accounts[user] = password
    page.get_by_label("Address that customers write to").fill(f"{user}@shop.example")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Server", exact=True)).to_have_value("imap.shop.example")
    expect(page.get_by_label("User name")).to_have_value(f"{user}@shop.example")
    page.get_by_label("Server", exact=True).fill(imap.host)
    page.get_by_label("Port", exact=True).fill(str(imap.port))
    page.get_by_label("Encrypted").uncheck()
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Server to send by").fill("127.0.0.1")
    page.get_by_label("Port to send by").fill(str(smtp.port))
    page.get_by_label("Encryption to send by").select_option("none")
    page.get_by_label("Name of the new inbox").fill(f"Shop {user}")
    page.get_by_role("button", name="Save and check").click()


def state_of(page: Page, step: str) -> str:
    row = page.locator(".step", has_text=step)
    return str(row.get_attribute("class"))


def test_a_mailbox_is_set_up_checked_and_read(
    page: Page, stack: Stack, imap: Server, smtp: Inbox
) -> None:
    put(imap, "service", mail("An old one.", subject="From before"))
    log_in(page)
    page.get_by_role("link", name="Mailboxes").click()
    page.get_by_role("link", name="Add a mailbox").click()
    fill(page, imap, smtp, "service")
    expect(page.get_by_text("All of it works")).to_be_visible(timeout=FOUND_MS)
    assert page.locator(".step-ok").count() == 6
    assert [one["Subject"] for one in smtp.got][-1] == "Test mail of your helpdesk"

    put(imap, "service", mail("A new one.", subject="After the set-up"))
    query = "SELECT subject FROM tickets_ticket WHERE subject = ANY(%s)"
    subjects = ["After the set-up", "From before", "Test mail of your helpdesk"]
    stack.wait_until(lambda: stack.rows(query, subjects))
    assert stack.rows(query, subjects) == [("After the set-up",)]
    page.get_by_role("link", name="All mailboxes").click()
    expect(page.locator(".option", has_text="service@shop.example")).to_contain_text("read")


def test_a_wrong_password_is_said_and_mended(page: Page, imap: Server, smtp: Inbox) -> None:
    log_in(page, to="/settings/mailboxes/new/")
    fill(page, imap, smtp, "mended", "wrong")
    step = page.locator(".step-failed")
    expect(step).to_contain_text("Sign in", timeout=FOUND_MS)
    expect(step).to_contain_text("refused the login of mended")
    expect(step).to_contain_text("Check user name and password")
    assert "wrong" not in page.content()

    smtp.accounts["mended"] = PASSWORD
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Save and check").click()
    expect(page.get_by_text("All of it works")).to_be_visible(timeout=FOUND_MS)
    assert f'"{PASSWORD}"' not in page.content()


def test_a_server_that_does_not_listen_is_said(page: Page, imap: Server, smtp: Inbox) -> None:
    log_in(page, to="/settings/mailboxes/new/")
    fill(page, imap._replace(port=1), smtp, "nowhere")
    step = page.locator(".step-failed")
    expect(step).to_contain_text("Nothing listens there", timeout=FOUND_MS)


def test_a_known_service_brings_its_servers_and_advice(page: Page) -> None:
    log_in(page, to="/settings/mailboxes/new/")
    page.get_by_label("Address that customers write to").fill("Tern@Gmail.com")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Server", exact=True)).to_have_value("imap.gmail.com")
    expect(page.get_by_label("Server to send by")).to_have_value("smtp.gmail.com")
    expect(page.get_by_label("Sign in by")).to_have_value("google")
    expect(page.get_by_text("Google wants an app password then")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_axe_finds_nothing_on_the_other_pages(
    page: Page, stack: Stack, imap: Server, smtp: Inbox
) -> None:
    log_in(page, to="/settings/mailboxes/")
    assert Axe().run(page).violations_count == 0
    page.goto("/settings/mailboxes/new/")
    assert Axe().run(page).violations_count == 0
    fill(page, imap._replace(port=1), smtp, "axe")
    expect(page.locator(".step-failed")).to_be_visible(timeout=FOUND_MS)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.screenshot(path=str(stack.data / "failed.png"), full_page=True)
