"""The doctor looks into a bucket as it does into a folder, and mails send what lies there."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import httpx
import pytest
from django.test import Client
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from attachments import doctor, storage
from attachments.lasting import address_of
from attachments.models import Attachment, FileLink
from attachments.operations import keep
from helpdesk.lib.doctor import Finding
from tests import make
from tickets.access import Viewer
from tickets.models import Message, MessageFile, Ticket
from tickets.operations.email import deliver_email

LABEL = b"%PDF-1.7 a label\0"
pytestmark = pytest.mark.django_db


def test_a_bucket_is_written_read_and_compared(
    bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.storage_writable().level == "ok"
    blob, _other = keep([b"one", b"two"])
    assert doctor.files() == Finding("ok", "All 2 are where they belong.")
    storage.put("blobs/no/body", b"of no row")
    assert doctor.files().level == "ok", "its row may still come"
    monkeypatch.setattr("attachments.inventory.UNUSED_HOURS", -1)
    storage.drop(blob.key)
    found = doctor.files()
    assert (found.level, found.found) == (
        "broken",
        f"1 without bytes: stored file {blob.pk}. "
        "1 in the storage that no row names: blobs/no/body.",
    )


@pytest.mark.parametrize("limit", [20, 0])
def test_a_reply_is_sent_with_files_from_a_bucket(
    alice: Viewer,
    ticket: Ticket,
    bucket: dict[str, str],
    settings: Settings,
    tmp_path: Path,
    limit: int,
) -> None:
    settings.SMTP_URL = f"folder:{tmp_path / 'out'}"
    settings.MAIL_FILES_MAX_MB = limit
    message = make.say(alice, ticket, "Print this.")
    (blob,) = keep([LABEL])
    label = Attachment.objects.create(name="label.pdf", blob=blob, claimed_at=now())
    MessageFile.objects.create(message=message, attachment=label)
    Message.objects.filter(pk=message.pk).update(file_count=1)
    deliver_email(message.outgoing_emails.get().pk)
    (path,) = (tmp_path / "out").iterdir()
    arrived = message_from_bytes(path.read_bytes(), EmailMessage, policy=default)
    parts = [part.get_payload(decode=True) for part in arrived.iter_attachments()]
    assert parts == ([LABEL] if limit else [])
    for link in FileLink.objects.all():
        address = address_of(link).removeprefix(settings.SITE_URL)
        at_the_bucket = Client().get(address)["Location"]
        assert httpx.get(at_the_bucket).content == LABEL
    assert FileLink.objects.count() == (0 if limit else 1)
