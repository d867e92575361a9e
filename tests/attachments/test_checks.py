"""What looking into a file finds: its small picture, and what is hidden in it."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from attachments import checks, storage
from attachments.models import Attachment, Blob, Check
from attachments.uploads import Limits, begin_upload, receive_piece
from helpdesk.lib import work
from helpdesk.lib.errors import StorageAway
from tests.fakes.clamd import EICAR, VIRUS, Clamd
from tests.fakes.pictures import picture, png

pytestmark = pytest.mark.django_db
State = Attachment.State
ME = "person:1"


def uploaded(content: bytes, name: str = "a.bin") -> Attachment:
    limits = Limits(len(content))
    begun = begin_upload(ME, name=name, size_bytes=len(content), limits=limits)
    receive_piece(ME, begun.uuid, 0, [content], len(content))
    return checked(begun)


def mailed(content: bytes) -> Attachment:
    blob = Blob.objects.create(sha256=str(len(content)), size_bytes=len(content), type="text/plain")
    storage.put(blob.key, content)
    state = checks.state_of_mailed(blob)
    made = Attachment.objects.create(name="a.txt", blob=blob, state=state)
    Check.objects.create(attachment=made)
    return made


def checked(attachment: Attachment) -> Attachment:
    def check(row: Check) -> None:
        checks.check(row, lambda one: None)

    def gave_up(row: Check) -> None:
        checks.gave_up(row, lambda one: None)

    row = Check.objects.get(attachment=attachment)
    work.perform(Check, row.pk, check, gave_up=gave_up)
    return Attachment.objects.select_related("blob").get(pk=attachment.pk)


@pytest.fixture
def scanned(settings: Settings, scanner: Clamd) -> None:
    settings.CLAMD_URL = scanner.url


def test_a_picture_gets_a_small_one_once() -> None:
    first = uploaded(picture(size=(1_280, 640))).stored
    assert (first.preview_width, first.preview_height) == (640, 320)
    assert storage.lies(first.preview_key)
    again = uploaded(picture(size=(1_280, 640))).stored
    assert again.preview_key == first.preview_key


def test_a_bomb_is_a_file_without_a_picture() -> None:
    bomb = uploaded(png(50_000, 50_000), "bomb.png")
    assert (bomb.state, bomb.stored.type, bomb.stored.preview_key) == (
        State.READY,
        "image/png",
        "",
    )


def test_without_a_scanner_nothing_is_scanned_and_that_shows() -> None:
    file = uploaded(EICAR)
    assert (file.state, file.stored.scanned_at) == (State.READY, None)


@pytest.mark.usefixtures("scanned")
def test_what_is_clean_is_ready_and_scanned() -> None:
    file = uploaded(b"Dear all")
    assert file.state == State.READY
    assert file.stored.scanned_at
    assert not file.stored.virus


@pytest.mark.usefixtures("scanned")
def test_a_virus_is_rejected_by_its_name() -> None:
    file = uploaded(EICAR)
    assert (file.state, file.stored.virus) == (State.REJECTED, VIRUS)
    assert file.why_closed == f"A virus was found in this file: {VIRUS}. It cannot be opened."


@pytest.mark.usefixtures("scanned")
def test_a_mailed_file_waits_for_the_scanner() -> None:
    file = mailed(b"a good one")
    assert (file.state, file.why_closed) == (State.CHECKING, "This file is being checked.")
    assert checked(file).state == State.READY
    bad = checked(mailed(EICAR))
    assert bad.state == State.REJECTED
    assert VIRUS in bad.why_closed


def test_a_scanner_that_is_away_opens_nothing(settings: Settings) -> None:
    settings.CLAMD_URL = "tcp://127.0.0.1:9"
    file = mailed(b"who knows")
    row = Check.objects.get(attachment=file)
    checked(file)
    row.refresh_from_db()
    assert (row.state, file.state) == (Check.State.QUEUED, State.CHECKING)
    Check.objects.update(attempts=len(Check.RETRY_SECONDS), due_at=row.attachment.created_at)
    ended = checked(file)
    assert ended.state == State.REJECTED
    assert "An administrator can try again" in ended.why_closed


@pytest.mark.usefixtures("scanned")
def test_what_failed_can_be_tried_again(settings: Settings) -> None:
    file = mailed(b"second thoughts")
    Attachment.objects.update(state=State.REJECTED, refusal="This file could not be checked.")
    Check.objects.update(state=Check.State.FAILED)
    work.retry(Check.objects.all())
    again = checked(file)
    assert (again.state, again.refusal) == (State.READY, "")


@pytest.mark.usefixtures("scanned")
def test_what_was_scanned_is_not_scanned_again_that_day() -> None:
    scanned_at = uploaded(b"the same bytes").stored.scanned_at
    assert uploaded(b"the same bytes").stored.scanned_at == scanned_at


def test_what_cannot_be_drawn_is_not_tried_with_every_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []

    def fails(pieces: object, media_type: str) -> None:
        drawn.append(media_type)

    monkeypatch.setattr(checks, "preview_of", fails)
    first = uploaded(picture())
    assert uploaded(picture()).stored == first.stored
    assert drawn == ["image/png"]
    assert not checks.wants_check(first.stored)


def test_a_storage_that_is_away_is_waited_for_however_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> None:
        raise StorageAway("The bucket is away.")

    file = mailed(b"later")
    Attachment.objects.update(state=State.CHECKING)
    with monkeypatch.context() as broken:
        broken.setattr(checks, "why_refused", away)
        for _ in range(20):
            checked(file)
            Check.objects.update(due_at=file.created_at)
    row = Check.objects.get()
    assert (row.state, row.attempts, row.error) == (Check.State.QUEUED, 0, "The bucket is away.")
    assert checked(file).state == State.READY
