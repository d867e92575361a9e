"""`manage.py ingest_email`, by hand and as a mail server's pipe."""

from __future__ import annotations

from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from tests.fakes.mails import mail
from tickets.management.commands import ingest_email
from tickets.models import InboundEmail, Inbox, Message, Ticket

pytestmark = pytest.mark.django_db


def pipe(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(raw)))


def test_what_became_of_each_is_printed(inbox: Inbox, tmp_path: Path) -> None:
    raw = mail("One.")
    for name, content in (("a.eml", raw), ("b.eml", raw), ("c.eml", b"no mail at all")):
        (tmp_path / name).write_bytes(content)
    out = StringIO()
    call_command("ingest_email", *(str(tmp_path / f"{one}.eml") for one in "abc"), stdout=out)
    first, second, third = out.getvalue().splitlines()
    assert first.endswith(f"filed. Opened #{Ticket.objects.get().number}: it answers no mail.")
    assert "duplicate. The same as mail" in second
    assert "stored but not filed. It names no sender" in third


def test_a_pipe_is_read_byte_for_byte(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = mail("From a pipe.").replace(b"\r\n", b"\n") + b"\xff\x00"
    pipe(monkeypatch, raw)
    call_command("ingest_email", "-", stdout=StringIO())
    row = InboundEmail.objects.get()
    assert (bytes(row.raw), row.source) == (raw, "stdin")
    assert Message.objects.count() == 1


def test_a_missing_file_is_named_and_the_others_are_taken(inbox: Inbox, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail())
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("ingest_email", "missing.eml", str(tmp_path / "a.eml"), stdout=out, stderr=err)
    assert "missing.eml: No such file" in err.getvalue()
    assert Message.objects.count() == 1


def test_a_mail_server_is_told_to_try_again_when_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(ingest_email, "record_inbound", away)
    pipe(monkeypatch, mail())
    err = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("ingest_email", "-", stderr=err)
    assert left.value.code == 75
    assert "the database is away, not taken" in err.getvalue()


def test_a_mail_beyond_all_measure_is_refused_to_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_email, "RAW_MAX_BYTES", 100)
    pipe(monkeypatch, mail())
    with pytest.raises(SystemExit) as left:
        call_command("ingest_email", "-", stderr=StringIO())
    assert left.value.code == 65
    assert InboundEmail.objects.count() == 0
