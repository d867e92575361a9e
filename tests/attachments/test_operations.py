"""Bytes are kept once, and go when nobody shows them any more."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils.timezone import now

from attachments import storage
from attachments.models import Attachment, Blob
from attachments.operations import keep, purge

pytestmark = pytest.mark.django_db

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de")


def bytes_of(blob: Blob) -> bytes:
    return b"".join(storage.read(blob.key, 0, blob.size_bytes))


def stored() -> list[Path]:
    root = Path(storage.storage().path(""))
    return [path for path in root.rglob("*") if path.is_file()]


def age(hours: float) -> None:
    then = now() - timedelta(hours=hours)
    Blob.objects.update(created_at=then)
    Attachment.objects.update(created_at=then)


def test_what_is_kept_can_be_read_again() -> None:
    picture, words = keep([PNG, b"some words"])
    assert (bytes_of(picture), bytes_of(words)) == (PNG, b"some words")
    assert (picture.type, words.type) == ("image/png", "text/plain")
    assert (picture.size_bytes, words.size_bytes) == (len(PNG), 10)


def test_the_same_bytes_are_kept_once() -> None:
    first, again, other = keep([b"a signature", b"a signature", b"another"])
    (later,) = keep([b"a signature"])
    assert first.pk == again.pk == later.pk != other.pk
    assert Blob.objects.count() == 2


def test_a_part_of_it_can_be_read() -> None:
    (blob,) = keep([bytes(range(100))])
    assert b"".join(storage.read(blob.key, 10, 20)) == bytes(range(10, 20))


@pytest.mark.django_db(transaction=True)
def test_two_who_keep_the_same_at_once_share_one_copy() -> None:
    before = len(stored())
    barrier = threading.Barrier(5)
    kept: list[Blob] = []

    def work() -> None:
        barrier.wait()
        kept.extend(keep([b"sent to two of our addresses"]))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({blob.pk for blob in kept}) == Blob.objects.count() == 1
    assert bytes_of(Blob.objects.get()) == b"sent to two of our addresses"
    assert len(stored()) == before + 1


def test_what_nobody_shows_goes_after_a_day() -> None:
    (blob,) = keep([b"of a mail whose worker died"])
    age(hours=23)
    assert purge() == 0
    age(hours=25)
    assert purge() == 1
    assert not Blob.objects.exists()
    with pytest.raises(FileNotFoundError):
        bytes_of(blob)


def test_an_attachment_without_a_message_goes_with_its_bytes() -> None:
    (blob,) = keep([b"never sent"])
    Attachment.objects.create(name="draft.txt", blob=blob)
    age(hours=25)
    assert purge() == 1
    assert not Attachment.objects.exists()
