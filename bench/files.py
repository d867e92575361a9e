"""A file of 25 MB, up and down, and what the web process holds in memory meanwhile."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from statistics import harmonic_mean

from django.conf import settings
from django.test import Client

from attachments.models import Attachment, Check
from attachments.uploads import PIECE_BYTES
from bench.engines import Engines
from bench.parts import Size, use_database
from bench.servers import DAPHNE, Server, floor, product
from bench.table import Bar, Row
from helpdesk.lib import work
from tickets.access import viewer_for
from tickets.models import Conversation, Inbox, User
from tickets.operations import post_note
from tickets.operations.files import check_file
from tickets.operations.timeline import open_ticket

MEGABYTE = 1_000_000
FILE_BYTES = 25 * MEGABYTE  # the bar is for this size, in quick runs too
LARGE_BYTES, LARGE_BYTES_QUICK = 200 * MEGABYTE, 50 * MEGABYTE
TIMES, TIMES_QUICK = 5, 2
AT_ONCE = 8
LOOK_SECONDS = 0.005
BARE = (*DAPHNE, "bench.floor_files:application")


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run, each with new server processes."""
    for _ in range(size.runs):
        with ExitStack() as stack:
            url = stack.enter_context(engines.database("files"))
            use_database("files")
            ours = stack.enter_context(product(engines.folder, url))
            bare = stack.enter_context(floor(engines.folder, url, *BARE))
            yield _run(Desk(ours), bare, size)


def _run(desk: Desk, bare: Server, size: Size) -> list[Row]:
    file_bytes = FILE_BYTES
    speeds: dict[str, list[float]] = {}
    for turn in range(1 + size.of(TIMES, TIMES_QUICK)):
        content = os.urandom(file_bytes)
        for name, action in (
            ("up", partial(desk.upload, content)),
            ("bare up", partial(_bare_upload, bare, f"{turn}", content)),
            ("look", desk.look_into),
            ("down", desk.download),
            ("bare down", partial(_bare_download, bare, f"{turn}")),
        ):
            seconds = _seconds(action)
            if turn:  # the first one warms up
                speeds.setdefault(name, []).append(file_bytes / MEGABYTE / seconds)
    found = {name: harmonic_mean(figures) for name, figures in speeds.items()}
    at_once = _growth(desk.server, partial(_many, desk, AT_ONCE, file_bytes)) / AT_ONCE
    large = size.of(LARGE_BYTES, LARGE_BYTES_QUICK)
    up_and_down = _growth(desk.server, partial(_there_and_back, desk, large))
    name, most = f"{file_bytes // MEGABYTE} MB", f"{large // MEGABYTE} MB"
    bar = Bar("≥", 0.6)
    return [
        Row(f"upload, {name}", "MB/s", found["up"], found["bare up"], bar),
        Row(f"download, {name}", "MB/s", found["down"], found["bare down"], bar),
        Row(f"looking into {name}", "MB/s", found["look"]),
        Row(f"memory, each of {AT_ONCE} uploads at once", "MB", at_once),
        Row(f"memory, {most} up and down", "MB", up_and_down, None, Bar("≤", 60, "value")),
    ]


class Desk:
    """Somebody on staff with a ticket's timeline to put files into."""

    def __init__(self, server: Server) -> None:
        self.server = server
        user = User.objects.create_superuser("files@desk.example", "unused")
        self.viewer = viewer_for(user)
        self.inbox = Inbox.objects.create(name="Files", file_max_mb=1_000)
        self.conversation = Conversation.objects.create(channel="email")

        open_ticket(
            self.conversation,
            inbox_id=self.inbox.pk,
            requester=self.viewer.person,
            subject="Files",
        )
        client = Client()
        client.force_login(user)
        token = "a" * 32
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.headers = {
            "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}; csrftoken={token}",
            "X-CSRFToken": token,
        }
        self.last = ""

    def upload(self, content: bytes) -> str:
        """Begin, and send every piece. The file is whole when this returns."""
        connection = HTTPConnection(self.server.host)
        about = json.dumps({"name": "file.bin", "size": len(content)})
        headers = self.headers | {"Content-Type": "application/json"}
        connection.request("POST", f"/files/uploads/?inbox={self.inbox.pk}", about, headers)
        answer = json.loads(connection.getresponse().read())
        while answer["state"] == "uploading":
            offset = answer["offset"]
            piece = memoryview(content)[offset : offset + PIECE_BYTES]
            address = f"/files/uploads/{answer['id']}?offset={offset}"
            connection.request("PUT", address, piece, self.headers)
            answer = json.loads(connection.getresponse().read())
        connection.close()
        self.last = answer["id"]
        return self.last

    def look_into(self) -> None:
        """As a worker does, in this process; then a note shows it."""
        row = Check.objects.get(attachment__uuid=self.last)
        work.perform(Check, row.pk, check_file)
        uuid = Attachment.objects.get(uuid=self.last).uuid
        post_note(self.viewer, self.conversation.pk, body="", via="api", files=[uuid])

    def download(self) -> None:
        """By the link that stays: the door is asked, and then come the bytes."""
        connection = HTTPConnection(self.server.host)
        connection.request("GET", f"/files/{self.last}/file.bin?download", headers=self.headers)
        answer = connection.getresponse()
        answer.read()
        connection.request("GET", answer.headers["Location"], headers=self.headers)
        _drain(connection)


def _bare_upload(server: Server, name: str, content: bytes) -> None:
    connection = HTTPConnection(server.host)
    for offset in range(0, len(content), PIECE_BYTES):
        piece = memoryview(content)[offset : offset + PIECE_BYTES]
        connection.request("PUT", f"/{name}", piece)
        connection.getresponse().read()
    connection.close()


def _bare_download(server: Server, name: str) -> None:
    connection = HTTPConnection(server.host)
    connection.request("GET", f"/{name}")
    _drain(connection)


def _drain(connection: HTTPConnection) -> None:
    answer = connection.getresponse()
    while answer.read(MEGABYTE):
        pass
    connection.close()


def _many(desk: Desk, count: int, file_bytes: int) -> None:
    with ThreadPoolExecutor(count) as threads:
        contents = [os.urandom(file_bytes) for _ in range(count)]
        list(threads.map(desk.upload, contents))


def _there_and_back(desk: Desk, size_bytes: int) -> None:
    desk.upload(os.urandom(size_bytes))
    desk.look_into()
    desk.download()


def _growth(server: Server, action: Callable[[], None]) -> float:
    """By how many MB a server's memory grows at most while something happens."""
    before = highest = server.memory_bytes()
    ended = threading.Event()

    def look() -> None:
        nonlocal highest
        while not ended.wait(LOOK_SECONDS):
            highest = max(highest, server.memory_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        action()
    finally:
        ended.set()
        watcher.join()
    return (highest - before) / MEGABYTE


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
