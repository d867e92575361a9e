"""Who takes part: visitors in the widget of the demo shop, and staff with logins of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from tests.clients import DeskPage, Habits, Journal, Staff, Visitor
from tests.stack import Stack

AT_ONCE = 20  # who come, or look, at the same time
ANSWER_SECONDS = 10.0
CSRF_TOKEN = "c" * 32

# Logins without passwords: to hash twenty of them takes longer than all the rest. The last one
# works in another team, and must hear nothing of these chats.
HIRE = """
from uuid import uuid4
from django.conf import settings
from django.test import Client
from tickets.models import Inbox, Team, User
chat, elsewhere = (Team.objects.get_or_create(name=name)[0] for name in ("Chaos", "Elsewhere"))
Inbox.objects.get(widget_key={key!r}).teams.add(chat)
for n in range({count} + 1):
    team = elsewhere if n == {count} else chat
    user = User.objects.create_user(f"{{uuid4()}}@desk.example", name=f"Staff {{n}}")
    team.members.add(user)
    client = Client()
    client.force_login(user)
    print("hired", client.cookies[settings.SESSION_COOKIE_NAME].value)
"""

T = TypeVar("T")


@dataclass
class Worker:
    """Somebody on staff, with one page of the desk and the chats that are theirs."""

    name: str
    staff: Staff
    page: DeskPage
    chats: list[Chat] = field(default_factory=list)


@dataclass
class Chat:
    """A conversation and its members."""

    conversation: int
    number: int  # of its ticket
    visitors: list[Visitor]
    workers: list[Worker]


@dataclass
class Cast:
    visitors: list[Visitor]
    workers: list[Worker]
    outsider: Worker
    journal: Journal
    habits: Habits
    chats: list[Chat] = field(default_factory=list)

    @property
    def everyone(self) -> list[Worker]:
        return [*self.workers, self.outsider]


async def gather_cast(
    stack: Stack, visitors: int, staff: int, habits: Habits, exits: AsyncExitStack
) -> Cast:
    """Visitors who have not come yet, one in five with two tabs, and staff who are logged in."""
    journal = Journal()
    many = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    client = httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=many)
    http = await exits.enter_async_context(client)
    browsers = [
        Visitor(
            stack.base_url,
            stack.widget_key,
            http,
            tabs=2 if n % 5 == 0 else 1,
            habits=habits,
            journal=journal,
        )
        for n in range(visitors)
    ]
    workers = [
        await _worker(stack, f"staff {n}", cookie, habits, journal, exits)
        for n, cookie in enumerate(await asyncio.to_thread(_hire, stack, staff))
    ]
    return Cast(browsers, workers[:-1], workers[-1], journal, habits)


def seat(stack: Stack, cast: Cast) -> None:
    """Once everyone has said something: find the chats, and share them out among staff."""
    rows = stack.rows(
        "SELECT s.id, s.conversation_id, t.number FROM chat_visitorsession s "
        "JOIN tickets_ticket t USING (conversation_id)"
    )
    tickets = {row[0].hex: (row[1], row[2]) for row in rows}
    for n, visitor in enumerate(cast.visitors):
        worker = cast.workers[n % len(cast.workers)]
        chat = Chat(*tickets[visitor.token.partition(":")[0]], [visitor], [worker])
        worker.chats.append(chat)
        cast.chats.append(chat)


async def some_at_once(acts: Iterable[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Do all of it, so many at a time."""
    places = asyncio.Semaphore(at_once)

    async def one(act: Callable[[], Awaitable[T]]) -> T:
        async with places:
            return await act()

    return await asyncio.gather(*(one(act) for act in acts))


def _hire(stack: Stack, count: int) -> list[str]:
    """The cookies of `count` staff and of one outsider."""
    code = HIRE.format(key=stack.widget_key, count=count)
    lines = stack.manage("shell", "--no-imports", "-c", code).splitlines()
    return [line.split()[1] for line in lines if line.startswith("hired ")]


async def _worker(
    stack: Stack, name: str, cookie: str, habits: Habits, journal: Journal, exits: AsyncExitStack
) -> Worker:
    cookies = {"sessionid": cookie, "csrftoken": CSRF_TOKEN}
    client = httpx.AsyncClient(timeout=ANSWER_SECONDS, cookies=cookies, verify=False)
    staff = Staff(stack.base_url, await exits.enter_async_context(client), journal=journal)
    return Worker(name, staff, DeskPage(staff, habits))
