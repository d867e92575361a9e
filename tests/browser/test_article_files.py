"""Files of articles in a browser: attached in the admin in every way, opened by a customer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import log_in
from tests.browser.test_desk_access import violations
from tests.browser.test_widget_files import (
    UPLOADED_MS,
    Files,
    by_button,
    carried,
    held_back,
    picture,
)
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]


def attach(page: Page, way: str, files: Files) -> None:
    if way == "button":
        by_button(page, files)
    elif way == "drop":
        drag = {"dataTransfer": carried(page, files), "bubbles": True, "cancelable": True}
        page.locator("#id_body").dispatch_event("dragover", drag)
        page.locator("#id_body").dispatch_event("drop", drag)
    else:
        paste = """(box, clipboardData) => box.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))"""
        page.locator("#id_body").evaluate(paste, carried(page, files))


def begun(new_page: NewPage, title: str) -> Page:
    page = log_in(new_page(), to="/admin/ai/article/add/")
    page.locator("#id_title").fill(title)
    page.locator("#id_title").blur()
    expect(page.locator("#id_slug")).to_have_value(title)  # made from the title
    page.locator("#id_body").fill("Some words.")
    return page


@pytest.mark.parametrize("way", ["button", "drop", "paste"])
def test_what_is_attached_to_an_article_is_opened_by_a_customer(
    new_page: NewPage, stack: Stack, way: str
) -> None:
    title = f"article-{uuid4().hex[:8]}"
    files = {"the lid.png": picture(), "größe 📎.bin": b"PK\3\4" + uuid4().bytes * 5_000}
    page = begun(new_page, title)
    attach(page, way, files)
    for name in files:
        row = page.locator(".up").filter(has_text=name)
        expect(row).to_have_attribute("data-state", "ready", timeout=UPLOADED_MS)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    customer = new_page()
    customer.goto(f"/help/{title}/")
    assert violations(customer) == []
    for name, content in files.items():
        link = customer.locator(f'.atts a[data-name="{name}"]')
        if name.endswith(".png"):
            expect(link.locator("img")).not_to_have_js_property("naturalWidth", 0)
            with customer.context.expect_page() as opened:
                link.click()
            expect(opened.value.locator("img")).to_be_visible()
            got = customer.request.get(link.get_attribute("href") or "").body()
        else:
            with customer.expect_download() as download:
                link.click()
            assert download.value.suggested_filename == name
            got = Path(download.value.path()).read_bytes()
        assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest(), name

    links = [a.get_attribute("href") or "" for a in customer.locator(".atts a").all()]
    stack.rows("UPDATE ai_article SET published = false WHERE slug = %s", title)
    for address in links:
        assert customer.request.get(address).status == 404


def test_an_article_is_saved_once_its_files_are_there(new_page: NewPage, stack: Stack) -> None:
    title = f"article-{uuid4().hex[:8]}"
    page = begun(new_page, title)
    let_go = held_back(page)
    by_button(page, {"a.png": picture()})
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("It is sent as soon as the files are uploaded.")).to_be_visible()
    let_go()
    expect(page.get_by_text("was added successfully")).to_be_visible(timeout=UPLOADED_MS)
    query = (
        "SELECT count(*) FROM ai_articlefile f JOIN ai_article a ON a.id = f.article_id "
        "WHERE a.slug = %s"
    )
    assert stack.row(query, title)[0] == 1
