"""Mail in through a real IMAP server and out through a real SMTP server, while worker, listener and
PostgreSQL are killed again and again: nothing is lost, doubled or sent twice.

`MAIL_CHAOS=1000` brings that many mails and answers half of them; `make test` fewer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.clients import Staff
from tests.fakes.imap import PASSWORD, Server, dovecot_or_skip, put
from tests.fakes.smtp import Inbox, smtp_server
from tests.stack import Stack, data_folder, running

pytestmark = pytest.mark.stack

MAILS = int(os.environ.get("MAIL_CHAOS", "150"))
REPLIES = MAILS // 2
KILLED = ("worker", "postgres", "worker", "mail", "postgres")
SECONDS_BETWEEN_KILLS = 4.0
PUT_AT_ONCE = 5
USER = "chaos"
SETTLE_SECONDS = 120 + MAILS / 5


@pytest.fixture(scope="module")
def imap() -> Iterator[Server]:
    with dovecot_or_skip() as server:
        yield server


@pytest.fixture(scope="module")
def smtp() -> Iterator[Inbox]:
    with smtp_server() as server:
        yield server


@pytest.fixture(scope="module")
def stack(smtp: Inbox) -> Iterator[Stack]:
    with data_folder() as folder, running(Stack(folder, settings={"SMTP_URL": smtp.url})) as up:
        yield up


async def test_nothing_is_lost_or_doubled_or_sent_twice(
    stack: Stack, imap: Server, smtp: Inbox
) -> None:
    put(imap, USER)  # the account is there
    stack.add_mailbox(imap.host, imap.port, USER, PASSWORD, fetch_every_seconds=1)
    async with httpx.AsyncClient(timeout=5) as http:
        maya = Staff(stack.base_url, http)
        await maya.log_in(stack.login, stack.password)
        over = asyncio.Event()
        killing = asyncio.create_task(_kill(stack, over))
        await asyncio.gather(_arrive(imap), _answer(stack, maya))
        over.set()
        kills = await killing
    await _settle(stack)

    rows = Counter(stack.rows("SELECT decision FROM tickets_inboundemail WHERE uid IS NOT NULL"))
    assert rows == {("filed",): MAILS}
    stored = stack.rows("SELECT body FROM tickets_message WHERE body LIKE 'Question %%'")
    assert Counter(stored) == {(f"Question {i}.",): 1 for i in range(MAILS)}
    written = stack.rows("SELECT body FROM tickets_message WHERE body LIKE 'Answer to %%'")
    assert Counter(written) == {(f"Answer to {i}.",): 1 for i in range(REPLIES)}
    _check_sent(smtp, kills)
    assert stack.manage("check_invariants") == "All invariants hold."


def _check_sent(smtp: Inbox, kills: int) -> None:
    """Every answer was handed over once."""
    sent: Counter[str] = Counter()
    for mail in smtp.got:
        text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        sent.update(re.findall(r"Answer to \d+\.", text))
    print(f"{MAILS} in, {REPLIES} out, {kills} kills")  # noqa: T201
    assert sent == {f"Answer to {i}.": 1 for i in range(REPLIES)}


async def _arrive(imap: Server) -> None:
    for start in range(0, MAILS, PUT_AT_ONCE):
        some = [_mail(i) for i in range(start, min(start + PUT_AT_ONCE, MAILS))]
        await asyncio.to_thread(put, imap, USER, *some)
        await asyncio.sleep(0.2)


async def _answer(stack: Stack, maya: Staff) -> None:
    """Maya answers the first half, each as soon as it is there, and tries until it is taken."""
    query = (
        "SELECT t.number FROM tickets_ticket t JOIN tickets_message m USING (conversation_id) "
        "WHERE m.body = %s"
    )
    for i in range(REPLIES):
        number = None
        while number is None:
            with contextlib.suppress(Exception):  # the database is down at times
                found = await asyncio.to_thread(stack.rows, query, f"Question {i}.")
                number = found[0][0] if found else None
            if number is None:
                await asyncio.sleep(0.3)
        await maya.reply(number, f"Answer to {i}.")


async def _kill(stack: Stack, over: asyncio.Event) -> int:
    kills = 0
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), SECONDS_BETWEEN_KILLS)
        if not over.is_set() or not kills:
            stack.kill(KILLED[kills % len(KILLED)], signal.SIGKILL)
            kills += 1
    return kills


async def _settle(stack: Stack) -> None:
    """Until all of it is filed and has left."""
    deadline = time.monotonic() + SETTLE_SECONDS
    left = "nothing was asked yet"
    while left:
        assert time.monotonic() < deadline, f"after {SETTLE_SECONDS:.0f} s still: {left}"
        await asyncio.sleep(0.5)
        with contextlib.suppress(Exception):
            left = await asyncio.to_thread(_left, stack)


def _left(stack: Stack) -> str:
    mails = stack.row("SELECT count(*) FROM tickets_message WHERE body LIKE 'Question %%'")[0]
    out = stack.rows("SELECT state, error FROM tickets_outgoingemail WHERE state <> 'done'")
    inbound = stack.rows("SELECT state, error FROM tickets_inboundemail WHERE state <> 'done'")
    if mails == MAILS and not out and not inbound:
        return ""
    return f"{MAILS - mails} mails to be filed, to be sent {out}, to be settled {inbound}"


def _mail(i: int) -> bytes:
    return (
        f"From: Writer {i} <writer-{i}@test.example>\r\n"
        f"To: hello@tern-kettle.example\r\n"
        f"Subject: Question number {i}\r\n"
        f"Message-ID: <question-{i}@test.example>\r\n"
        f"Date: Mon, 01 Jun 2026 10:00:00 +0000\r\n\r\n"
        f"Question {i}.\r\n"
    ).encode()
