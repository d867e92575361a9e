"""`manage.py receive_mail`: a mail server hands mail over, and keeps it until we have it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from helpdesk.lib.errors import TemporaryFailure
from helpdesk.stack.kept import BASE_DIR
from helpdesk.stack.supervisor import Supervisor
from tests.fakes.imap import black_hole, free_port
from tests.fakes.mails import mail
from tests.stack import Stack, data_folder, running, wait_until
from tests.tickets.fetching import file_all
from tickets.mail import receive_lmtp
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.models import InboundEmail, Inbox, Message, Ticket

SENDER = "carol@mail.example"
HELLO = "hello@shop.example"


def deliver(
    line: smtplib.LMTP, raw: bytes, *recipients: str, sender: str = SENDER, options: str = ""
) -> list[int]:
    """What is answered for each recipient; the codes."""
    line.ehlo_or_helo_if_needed()
    assert line.docmd("MAIL", f"FROM:<{sender}> {options}".strip())[0] == 250
    for recipient in recipients or (HELLO,):
        assert line.rcpt(recipient)[0] == 250
    first = line.data(raw)
    return [code for code, _said in (first, *(line.getreply() for _ in recipients[1:]))]


def answers(line: Callable[[], smtplib.LMTP]) -> bool:
    try:
        line().close()
    except OSError:
        return False
    return True


class Process:
    """`manage.py receive_mail` on the database of the test."""

    def __init__(self, listen: str, log: Path) -> None:
        self.listen, self.log = listen, log
        address = urlsplit(os.environ["DATABASE_URL"])
        database = address._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        self.environ = {**os.environ, "LMTP_LISTEN": listen, "DATABASE_URL": database}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-W", "error", "manage.py", "receive_mail"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=BASE_DIR, env=self.environ, stdout=log, stderr=log
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        return answers(self.line)

    def line(self) -> smtplib.LMTP:
        if self.listen.startswith("unix:"):
            return smtplib.LMTP(self.listen.removeprefix("unix:"))
        place = urlsplit(f"//{self.listen}")
        return smtplib.LMTP(place.hostname or "", place.port or 0, timeout=20)

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(with_signal)
        return self.process.wait(20)


@contextmanager
def ended(process: Process) -> Iterator[Process]:
    try:
        process.start()
        yield process
    finally:
        if process.process and process.process.poll() is None:
            process.end(signal.SIGKILL)


@pytest.fixture
def server(transactional_db: None, tmp_path: Path) -> Iterator[Process]:
    with ended(Process(f"127.0.0.1:{free_port()}", tmp_path / "log")) as started:
        yield started


@pytest.fixture
def slow_bell(transactional_db: None, tmp_path: Path) -> Iterator[Process]:
    """One that has stored a mail seconds before it says so: its Redis is silent."""
    process = Process(f"127.0.0.1:{free_port()}", tmp_path / "log")
    with black_hole() as redis:
        process.environ["REDIS_URL"] = f"redis://{redis.host}:{redis.port}/0"
        with ended(process):
            yield process


@contextmanager
def database_away() -> Iterator[None]:
    """Nobody new is let in."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as beside:
        say = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS '
        beside.execute(f"{say} false".encode())
        try:
            yield
        finally:
            beside.execute(f"{say} true".encode())


# --- A mail and what is answered --------------------------------------------------------------


def test_a_mail_is_stored_as_it_came_and_filed(inbox: Inbox, server: Process) -> None:
    raw = mail("Handed over.").replace(b"\r\n\r\n", b"\r\n\r\n.\r\n..\xff\x00\r\n", 1)
    with server.line() as line:
        assert deliver(line, raw) == [250]
        row = InboundEmail.objects.get()  # at once: it was answered
    above = f"Return-Path: <{SENDER}>\r\nDelivered-To: {HELLO}\r\n".encode()
    assert (bytes(row.raw), row.source, row.problems) == (above + raw, "LMTP", [])
    file_all()
    assert "Handed over." in Message.objects.get().body


def test_a_mail_to_two_of_our_addresses_is_one_ticket(inbox: Inbox, server: Process) -> None:
    with server.line() as line:
        assert deliver(line, mail(to="list@mail.example"), HELLO, "sales@shop.example") == [250] * 2
        assert line.noop()[0] == 250
    row = InboundEmail.objects.get()
    assert bytes(row.raw).count(b"Delivered-To: ") == 2
    file_all()
    assert Ticket.objects.count() == 1


def test_the_database_is_let_go_between_two_mails(inbox: Inbox, server: Process) -> None:
    held = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )

    def is_alone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(held)
            return cursor.fetchone() is None

    with server.line() as line:
        assert deliver(line, mail()) == [250]
        wait_until(is_alone, 5)


def test_the_envelope_says_which_conversation_is_answered(inbox: Inbox, server: Process) -> None:
    with server.line() as line:
        deliver(line, mail("Bounced?", to="gone@mail.example"), "hello+tag@shop.example", sender="")
    row = InboundEmail.objects.get()
    assert bytes(row.raw).startswith(
        b"Return-Path: <>\r\nDelivered-To: hello+tag@shop.example\r\nFrom:"
    )


def test_addresses_and_text_in_any_letters_pass(inbox: Inbox, server: Process) -> None:
    raw = mail("Grüße").replace(b"Subject: Broken grinder", "Subject: Kaputte Mühle".encode())
    with server.line() as line:
        line.ehlo()
        assert {"pipelining", "8bitmime", "smtputf8"} <= set(line.esmtp_features)
        line.command_encoding = "utf-8"
        to, options = "grüße@shop.example", "BODY=8BITMIME SMTPUTF8"
        assert deliver(line, raw, to, sender="jürgen@mail.example", options=options) == [250]
    assert bytes(InboundEmail.objects.get().raw).split(b"\r\n")[:2] == [
        "Return-Path: <jürgen@mail.example>".encode(),
        "Delivered-To: grüße@shop.example".encode(),
    ]


def test_what_is_sent_without_waiting_for_answers_is_answered_in_order(
    inbox: Inbox, server: Process
) -> None:
    said = b"LHLO here\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<%b>\r\nDATA\r\n%b.\r\nQUIT\r\n"
    place = urlsplit(f"//{server.listen}")
    with socket.create_connection((place.hostname, place.port), timeout=20) as line:
        line.sendall(said % (HELLO.encode(), mail()))
        codes = [answer[:4] for answer in line.makefile("rb") if answer[3:4] == b" "]
    assert codes == [b"220 ", b"250 ", b"250 ", b"250 ", b"354 ", b"250 ", b"221 "]
    assert InboundEmail.objects.count() == 1


def test_a_line_of_any_length_passes(inbox: Inbox, server: Process) -> None:
    body = "x" * 200_000 + "." * 800_000
    raw = mail().partition(b"\r\n\r\n")[0] + f"\r\n\r\n.{body}\r\n".encode()
    with server.line() as line:
        assert deliver(line, raw) == [250]
    assert bytes(InboundEmail.objects.get().raw).endswith(raw)


def test_a_mail_beyond_all_measure_is_refused_before_it_comes_and_after(
    inbox: Inbox, server: Process
) -> None:
    with server.line() as line:
        line.ehlo()
        assert line.esmtp_features["size"] == str(RAW_MAX_BYTES)
        assert line.mail(SENDER, [f"size={RAW_MAX_BYTES + 1}"])[0] == 552
        raw = (b"x" * 60_000 + b"\r\n") * (RAW_MAX_BYTES // 60_000 + 1)
        assert deliver(line, raw, HELLO, "sales@shop.example") == [552, 552]
        assert deliver(line, mail()) == [250]
    assert InboundEmail.objects.count() == 1


def test_more_recipients_than_we_take_at_once_are_for_another_time(
    inbox: Inbox, server: Process
) -> None:
    with server.line() as line:
        line.ehlo()
        line.mail(SENDER)
        codes = [line.rcpt(f"hello+{n}@shop.example")[0] for n in range(101)]
        assert codes == [250] * 100 + [452]


# --- What goes wrong --------------------------------------------------------------------------


def test_while_the_database_is_away_the_mail_server_keeps_the_mail(
    inbox: Inbox, server: Process
) -> None:
    raw = mail("Kept meanwhile.")
    with server.line() as line:
        with database_away():
            assert deliver(line, raw, HELLO, "sales@shop.example") == [451, 451]
        assert InboundEmail.objects.count() == 0
        assert deliver(line, raw, HELLO, "sales@shop.example") == [250, 250]
    assert "the database is away" in server.log.read_text()
    file_all()
    assert Message.objects.get().body == "Kept meanwhile."


def test_killed_between_storing_and_answering_it_gets_the_mail_again_and_it_is_one(
    inbox: Inbox, slow_bell: Process
) -> None:
    raw = mail("Twice here, once there.")

    def send() -> list[int]:
        with closing(slow_bell.line()) as line:
            return deliver(line, raw)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(send)
        wait_until(InboundEmail.objects.exists)
        slow_bell.end(signal.SIGKILL)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            first.result()
    slow_bell.start()
    assert send() == [250]
    file_all()
    assert list(InboundEmail.objects.order_by("pk").values_list("decision", flat=True)) == [
        "filed",
        "duplicate",
    ]
    assert Message.objects.count() == 1


def test_asked_to_stop_it_answers_for_what_it_stores_and_hangs_up_on_others(
    inbox: Inbox, slow_bell: Process
) -> None:
    with ThreadPoolExecutor() as threads, closing(slow_bell.line()) as idle:
        line = slow_bell.line()
        stored = threads.submit(deliver, line, mail())
        wait_until(InboundEmail.objects.exists)
        assert slow_bell.end() == 0
        assert stored.result() == [250]
        assert idle.getreply()[0] == 421
        line.close()


def test_who_says_nothing_is_in_nobodys_way(inbox: Inbox, server: Process) -> None:
    with closing(server.line()), closing(server.line()) as halfway:
        halfway.ehlo()
        halfway.mail(SENDER)
        halfway.rcpt(HELLO)
        halfway.docmd("DATA")
        halfway.send(b"Subject: Half a m")
        with server.line() as line:
            assert deliver(line, mail()) == [250]
    assert InboundEmail.objects.count() == 1


def test_many_come_at_once(inbox: Inbox, server: Process) -> None:
    def send(number: int) -> list[int]:
        with server.line() as line:
            return [*deliver(line, mail(f"{number}")), *deliver(line, mail(f"{number} more"))]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(send, range(16))) == [[250, 250]] * 16
    assert InboundEmail.objects.count() == 32


# --- Where it listens -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_listens_on_a_socket_again_and_again(inbox: Inbox, tmp_path: Path) -> None:
    with ended(Process(f"unix:{tmp_path}/lmtp", tmp_path / "log")) as server:
        server.end(signal.SIGKILL)
        server.start()
        assert (tmp_path / "lmtp").stat().st_mode & 0o777 == 0o666
        with server.line() as line:
            assert deliver(line, mail()) == [250]
    assert InboundEmail.objects.count() == 1


def test_an_address_that_is_missing_or_taken_is_named(settings: Settings) -> None:
    settings.LMTP_LISTEN = ""
    with pytest.raises(CommandError, match="LMTP_LISTEN is empty"):
        call_command("receive_mail")
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.LMTP_LISTEN = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(CommandError, match="Cannot listen on 127"):
            call_command("receive_mail")


@pytest.mark.parametrize("listen", ["", "127.0.0.1:2424"])
def test_it_is_kept_running_only_where_it_has_an_address(tmp_path: Path, listen: str) -> None:
    up = Supervisor(tmp_path, 8000, {"LMTP_LISTEN": listen}, print)
    assert ("lmtp" in [service.name for service in up._services()]) == bool(listen)


@pytest.mark.stack
def test_the_whole_helpdesk_takes_mail_and_files_it() -> None:
    port = free_port()
    settings = {"DEMO": "no", "LMTP_LISTEN": f"127.0.0.1:{port}"}
    with data_folder() as folder, running(Stack(folder, settings=settings)) as up:
        up.rows("INSERT INTO tickets_team (name) VALUES ('Orders')")
        before = up.pid("lmtp")
        up.kill("lmtp")
        up.wait_until(lambda: up.pid("lmtp") != before)
        up.wait_until(lambda: answers(lambda: smtplib.LMTP("127.0.0.1", port)))
        with smtplib.LMTP("127.0.0.1", port) as line:
            assert deliver(line, mail()) == [250]
        query = "SELECT state FROM tickets_inboundemail WHERE state <> 'queued'"
        up.wait_until(lambda: up.rows(query))


# --- Without a database -----------------------------------------------------------------------

Store = Callable[[bytes], None]


@asynccontextmanager
async def receiving(store: Store) -> AsyncIterator[int]:
    """A receiver in this process; the port it listens on."""
    receiver = receive_lmtp.Receiver(store)
    door = receive_lmtp.opened("127.0.0.1:0")
    server = await asyncio.get_running_loop().create_server(receiver.line, sock=door)
    yield door.getsockname()[1]
    server.close()
    await receiver.end()


def send_to(port: int, raw: bytes = b"Subject: Hello\r\n\r\n", to: Sequence[str] = ()) -> list[int]:
    with closing(smtplib.LMTP("127.0.0.1", port, timeout=10)) as line:
        return deliver(line, raw, *to)


async def test_two_mails_are_stored_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=5)

    def store(raw: bytes) -> None:
        both.wait()

    async with receiving(store) as port:
        some = [asyncio.to_thread(send_to, port) for _ in range(2)]
        assert await asyncio.gather(*some) == [[250], [250]]


@pytest.mark.parametrize("error", [TemporaryFailure("no"), ValueError("a fault of ours")])
async def test_whatever_goes_wrong_the_mail_server_is_told_to_try_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(raw: bytes) -> None:
        raise error

    async with receiving(fail) as port:
        assert (
            await asyncio.to_thread(send_to, port, to=["a@b.example", "c@b.example"]) == [451] * 2
        )
    traced = [record.levelno for record in caplog.records if record.exc_info]
    assert traced == ([] if isinstance(error, TemporaryFailure) else [logging.ERROR])


async def test_a_fault_in_the_middle_of_a_mail_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What follows would be taken for commands."""
    stored: list[bytes] = []

    async def fail(*_: object) -> bool:
        raise OSError("No space left on device")

    monkeypatch.setattr(receive_lmtp.Line, "_read_into", fail)
    async with receiving(stored.append) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"LHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n")
        writer.write(b"NOOP\r\n" * 5)
        said = (await asyncio.wait_for(reader.read(), 5)).splitlines()
        writer.close()
    assert [line[:3] for line in said[-2:]] == [b"354", b"421"]


async def test_a_fault_of_one_command_is_no_verdict_on_the_mail() -> None:
    async with receiving(lambda _: None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"LHLO a\r\nMAIL FROM:<\r\n")
        said = (await asyncio.wait_for(reader.read(), 5)).splitlines()
        writer.close()
    assert said[-1].startswith(b"421")


async def test_who_says_nothing_for_long_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_lmtp, "SILENCE_SECONDS", 0.1)
    async with receiving(lambda _: None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"220 ")
        writer.close()


async def test_beyond_so_many_connections_one_is_asked_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receive_lmtp, "CONNECTIONS_MAX", 1)
    async with receiving(lambda _: None) as port:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await _reader.readline()
        other, its_writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await asyncio.wait_for(other.read(), 5)).startswith(b"421 ")
        writer.close()
        its_writer.close()
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(send_to, port) == [250]
