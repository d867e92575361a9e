"""Listening for mail: it is rung for at once, and nothing depends on it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils.timezone import now

from helpdesk.lib.errors import TemporaryFailure
from tests.fakes.imap import Dovecot, Server, black_hole, deaf_way, mortal_dovecot, put
from tests.fakes.mails import mail
from tests.stack import wait_until
from tests.tickets.conftest import need_dovecot
from tests.tickets.fetching import mailbox_on
from tickets.mail import listen_imap
from tickets.models import Inbox, Mailbox
from tickets.operations import listening
from tickets.operations.listening import Switchboard, ring_mailbox

pytestmark = pytest.mark.django_db(transaction=True)

AN_HOUR = timedelta(hours=1)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switchboard]:
    """At work, and quicker than in life."""
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(listening, "RETRY_MIN_SECONDS", 0.1)
    monkeypatch.setattr(listening, "RETRY_MAX_SECONDS", 0.5)
    made = Switchboard()

    def run() -> None:
        made.run()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield made
    listeners = list(made.listeners.values())
    made.end()
    thread.join(5)
    assert not thread.is_alive()
    wait_until(lambda: not any(one.is_alive for one in listeners), 5)


@pytest.fixture
def mortal() -> Iterator[Dovecot]:
    need_dovecot()
    with mortal_dovecot() as running:
        yield running


def due_in_an_hour(server: Server, inbox: Inbox, user: str, **more: object) -> Mailbox:
    return mailbox_on(server, inbox, user, due_at=now() + AN_HOUR, **more)


def put_off(mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(due_at=now() + AN_HOUR)


def is_due(mailbox: Mailbox) -> bool:
    return Mailbox.objects.filter(pk=mailbox.pk, due_at__lte=now()).exists()


def heard(mailbox: Mailbox, seconds: float = 5) -> None:
    """Wait until the mailbox is rung for."""
    wait_until(lambda: is_due(mailbox), seconds)


@pytest.mark.usefixtures("board")
def test_a_mailbox_is_due_as_soon_as_mail_comes(imap_server: Server, inbox: Inbox) -> None:
    mailbox = due_in_an_hour(imap_server, inbox, "listened")
    heard(mailbox)  # once it is listened to: who knows what came before
    for _ in range(3):
        put_off(mailbox)
        began = time.monotonic()
        put(imap_server, "listened", mail())
        heard(mailbox)
        assert time.monotonic() - began < 2


@pytest.mark.usefixtures("board")
def test_a_bell_is_kept_while_the_mailbox_is_being_fetched(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = due_in_an_hour(imap_server, inbox, "busy")
    heard(mailbox)
    lease = {"lease": "00000000-0000-0000-0000-000000000001", "leased_until": now() + AN_HOUR}
    Mailbox.objects.update(state="running", due_at=now() + AN_HOUR, **lease)
    put(imap_server, "busy", mail())
    time.sleep(1)
    assert not is_due(mailbox)
    Mailbox.objects.update(state="queued", lease=None, leased_until=None)
    heard(mailbox)


@pytest.mark.usefixtures("board")
def test_a_server_that_comes_back_is_listened_to_again(mortal: Dovecot, inbox: Inbox) -> None:
    mailbox = due_in_an_hour(mortal.server, inbox, "reborn")
    heard(mailbox)
    mortal.kill()
    put_off(mailbox)
    mortal.start()
    heard(mailbox)
    put_off(mailbox)
    put(mortal.server, "reborn", mail())
    heard(mailbox)


def test_mailboxes_that_are_added_changed_and_removed_are_followed(
    imap_server: Server, inbox: Inbox, board: Switchboard
) -> None:
    mailbox = due_in_an_hour(imap_server, inbox, "follow", idle=False)
    folder = mailbox_on(imap_server, inbox, "folder", kind="folder")
    time.sleep(0.5)
    assert board.listeners == {}
    Mailbox.objects.update(idle=True)
    heard(mailbox)
    assert list(board.listeners) == [mailbox.pk]
    put(imap_server, "follow", mail(), folder="Desk")
    Mailbox.objects.update(folder="Desk", due_at=now() + AN_HOUR)
    heard(mailbox)
    put_off(mailbox)
    put(imap_server, "follow", mail(), folder="Desk")
    heard(mailbox)
    listener = board.listeners[mailbox.pk]
    mailbox.delete()
    wait_until(lambda: not board.listeners and not listener.is_alive)
    folder.delete()


@pytest.mark.usefixtures("board")
def test_a_dead_server_or_a_wrong_password_disturbs_no_other(
    imap_server: Server, inbox: Inbox
) -> None:
    with black_hole() as silent:
        due_in_an_hour(silent, inbox, "nobody")
        due_in_an_hour(imap_server, inbox, "stranger", password="wrong")
        mailbox = due_in_an_hour(imap_server, inbox, "friend")
        heard(mailbox)
        put_off(mailbox)
        put(imap_server, "friend", mail())
        heard(mailbox, 2)
        Mailbox.objects.all().delete()
        time.sleep(0.5)


@pytest.mark.usefixtures("board")
def test_a_line_on_which_nothing_is_said_is_asked_again_and_again(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_imap, "IDLE_SECONDS", 0.05)
    mailbox = due_in_an_hour(imap_server, inbox, "again-idle")
    heard(mailbox)
    for _ in range(5):
        put_off(mailbox)
        put(imap_server, "again-idle", mail())
        heard(mailbox)


def test_a_server_that_died_without_a_word_is_noticed(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to it is still there, and nothing comes along it any more."""
    monkeypatch.setattr(listen_imap, "IDLE_SECONDS", 0.2)
    with deaf_way(imap_server) as (way, deafen):
        mailbox = mailbox_on(way, inbox, "frozen")
        ended = threading.Event()

        def hurried(line: socket.socket) -> None:
            line.settimeout(0.5)

        def run() -> None:
            with pytest.raises(TemporaryFailure, match="broke off"):
                listen_imap.listen(mailbox, connected=hurried, heard=deafen)
            ended.set()

        threading.Thread(target=run, daemon=True).start()
        assert ended.wait(5)


def test_a_server_without_idle_is_left_to_polling(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_imap, "_capabilities", lambda _: {"IMAP4REV1"})
    mailbox = mailbox_on(imap_server, inbox, "noidle")
    with pytest.raises(listen_imap.CannotListen):
        listen_imap.listen(mailbox, connected=lambda _: None, heard=lambda: None)


def test_a_bell_for_a_mailbox_that_is_gone_is_forgotten(inbox: Inbox) -> None:
    mailbox = Mailbox.objects.create(name="Gone", inbox=inbox, kind="folder")
    pk = mailbox.pk
    mailbox.delete()
    assert ring_mailbox(pk)


def test_what_is_heard_while_the_database_is_away_is_rung_for_when_it_is_back(
    inbox: Inbox, board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = Mailbox.objects.create(name="Any", inbox=inbox, kind="folder", due_at=now() + AN_HOUR)
    honest = ring_mailbox
    tries: list[int] = []

    def away(pk: int) -> bool:
        tries.append(pk)
        if len(tries) < 4:
            raise OperationalError("gone")
        return honest(pk)

    monkeypatch.setattr(listening, "ring_mailbox", away)
    board._bells.put(mailbox.pk)
    heard(mailbox)
    assert len(tries) == 4
