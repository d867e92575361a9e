"""Files as people meet them: every one on the page is clicked, and what comes is what was sent."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import BOB, log_in
from tests.browser.test_desk_access import violations
from tests.fakes.mails import mail
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

PNG = (Path(__file__).parents[2] / "docs" / "img" / "desk.png").read_bytes()
HTML = b"<!doctype html><script>document.title = 'taken over'</script><p>Hello"
FILES = {
    "chip on the burr.png": ("image/png", PNG),
    "page.html": ("text/html", HTML),
    "notes 📎 größe.txt": ("text/plain", b"Serial number K2\n" * 1_000),
    "archive.bin": ("application/octet-stream", bytes(range(256)) * 2_000),
}


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    """A ticket whose mail brought all of them."""
    subject = f"With files {uuid4().hex[:6]}"
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".files.tmp"
    temporary.write_bytes(mail("See the pictures.", subject=subject, files=FILES))
    temporary.rename(folder / f"{uuid4().hex}.eml")
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, subject))
    return f"/tickets/{stack.row(query, subject)[0]}/"


def test_every_file_on_a_ticket_is_clicked_and_comes_as_it_was_sent(
    page: Page, address: str
) -> None:
    log_in(page, to=address)
    shown = page.locator(".atts > a")
    expect(shown).to_have_count(len(FILES))
    for name, (_type, sent) in FILES.items():
        link = page.locator(f'.atts > a[title="{name}"]')
        expect(link).to_be_visible()
        if name.endswith(".png"):
            picture = link.locator("img")
            expect(picture).to_have_js_property("naturalWidth", 1440)
            with page.context.expect_page() as opened:
                link.click()
            expect(opened.value.locator("img")).to_be_visible()
            got = page.request.get(link.get_attribute("href") or "").body()
        else:
            with page.expect_download() as download:
                link.click()
            assert download.value.suggested_filename == name
            got = Path(download.value.path()).read_bytes()
        assert hashlib.sha256(got).digest() == hashlib.sha256(sent).digest(), name
    assert "taken over" not in page.title()


def test_who_may_not_see_the_ticket_opens_none_of_its_files(
    new_page: NewPage, address: str, stack: Stack
) -> None:
    maya = log_in(new_page(), to=address)
    links = [a.get_attribute("href") or "" for a in maya.locator(".atts > a").all()]
    assert len(links) == len(FILES)
    stack.rows("INSERT INTO tickets_team (name) VALUES ('Files') ON CONFLICT DO NOTHING")
    stack.rows(
        "INSERT INTO tickets_inbox_teams (inbox_id, team_id) "
        "SELECT t.inbox_id, team.id FROM tickets_ticket t, tickets_team team "
        "WHERE t.number = %s AND team.name = 'Files'",
        int(address.split("/")[2]),
    )
    try:
        bob = log_in(new_page(), BOB)
        for link in links:
            assert bob.request.get(link).status == 404
    finally:
        stack.rows(
            "DELETE FROM tickets_inbox_teams USING tickets_team team "
            "WHERE team.id = team_id AND team.name = 'Files'"
        )
    stranger = new_page()
    for link in links:
        assert stranger.request.get(link, max_redirects=0).status == 302


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(new_page: NewPage, address: str, scheme: str) -> None:
    page = log_in(new_page(color_scheme=scheme), to=address)
    expect(page.locator(".atts img")).to_have_js_property("complete", True)
    assert violations(page) == []
