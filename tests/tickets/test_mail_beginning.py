"""A mailbox that begins with the mail that comes from now on, and the mail it is tried with."""

from __future__ import annotations

import imaplib
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils.timezone import now

from tests.fakes.imap import PASSWORD, Server, dovecot_or_skip, put
from tests.fakes.mails import mail
from tests.tickets.test_mail_imap import fetch, file_all, mailbox_on
from tickets.mail import trial
from tickets.models import InboundEmail, Inbox, Mailbox, Message, Ticket
from tickets.operations import fetching
from tickets.operations.beginning import PASSED_OVER
from tickets.operations.fetching import record_inbound

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with dovecot_or_skip() as running:
        yield running


def begun(server: Server, inbox: Inbox, user: str) -> Mailbox:
    mailbox = mailbox_on(server, inbox, user)
    mailbox.begin_now()
    mailbox.save()
    return mailbox


def put_old(server: Server, user: str, *mails: bytes) -> None:
    """Mails that arrived an hour ago."""
    arrived = imaplib.Time2Internaldate(time.time() - 3_600)
    with imaplib.IMAP4(server.host, server.port) as delivery:
        delivery.login(user, PASSWORD)
        for raw in mails:
            delivery.append("INBOX", "", arrived, raw)


def test_what_was_there_is_noted_and_only_what_comes_is_filed(server: Server, inbox: Inbox) -> None:
    put_old(server, "begins", mail("Old."), mail("Older."))
    mailbox = fetch(begun(server, inbox, "begins"))
    put(server, "begins", mail("New."))
    fetch(mailbox)
    file_all()
    assert [m.body for m in Message.objects.all()] == ["New."]
    passed = InboundEmail.objects.filter(decision="ignored").order_by("uid")
    assert [(row.uid, row.state, row.reason) for row in passed] == [
        (1, "done", PASSED_OVER),
        (2, "done", PASSED_OVER),
    ]
    assert (mailbox.last_uid, mailbox.begins_at, mailbox.error) == (3, None, "")


def test_mail_that_comes_while_the_password_is_still_wrong_is_not_passed_over(
    server: Server, inbox: Inbox
) -> None:
    put_old(server, "later", mail("Old."))
    mailbox = begun(server, inbox, "later")
    Mailbox.objects.filter(pk=mailbox.pk).update(password="wrong", last_uid=mailbox.last_uid)
    fetch(mailbox)
    put(server, "later", mail("Came meanwhile."))
    Mailbox.objects.filter(pk=mailbox.pk).update(password=PASSWORD)
    fetch(mailbox)
    file_all()
    assert [m.body for m in Message.objects.all()] == ["Came meanwhile."]
    assert mailbox.last_uid == 2


def test_a_beginning_that_broke_off_begins_again(
    server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_old(server, "broke", mail("Old."))
    put(server, "broke", mail("New."))
    mailbox = begun(server, inbox, "broke")
    with monkeypatch.context() as broken:
        broken.setattr(fetching, "_move_cursor", lambda *_: 1 / 0)
        fetch(mailbox)
    fetch(mailbox)
    file_all()
    assert InboundEmail.objects.count() == 2
    assert [m.body for m in Message.objects.all()] == ["New."]


def test_an_empty_mailbox_begins_too(server: Server, inbox: Inbox) -> None:
    mailbox = fetch(begun(server, inbox, "empty"))
    assert (mailbox.last_uid, mailbox.error) == (0, "")
    put(server, "empty", mail("New."))
    fetch(mailbox)
    assert InboundEmail.objects.get().decision == ""


def test_the_test_mail_is_no_ticket(inbox: Inbox) -> None:
    raw = trial.compose("hello@shop.example", "run-1").as_bytes()
    relayed = b"Received: from somewhere\r\n by elsewhere; today\r\n" * 50 + raw
    row = record_inbound(relayed)
    assert row
    assert (row.state, row.decision, row.reason) == ("done", "ignored", fetching.TRIAL)
    assert row.rfc_message_id == "run-1"
    assert not Ticket.objects.exists()


def test_a_mail_that_only_quotes_the_test_mail_is_filed(inbox: Inbox) -> None:
    quoted = trial.compose("hello@shop.example", "run-1").as_string()
    record_inbound(mail(f"See below.\n\n{quoted}"))
    file_all()
    assert Ticket.objects.count() == 1


def test_nobody_else_can_have_a_mail_ignored(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = b"X-Helpdesk-Trial: run-1:1tXyz:forged\r\n" + mail("Real.")
    old = trial.compose("hello@shop.example", "run-1").as_bytes()
    assert trial.trial_in(b"Received: x\n" + forged) == ""
    monkeypatch.setattr(time, "time", lambda: now().timestamp() + 90_000)
    assert trial.trial_in(b"Received: x\n" + old) == ""


def test_a_moment_is_kept_to_the_second(inbox: Inbox) -> None:
    mailbox = Mailbox(last_uid=7)
    assert mailbox.begins_at is None
    mailbox.begin_now()
    assert mailbox.begins_at
    assert abs(mailbox.begins_at - now()) < timedelta(seconds=2)
