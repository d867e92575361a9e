"""The mail a mailbox is tried with is no ticket, and nothing else is taken for it."""

from __future__ import annotations

import time

import pytest
from django.utils.timezone import now

from tests.fakes.mails import mail
from tests.tickets.fetching import file_all
from tickets.mail import trial
from tickets.models import Inbox, Ticket
from tickets.operations import fetching
from tickets.operations.fetching import record_inbound

pytestmark = pytest.mark.django_db


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
