"""A mailbox whose mail a service brings: set up, given away, and brought to."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import log_in
from tests.fakes import mail_services as says
from tests.fakes.mails import mail
from tests.stack import Stack, data_folder, running

pytestmark = [pytest.mark.browser, pytest.mark.stack]

SUBJECT = "SELECT number FROM tickets_ticket WHERE subject = %s"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with data_folder() as folder, running(Stack(folder)) as up:
        yield up


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()


def new(page: Page, address: str, service: str) -> None:
    log_in(page, to="/settings/mailboxes/new/")
    page.get_by_label("Address that customers write to").fill(address)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("link", name=service).click()
    page.get_by_label("Name of the new inbox").fill(f"By {service}")
    assert Axe().run(page).violations_count == 0


def test_its_address_is_copied_and_mail_comes_there(page: Page, stack: Stack) -> None:
    new(page, "orders@shop.example", "Postmark")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("No mail yet")).to_be_visible()
    expect(page.get_by_text("begins with https://")).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    address = page.evaluate("navigator.clipboard.readText()")
    assert address == page.get_by_label("Address to give to the service").input_value()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

    stranger = address.replace("helpdesk:", "helpdesk:not-")
    raw = mail(to="orders@shop.example", subject="Brought by Postmark")
    assert says.postmark(raw).to(stranger).status_code == 422
    expect(page.get_by_text("The last request was refused")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("in the address that Postmark has is not ours")).to_be_visible()
    assert says.postmark(raw, to="orders@shop.example").to(address).status_code == 200
    expect(page.get_by_text("Its last mail came")).to_be_visible(timeout=20_000)
    stack.wait_until(lambda: stack.rows(SUBJECT, "Brought by Postmark"))

    page.get_by_role("link", name="All mailboxes").click()
    row = page.locator(".option", has_text="orders@shop.example")
    expect(row).to_contain_text("last mail")
    expect(row).to_contain_text("Webhook")
    row.get_by_role("link").click()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("orders@shop.example")).to_have_count(0)
    assert says.postmark(raw).to(address).status_code == 404


def test_a_signed_one_asks_for_its_key(page: Page, stack: Stack) -> None:
    new(page, "signed@shop.example", "Mailgun")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Write the key that the service signs with.")).to_be_visible()
    page.get_by_label("Webhook signing key").fill(says.KEY)
    page.get_by_role("button", name="Save").click()
    address = page.get_by_label("Address to give to the service").input_value()
    assert "@" not in address
    raw = mail(to="signed@shop.example", subject="Brought by Mailgun")
    assert says.mailgun(raw, key="another").to(address).status_code == 422
    assert not stack.rows(SUBJECT, "Brought by Mailgun")
    large = mail("x" * 3_000_000, to="signed@shop.example", subject="Brought by Mailgun")
    assert says.mailgun(large, to="signed@shop.example").to(address).status_code == 200
    stack.wait_until(lambda: stack.rows(SUBJECT, "Brought by Mailgun"))
    assert httpx.get(address, trust_env=False).status_code == 405
