"""Django in one trip to a thread: what it answers, and what it leaves behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from pytest_django import Settings

from helpdesk.handler import Handler

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


def plain(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        (seven,) = cursor.fetchone() or (0,)
    return HttpResponse(f"{seven} {request.body.decode()} {threading.current_thread().name}")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two"):
            await asyncio.sleep(0)
            yield part

    connection.ensure_connection()
    return StreamingHttpResponse(parts())


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault")


def held(request: HttpRequest) -> HttpResponse:
    return HttpResponse("open" if connection.connection else "closed")


urlpatterns = [path(view.__name__, csrf_exempt(view)) for view in (plain, stream, broken, held)]


@pytest.fixture(autouse=True)
def _our_urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


async def answer(handler: Handler, path: str, *parts: Any) -> list[Any]:
    """What the handler sends for a request of these parts."""
    received = iter(parts or (WHOLE,))
    sent: list[Any] = []

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/{path}",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    await handler(scope, receive, send)
    return sent


def body(sent: list[Any]) -> str:
    return b"".join(message.get("body", b"") for message in sent).decode()


async def test_a_request_is_answered_in_a_thread_that_stays() -> None:
    handler = Handler(1)
    parts = {"type": "http.request", "body": b"a", "more_body": True}, {**WHOLE, "body": b"b"}
    sent = await answer(handler, "plain", *parts)
    assert sent[0]["status"] == 200
    seven, given, thread = body(sent).split()
    assert (seven, given) == ("7", "ab")
    assert thread.startswith("request_0")
    assert body(await answer(handler, "plain")).split()[1] == thread


async def test_a_request_begins_and_ends_once_and_leaves_no_connection() -> None:
    heard: list[str] = []

    def begun(**_: object) -> None:
        heard.append("begun")

    def ended(**_: object) -> None:
        heard.append("ended")

    request_started.connect(begun)
    request_finished.connect(ended)
    try:
        handler = Handler(1)
        for path in ("plain", "stream", "broken"):
            await answer(handler, path)
            assert body(await answer(handler, "held")) == "closed"
    finally:
        request_started.disconnect(begun)
        request_finished.disconnect(ended)
    assert heard == ["begun", "ended"] * 6


async def test_a_stream_is_sent_part_by_part() -> None:
    sent = await answer(Handler(1), "stream")
    assert [message.get("body") for message in sent[1:]] == [b"one ", b"two", None]


async def test_a_fault_is_a_page_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler(1)
    sent = await answer(handler, "broken")
    assert sent[0]["status"] == 500
    assert "a fault" in caplog.text
    assert (await answer(handler, "plain"))[0]["status"] == 200


async def test_who_leaves_before_all_has_come_is_not_answered() -> None:
    half = {"type": "http.request", "body": b"a", "more_body": True}
    assert await answer(Handler(1), "plain", half, GONE) == []
