"""One seed: the cast talks, everything is killed in turn, and what is left is compared."""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

import psycopg

from bench.chaos.cast import AT_ONCE, Cast, Chat, Worker, gather_cast, seat, some_at_once
from bench.chaos.checker import Findings, Said, Shown, Stored, View, check
from bench.chaos.faults import CUTS, Faults
from bench.chaos.silence import Wait, silences, waits
from tests.clients import AWAY, Habits, Sent, Tab, Visitor
from tests.stack import Stack

MARK = re.compile("m-[0-9a-f]{32}")
FIRST_WORDS_SECONDS = 120.0
SETTLE_SECONDS = 60.0  # more than the 30 s after which every page has asked or was told
LAG_SECONDS = 0.1  # between two looks at how late our own clients are

Begin = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything. Pauses are the mean seconds between two messages of one person."""

    seed: int = 1
    visitors: int = 500
    staff: int = 20
    seconds: float = 600.0
    visitor_pause: float = 20.0
    staff_pause: float = 2.5
    note_share: float = 0.15
    cuts: float = CUTS  # of each page's socket, a second
    habits: Habits = field(default_factory=lambda: Habits(ask_seconds=30.0, sure_seconds=270.0))


@dataclass
class Outcome:
    seed: int
    findings: Findings
    silence: dict[str, float]
    waits: dict[str, float]
    kills: int
    cuts: int
    invariants: str
    clients_cpu: float  # cores
    clients_late: float  # seconds, at most


async def run(stack: Stack, plan: Plan) -> Outcome:
    """Let it all happen on a running stack, and say what became of it."""
    random = Random(plan.seed)
    async with AsyncExitStack() as exits:
        cast = await gather_cast(stack, plan.visitors, plan.staff, plan.habits, exits)
        talk = Talk(stack, cast, plan, random)
        faults = Faults(stack, cast, random)
        async with _beside() as begin:
            await talk.begin(begin)
            async with _beside() as begin_desk:
                for worker in cast.everyone:
                    begin_desk(worker.page.run())
                machine = Machine()
                begin_desk(machine.watch())
                await asyncio.gather(
                    *(talk.visitor_speaks(chat) for chat in cast.chats),
                    *(talk.worker_speaks(worker) for worker in cast.workers),
                    talk.outsider_looks(),
                    faults.kill(plan.seconds),
                    faults.cut(plan.seconds, pages_a_second=plan.cuts),
                )
                cores, late = machine.cores, machine.late
            findings = await talk.settle()
        streams = [cast.journal.acknowledged, cast.journal.heard]
        sent = [Wait(sent.written_at, sent.acknowledged_at) for _, _, sent in talk.said]
        return Outcome(
            plan.seed,
            findings,
            silences(faults.kills, streams, faults.cuts, talk.end),
            waits(faults.kills, sent, time.monotonic()),
            len(faults.kills),
            len(faults.cuts),
            await asyncio.to_thread(_broken_invariants, stack),
            cores,
            late,
        )


class Talk:
    """Who says what, and when it is over, what their pages show."""

    def __init__(self, stack: Stack, cast: Cast, plan: Plan, random: Random) -> None:
        self.said: list[tuple[Chat, str, Sent]] = []
        self._stack = stack
        self._cast = cast
        self._plan = plan
        self._random = random
        self.end = 0.0  # from then on nobody begins to speak

    async def begin(self, begin: Begin) -> None:
        """Everyone comes, and says the first words; they open the tickets."""

        async def come(visitor: Visitor) -> Sent:
            await visitor.start()
            begin(visitor.run())
            first = visitor.say(_words("Hello"))
            while first.acknowledged_at is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
            return first

        async with asyncio.timeout(FIRST_WORDS_SECONDS):
            comes = [partial(come, visitor) for visitor in self._cast.visitors]
            firsts = await some_at_once(comes, AT_ONCE)
        await asyncio.to_thread(seat, self._stack, self._cast)
        for chat, first in zip(self._cast.chats, firsts, strict=True):
            self.said.append((chat, "visitor", first))
        self.end = time.monotonic() + self._plan.seconds

    async def visitor_speaks(self, chat: Chat) -> None:
        """In either of their tabs."""
        (visitor,) = chat.visitors
        while await self._time_for_more(self._plan.visitor_pause):
            tab = self._random.randrange(len(visitor.tabs))
            sent = visitor.say(_words("A visitor says this."), tab=tab)
            self.said.append((chat, "visitor", sent))

    async def worker_speaks(self, worker: Worker) -> None:
        """Goes from one of their chats to the next, and leaves a reply or a note."""
        while await self._time_for_more(self._plan.staff_pause / 2):
            chat = self._random.choice(worker.chats)
            await worker.page.open(chat.number, chat.conversation)
            await self._time_for_more(self._plan.staff_pause / 2)
            kind = "note" if self._random.random() < self._plan.note_share else "reply"
            sent = Sent(str(uuid4()), _words(f"{worker.name} leaves a {kind}."))
            self.said.append((chat, worker.name, sent))
            once = not self._plan.habits.resume
            await worker.staff.send(chat.number, sent, kind=kind, once=once)

    async def outsider_looks(self) -> None:
        """Somebody of another team tries to see the chats."""
        while await self._time_for_more(self._plan.staff_pause):
            chat = self._random.choice(self._cast.chats)
            await self._cast.outsider.page.open(chat.number, chat.conversation)

    async def settle(self) -> Findings:
        """Wait until all is as it should be, or until it will not become so any more."""
        deadline = time.monotonic() + (SETTLE_SECONDS if self._plan.habits.resume else 2.0)
        while True:
            await asyncio.sleep(1)
            try:
                stored = await asyncio.to_thread(_stored, self._stack)
                await self._staff_look(stored)
                findings = check(self._all_said(), stored, self._views())
            except (*AWAY, psycopg.Error):
                findings = None
            if findings and (findings.clean or time.monotonic() > deadline):
                return findings
            assert time.monotonic() < deadline + SETTLE_SECONDS, "the stack did not come back"

    async def _staff_look(self, stored: list[Stored]) -> None:
        """Each on staff opens once more what has grown since they looked."""
        last: dict[int, int] = {}
        for entry in stored:
            last[entry.conversation] = max(entry.seq, last.get(entry.conversation, 0))

        async def look(worker: Worker, chat: Chat) -> None:
            entries = worker.staff.shown.get(chat.number)
            if not entries or entries[-1][0] < last.get(chat.conversation, 0):
                await worker.staff.read(chat.number)

        looks = [
            partial(look, worker, chat) for chat in self._cast.chats for worker in chat.workers
        ]
        await some_at_once(looks, AT_ONCE)

    def _all_said(self) -> list[Said]:
        return [
            Said(
                _mark(sent.body),
                chat.conversation,
                author,
                sent.acknowledged_at is not None,
                sent.seq,
            )
            for chat, author, sent in self.said
        ]

    def _views(self) -> list[View]:
        views = [
            _view_of_tab(f"visitor {n}, tab {place}", chat, tab)
            for n, chat in enumerate(self._cast.chats)
            for visitor in chat.visitors
            for place, tab in enumerate(visitor.tabs)
        ]
        for chat in self._cast.chats:
            for worker in chat.workers:
                entries = worker.staff.shown.get(chat.number, [])
                shown = [Shown(seq, _mark(html)) for seq, html in entries]
                views.append(View(worker.name, chat.conversation, True, shown))
        outsider = self._cast.outsider
        heard = [_shown(message, conversation) for conversation, message in outsider.page.delivered]
        read = [
            Shown(seq, _mark(html)) for page in outsider.staff.shown.values() for seq, html in page
        ]
        return [*views, View("outsider", 0, True, (), [*heard, *read])]

    async def _time_for_more(self, pause: float) -> bool:
        await asyncio.sleep(pause * self._random.uniform(0.3, 1.7))
        return time.monotonic() < self.end


class Machine:
    """Whether our own clients keep up: they are one process and one thread."""

    def __init__(self) -> None:
        self.late = 0.0
        self._began = time.monotonic()
        self._spent = _cpu_seconds()

    @property
    def cores(self) -> float:
        return (_cpu_seconds() - self._spent) / (time.monotonic() - self._began)

    async def watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_SECONDS)
            self.late = max(self.late, time.monotonic() - before - LAG_SECONDS)


@asynccontextmanager
async def _beside() -> AsyncIterator[Begin]:
    """What is begun goes on beside the block and ends with it. One that fails ends the block."""
    begun: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        yield lambda work: begun.append(group.create_task(work))
        for task in begun:
            task.cancel()


def _words(words: str) -> str:
    return f"{words} m-{uuid4().hex}"


def _mark(text: str) -> str:
    found = MARK.search(text)
    return found[0] if found else ""


def _shown(message: dict[str, Any], conversation: int = 0) -> Shown:
    return Shown(message["seq"], _mark(message["body"]), conversation)


def _view_of_tab(client: str, chat: Chat, tab: Tab) -> View:
    delivered = [_shown(message, conversation) for conversation, message in tab.delivered]
    shown = [_shown(message) for message in tab.shown]
    return View(client, chat.conversation, False, shown, delivered)


def _stored(stack: Stack) -> list[Stored]:
    rows = stack.rows("SELECT conversation_id, seq, body, audience FROM tickets_message")
    return [
        Stored(conversation, seq, _mark(body), audience == "everyone")
        for conversation, seq, body, audience in rows
    ]


def _broken_invariants(stack: Stack) -> str:
    """What the product's own check finds; empty if nothing."""
    try:
        stack.manage("check_invariants")
    except AssertionError as error:
        return str(error)
    return ""


def _cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
