"""Web server and worker are killed while files are on their way: each ends whole, or can be tried
again."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from helpdesk.demo import story
from tests.stack import Stack

pytestmark = pytest.mark.stack

MEGABYTE = 1_000_000
MAYA = f"{story.STAFF[0].split()[0].lower()}@tern-kettle.example"


class Uploader:
    """What the browser's script does: ask how far it came, and go on from there."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.http = httpx.Client(base_url=stack.base_url, timeout=20, follow_redirects=True)
        self.http.get("/")
        form = {"username": MAYA, "password": story.PASSWORD, "csrfmiddlewaretoken": self.csrf}
        assert self.http.post("/", data=form).is_success
        self.inbox = stack.row("SELECT id FROM tickets_inbox WHERE address IS NOT NULL LIMIT 1")[0]

    @property
    def csrf(self) -> str:
        return str(self.http.cookies["csrftoken"])

    def ask(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        """The answer, whoever is down meanwhile."""
        deadline = time.monotonic() + 40
        while True:
            headers = {"X-CSRFToken": self.csrf}
            try:
                answer = self.http.request(method, address, headers=headers, **more)
                if answer.status_code < 500:
                    assert answer.status_code in {200, 201, 409}, answer.text
                    return dict(answer.json())
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline
            if method == "PUT":  # it may have arrived, or a part of it: ask
                method, more = "GET", {}
                address = address.partition("?")[0]
            time.sleep(0.1)

    def begin(self, size: int) -> dict[str, Any]:
        about = {"name": "large.bin", "size": size}
        return self.ask("POST", f"/files/uploads/?inbox={self.inbox}", json=about)

    def send(self, upload: dict[str, Any], content: bytes, pieces: int = 1_000) -> dict[str, Any]:
        """As many pieces as are missing, at most `pieces`."""
        while upload["state"] == "uploading" and pieces:
            pieces -= 1
            offset = upload["offset"]
            piece = content[offset : offset + upload["to"]["pieces"]]
            address = f"/files/uploads/{upload['id']}?offset={offset}"
            upload = self.ask("PUT", address, content=piece)
        return upload

    def ended(self, upload: dict[str, Any]) -> dict[str, Any]:
        """What came of it, once that is decided."""
        deadline = time.monotonic() + 60
        while upload["state"] in {"uploading", "checking"}:
            assert time.monotonic() < deadline, upload
            time.sleep(0.1)
            upload = self.ask("GET", f"/files/uploads/{upload['id']}")
        return upload


@pytest.fixture
def uploader(stack: Stack) -> Iterator[Uploader]:
    stack.rows("UPDATE tickets_inbox SET file_max_mb = 200")
    made = Uploader(stack)
    yield made
    made.http.close()
    stack.rows("UPDATE tickets_inbox SET file_max_mb = 25")


def sum_of(stack: Stack, upload: dict[str, Any]) -> str:
    """Of the bytes as they lie on disk."""
    query = (
        "SELECT b.key, b.sha256 FROM attachments_attachment a "
        "JOIN attachments_blob b ON b.id = a.blob_id WHERE a.uuid = %s"
    )
    key, said = stack.row(query, upload["id"])
    lies = hashlib.sha256((stack.data / "files" / key).read_bytes()).hexdigest()
    assert lies == said
    return lies


def test_a_killed_web_server_costs_a_piece_and_no_upload(stack: Stack, uploader: Uploader) -> None:
    content = os.urandom(60 * MEGABYTE)
    upload = uploader.begin(len(content))
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.7):
            stack.kill("web", signal.SIGKILL)
            ended.wait(4)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for _ in range(8):
            upload = uploader.send(upload, content, pieces=2)
            time.sleep(0.4)
        upload = uploader.send(upload, content)
    finally:
        ended.set()
        killer.join()
    assert uploader.ended(upload)["state"] == "ready"
    assert sum_of(stack, upload) == hashlib.sha256(content).hexdigest()


def test_a_killed_worker_leaves_no_file_half_looked_into(stack: Stack, uploader: Uploader) -> None:
    content = os.urandom(150 * MEGABYTE)
    upload = uploader.send(uploader.begin(len(content)), content)
    query = (
        "SELECT c.state, c.attempts FROM attachments_check c "
        "JOIN attachments_attachment a ON a.id = c.attachment_id WHERE a.uuid = %s"
    )
    stack.wait_until(lambda: stack.row(query, upload["id"])[0] != "queued")
    stack.kill("worker", signal.SIGKILL)
    assert uploader.ended(upload)["state"] == "ready"
    stack.wait_until(lambda: stack.row(query, upload["id"])[0] == "done")
    assert stack.row(query, upload["id"])[1] == 2, "the worker was killed too late"
    assert sum_of(stack, upload) == hashlib.sha256(content).hexdigest()
