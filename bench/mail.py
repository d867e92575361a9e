"""Mails filed per CPU second: from the raw bytes to a message in a ticket.

Product: `record_inbound`, then the work of the row it wrote, as a worker does it. Floor: the
standard library's parser, and one transaction that keeps each Message-ID once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import psutil
import psycopg
from django.db import connection

from bench.engines import Engines, cpu_seconds
from bench.mails import SHOP, mails
from bench.parts import Size, counted_queries, use_database
from bench.table import Bar, Row
from helpdesk.lib.work import perform
from tickets.models import InboundEmail, Inbox, Message
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound

MAILS, MAILS_QUICK = 2_000, 300
WARM_UP_SEED = 2
WARM_UP_MAILS = 30

FLOOR_TABLE = """
CREATE TABLE floor_mail (
    message_id text PRIMARY KEY, sender text, subject text, body text, raw bytea,
    received_at timestamptz DEFAULT now()
)
"""
FLOOR_INSERT = """
INSERT INTO floor_mail (message_id, sender, subject, body, raw) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Pass:
    """All mails once, one way."""

    mails: int
    cpu_seconds: float  # of this process
    backend_seconds: float  # of the PostgreSQL process that serves it
    stored: int

    @property
    def per_cpu_second(self) -> float:
        return self.mails / self.cpu_seconds

    @property
    def backend_ms(self) -> float:
        return 1_000 * self.backend_seconds / self.mails


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run. Each run begins with an empty database and has the same mails."""
    given = [*mails(size.of(MAILS, MAILS_QUICK)), *_mails_in(size.mails)]
    for _ in range(size.runs):
        with engines.database("mail_floor") as url:
            floor = _floor(url, given)
        with engines.database("mail"):
            use_database("mail")
            queries: list[int] = []
            product = _product(given, queries)
        yield [
            Row(
                "mail filed, mails per CPU second",
                "/s",
                product.per_cpu_second,
                floor.per_cpu_second,
                Bar("≥", 0.40),
            ),
            Row(
                "mail, queries on average",
                "",
                sum(queries) / len(queries),
                1,
                Bar("≤", 8, "value"),
            ),
            Row("mail, queries at most", "", max(queries), 1),
            Row("mail, PostgreSQL's CPU a mail", "ms", product.backend_ms, floor.backend_ms),
            Row("mail, stored messages", "", product.stored, floor.stored),
        ]


def _product(given: Sequence[bytes], queries: list[int]) -> Pass:
    Inbox.objects.create(name="Hello", address=SHOP, from_name="The Shop")
    for raw in mails(WARM_UP_MAILS, WARM_UP_SEED):
        file_one(raw)
    warm_up = Message.objects.count()
    backend = psutil.Process(connection.connection.info.backend_pid)
    backend_began, began = cpu_seconds(backend), time.process_time()
    for raw in given:
        with counted_queries() as statements:
            file_one(raw)
        queries.append(len(statements))
    cpu, backend_cpu = time.process_time() - began, cpu_seconds(backend) - backend_began
    return Pass(len(given), cpu, backend_cpu, Message.objects.count() - warm_up)


def file_all(given: Sequence[bytes]) -> float:
    """File these mails; the CPU seconds it took here and in PostgreSQL."""
    connection.ensure_connection()
    backend = psutil.Process(connection.connection.info.backend_pid)
    backend_began, began = cpu_seconds(backend), time.process_time()
    for raw in given:
        file_one(raw)
    return time.process_time() - began + cpu_seconds(backend) - backend_began


def file_one(raw: bytes) -> None:
    """Take a mail in and file it, as a worker does."""
    row = record_inbound(raw, source="bench")
    if row is not None:
        perform(InboundEmail, row.pk, file_inbound)


def _floor(url: str, given: Sequence[bytes]) -> Pass:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(FLOOR_TABLE)
        for raw in mails(WARM_UP_MAILS, WARM_UP_SEED):
            _keep(db, raw)
        warm_up = _count(db)
        backend = psutil.Process(db.info.backend_pid)
        backend_began, began = cpu_seconds(backend), time.process_time()
        for raw in given:
            _keep(db, raw)
        cpu, backend_cpu = time.process_time() - began, cpu_seconds(backend) - backend_began
        return Pass(len(given), cpu, backend_cpu, _count(db) - warm_up)


def _keep(db: psycopg.Connection, raw: bytes) -> None:
    """Parse one mail as far as its text, and keep it once. A single statement is a transaction."""
    mail = message_from_bytes(raw, EmailMessage, policy=default)
    texts = []
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            try:
                texts.append(part.get_content())
            except (LookupError, ValueError):  # a character set that Python does not know
                texts.append("")
    body = "\n".join(texts).replace("\0", "")
    ids = (mail["Message-ID"], mail["From"], mail["Subject"])
    db.execute(FLOOR_INSERT, (*(str(value or "") for value in ids), body, raw))


def _count(db: psycopg.Connection) -> int:
    row = db.execute("SELECT count(*) FROM floor_mail").fetchone()
    return int(row[0]) if row else 0


def _mails_in(folder: Path | None) -> list[bytes]:
    files = sorted(folder.rglob("*.eml")) if folder else []
    return [file.read_bytes() for file in files]
