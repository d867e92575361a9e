"""Handing over by a process that outlives the worker: what a server took is never sent again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as project
from pytest_django import Settings

from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp, TemporaryFailure
from tests import make
from tests.fakes.smtp import OK, smtp_server
from tests.fakes.smtp import Inbox as Server
from tests.stack import wait_until
from tickets.access import Viewer
from tickets.mail import handover
from tickets.mail.route import Route
from tickets.models import OutgoingEmail, Ticket
from tickets.operations import email as operations
from tickets.operations.email import deliver

MAIL = b"From: hello@shop.example\r\nSubject: Re: Mugs\r\n\r\nIt ships on Monday.\r\n"
WAIT_SECONDS = 10


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[Server]:
    settings.DATA_DIR = tmp_path
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


@pytest.fixture
def slip(tmp_path: Path) -> Path:
    return tmp_path / "slips" / "7"


def give(server: Server, slip: Path, message_id: str = "1@shop.example") -> str:
    """Hand the mail over; what the server said."""
    said: list[str] = []
    handover.hand_over(
        MAIL,
        message_id=message_id,
        sender="hello@shop.example",
        recipient="carol@mail.example",
        route=Route.of(server.url),
        slip=slip,
        before_data=lambda: None,
        accepted=said.append,
    )
    return said[0]


def worker(server: Server, slip: Path, before_data: str = "None") -> subprocess.Popen[bytes]:
    """A worker of its own that hands the mail over."""
    code = (
        "import os, signal, time; from pathlib import Path\n"
        "from tickets.mail.handover import hand_over; from tickets.mail.route import Route\n"
        f"hand_over({MAIL!r}, message_id='1@shop.example', sender='hello@shop.example',"
        f" recipient='carol@mail.example', route=Route.of({server.url!r}),"
        f" slip=Path({str(slip)!r}), before_data=lambda: {before_data}, accepted=print)"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=project.BASE_DIR)


def until_written(slip: Path, word: str) -> None:
    wait_until(lambda: slip.exists() and word in slip.read_text(), WAIT_SECONDS)


def test_what_is_noted_leaves_nothing_behind(server: Server, slip: Path) -> None:
    assert give(server, slip) == OK
    assert list(slip.parent.iterdir()) == []


def test_one_process_hands_over_one_mail_after_the_other(
    server: Server, slip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(server, slip)
    monkeypatch.setattr(handover, "Line", None)  # no other is started
    assert give(server, slip, "2@shop.example") == OK
    server.answer_to_recipient = "550 5.1.1 no such user"
    with pytest.raises(GiveUp, match=r"550 5\.1\.1 no such user"):
        give(server, slip, "3@shop.example")
    server.answer_to_recipient = "451 4.7.1 later"
    with pytest.raises(TemporaryFailure, match=r"451 4\.7\.1 later"):
        give(server, slip, "3@shop.example")
    assert not slip.exists()
    assert len(server.got) == 2


def test_a_worker_killed_while_the_server_thinks_leaves_its_answer(
    server: Server, slip: Path
) -> None:
    def kill() -> None:
        running.kill()
        running.wait()

    server.on_mail = kill
    running = worker(server, slip)
    until_written(slip, "accepted")
    assert running.wait() == -signal.SIGKILL
    assert give(server, slip) == OK
    assert len(server.got) == 1
    assert not slip.exists()


def test_a_worker_killed_before_the_text_leaves_sends_nothing(server: Server, slip: Path) -> None:
    assert worker(server, slip, "os.kill(os.getpid(), signal.SIGKILL)").wait() == -signal.SIGKILL
    assert server.got == []
    wait_until(lambda: not slip.exists(), WAIT_SECONDS)
    assert give(server, slip) == OK


def test_while_a_process_is_at_it_nobody_else_sends(server: Server, slip: Path) -> None:
    go_on = threading.Event()

    def think() -> None:
        go_on.wait(WAIT_SECONDS)

    server.on_mail = think
    running = worker(server, slip)
    until_written(slip, "begun")
    with pytest.raises(TemporaryFailure, match="Another process is handing this mail over"):
        give(server, slip)
    go_on.set()
    assert running.wait() == 0
    assert len(server.got) == 1


def test_a_process_killed_before_the_answer_costs_a_second_mail_of_one_id(
    server: Server, slip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can know then; mail servers and programs see by the ID that it is the same."""
    handover.hang_up()
    lines: list[handover.Line] = []

    class Watched(handover.Line):
        def __init__(self) -> None:
            super().__init__()
            lines.append(self)

    monkeypatch.setattr(handover, "Line", Watched)
    server.on_mail = lambda: lines[0].process.kill() if len(server.got) == 1 else None
    with pytest.raises(TemporaryFailure, match="ended before it knew more"):
        give(server, slip)
    assert slip.read_text() == "begun 1@shop.example\n"
    assert give(server, slip) == OK
    assert len(server.got) == 2


def test_half_a_line_and_another_mail_s_slip_say_nothing(server: Server, slip: Path) -> None:
    slip.parent.mkdir()
    slip.write_text("begun 1@shop.example\naccepted 250 O")
    assert give(server, slip) == OK
    slip.write_text("begun 1@elsewhere.example\naccepted 250 OK\n")  # a database put back
    assert give(server, slip) == OK
    assert len(server.got) == 2


def test_a_folder_that_takes_no_slip_holds_the_mail_back(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TemporaryFailure, match="Nothing can be written into"):
        give(server, tmp_path / "file" / "7")
    assert server.got == []


def test_forgotten_slips_go_after_a_week(server: Server, slip: Path) -> None:
    handover.hang_up()
    slip.parent.mkdir()
    old, new = slip.with_name("1"), slip.with_name("2")
    for forgotten in (old, new):
        forgotten.write_text("begun x\n")
    a_week_ago = time.time() - 8 * 86_400
    os.utime(old, (a_week_ago, a_week_ago))
    give(server, slip)
    assert list(slip.parent.iterdir()) == [new]


def test_a_sleeping_worker_holds_nobody_up(server: Server, slip: Path) -> None:
    """It is stopped before it said go; its process does not wait for ever."""
    asked_read, asked = os.pipe()
    told, told_write = os.pipe()
    order = (
        '{"message_id": "1@shop.example", "sender": "hello@shop.example",'
        ' "recipient": "carol@mail.example", "plain_sender": "", "bytes": 2,'
        f' "route": {{"host": "127.0.0.1", "port": {server.port}}}, "slip": "{slip}"}}\n'
    )
    os.write(asked, order.encode() + b"Hi")
    with (
        pytest.MonkeyPatch.context() as patch,
        os.fdopen(asked_read, "rb") as orders,
        os.fdopen(told_write, "wb") as answers,
    ):
        patch.setattr(handover, "GO_SECONDS", 0.2)
        handover.serve(orders, answers)
    os.close(asked)
    assert os.read(told, 1_000) == b'{"ready": true}\n'
    os.close(told)
    assert server.got == []
    assert not slip.exists()


@pytest.mark.django_db
def test_the_next_worker_reads_the_answer_and_sends_nothing(
    alice: Viewer, ticket: Ticket, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    row = make.say(alice, ticket, "It ships on Monday.").outgoing_emails.get()
    with monkeypatch.context() as killed:
        killed.setattr(operations, "_note_accepted", die)
        with pytest.raises(Killed):
            work.perform(OutgoingEmail, row.pk, deliver)
    row.refresh_from_db()
    assert row.state == "running"
    OutgoingEmail.objects.filter(pk=row.pk).update(leased_until=row.created_at)
    work.perform(OutgoingEmail, row.pk, deliver)
    row.refresh_from_db()
    assert (row.state, row.smtp_reply, len(server.got)) == ("done", OK, 1)
