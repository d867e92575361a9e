"""The doctor: one line a check, whatever is wrong with it, and the exit code for a machine."""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
from celery import current_app
from django.core.checks import Error
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, override_settings
from django.utils.timezone import now
from pytest_django import Settings

import ai.doctor
import attachments.doctor
import chat.doctor
import tickets.doctor
from attachments import storage
from attachments.inventory import Inventory, take
from attachments.models import Attachment, Blob
from attachments.operations import keep
from helpdesk import doctor
from helpdesk.lib import work
from helpdesk.lib.doctor import Examination, Finding, examine
from helpdesk.lib.errors import GiveUp, TemporaryFailure
from helpdesk.lib.redis_client import redis_client
from helpdesk.stack.kept import BASE_DIR
from tests import make
from tests.fakes import openai_server
from tests.fakes.clamd import CLAMD, clamd
from tests.fakes.smtp import smtp_server
from tickets.access import Viewer
from tickets.models import Inbox, Mailbox, OutgoingEmail, Ticket

pytestmark = pytest.mark.django_db

EXAMINATIONS = "helpdesk.management.commands.doctor.EXAMINATIONS"


# --- The command ------------------------------------------------------------------------------


def well() -> Finding:
    return Finding("ok", "It answers.")


def ill() -> Finding:
    raise ValueError("no such\n  thing")


def told(*examinations: Examination) -> tuple[str, str]:
    """What the command says, and why it ends in failure, if it does."""
    out = StringIO()
    with mock.patch(EXAMINATIONS, examinations):
        try:
            call_command("doctor", stdout=out)
        except CommandError as error:
            return out.getvalue(), f"{error} Exit code {error.returncode}."
    return out.getvalue(), ""


def test_each_check_is_one_line_and_one_that_raises_stops_no_other() -> None:
    said, failure = told(
        Examination("first", ill, "Mend it."),
        Examination("second", well, "Mend it."),
        Examination("third", lambda: Finding("warning", "Old.", "Renew it."), "Mend it."),
    )
    assert said.splitlines() == [
        "broken   first       no such thing. Mend it.",
        "ok       second      It answers.",
        "warning  third       Old. Renew it.",
    ]
    assert failure == "1 of 3 are broken. Exit code 1."


def test_a_warning_is_no_failure() -> None:
    _, failure = told(Examination("one", lambda: Finding("warning", "Old."), ""))
    assert failure == ""


def test_one_that_hangs_is_broken_after_its_time() -> None:
    ended = threading.Event()

    def hang() -> Finding:
        ended.wait(10)
        return well()

    began = time.monotonic()
    finding = examine(Examination("slow", hang, "Kill it.", seconds=0.2))
    ended.set()
    assert time.monotonic() - began < 2
    assert finding == Finding("broken", "No answer within 0.2 seconds.", "Kill it.")


@pytest.mark.django_db(transaction=True)
def test_every_check_looks_at_something_and_leaves_no_connection_behind() -> None:
    names = [one.name for one in doctor.EXAMINATIONS]
    assert len(set(names)) == len(names)
    for one in doctor.EXAMINATIONS:
        assert one.remedy
        finding = examine(one)
        assert finding.level == "broken" or finding.found.endswith("."), one.name
    time.sleep(0.1)
    assert not [one.name for one in threading.enumerate() if one.name.startswith("examines")]


def test_where_nothing_answers_every_line_is_there_and_the_exit_code_is_1(tmp_path: Path) -> None:
    away = {
        "SECRET_KEY": "x" * 60,
        "DATABASE_URL": "postgres://helpdesk:hunter2@127.0.0.1:1/helpdesk",
        "REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
        "SMTP_URL": "smtp://helpdesk:hunter2@127.0.0.1:1",
        "HELPDESK_DATA": str(tmp_path),
    }
    command = [sys.executable, str(BASE_DIR / "manage.py"), "doctor"]
    done = subprocess.run(
        command, env=os.environ | away, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == len(doctor.EXAMINATIONS)
    broken = {line[9:20].strip() for line in lines if line.startswith("broken ")}
    assert {"database", "migrations", "redis", "workers", "beat", "work", "mail out"} <= broken
    assert any(line.startswith("ok       storage") for line in lines)
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# --- The installation -------------------------------------------------------------------------


def test_settings_are_judged_as_in_production() -> None:
    secure = {
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "SECURE_HSTS_PRELOAD": True,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
    }
    found = doctor.django_settings()
    assert (found.level, "security.W008" in found.found) == ("warning", True)
    with override_settings(**secure):
        assert doctor.django_settings() == Finding("ok", "Fit for production.")
    with mock.patch("django.core.checks.run_checks", return_value=[Error("no", id="x.E1")]):
        assert doctor.django_settings().level == "broken"


def test_a_database_says_its_version_or_why_not() -> None:
    assert doctor.database().found.startswith("PostgreSQL 1")
    with mock.patch("helpdesk.doctor.connection") as away:
        away.cursor.side_effect = OperationalError("connection refused")
        found = examine(Examination("database", doctor.database, "Start it."))
    assert found == Finding("broken", "connection refused.", "Start it.")


def test_pending_migrations_are_named() -> None:
    assert doctor.migrations() == Finding("ok", "None is pending.")
    MigrationRecorder.Migration.objects.filter(app="attachments", name="0007_unclaimed").delete()
    found = doctor.migrations()
    assert (found.level, found.advice) == ("broken", "Run `manage.py migrate`.")
    assert "attachments.0007_unclaimed" in found.found


def test_redis_answers_or_not() -> None:
    assert doctor.redis().level == "ok"
    with mock.patch("helpdesk.doctor.redis_client", side_effect=OSError("refused")):
        assert examine(Examination("redis", doctor.redis, "Start it.")) == Finding(
            "broken", "refused.", "Start it."
        )


def test_workers_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a real one answers is seen where the whole product runs (test_supervisor)."""
    monkeypatch.setattr(doctor, "WORKER_SECONDS", 0.2)
    assert doctor.workers().level == "broken"
    asked = mock.Mock(**{"return_value.ping.return_value": {"celery@here": {"ok": "pong"}}})
    monkeypatch.setattr(current_app.control, "inspect", asked)
    assert doctor.workers() == Finding("ok", "1 of them: celery@here.")


def test_beat_is_known_by_its_last_sweep() -> None:
    redis_client().delete(work.SWEPT_KEY)
    assert doctor.beat().level == "broken"
    work.sweep()
    assert doctor.beat() == Finding("ok", "Forgotten work was last looked for 0 seconds ago.")
    redis_client().set(work.SWEPT_KEY, (now() - timedelta(minutes=2)).isoformat())
    assert doctor.beat() == Finding(
        "broken", "Forgotten work was last looked for 120 seconds ago.", doctor.START_BEAT
    )


def test_a_sweep_that_cannot_be_noted_still_rings() -> None:
    with mock.patch("helpdesk.lib.work.redis_client", side_effect=OSError("refused")):
        assert work.sweep() == 0


def test_failed_and_late_work_is_counted_with_where_to_try_again(
    alice: Viewer, ticket: Ticket, settings: Settings
) -> None:
    assert doctor.queues() == Finding("ok", "Nothing failed, nothing is late.")
    make.say(alice, ticket, "On its way.")
    row = OutgoingEmail.objects.get()

    def refused(_: OutgoingEmail) -> None:
        raise GiveUp("No.")

    work.perform(OutgoingEmail, row.pk, refused)
    found = doctor.queues()
    address = "/admin/tickets/outgoingemail/?state__exact=failed"
    assert (found.level, found.found) == (
        "warning",
        f"Failed: 1 outgoing emails ({settings.SITE_URL}{address}).",
    )
    assert alice.user
    alice.user.is_superuser = True
    alice.user.save()
    browser = Client()
    browser.force_login(alice.user)
    assert b"carol@mail.example" in browser.get(address).content

    late = now() - timedelta(minutes=10)
    OutgoingEmail.objects.update(state="queued", due_at=late, finished_at=None)
    found = doctor.queues()
    assert (found.level, found.found) == (
        "broken",
        "Due for more than 300 seconds: 1 outgoing emails.",
    )


def test_every_queue_has_a_page_where_it_is_tried_again() -> None:
    assert all("/admin/" in doctor._list_of_failed(model) for model in work.work_models())


# --- Mail -------------------------------------------------------------------------------------


def test_a_mailbox_with_an_error_is_named(inbox: Inbox) -> None:
    assert tickets.doctor.mailboxes() == Finding("ok", "None is set up.")
    mailbox = Mailbox.objects.create(name="Shop", inbox=inbox, kind="folder", folder="x")
    assert tickets.doctor.mailboxes() == Finding("ok", "1 read without an error.")
    mailbox.error, mailbox.last_ok_at = "The server refused\nour login.", now()
    mailbox.save()
    found = tickets.doctor.mailboxes()
    assert (found.level, found.found) == ("warning", "Shop: The server refused our login.")
    mailbox.last_ok_at = now() - timedelta(hours=1)
    mailbox.save()
    assert tickets.doctor.mailboxes().level == "broken"


def test_the_way_out_is_tried_and_nothing_is_sent(settings: Settings, tmp_path: Path) -> None:
    with smtp_server() as server:
        settings.SMTP_URL = server.url
        assert tickets.doctor.mail_out() == Finding("ok", "127.0.0.1 answers.")
        assert (server.got, server.envelopes) == ([], [])
        with mock.patch.object(settings, "DATA_DIR", tmp_path / "file"):
            (tmp_path / "file").touch()
            with pytest.raises(TemporaryFailure, match="Nothing can be written into"):
                tickets.doctor.mail_out()
        settings.SMTP_URL = server.url.replace("//", "//name:word@")
        with pytest.raises(TemporaryFailure, match="refused our login"):
            tickets.doctor.mail_out()
    settings.SMTP_URL = "smtp://127.0.0.1:1"
    with pytest.raises(TemporaryFailure, match="cannot be reached"):
        tickets.doctor.mail_out()
    settings.SMTP_URL = f"folder:{tmp_path}/out"
    assert tickets.doctor.mail_out().level == "warning"
    settings.SMTP_URL = f"folder:{tmp_path}/file"
    with pytest.raises(TemporaryFailure, match="cannot be written"):
        tickets.doctor.mail_out()


# --- Files ------------------------------------------------------------------------------------


def test_the_storage_is_written_read_and_cleared() -> None:
    before = set(storage.keys(""))
    assert attachments.doctor.storage_writable().level == "ok"
    assert set(storage.keys("")) == before
    with mock.patch("attachments.storage.put", side_effect=OSError("read-only")):
        one = Examination("storage", attachments.doctor.storage_writable, "Mend it.")
        assert examine(one) == Finding("broken", "read-only.", "Mend it.")
    with mock.patch("attachments.storage.read", return_value=iter([b"else"])):
        assert attachments.doctor.storage_writable().level == "broken"
    assert set(storage.keys("")) == before


@contextmanager
def lying(key: str, hours: float) -> Iterator[str]:
    """Some bytes in the storage, written so long ago."""
    storage.put(key, b"bytes")
    path = storage.storage().path(key)
    written = time.time() - hours * 3_600
    os.utime(path, (written, written))
    try:
        yield key
    finally:
        storage.drop(key)


def test_rows_without_bytes_are_found() -> None:
    blob, other = keep([b"one whose bytes go", b"one that stays"])
    found = attachments.doctor.files()
    assert found == Finding("ok", "All 2 are where they belong.")
    other.preview_key = "previews/none"
    other.save()
    Attachment.objects.create(
        name="a", state="checking", upload_key="uploads/lo/st", announced_bytes=5
    )
    Attachment.objects.create(
        name="b", state="uploading", upload_key="uploads/be/gun", announced_bytes=5
    )
    storage.drop(blob.key)
    found = attachments.doctor.files()
    assert found.level == "broken"
    assert (
        found.found
        == "3 without bytes: "
        + ", ".join(
            [
                f"stored file {blob.pk}",
                f"the small picture of stored file {other.pk}",
                f"upload {Attachment.objects.get(name='a').pk}",
            ]
        )
        + "."
    )


def test_bytes_without_rows_are_found_once_they_are_old() -> None:
    (blob,) = keep([b"known"])
    Blob.objects.update(preview_key="previews/known")
    Attachment.objects.create(
        name="b", state="uploading", upload_key="uploads/be/gun", announced_bytes=9
    )
    Attachment.objects.create(
        name="c", state="checking", upload_key="uploads/ch/eck", announced_bytes=5
    )
    with (
        ExitStack() as stack,
        lying("blobs/no/body", hours=25),
        lying("blobs/ne/w", hours=23),
        lying("previews/known", hours=25),
        lying("uploads/be/gun", hours=25),
        lying("blobs/ch/eck", hours=25),
    ):
        stack.callback(storage.drop, blob.key)
        os.utime(storage.storage().path(blob.key), (0, 0))
        assert take() == Inventory(3, [], ["blobs/no/body"])
        found = attachments.doctor.files()
        assert (found.level, found.found) == (
            "warning",
            "1 in the storage that no row names: blobs/no/body.",
        )


def test_what_changes_while_all_is_compared_is_no_fault() -> None:
    """A file that is deleted, and one that gets its row, between the two lists."""
    going, staying = keep([b"deleted meanwhile", b"moved meanwhile"])
    real = storage.keys

    def slow(prefix: str) -> Iterator[tuple[str, int, object]]:
        going.delete()
        storage.drop(going.key)
        found = list(real(prefix))
        storage.drop(staying.key)
        Blob.objects.filter(pk=staying.pk).update(key="blobs/el/sewhere")
        yield from found

    with lying("blobs/el/sewhere", hours=25), mock.patch("attachments.storage.keys", slow):
        inventory = take()
    assert (inventory.lost, inventory.strays) == ([], [])


@contextmanager
def something_else() -> Iterator[str]:
    """A server that is no clamd."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(64)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_no_scanner_is_a_choice_and_another_server_is_a_mistake(settings: Settings) -> None:
    settings.CLAMD_URL = ""
    assert attachments.doctor.scanner().found == "None is set: files are shown as not scanned."
    with something_else() as settings.CLAMD_URL:
        assert attachments.doctor.scanner().level == "broken"
    settings.CLAMD_URL = "tcp://127.0.0.1:1"
    found = examine(Examination("scanner", attachments.doctor.scanner, "Start it."))
    assert (found.level, "cannot be reached" in found.found) == ("broken", True)


@pytest.mark.skipif(CLAMD is None, reason="needs clamd: apt-get install clamav-daemon")
def test_a_scanner_says_how_old_what_it_knows_is(settings: Settings) -> None:
    with clamd() as scanner:
        for settings.CLAMD_URL in (scanner.url, scanner.tcp_url):
            found = attachments.doctor.scanner()
            assert (found.level, found.found.startswith("ClamAV ")) == ("ok", True)


# --- Chat -------------------------------------------------------------------------------------


def test_a_proxy_that_lets_no_websocket_pass_is_found(settings: Settings) -> None:
    with something_else() as address:
        settings.SITE_URL = address.replace("tcp:", "http:")
        found = chat.doctor.websockets()
    assert (found.level, "answers 400 Bad Request" in found.found) == ("broken", True)
    assert "/ws/" in found.advice
    settings.SITE_URL = "http://127.0.0.1:1"
    one = Examination("websockets", chat.doctor.websockets, "Start it.")
    assert examine(one).level == "broken"


# --- The assistant ----------------------------------------------------------------------------


def test_the_endpoint_is_asked_for_its_models(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ai.doctor.endpoint().found.startswith("No endpoint is set")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai_server.running(key="sk-right") as model:
        settings.OPENAI_BASE_URL, settings.AI_MODEL = model.base_url, "fake-model"
        settings.OPENAI_API_KEY = "sk-right"
        assert ai.doctor.endpoint() == Finding("ok", "The endpoint of fake-model answers.")
        settings.AI_MODEL = "another"
        assert ai.doctor.endpoint().level == "warning"
        settings.OPENAI_API_KEY = "sk-wrong"
        one = Examination("assistant", ai.doctor.endpoint, "Correct it.")
        found = examine(one)
        assert (found.level, "did not accept the key" in found.found) == ("broken", True)
        settings.OPENAI_BASE_URL = model.base_url + "/nothing/here"
        settings.OPENAI_API_KEY = "sk-right"
        assert ai.doctor.endpoint().level == "ok", "an endpoint without a list of models"
    settings.OPENAI_BASE_URL = "http://127.0.0.1:1/v1"
    assert examine(one).level == "broken"
