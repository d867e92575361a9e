"""Those who ask whether they may stay while others do are asked about together."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection

import pytest

from chat import rechecks as module
from chat.rechecks import AT_ONCE, PARTS, Rechecks, Rounds


class Book:
    """Who may stay; it notes what it was asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.open = asyncio.Event()
        self.fault: Exception | None = None

    async def found(self, keys: Collection[int]) -> dict[int, str]:
        self.asked.append(list(keys))
        await self.open.wait()
        if self.fault:
            raise self.fault
        return {key: f"seat {key}" for key in keys if key % 2}


async def begun(rechecks: Rechecks[int, str], *keys: int) -> list[asyncio.Task[str | None]]:
    tasks = [asyncio.create_task(rechecks.ask(key)) for key in keys]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        for _ in itertools.takewhile(lambda _: not holds(), itertools.count()):
            await asyncio.sleep(0.01)


async def test_the_first_is_asked_about_at_once_and_those_who_wait_together() -> None:
    book = Book()
    rechecks = Rechecks(book.found)
    tasks = await begun(rechecks, 1)
    tasks += await begun(rechecks, 2, 3, 3, 1)
    assert book.asked == [[1]]
    book.open.set()
    assert await asyncio.gather(*tasks) == ["seat 1", None, "seat 3", "seat 3", "seat 1"]
    # The second time somebody asks for 1 is after the question began: it gets an answer of its own.
    assert book.asked == [[1], [2, 3, 1]]


async def test_a_crowd_is_asked_about_in_parts() -> None:
    book = Book()
    book.open.set()
    rechecks = Rechecks(book.found)
    await asyncio.gather(*(rechecks.ask(key) for key in range(AT_ONCE + 5)))
    assert [len(keys) for keys in book.asked] == [AT_ONCE, 5]


async def test_a_fault_is_theirs_who_asked_and_not_of_the_next() -> None:
    book = Book()
    book.open.set()
    book.fault = OSError("away")
    rechecks = Rechecks(book.found)
    for fault in await asyncio.gather(rechecks.ask(1), rechecks.ask(3), return_exceptions=True):
        assert isinstance(fault, OSError)
    book.fault = None
    assert await rechecks.ask(1) == "seat 1"


async def test_one_who_no_longer_waits_takes_nothing_from_the_others() -> None:
    book = Book()
    rechecks = Rechecks(book.found)
    impatient, patient = await begun(rechecks, 1, 1)
    impatient.cancel()
    book.open.set()
    assert await patient == "seat 1"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_round_asks_about_everybody_a_part_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.1)
    book = Book()
    book.open.set()
    rounds = Rounds(book.found)
    told: dict[int, list[str | None]] = {key: [] for key in range(2 * PARTS)}
    for key, answers in told.items():
        rounds.join(answers.append, key)
    await until(lambda: all(len(answers) > 1 for answers in told.values()))
    found = {key: set(answers) for key, answers in told.items()}
    assert found == {key: {f"seat {key}" if key % 2 else None} for key in told}
    assert {len(keys) for keys in book.asked} == {2}
    await rounds.end()


async def test_a_round_goes_on_after_a_fault_and_without_who_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.1)
    book = Book()
    book.open.set()
    book.fault = OSError("away")
    rounds = Rounds(book.found)
    here: list[str | None] = []
    gone: list[str | None] = []
    rounds.join(here.append, 1)
    rounds.join(gone.append, 3)
    await until(lambda: bool(book.asked))
    rounds.leave(gone.append)
    rounds.leave(gone.append)
    book.fault = None
    await until(lambda: bool(here))
    assert (here[0], gone) == ("seat 1", [])
    rounds.leave(here.append)
    await asyncio.sleep(0.2)
    asked = len(book.asked)
    await asyncio.sleep(0.3)
    assert len(book.asked) == asked
