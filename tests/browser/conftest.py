"""A real Chromium, against the whole product as processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.stack import Stack

WHOLE = ("chromium", "chromium-browser", "google-chrome")
# The same without windows of its own, for a fifth of the time. It has no viewer for PDFs: tests
# that need one say `BROWSERS = WHOLE`.
BROWSERS = ("chromium-headless-shell", *WHOLE)
MISSING = "No Chromium found. Install it: apt-get install chromium"
ARGUMENTS = [
    "--no-sandbox",  # root may not use Chromium's own
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
WAIT_MS = 20_000  # how long a busy machine may take; how fast things are is measured in bench
expect.set_options(timeout=WAIT_MS)
WIDE = {"width": 1440, "height": 900}

SHOP_CSP = (
    "default-src 'none'; img-src data: {desk}; script-src {desk}; connect-src {desk} {socket}; "
    "require-trusted-types-for 'script'"
)

NewPage = Callable[..., Page]


# One module long: while it is open an event loop runs in this thread, and other tests need their
# own.
@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    names = getattr(request.module, "BROWSERS", BROWSERS)
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Browser, stack: Stack) -> Iterator[NewPage]:
    """Opens pages, each in a browser profile of its own, that tolerate no fault of ours."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(**options: Any) -> Page:
        context = chromium.new_context(
            **{"base_url": stack.base_url, "viewport": WIDE, "locale": "en-GB", **options}
        )
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda message: (
                faults.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()


@dataclass(frozen=True)
class Shop:
    """Somebody else's server: one page with the widget, under a strict policy of its own."""

    stack: Stack
    server: ThreadingHTTPServer

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.server.server_port}"

    def address(self, key: str, *, html: str = "lang=en", script: str = "") -> str:
        """A page of the shop whose <html> and whose script tag have these attributes."""
        return f"{self.origin}/?{urlencode({'key': key, 'html': html, 'script': script})}"

    def open_on(self, page: Page, key: str) -> None:
        page.goto(f"{self.origin}/?{key}")
        page.get_by_role("button", name="Open chat").click()


@pytest.fixture
def shop(stack: Stack) -> Iterator[Shop]:
    desk = stack.base_url
    policy = SHOP_CSP.format(desk=desk, socket=desk.replace("http", "ws", 1))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            query = self.path.partition("?")[2]
            asked = (
                dict(parse_qsl(query, keep_blank_values=True)) if "=" in query else {"key": query}
            )
            key, more = asked["key"], asked.get("script", "")
            script = f'<script src="{desk}/widget.js" data-inbox="{key}" {more} async></script>'
            head = f"<title>Shop</title><link rel=icon href=data:,>{script}"
            html = asked.get("html", "lang=en")
            self.wfile.write(
                f"<!doctype html><html {html}>{head}<main><h1>Shop</h1></main>".encode()
            )

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield Shop(stack, server)
        server.shutdown()
        thread.join()
