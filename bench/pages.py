"""Pages of the desk with few tickets and with many: how long, and how many queries.

Product: the whole of Django with all middleware, by its test client, as someone on staff. Floor:
the same rows by one statement each along an index. Two databases stand side by side, and each
page is asked for in one and in the other by turns, so that whatever else the machine does meets
both.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.urls import reverse

from bench.engines import SUPERUSER, Engines
from bench.parts import Size, counted_queries
from bench.shop import fill, staff_and_doors
from bench.table import Bar, Row

FEW, MANY = 10_000, 200_000  # tickets
FEW_QUICK, MANY_QUICK = 5_000, 50_000
ROUNDS, ROUNDS_QUICK = 80, 20  # of each page in each database
WARM_UP_ROUNDS = 5

QUERIES = Bar("≤", 12, "value")
GROWTH = Bar("≤", 1.15)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and the one statement that finds what it shows. Both are given a ticket's number."""

    name: str
    path: Callable[[int], str]
    floor: str
    growth: Bar | None = None


LIST = """
    SELECT number, subject, last_preview, last_author_name, waiting_since, unread, inbox_id,
        assignee_id, name
    FROM tickets_ticket JOIN tickets_person ON tickets_person.id = requester_id
"""
FIRST = "ORDER BY waiting_since, number LIMIT 51"

PAGES = (
    Page(
        "inbox",
        lambda number: reverse("tickets:list"),
        f"{LIST} WHERE status = 'open' {FIRST}",
        GROWTH,
    ),
    Page(
        "unassigned",
        lambda number: reverse("tickets:list") + "?view=unassigned",
        f"{LIST} WHERE status = 'open' AND assignee_id IS NULL {FIRST}",
        GROWTH,
    ),
    Page(
        "search",
        lambda number: reverse("tickets:list") + "?q=kettle+coranton",
        """
        SELECT number, subject, name, body, tickets_message.created_at
        FROM tickets_message
        JOIN tickets_ticket ON tickets_ticket.conversation_id = tickets_message.conversation_id
        JOIN tickets_person ON tickets_person.id = author_id
        WHERE search @@ to_tsquery('simple', 'kettle:* & coranton:*')
        ORDER BY tickets_message.id DESC LIMIT 50
        """,
    ),
    Page(
        "ticket page",
        lambda number: reverse("tickets:ticket", args=[number]),
        """
        SELECT seq, kind, via, body, tickets_message.created_at, name, subject, status
        FROM tickets_ticket
        JOIN tickets_message ON tickets_message.conversation_id = tickets_ticket.conversation_id
        JOIN tickets_person ON tickets_person.id = author_id
        WHERE number = %(number)s ORDER BY seq
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Desk:
    """One of the databases, with someone logged in."""

    tickets: int
    django: BaseDatabaseWrapper
    client: Client
    floor: psycopg.Connection[Any]

    def number(self, turn: int) -> int:
        """A ticket from any of the years, another one each turn."""
        return 1 + turn * 7_919 % self.tickets

    def show(self, page: Page, turn: int) -> None:
        """Ask for a page. Raises RuntimeError if it does not come."""
        connections["default"] = self.django
        path = page.path(self.number(turn))
        response = self.client.get(path)
        if response.status_code != 200:
            raise RuntimeError(f"{path} answered {response.status_code}")

    def fetch(self, page: Page, turn: int) -> None:
        """Fetch what the page shows."""
        if not self.floor.execute(page.floor, {"number": self.number(turn)}).fetchall():
            raise RuntimeError(f"nothing to show on {page.name}")


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run. The databases are filled once."""
    with ExitStack() as stack:
        few = _desk(stack, engines, "few", size.of(FEW, FEW_QUICK))
        many = _desk(stack, engines, "many", size.of(MANY, MANY_QUICK))
        for turn in range(WARM_UP_ROUNDS):
            for page in PAGES:
                for desk in (few, many):
                    desk.show(page, turn)
                    desk.fetch(page, turn)
        for run in range(size.runs):
            yield [row for page in PAGES for row in _run(page, few, many, run, size)]


def _run(page: Page, few: Desk, many: Desk, run: int, size: Size) -> list[Row]:
    shown: dict[Desk, list[float]] = defaultdict(list)
    fetched: dict[Desk, list[float]] = defaultdict(list)
    rounds = size.of(ROUNDS, ROUNDS_QUICK)
    for turn in range(run * rounds, (run + 1) * rounds):
        for desk in (few, many) if turn % 2 else (many, few):
            shown[desk].append(_timed_ms(desk.show, page, turn))
            fetched[desk].append(_timed_ms(desk.fetch, page, turn))
    rows = []
    for desk in (few, many):
        at = f"at {desk.tickets:,} tickets"
        value, floor = median(shown[desk]), median(fetched[desk])
        rows.append(Row(f"{page.name} {at}, p50", "ms", value, floor))
        connections["default"] = desk.django
        with counted_queries() as statements:
            desk.show(page, run)
        rows.append(Row(f"{page.name} {at}, queries", "", len(statements), 1, QUERIES))
    name = f"{page.name} at {many.tickets:,} against {few.tickets:,} tickets, p50"
    rows.append(Row(name, "ms", median(shown[many]), median(shown[few]), page.growth))
    return rows


def _timed_ms(action: Callable[[Page, int], None], page: Page, turn: int) -> float:
    began = time.perf_counter()
    action(page, turn)
    return 1_000 * (time.perf_counter() - began)


def _desk(stack: ExitStack, engines: Engines, name: str, tickets: int) -> Desk:
    """A database with so many tickets, gone when the stack unwinds."""
    url = stack.enter_context(engines.database(name))
    before = connections["default"]
    stack.callback(connections.__setitem__, "default", before)
    settings = {**before.settings_dict, "NAME": name}
    django = type(before)(settings, "default")
    stack.callback(django.close)
    connections["default"] = django
    user = staff_and_doors()
    fill(engines.url(name, user=SUPERUSER), tickets)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    floor = stack.enter_context(psycopg.connect(url, autocommit=True))
    return Desk(tickets, django, client, floor)
