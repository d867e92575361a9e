"""The whole product under fire: what was accepted is stored once, in order, and reaches the
other side once, while worker, web server and Redis are killed in turn."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients import DeskPage, Staff, Visitor
from tests.stack import Stack, data_folder, running

pytestmark = pytest.mark.stack

VISITORS = 8
FROM_EACH_VISITOR = 25
TO_EACH_VISITOR = 18
MAILS = 100
REPLIES_BY_MAIL = 20
KILLS = ("worker", "web", "redis", "web", "worker", "redis")
SECONDS_BETWEEN_KILLS = 2.5
SETTLE_SECONDS = 45

OURS = "rfc_message_id LIKE 'mail-%@test.example'"

Begin = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One of its own: other tests write rows that no operation would."""
    with data_folder() as folder, running(Stack(folder)) as up:
        yield up


async def test_nothing_is_lost_or_doubled_while_everything_is_killed_in_turn(
    stack: Stack,
) -> None:
    async with contextlib.AsyncExitStack() as exits:
        visitors = [await _visitor(stack, exits) for _ in range(VISITORS)]
        maya = await _staff(stack, exits)
        begin = await exits.enter_async_context(_beside())
        for visitor in visitors:
            begin(visitor.run())
        talk = Talk(stack, visitors, maya)
        await talk.open(begin)
        await asyncio.gather(
            talk.kill(),
            *[talk.visitor_speaks(visitor) for visitor in visitors],
            *[talk.staff_speaks(visitor) for visitor in visitors],
            talk.mails_arrive(),
        )
        await talk.settle()
        await talk.replies_by_mail()

    talk.check_chats()
    talk.check_mails()
    talk.check_replies_by_mail()
    assert stack.manage("check_invariants") == "All invariants hold."


async def _visitor(stack: Stack, exits: contextlib.AsyncExitStack) -> Visitor:
    http = await exits.enter_async_context(httpx.AsyncClient(timeout=5))
    visitor = Visitor(stack.base_url, stack.widget_key, http)
    await visitor.start()
    return visitor


async def _staff(stack: Stack, exits: contextlib.AsyncExitStack) -> Staff:
    http = await exits.enter_async_context(httpx.AsyncClient(timeout=5))
    staff = Staff(stack.base_url, http)
    await staff.log_in(stack.login, stack.password)
    return staff


@contextlib.asynccontextmanager
async def _beside() -> AsyncIterator[Begin]:
    """What is begun goes on beside the block and ends with it. One that fails ends the test."""
    begun: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        yield lambda work: begun.append(group.create_task(work))
        for task in begun:
            task.cancel()


class Talk:
    """What is said and written, and by whom: every body is unique."""

    def __init__(self, stack: Stack, visitors: list[Visitor], maya: Staff) -> None:
        self.stack = stack
        self.visitors = visitors
        self.maya = maya
        self.said: dict[int, list[str]] = {n: [] for n in range(VISITORS)}
        self.answered: dict[int, list[str]] = {n: [] for n in range(VISITORS)}
        self.tickets: dict[int, tuple[int, int]] = {}  # visitor → ticket, conversation
        self.mailed_to: list[str] = []

    # --- the traffic ---

    async def open(self, begin: Begin) -> None:
        """Everyone's first words; they open the tickets. Maya opens each of them."""
        for n, visitor in enumerate(self.visitors):
            self._say(n, visitor, "first")
        await self.stack.until(lambda: all(v.acknowledged for v in self.visitors))
        for n in range(VISITORS):
            row = self.stack.row(
                "SELECT t.number, t.conversation_id FROM tickets_ticket t "
                "JOIN tickets_message m USING (conversation_id) WHERE m.body = %s",
                self.said[n][0],
            )
            self.tickets[n] = (row[0], row[1])
            page = DeskPage(self.maya)
            begin(page.run())
            await page.open(*self.tickets[n])

    async def kill(self) -> None:
        for name in KILLS:
            await asyncio.sleep(SECONDS_BETWEEN_KILLS)
            self.stack.kill(name, signal.SIGKILL)

    async def visitor_speaks(self, visitor: Visitor) -> None:
        n = self.visitors.index(visitor)
        for i in range(FROM_EACH_VISITOR):
            self._say(n, visitor, f"says {i}")
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def staff_speaks(self, visitor: Visitor) -> None:
        n = self.visitors.index(visitor)
        for i in range(TO_EACH_VISITOR):
            body = f"Answer {i} to visitor {n}."
            self.answered[n].append(body)
            await self.maya.reply(self.tickets[n][0], body)
            await asyncio.sleep(random.uniform(0.2, 1.2))

    async def mails_arrive(self) -> None:
        folder = self.stack.data / "mail" / "in"
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(MAILS):
            _drop(folder, i, _mail(i))
            if i % 10 == 0:  # some servers deliver a mail twice
                _drop(folder, i + MAILS, _mail(i))
            await asyncio.sleep(0.14)

    async def replies_by_mail(self) -> None:
        """Maya answers some of the mails while the worker dies once more."""
        rows = self.stack.rows(
            "SELECT t.number FROM tickets_ticket t WHERE t.subject LIKE 'Mail number %%' "
            "ORDER BY t.number LIMIT %s",
            REPLIES_BY_MAIL,
        )
        for n, (number,) in enumerate(rows):
            body = f"Reply by mail to ticket {number}."
            self.mailed_to.append(body)
            await self.maya.reply(number, body)
            if n == REPLIES_BY_MAIL // 2:
                self.stack.kill("worker", signal.SIGKILL)
        await self.stack.until(
            lambda: (
                self.stack.row(
                    "SELECT count(*) FROM tickets_outgoingemail o JOIN tickets_message m "
                    "ON m.id = o.message_id "
                    "WHERE m.body LIKE 'Reply by mail%%' AND o.state = 'done'"
                )
                == (REPLIES_BY_MAIL,)
            ),
            seconds=90,
        )

    async def settle(self) -> None:
        """Until everything sent is acknowledged, filed and shown."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := self._left():
            assert time.monotonic() < deadline, f"after {SETTLE_SECONDS} s still: {left}"
            await asyncio.sleep(0.2)

    def _say(self, n: int, visitor: Visitor, what: str) -> None:
        body = f"Visitor {n} {what}."
        self.said[n].append(body)
        visitor.say(body)

    def _left(self) -> dict[str, Any]:
        """What somebody still waits for, by who it is."""
        left: dict[str, Any] = {}
        for n, visitor in enumerate(self.visitors):
            left[f"visitor {n}, unsent"] = visitor.unsent
            left[f"visitor {n}, not seen"] = set(self.answered[n]) - {
                m["body"] for m in visitor.seen
            }
            page = "".join(html for _, html in self.maya.shown.get(self.tickets[n][0], []))
            left[f"desk, not seen of visitor {n}"] = [b for b in self.said[n] if b not in page]
        left["mails, not filed"] = self.stack.rows(
            "SELECT id, state, attempts, error FROM tickets_inboundemail WHERE state <> 'done'"
        )
        filed = f"SELECT count(*) FROM tickets_inboundemail WHERE decision = 'filed' AND {OURS}"
        left["mails, not read"] = MAILS - self.stack.row(filed)[0]
        return {who: what for who, what in left.items() if what}

    # --- the checks ---

    def check_chats(self) -> None:
        total = 0
        for n, visitor in enumerate(self.visitors):
            number, conversation = self.tickets[n]
            stored = self.stack.rows(
                "SELECT seq, body, kind, audience, client_token::text FROM tickets_message "
                "WHERE conversation_id = %s ORDER BY seq",
                conversation,
            )
            assert [row[0] for row in stored] == list(range(1, len(stored) + 1))
            bodies = [row[1] for row in stored if row[2] == "reply"]
            # Stored once, and in the order in which each side said it.
            assert [b for b in bodies if b.startswith("Visitor")] == self.said[n]
            assert [b for b in bodies if b.startswith("Answer")] == self.answered[n]
            # Acknowledged is stored, under the same token.
            tokens = {row[4]: (row[0], row[1]) for row in stored}
            for sent in visitor.acknowledged:
                assert tokens[sent.token] == (sent.seq, sent.body)
            # The visitor saw every public entry once, in order; so did Maya, all of them.
            public = [(row[0], row[1]) for row in stored if row[3] == "everyone"]
            assert [(m["seq"], m["body"]) for m in visitor.seen] == public
            assert [seq for seq, _ in self.maya.shown[number]] == [row[0] for row in stored]
            total += len(self.said[n]) + len(self.answered[n])
        assert total >= 300

    def check_mails(self) -> None:
        rows = self.stack.rows(f"SELECT state, decision FROM tickets_inboundemail WHERE {OURS}")
        twice = len(range(0, MAILS, 10))
        counts = Counter(rows)
        # A worker killed between storing a mail and putting its file away stores it once more.
        assert counts[("done", "filed")] == MAILS
        assert counts[("done", "duplicate")] == len(rows) - MAILS >= twice
        query = "SELECT body FROM tickets_message WHERE body LIKE 'Body of mail%%'"
        bodies = self.stack.rows(query)
        expected = {f"Body of mail {i}." for i in range(MAILS)}
        assert len(bodies) == MAILS
        assert {body for (body,) in bodies} == expected
        # A reply joined the conversation of the mail it answers: two mails, one ticket.
        shared = self.stack.rows(
            "SELECT count(*) FROM tickets_message WHERE body LIKE 'Body of mail%%' "
            "GROUP BY conversation_id"
        )
        assert Counter(shared) == {(2,): MAILS // 2}

    def check_replies_by_mail(self) -> None:
        out = self.stack.data / "mail" / "out"
        mails = [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in out.glob("*.eml")
        ]
        texts = [m.get_body(("plain",)).get_content() for m in mails]  # type: ignore[union-attr]
        sent = [found[0] for text in texts if (found := re.search(r"Reply by mail to .*?\.", text))]
        assert sorted(sent) == sorted(self.mailed_to)
        assert len({m["Message-ID"] for m in mails}) == len(mails)


def _mail(i: int) -> bytes:
    """Even numbers begin a conversation, odd ones answer the mail before them."""
    parent = f"In-Reply-To: <mail-{i - 1}@test.example>\r\n" if i % 2 else ""
    return (
        f"From: Writer {i // 2} <writer-{i // 2}@test.example>\r\n"
        f"To: hello@tern-kettle.example\r\n"
        f"Subject: {'Re: ' if i % 2 else ''}Mail number {i // 2}\r\n"
        f"Message-ID: <mail-{i}@test.example>\r\n{parent}"
        f"Date: Mon, 01 Jun 2026 10:00:00 +0000\r\n\r\n"
        f"Body of mail {i}.\r\n"
    ).encode()


def _drop(folder: Path, i: int, raw: bytes) -> None:
    """As a mail server delivers into a folder: written aside, then renamed."""
    temporary = folder / f".{i}.tmp"
    temporary.write_bytes(raw)
    temporary.rename(folder / f"{i:04}.eml")
