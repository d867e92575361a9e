"""What keeps the pages' look whole: the sprite, the budget, no inline code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles.finders import find
from django.template.loader import render_to_string
from django.test import Client

from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Ticket

CSS_MAX_BYTES = 49_000  # eight sheets
ROOT: Path = settings.BASE_DIR
PAGES = [*ROOT.glob("*/templates/**/*.html")]


def test_every_icon_is_in_the_sprite_and_none_is_there_for_nothing() -> None:
    sprite = (ROOT / "helpdesk/static/img/icons.svg").read_text()
    has = set(re.findall(r'<symbol id="([\w-]+)"', sprite))
    pages = "\n".join(page.read_text() for page in PAGES)
    code = "\n".join(file.read_text() for file in (ROOT / "tickets/views").glob("*.py"))
    named = set(re.findall(r'(?:\{% icon |sign=)"([\w-]+)"', pages))
    named |= {name for name in has if f'"{name}"' in code}
    assert has == named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_inline_style_or_script(page: Path) -> None:
    html = page.read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", html)


def test_the_desk_keeps_to_its_budget_of_style(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    page = enter(alice).get("/tickets/").content.decode()
    sheets = re.findall(r'rel="stylesheet" href="/static/([^"]+)"', page)
    sizes = {sheet: Path(str(find(sheet))).stat().st_size for sheet in sheets}
    assert len(sheets) == 8
    assert sum(sizes.values()) <= CSS_MAX_BYTES, sizes


def test_every_file_a_page_names_exists(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    browser = enter(alice)
    for address in ("/tickets/", f"/tickets/{ticket.number}/", "/tickets/new/", "/assistant/"):
        page = browser.get(address).content.decode()
        for file in set(re.findall(r'"/static/([^"#]+)', page)):
            assert find(file), file
    for module in (ROOT / "tickets/static/tickets").glob("*.js"):
        for file in re.findall(r'from "([^"]+)"', module.read_text()):
            assert (module.parent / file.replace("../js", "../../../helpdesk/static/js")).exists()


def test_a_page_is_in_one_language(db: None) -> None:
    page = Client().get("/", headers={"Accept-Language": "de"}).content.decode()
    assert '<html lang="en"' in page


def test_pages_may_run_only_our_own_code(db: None) -> None:
    policy = Client().get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "503"])
def test_an_error_page_needs_nothing_that_may_be_broken(name: str) -> None:
    """No database (this test has none), no request, no login."""
    html = render_to_string(f"{name}.html")
    assert "alone-title" in html
    assert "data-sentence" in html
