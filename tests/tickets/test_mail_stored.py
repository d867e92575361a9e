"""Large mails are read piece by piece, and are the same bytes."""

from __future__ import annotations

import os

import pytest
from django.db import connection

from helpdesk.lib import work
from tests.fakes.mails import mail
from tickets.models import InboundEmail, Inbox, Message
from tickets.models.mail import READ_AT_ONCE_BYTES
from tickets.operations import fetching, stored
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound
from tickets.operations.stored import raw_of

pytestmark = pytest.mark.django_db


def recorded(raw: bytes) -> InboundEmail:
    row = record_inbound(raw, source="test")
    assert row
    return row


def test_a_large_mail_is_claimed_without_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PIECE_BYTES", 300_000)
    raw = os.urandom(READ_AT_ONCE_BYTES + 1)
    row = work.claim(InboundEmail, recorded(raw).pk)
    assert row is not None
    assert bytes(row.raw) == b""
    assert raw_of(row) == raw


def test_others_are_claimed_with_them() -> None:
    raw = os.urandom(READ_AT_ONCE_BYTES)
    row = work.claim(InboundEmail, recorded(raw).pk)
    assert row is not None
    assert bytes(row.raw) == raw == raw_of(row)


def test_a_row_read_without_its_bytes_gets_them() -> None:
    raw = b"Subject: x\r\n\r\n\x00\xff"
    row = InboundEmail.objects.defer("raw").get(pk=recorded(raw).pk)
    assert raw_of(row) == raw
    assert "raw" not in vars(row), "no second copy"


def test_a_large_mail_is_filed_as_any_other(inbox: Inbox) -> None:
    words = "A long story. " * 100_000
    row = recorded(mail(words))
    assert row.size_bytes > READ_AT_ONCE_BYTES
    work.perform(InboundEmail, row.pk, file_inbound)
    assert Message.objects.get().body.startswith("A long story. A long story.")


@pytest.mark.django_db(transaction=True)
def test_a_large_mail_leaves_no_buffer_of_its_size_behind(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backend() -> int:
        connection.ensure_connection()
        return int(connection.connection.info.backend_pid)

    monkeypatch.setattr(fetching, "LARGE_BYTES", 10_000)
    before = backend()
    record_inbound(mail("Small."))
    assert backend() == before
    assert record_inbound(mail("x" * 20_000, message_id="<large@mail.example>"))
    assert backend() != before
    assert InboundEmail.objects.count() == 2
