"""The process that listens for mail, with all the rest of the product: mail shows within seconds,
and comes in without it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.fakes.imap import PASSWORD, Dovecot, mortal_dovecot, put
from tests.fakes.mails import mail
from tests.stack import Stack
from tests.tickets.conftest import need_dovecot

pytestmark = pytest.mark.stack

FILED = (
    "SELECT count(*) FROM tickets_inboundemail e JOIN tickets_message m ON m.id = e.message_id "
    "WHERE e.decision = 'filed' AND m.body = %s"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    need_dovecot()
    with mortal_dovecot() as running:
        yield running


@pytest.fixture
def mailbox(stack: Stack, server: Dovecot, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of one that is asked once an hour only."""
    name = f"user-{request.node.name[5:25]}"
    pk = stack.add_mailbox(
        server.server.host, server.server.port, name, PASSWORD, fetch_every_seconds=3_600
    )
    stack.wait_until(lambda: _listens(stack, pk) and _rests(stack, pk), 25)
    yield name
    stack.rows("UPDATE tickets_inboundemail SET mailbox_id = NULL WHERE mailbox_id = %s", pk)
    stack.rows("DELETE FROM tickets_mailbox WHERE id = %s", pk)


def _listens(stack: Stack, pk: int) -> bool:
    (name,) = stack.row("SELECT name FROM tickets_mailbox WHERE id = %s", pk)
    return f"mailbox {name}: listening" in (stack.data / "log" / "mail.log").read_text()


def _rests(stack: Stack, pk: int) -> bool:
    query = "SELECT due_at > now() + interval '50 min' FROM tickets_mailbox WHERE id = %s"
    return bool(stack.row(query, pk)[0])


def _filed_within(stack: Stack, body: str, seconds: float) -> float:
    began = time.monotonic()
    stack.wait_until(lambda: stack.row(FILED, body) == (1,), seconds)
    return time.monotonic() - began


def test_mail_is_filed_within_seconds(stack: Stack, server: Dovecot, mailbox: str) -> None:
    put(server.server, mailbox, mail("Heard at once."))
    assert _filed_within(stack, "Heard at once.", 5) < 5


def test_a_killed_process_and_a_server_that_restarts_are_made_up_for(
    stack: Stack, server: Dovecot, mailbox: str
) -> None:
    before = stack.pid("mail")
    stack.kill("mail", signal.SIGKILL)
    put(server.server, mailbox, mail("While nobody listened."))
    _filed_within(stack, "While nobody listened.", 20)
    stack.wait_until(lambda: stack.pid("mail") != before)
    server.kill()
    time.sleep(1)
    server.start()
    put(server.server, mailbox, mail("After the restart."))
    _filed_within(stack, "After the restart.", 20)


def test_without_it_mail_comes_in_when_its_time_has_come(
    stack: Stack, server: Dovecot, mailbox: str
) -> None:
    stack.kill("mail", signal.SIGSTOP)
    try:
        put(server.server, mailbox, mail("By polling."))
        stack.rows("UPDATE tickets_mailbox SET due_at = now() WHERE name = %s", mailbox)
        _filed_within(stack, "By polling.", 10)
    finally:
        stack.kill("mail", signal.SIGCONT)
