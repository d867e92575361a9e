"""Through real processes: a visitor at a socket, a worker that is killed, a model over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.ai.conftest import KEY
from tests.fakes import openai_server
from tests.fakes.openai_server import FakeModel
from tests.stack import Stack, data_folder, running

pytestmark = pytest.mark.stack

QUESTION = "How do I descale my Harbour kettle?"
TIMEOUT_SECONDS = 3


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModel]:
    with openai_server.running(key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def stack(model: FakeModel) -> Iterator[Stack]:
    """The product with the demo shop, told to ask the fake."""
    told = {
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": KEY,
        "AI_MODEL": "fake-model",
        "AI_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        "NO_PROXY": "127.0.0.1",
    }
    with data_folder() as folder, running(Stack(folder, settings=told)) as up:
        yield up


@dataclass
class Listener:
    """A visitor who writes and notes all that arrives, with its time."""

    socket: ClientConnection
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, body: str) -> float:
        frame = {"type": "send", "client_token": str(uuid4()), "body": body}
        await self.socket.send(json.dumps(frame))
        return time.monotonic()

    async def until(self, wanted: str, seconds: float = 30, **more: Any) -> dict[str, Any]:
        """The next frame of this type whose message has these values."""
        async with asyncio.timeout(seconds):
            while True:
                frame = json.loads(await self.socket.recv())
                self.heard.append({**frame, "at": time.monotonic()})
                message = frame.get("message", {})
                if frame["type"] == wanted and more.items() <= message.items():
                    return self.heard[-1]

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.heard]


@asynccontextmanager
async def visitor(stack: Stack) -> AsyncIterator[Listener]:
    door, origin = f"/widget/{stack.widget_key}/", stack.base_url
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{stack.base_url}{door}sessions"
        begun = await http.post(url, json={}, headers={"Origin": origin})
    socket_url = f"{stack.base_url.replace('http', 'ws', 1)}/ws{door}"
    async with connect(socket_url, origin=origin, proxy=None) as socket:  # type: ignore[arg-type]  # a NewType of str
        await socket.send(json.dumps({"type": "hello", "token": begun.json()["token"]}))
        listener = Listener(socket)
        await listener.until("ready")
        yield listener


async def test_an_answer_is_seen_growing_and_then_stands_with_its_sources(
    stack: Stack, model: FakeModel
) -> None:
    model.next(say="Use citric acid for half an hour [1].", pause_seconds=0.05)
    async with visitor(stack) as carol:
        await carol.say(QUESTION)
        posted = await carol.until("message.posted", body="Use citric acid for half an hour.")
    assert posted["message"]["author"]["role"] == "assistant"
    assert posted["message"]["sources"] == [
        {
            "title": "Descale the Harbour kettle",
            "url": f"{stack.base_url}/help/descale-the-harbour-kettle/",
        }
    ]
    kinds = carol.kinds()
    assert kinds.index("assistant.typing") < kinds.index("assistant.delta")
    grown = "".join(f["text"] for f in carol.heard if f["type"] == "assistant.delta")
    assert len(grown) > 10
    assert "Use citric acid for half an hour.".startswith(grown)


async def test_an_answer_whose_worker_is_killed_comes_once(stack: Stack, model: FakeModel) -> None:
    model.next(say="Never heard to its end.", pause_seconds=0.5)
    async with visitor(stack) as carol:
        await carol.say(QUESTION)
        await carol.until("assistant.delta")
        stack.kill("worker")
        model.next(say="Use citric acid.")
        await carol.until("message.posted", body="Use citric acid.")
        assert "assistant.stopped" in carol.kinds()
        with pytest.raises(TimeoutError):
            await carol.until("message.posted", seconds=3)


@pytest.mark.parametrize("scene", [{"silent": True}, {"cut": True}, {"status": 500}])
async def test_a_visitor_is_told_when_the_model_fails(
    stack: Stack, model: FakeModel, scene: dict[str, Any]
) -> None:
    model.next(**scene)
    model.next(**scene)  # for the second try
    async with visitor(stack) as carol:
        await carol.say(QUESTION)
        told = await carol.until("message.posted", kind="change", seconds=TIMEOUT_SECONDS + 7)
    model.scenes.clear()
    assert told["message"]["change"] == {
        "field": "handler",
        "old": "assistant",
        "new": "staff",
        "reason": "failed",
    }
    assert stack.row("SELECT outcome FROM ai_answer ORDER BY id DESC LIMIT 1") == ("handed_over",)
