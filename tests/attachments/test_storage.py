"""One storage, whether the bytes lie in a folder or in a bucket of a real S3 API."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from attachments import storage
from attachments.models import new_key
from attachments.operations import keep
from tests.attachments.conftest import store_in
from tests.fakes.imap import free_port


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


def bytes_at(key: str, start: int = 0, end: int = 1_000_000) -> bytes:
    return b"".join(storage.read(key, start, end))


@pytest.mark.usefixtures("place")
def test_what_is_put_can_be_read_again() -> None:
    key = new_key()
    assert not storage.lies(key)
    assert storage.size(key) is None

    storage.put(key, b"some words")

    assert storage.lies(key)
    assert storage.size(key) == 10
    assert bytes_at(key, 0, 10) == b"some words"


@pytest.mark.usefixtures("place")
def test_no_bytes_are_bytes_too() -> None:
    key = new_key()
    storage.put(key, b"")
    assert storage.lies(key)
    assert storage.size(key) == 0
    assert bytes_at(key, 0, 0) == b""


@pytest.mark.usefixtures("place")
def test_any_range_of_it_can_be_read() -> None:
    key, content = new_key(), bytes(range(256)) * 4
    storage.put(key, content)
    for start, end in ((0, 1), (10, 20), (1_000, 1_024), (1_000, 9_999), (1_024, 1_025), (7, 7)):
        assert bytes_at(key, start, end) == content[start:end], (start, end)


@pytest.mark.usefixtures("place")
def test_it_is_read_in_small_pieces() -> None:
    key, content = new_key(), bytes(range(256)) * 10_000
    storage.put(key, content)
    pieces = list(storage.read(key, 0, len(content)))
    assert b"".join(pieces) == content
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= storage.CHUNK_BYTES


@pytest.mark.usefixtures("place")
def test_a_reader_may_leave_in_the_middle() -> None:
    key = new_key()
    storage.put(key, bytes(1_000_000))
    for _ in range(40):  # more often than connections are kept
        assert next(storage.read(key, 0, 1_000_000))
    assert storage.size(key) == 1_000_000


@pytest.mark.usefixtures("place")
def test_where_nothing_lies_nothing_is_read() -> None:
    for start, end in ((0, 10), (0, 0)):
        pieces = storage.read(new_key(), start, end)  # nobody has looked yet
        with pytest.raises(FileNotFoundError):
            next(pieces)


@pytest.mark.usefixtures("place")
def test_what_is_dropped_is_gone_and_may_be_dropped_again() -> None:
    key = new_key()
    storage.put(key, b"for a moment")
    storage.drop(key)
    assert not storage.lies(key)
    storage.drop(key)


@pytest.mark.usefixtures("place")
def test_what_is_moved_lies_in_one_place() -> None:
    key, to = new_key(), new_key()
    storage.put(key, b"looked into")

    storage.move(key, to)

    assert not storage.lies(key)
    assert bytes_at(to) == b"looked into"
    storage.move(key, to)  # whoever did it the first time was killed before they could say so
    assert bytes_at(to) == b"looked into"
    with pytest.raises(FileNotFoundError):
        storage.move(key, new_key())


@pytest.mark.usefixtures("place")
def test_what_lies_there_already_is_not_moved_over() -> None:
    key, to = new_key(), new_key()
    storage.put(key, b"came later")
    storage.put(to, b"looked into")
    storage.move(key, to)
    assert not storage.lies(key)
    assert bytes_at(to) == b"looked into"


@pytest.mark.usefixtures("place")
def test_everything_that_lies_there_is_found_with_its_size_and_time() -> None:
    assert list(storage.keys("")) == []
    sizes = {new_key(): size for size in range(20)} | {"blobs-of-others/1": 1, "top": 2}
    for key, size in sizes.items():
        storage.put(key, bytes(size))
    some = next(key for key in sizes if key.startswith("blobs/"))

    found = list(storage.keys(""))

    assert {key: size for key, size, _at in found} == sizes
    assert all(abs(now() - at) < timedelta(minutes=1) for _key, _size, at in found)
    blobs = {key for key in sizes if key.startswith("blobs/")}
    assert {key for key, _size, _at in storage.keys("blobs/")} == blobs
    assert {key for key, _size, _at in storage.keys("blobs")} == blobs | {"blobs-of-others/1"}
    assert [key for key, _size, _at in storage.keys(some[:20])] == [some]
    assert list(storage.keys("none/")) == list(storage.keys("top/")) == []


@pytest.mark.usefixtures("place")
def test_many_threads_use_it_at_once() -> None:
    kept: list[bytes] = []

    def work(number: int) -> None:
        key = new_key()
        storage.put(key, bytes([number]) * 1_000)
        kept.append(bytes_at(key))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept) == [bytes([number]) * 1_000 for number in range(8)]


@pytest.mark.django_db
@pytest.mark.usefixtures("place")
def test_a_file_that_comes_with_a_mail_is_kept_there() -> None:
    (blob,) = keep([b"a signature"])
    (again,) = keep([b"a signature"])
    assert again == blob
    assert bytes_at(blob.key) == b"a signature"


def test_a_storage_that_cannot_be_reached_fails_as_a_disk_does(
    settings: Settings, tmp_path: Path
) -> None:
    store_in(
        settings,
        tmp_path,
        S3_BUCKET="files",
        S3_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}",
        S3_ACCESS_KEY="helpdesk",
        S3_SECRET_KEY="secret",
    )
    for attempt in (
        lambda: storage.put("key", b"x"),
        lambda: next(storage.read("key", 0, 1)),
        lambda: storage.size("key"),
        lambda: storage.lies("key"),
        lambda: storage.drop("key"),
        lambda: storage.move("key", "other"),
        lambda: next(storage.keys("")),
    ):
        with pytest.raises(OSError, match="connect") as caught:
            attempt()
        assert not isinstance(caught.value, FileNotFoundError)


def test_a_bucket_that_does_not_exist_is_not_an_empty_one(
    settings: Settings, tmp_path: Path, bucket: dict[str, str]
) -> None:
    store_in(settings, tmp_path, **bucket | {"S3_BUCKET": "nobody-made-it"})
    for attempt in (lambda: storage.put("key", b"x"), lambda: next(storage.keys(""))):
        with pytest.raises(OSError, match="bucket does not exist"):
            attempt()
