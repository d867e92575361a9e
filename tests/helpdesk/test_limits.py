"""Rate limits and bells, on a real Redis and without one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pytest_django import Settings

from helpdesk.lib import redis_client
from helpdesk.lib.layer import Event, forget, hear
from helpdesk.lib.limits import hit, hit_all
from helpdesk.lib.live import ring, ring_async


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def no_redis(settings: Settings) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis_client.redis_client.cache_clear()
    yield
    redis_client.redis_client.cache_clear()


def test_a_limit_allows_so_many_uses_and_says_when_to_come_back(key: str) -> None:
    assert [hit(key, 3, 3_600) for _ in range(3)] == [0, 0, 0]
    assert 1 <= hit(key, 3, 3_600) <= 3_600


def test_a_use_must_be_allowed_by_every_limit(key: str) -> None:
    limits = {f"{key}.a": 1, f"{key}.b": 5}
    assert hit_all(limits, 3_600) == 0
    assert hit_all(limits, 3_600) > 0
    assert hit(f"{key}.b", 5, 3_600) == 0


def test_a_limit_is_forgotten_with_its_window(key: str) -> None:
    hit(key, 1, 30)
    (name,) = redis_client.redis_client().keys(f"limit:{key}:*")
    assert 1 <= redis_client.redis_client().ttl(name) <= 31


def test_without_redis_everything_is_allowed_and_no_bell_breaks_anything(
    key: str, no_redis: None
) -> None:
    began = time.monotonic()
    assert [hit(key, 1, 60) for _ in range(3)] == [0, 0, 0]
    ring("nobody", {"type": "test"})
    assert time.monotonic() - began < 2


async def test_a_bell_from_a_thread_is_heard_like_one_from_the_loop(key: str) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    await hear(key, heard.put_nowait)
    await ring_async(key, {"n": 1})
    await asyncio.to_thread(ring, key, {"n": 2})
    assert [await asyncio.wait_for(heard.get(), 5) for _ in range(2)] == [{"n": 1}, {"n": 2}]
    forget(key, heard.put_nowait)


@pytest.fixture
def hanging_redis(settings: Settings) -> Iterator[None]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        redis_client.redis_client.cache_clear()
        yield
    redis_client.redis_client.cache_clear()
    redis_client.rests_until = 0.0


def test_a_redis_that_hangs_is_waited_for_once(key: str, hanging_redis: None) -> None:
    began = time.monotonic()
    assert hit(key, 1, 60) == 0
    assert redis_client.rests_until > began, "it took its time, so the others need not wait"
    waited = time.monotonic()
    for _ in range(5):
        ring("nobody", {"type": "test"})
        assert hit(key, 1, 60) == 0
    assert time.monotonic() - waited < waited - began
