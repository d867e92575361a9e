"""A small chaos run: the product loses nothing, and the checker notices when clients do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.chaos.report import as_text
from bench.chaos.run import Plan, run
from tests.clients import Habits
from tests.stack import Stack, data_folder, running

pytestmark = pytest.mark.stack

SMALL = Plan(
    visitors=20,
    staff=3,
    seconds=12,
    visitor_pause=1.5,
    staff_pause=1.0,
    cuts=1 / 20,
    habits=Habits(),
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One of its own: its processes are killed."""
    with data_folder() as folder, running(Stack(folder)) as up:
        yield up


async def test_under_fire_everyone_sees_everything_once_in_order_and_nobody_else_does(
    stack: Stack,
) -> None:
    outcome = await run(stack, SMALL)

    assert outcome.findings.clean, as_text(outcome)
    assert not outcome.invariants
    assert outcome.kills == 4
    assert outcome.cuts
    assert set(outcome.silence) >= {"web", "worker", "redis", "postgres"}
    assert outcome.findings.sent > 100


async def test_the_checker_finds_what_clients_lose_that_neither_catch_up_nor_send_again(
    stack: Stack,
) -> None:
    forgetful = replace(SMALL, seed=2, seconds=6, cuts=1 / 4, habits=Habits(resume=False))

    outcome = await run(stack, forgetful)

    counts = outcome.findings.counts
    assert counts["lost"], as_text(outcome)
    assert counts["never_shown"], as_text(outcome)
    assert counts["diverged"], as_text(outcome)
