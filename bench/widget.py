"""What a page view costs a shop: how many requests, and the size of the widget's scripts.

The scripts are taken as the product serves them. Requests are counted by a real browser on a page
of another site; without a Chromium on this machine that row is left out.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

from playwright.sync_api import Route, sync_playwright

from bench.engines import Engines
from bench.parts import Size, use_database
from bench.servers import Server, product
from bench.table import Bar, Row
from chat.languages import languages
from tickets.models import Inbox

SHOP = "http://shop.example"
PAGE = (
    "<!doctype html><title>Shop</title><h1>Kettles</h1>"
    '<script src="http://{host}/widget.js" data-inbox="{key}" async></script>'
)
WATCHED_MS = 3_000  # how long the page is left alone
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Otherwise it asks somebody whether a page from outside may load a script from this machine.
    "--disable-features=LocalNetworkAccessChecks",
)


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """The same rows in every run."""
    with ExitStack() as stack:
        url = stack.enter_context(engines.database("widget"))
        use_database("widget")
        inbox = Inbox.objects.create(name="Chat", allowed_origins=[SHOP])
        server = stack.enter_context(product(engines.folder, url))
        loader = _packed_bytes(server, "/widget.js")
        whole = loader + _packed_bytes(server, "/widget/chat.js")
        look = _packed_bytes(server, "/widget/look.js")
        largest = loader + max(
            _packed_bytes(server, f"/widget/chat.js?lang={one}") for one in sorted(languages())
        )
        files = _packed_bytes(server, "/widget/files.js")
        more = _packed_bytes(server, "/widget/more.js")
        for _ in range(size.runs):
            rows = [
                Row("widget.js, gzipped", "kB", loader / 1_000, None, Bar("≤", 1, "value")),
                Row("widget once open, gzipped", "kB", whole / 1_000, None, Bar("≤", 12, "value")),
                Row(
                    "the same, largest language",
                    "kB",
                    largest / 1_000,
                    None,
                    Bar("≤", 12, "value"),
                ),
                Row("files.js, gzipped", "kB", files / 1_000, None, Bar("≤", 4.5, "value")),
                Row("more.js, gzipped", "kB", more / 1_000, None, Bar("≤", 4.5, "value")),
                Row("look.js, gzipped", "kB", look / 1_000, None, Bar("≤", 3, "value")),
            ]
            if (requests := _requests(server, inbox.widget_key or "")) is not None:
                bar = Bar("≤", 1, "value")
                rows.append(Row("widget, requests on a page view", "", requests, None, bar))
            yield rows


def _packed_bytes(server: Server, path: str) -> int:
    """The size of a script as it comes to a browser."""
    connection = HTTPConnection(server.host)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200 or not gzip.decompress(body):
        raise RuntimeError(f"no script at {path}: {response.status}")
    return len(body)


def _requests(server: Server, key: str) -> int | None:
    """How many requests a page with the widget makes, itself apart, to whomever."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        print("widget: no Chromium here, so its requests are not counted", file=sys.stderr)
        return None

    def shop(route: Route) -> None:
        route.fulfill(body=PAGE.format(host=server.host, key=key), content_type="text/html")

    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=[*QUIET, *as_root])
        page = browser.new_page()
        made: list[str] = []
        page.on("request", lambda request: made.append(request.url))
        page.on("websocket", lambda socket: made.append(socket.url))
        page.route(f"{SHOP}/", shop)
        page.goto(f"{SHOP}/")
        page.wait_for_selector("helpdesk-widget", state="attached")
        page.wait_for_timeout(WATCHED_MS)
        browser.close()
    return len([address for address in made if address != f"{SHOP}/"])
