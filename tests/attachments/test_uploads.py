"""An upload arrives in pieces, is looked into, and ends ready or rejected."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from attachments import checks, storage
from attachments.models import Attachment, Blob, Check
from attachments.operations import PURGE_ROWS, keep, purge
from attachments.uploads import (
    PIECE_BYTES,
    UNCLAIMED_MAX,
    Limits,
    WrongOffset,
    begin_upload,
    cancel_upload,
    claim,
    receive_piece,
    upload_json,
    upload_of,
    uploads_of,
)
from helpdesk.lib import work
from helpdesk.lib.errors import NotFound, Refused, StorageAway
from tests.make import PNG

pytestmark = pytest.mark.django_db
State = Attachment.State
ME = "person:1"


def receive(owner: str, uuid: UUID, offset: int, piece: bytes) -> Attachment:
    return receive_piece(owner, uuid, offset, [piece], len(piece))


def begun(content: bytes, name: str = "a.txt", types: Sequence[str] = ()) -> Attachment:
    limits = Limits(len(content), types)
    return begin_upload(ME, name=name, size_bytes=len(content), limits=limits)


def uploaded(content: bytes, name: str = "a.txt", types: Sequence[str] = ()) -> Attachment:
    attachment = begun(content, name, types)
    receive(ME, attachment.uuid, 0, content)
    return checked(attachment)


def checked(attachment: Attachment) -> Attachment:
    row = Check.objects.get(attachment=attachment)
    work.perform(Check, row.pk, check, gave_up=gave_up)
    return Attachment.objects.select_related("blob").get(pk=attachment.pk)


def check(row: Check) -> None:
    checks.check(row, lambda attachment: None)


def gave_up(row: Check) -> None:
    checks.gave_up(row, lambda attachment: None)


def bytes_of(attachment: Attachment) -> bytes:
    blob = attachment.stored
    return b"".join(storage.read(blob.key, 0, blob.size_bytes))


def lying() -> set[str]:
    root = Path(storage.storage().path(""))
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_pieces_become_a_file() -> None:
    attachment = begun(b"hello world")
    receive(ME, attachment.uuid, 0, b"hello ")
    assert upload_json(upload_of(ME, attachment.uuid))["offset"] == 6
    receive(ME, attachment.uuid, 6, b"world")
    assert upload_of(ME, attachment.uuid).state == State.CHECKING

    ready = checked(attachment)
    assert (ready.state, ready.stored.type, bytes_of(ready)) == (
        State.READY,
        "text/plain",
        b"hello world",
    )
    assert ready.upload_key is None


def test_a_piece_that_comes_again_or_too_early_is_told_where_we_are() -> None:
    attachment = begun(b"hello world")
    receive(ME, attachment.uuid, 0, b"hello ")
    for offset in (0, 7):
        with pytest.raises(WrongOffset):
            receive(ME, attachment.uuid, offset, b"hell")
    assert upload_json(upload_of(ME, attachment.uuid))["offset"] == 6


def test_what_comes_after_the_last_piece_changes_nothing() -> None:
    attachment = begun(b"hello")
    receive(ME, attachment.uuid, 0, b"hello")
    receive(ME, attachment.uuid, 0, b"hello")
    assert Check.objects.count() == 1


def test_the_check_begins_although_whoever_took_the_last_piece_died() -> None:
    attachment = begun(b"hello")
    storage.append(attachment.upload_key or "", 0, [b"hello"])  # and then the process was gone
    receive(ME, attachment.uuid, 5, b"")
    assert checked(attachment).state == State.READY


def test_more_than_was_announced_is_refused() -> None:
    attachment = begun(b"hello")
    with pytest.raises(Refused, match="has changed"):
        receive(ME, attachment.uuid, 0, b"hello!")


@pytest.mark.parametrize(("size", "words"), [(0, "is empty"), (11, "At most 10")])
def test_what_will_not_do_is_refused_before_it_is_stored(size: int, words: str) -> None:
    with pytest.raises(Refused, match=words):
        begin_upload(ME, name="a.txt", size_bytes=size, limits=Limits(10))
    assert not Attachment.objects.exists()


def test_nobody_fills_the_storage_without_saying_anything() -> None:
    Attachment.objects.bulk_create(
        Attachment(name="a", state=State.UPLOADING, owner=ME, upload_key=str(i), announced_bytes=1)
        for i in range(UNCLAIMED_MAX)
    )
    with pytest.raises(Refused, match="Send or remove some first"):
        begun(b"one more")
    begin_upload("person:2", name="a", size_bytes=1, limits=Limits(1))


def test_the_same_bytes_are_kept_once() -> None:
    before = lying()
    first, second = uploaded(b"the same", "one.txt"), uploaded(b"the same", "two.txt")
    assert first.stored == second.stored
    assert len(lying() - before) == 1


def test_a_crash_after_finding_the_same_bytes_leaves_no_copy() -> None:
    before = lying()
    uploaded(b"again and again")
    attachment = begun(b"again and again")
    receive(ME, attachment.uuid, 0, b"again and again")
    checks._settle(Attachment.objects.get(pk=attachment.pk))  # and then the worker was gone
    assert checked(attachment).state == State.READY
    assert len(lying() - before) == 1


def test_a_crash_after_the_bytes_were_moved_loses_none() -> None:
    attachment = begun(b"hello")
    receive(ME, attachment.uuid, 0, b"hello")
    away = mock.patch("attachments.checks.found_or_added", side_effect=ConnectionError)
    with away, pytest.raises(ConnectionError):
        checks._settle(Attachment.objects.get(pk=attachment.pk))
    assert bytes_of(checked(attachment)) == b"hello"


def test_a_kind_that_is_not_taken_is_rejected_whatever_it_is_called() -> None:
    program = b"MZ" + bytes(200)
    rejected = uploaded(program, "holiday.png", ["image/*"])
    assert rejected.state == State.REJECTED
    assert "is not taken here" in upload_json(rejected)["sentence"]
    assert uploaded(PNG, "holiday.exe", ["image/*"]).state == State.READY


def test_what_cannot_be_looked_into_is_rejected_in_the_end() -> None:
    attachment = begun(b"hello")
    receive(ME, attachment.uuid, 0, b"hello")
    storage.drop(attachment.upload_key or "")
    rejected = checked(attachment)
    assert (rejected.state, rejected.why_closed) == (
        State.REJECTED,
        "This file could not be checked. Attach it again.",
    )


def test_uploads_are_their_owners() -> None:
    attachment = begun(b"hello")
    for act in (
        lambda: upload_of("person:2", attachment.uuid),
        lambda: receive("person:2", attachment.uuid, 0, b"hello"),
        lambda: cancel_upload("person:2", attachment.uuid),
        lambda: upload_of(ME, uuid4()),
    ):
        with pytest.raises(NotFound):
            act()
    ready = uploaded(b"hello")
    with pytest.raises(Refused):
        uploads_of("person:2", [ready.uuid])


def test_only_what_is_ready_can_be_claimed() -> None:
    attachment = begun(b"hello")
    with pytest.raises(Refused):
        uploads_of(ME, [attachment.uuid])
    receive(ME, attachment.uuid, 0, b"hello")
    with pytest.raises(Refused):
        uploads_of(ME, [attachment.uuid])
    ready = checked(attachment)
    assert uploads_of(ME, [ready.uuid]) == [ready]
    claim([ready])
    with pytest.raises(Refused):
        claim([ready])
    with pytest.raises(NotFound):  # it is a message's now
        upload_of(ME, ready.uuid)


@pytest.mark.django_db(transaction=True)
def test_of_two_messages_one_gets_the_file() -> None:
    ready = uploaded(b"hello")
    barrier = threading.Barrier(2)
    got: list[bool] = []

    def take() -> None:
        try:
            barrier.wait(5)
            with transaction.atomic():
                claim([ready])
            got.append(True)
        except Refused:
            got.append(False)
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_of_two_last_pieces_one_begins_the_check() -> None:
    attachment = begun(bytes(PIECE_BYTES))
    barrier = threading.Barrier(2)
    refused: list[int] = []

    def send() -> None:
        try:
            barrier.wait(5)
            receive(ME, attachment.uuid, 0, bytes(PIECE_BYTES))
        except WrongOffset:
            refused.append(1)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) <= 1
    assert Check.objects.count() == 1
    assert bytes_of(checked(attachment)) == bytes(PIECE_BYTES)


def test_a_cancelled_upload_leaves_nothing() -> None:
    before = lying()
    attachment = begun(b"hello")
    receive(ME, attachment.uuid, 0, b"hel")
    cancel_upload(ME, attachment.uuid)
    assert lying() == before
    assert not Attachment.objects.exists()


def test_an_upload_that_is_cancelled_while_it_is_looked_into_goes_with_the_purge() -> None:
    before = lying()
    attachment = begun(b"let me out")
    receive(ME, attachment.uuid, 0, b"let me out")
    cancel_upload(ME, attachment.uuid)
    with pytest.raises(NotFound):
        upload_of(ME, attachment.uuid)
    Attachment.objects.update(created_at=now() - timedelta(hours=25))
    purge()
    assert checked(attachment).state == State.READY  # a worker was at it; nothing broke
    Blob.objects.update(created_at=now() - timedelta(hours=25))
    purge()
    assert lying() == before


def test_the_purge_takes_what_no_message_shows_after_a_day() -> None:
    before = lying()
    half, whole = begun(b"half of it"), uploaded(b"all of it")
    receive(ME, half.uuid, 0, b"half")
    claimed = uploaded(b"in a message")
    claim([claimed])
    purge()
    assert Attachment.objects.count() == 3
    old = now() - timedelta(hours=25)
    Attachment.objects.update(created_at=old)
    Blob.objects.update(created_at=old)
    purge()
    assert list(Attachment.objects.all()) == [claimed]
    assert lying() - before == {claimed.stored.key}
    assert not Attachment.objects.filter(pk=whole.pk).exists()


def test_the_database_keeps_its_word() -> None:
    with pytest.raises(IntegrityError, match="ready_has_bytes"), transaction.atomic():
        Attachment.objects.create(name="a", state=State.READY)
    with pytest.raises(IntegrityError, match="uploading_has_place"), transaction.atomic():
        Attachment.objects.create(name="a", state=State.UPLOADING)


def test_bytes_that_were_lost_are_not_trusted() -> None:
    lost = uploaded(b"lost and found").stored
    storage.drop(lost.key)
    again = uploaded(b"lost and found")
    assert again.stored == lost
    assert bytes_of(again) == b"lost and found"


def test_bytes_that_were_lost_come_back_with_a_mail() -> None:
    (lost,) = keep([b"in a mail"])
    storage.drop(lost.key)
    (again,) = keep([b"in a mail"])
    assert again == lost
    assert b"".join(storage.read(again.key, 0, again.size_bytes)) == b"in a mail"


def test_a_first_piece_that_comes_after_all_was_cancelled_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = lying()
    attachment = begun(b"hello")
    late = upload_of(ME, attachment.uuid)
    cancel_upload(ME, attachment.uuid)
    monkeypatch.setattr("attachments.uploads.upload_of", lambda *_: late)  # asked just before
    with pytest.raises(NotFound):
        receive(ME, attachment.uuid, 0, b"hel")
    assert lying() == before


def test_what_was_cancelled_goes_with_the_next_purge() -> None:
    attachment = uploaded(b"not after all")
    cancel_upload(ME, attachment.uuid)
    purge()
    assert not Attachment.objects.exists()


def test_a_purge_takes_all_there_is() -> None:
    Attachment.objects.bulk_create(
        Attachment(
            name="a",
            state=State.UPLOADING,
            owner=f"person:{i}",
            upload_key=f"uploads/zz/{i}",
            announced_bytes=1,
            created_at=now() - timedelta(hours=25),
        )
        for i in range(PURGE_ROWS * 2 + 1)
    )
    purge()
    assert not Attachment.objects.exists()


def test_a_purge_while_the_storage_is_away_forgets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = lying()
    keep([f"erased words {number}".encode() for number in range(3)])
    Blob.objects.update(created_at=now() - timedelta(hours=30))

    def away(key: str) -> None:
        raise StorageAway("The bucket is away.")

    with monkeypatch.context() as broken:
        broken.setattr(storage, "drop", away)
        with pytest.raises(StorageAway):
            purge()
    assert Blob.objects.count() == 3
    assert purge() == 3
    assert lying() == before
