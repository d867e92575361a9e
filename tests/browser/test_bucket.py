"""With a bucket the browser itself sends files there and fetches them there, under our policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import FilePayload, Page, Request, expect

from tests.browser.test_desk import log_in
from tests.fakes.mails import mail
from tests.fakes.s3 import new_bucket
from tests.stack import Stack, data_folder, running

pytestmark = [pytest.mark.browser, pytest.mark.stack]

PNG = (Path(__file__).parents[2] / "docs" / "img" / "desk.png").read_bytes()
PARTS = bytes(range(256)) * 20_000  # 5 MB: two pieces, if it came to us
WAIT_MS = 20_000  # a second server answers, and takes its time on a busy machine


@pytest.fixture(scope="module")
def stack(s3_endpoint: str) -> Iterator[Stack]:
    public = s3_endpoint.replace("127.0.0.1", "localhost")
    variables = {**new_bucket(s3_endpoint), "S3_PUBLIC_ENDPOINT_URL": public}
    with data_folder() as folder, running(Stack(folder, settings=variables)) as up:
        yield up


@pytest.fixture
def address(stack: Stack) -> str:
    """A ticket whose mail brought a picture."""
    subject = f"With files {uuid4().hex[:6]}"
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{uuid4().hex}.eml").write_bytes(
        mail("See the picture.", subject=subject, files={"chip.png": ("image/png", PNG)})
    )
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, subject))
    return f"/tickets/{stack.row(query, subject)[0]}/"


def test_files_go_to_the_bucket_and_come_from_it(page: Page, address: str, stack: Stack) -> None:
    there = stack.settings["S3_PUBLIC_ENDPOINT_URL"]
    asked: list[tuple[str, str]] = []

    def note(request: Request) -> None:
        asked.append((request.method, "{0.scheme}://{0.netloc}".format(urlsplit(request.url))))

    page.on("request", note)
    page.set_default_timeout(WAIT_MS)
    log_in(page, to=address)
    picture = page.locator('.atts > a[data-name="chip.png"] img')
    expect(picture).to_have_js_property("naturalWidth", 640, timeout=WAIT_MS)  # the small one
    assert ("GET", there) in asked

    file = FilePayload(name="größe 📎.bin", mimeType="application/x-new", buffer=PARTS)
    page.locator("[data-file-input]").set_input_files([file])
    page.get_by_label("Message", exact=True).fill("The parts, as a file.")
    page.get_by_role("button", name="Send").click()

    link = page.locator('.atts > a[data-name="größe 📎.bin"]')
    expect(link).to_be_visible(timeout=WAIT_MS)
    assert ("POST", there) in asked
    assert "PUT" not in {method for method, _where in asked}
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "größe 📎.bin"
    got = Path(download.value.path()).read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(PARTS).digest()
    assert urlsplit(download.value.url).netloc == urlsplit(there).netloc
    assert not [path for path in (stack.data / "files").rglob("*") if path.is_file()]
