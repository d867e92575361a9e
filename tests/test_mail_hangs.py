"""Mailboxes whose servers hang, beside one that does not, before a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.fakes.imap import PASSWORD, Server, black_hole, dovecot_or_skip, put, trickling
from tests.fakes.mails import mail
from tests.stack import Stack, data_folder, running

pytestmark = pytest.mark.stack

HANGS_SECONDS = 60  # by then a worker whose threads all hang has filed nothing
HANGING = 20  # a worker has eight threads
ADD = """
INSERT INTO tickets_mailbox (name, inbox_id, kind, host, port, tls, username, password, folder,
    mark_seen, fetch_every_seconds, last_uid, state, attempts, due_at, error)
SELECT %s, min(id), 'imap', %s, %s, false, 'hello', %s, 'INBOX',
    false, 1, 0, 'queued', %s, now(), ''
FROM tickets_inbox
"""
FILED = "SELECT count(*) FROM tickets_inboundemail WHERE decision = 'filed' AND subject = %s"
BUSY = "SELECT count(*) FROM tickets_mailbox WHERE state = 'running' AND name LIKE 'hangs%%'"


@pytest.fixture
def sound() -> Iterator[Server]:
    with dovecot_or_skip() as server:
        yield server


def is_filed(up: Stack, subject: str) -> bool:
    return up.row(FILED, subject) == (1,)


def test_mailboxes_that_hang_delay_neither_another_nor_its_mails(sound: Server) -> None:
    with (
        data_folder() as folder,
        black_hole() as hole,
        trickling() as trickle,
        running(Stack(folder)) as up,
    ):
        up.rows(ADD, "sound", sound.host, sound.port, PASSWORD, 0)
        put(sound, "hello", mail(subject="Mail 0"))
        up.wait_until(partial(is_filed, up, "Mail 0"))
        for number in range(HANGING):
            server = hole if number % 2 else trickle
            up.rows(ADD, f"hangs {number}", server.host, server.port, PASSWORD, 1)
        up.wait_until(lambda: up.row(BUSY) >= (3,))
        for number in range(1, 6):
            put(sound, "hello", mail(subject=f"Mail {number}"))
            up.wait_until(partial(is_filed, up, f"Mail {number}"), HANGS_SECONDS)
