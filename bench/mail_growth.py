"""Filing mail where much is stored already, and the memory it takes.

Speed: the same mails into an empty database and into one of 200,000 tickets, by turns. Counted is
the CPU time of this process and of the PostgreSQL process that serves it.

Memory: a process of its own files 10,000 mails one after the other, then one of 40 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from django.db import connection

from bench.engines import SUPERUSER, Engines
from bench.mail import file_all
from bench.mails import SHOP, mails
from bench.parts import Size, use_database
from bench.shop import fill, staff_and_doors
from bench.table import Bar, Row
from tickets.models import Inbox

TICKETS, TICKETS_QUICK = 200_000, 20_000
TURNS, TURN_MAILS, TURN_MAILS_QUICK = 6, 300, 60
MAILS, MAILS_QUICK = 10_000, 1_000
LARGE_MB = 40


def measure(engines: Engines, size: Size) -> Iterator[list[Row]]:
    """One list of rows a run; the databases of all runs are the same two."""
    tickets = size.of(TICKETS, TICKETS_QUICK)
    per_turn = size.of(TURN_MAILS, TURN_MAILS_QUICK)
    with ExitStack() as stack:
        for name in ("mail_few", "mail_many"):
            stack.enter_context(engines.database(name))
            use_database(name)
            staff_and_doors()
            Inbox.objects.filter(name="Hello").update(address=SHOP, from_name="The Shop")
            if name == "mail_many":
                fill(engines.url(name, user=SUPERUSER), tickets)
                with connection.cursor() as cursor:
                    cursor.execute("ANALYZE")
        for run in range(size.runs):
            spent = {"mail_few": 0.0, "mail_many": 0.0}
            for turn in range(TURNS):
                # Others than before: what is filed already would be a copy.
                given = mails(per_turn, seed=1_000 + run * TURNS + turn)
                for name in spent if turn % 2 else reversed(spent):
                    use_database(name)
                    file_all(given[:5])  # the connection is new
                    spent[name] += file_all(given[5:])
            yield [
                Row(
                    f"mail into {tickets:,} tickets, against none, per CPU second",
                    "",
                    1 / spent["mail_many"],
                    1 / spent["mail_few"],
                    Bar("≥", 0.90),
                ),
                *_memory(engines, size.of(MAILS, MAILS_QUICK)),
            ]


def _memory(engines: Engines, count: int) -> list[Row]:
    with engines.database("mail_memory"):
        use_database("mail_memory")
        Inbox.objects.create(name="Hello", address=SHOP, from_name="The Shop")
        connection.close()
        command = [sys.executable, "-m", "bench.mail_process", "mail_memory", str(count)]
        ran = subprocess.run([*command, str(LARGE_MB)], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    return [
        Row(f"memory, growth over {count:,} mails", "MB", found["growth_mb"], None),
        Row(
            f"memory, a mail of {LARGE_MB} MB, at most",
            "MB",
            found["peak_mb"],
            None,
            Bar("≤", 250, "value"),
        ),
    ]
