"""A folder takes a file in pieces, each where the one before ended, whoever dies in between."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import pytest

from attachments import storage
from attachments.models import new_key
from tests.attachments.conftest import begin, said

PIECE_BYTES = 4 * 1024 * 1024
PATTERN = bytes(range(251))

# Adds whole pieces of its own letter, wherever the file ends just then.
APPENDER = """
import sys
from attachments import storage
key, letter, pieces = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
offset = refused = 0
while pieces:
    try:
        offset = storage.append(key, offset, [letter * 10_000])
        pieces -= 1
    except storage.WrongOffset as error:
        offset = error.size
        refused += 1
print(refused)
"""

# Sends a file from where we have it on, until somebody kills it.
SENDER = """
import sys
from attachments import storage
key, piece_bytes = sys.argv[1], int(sys.argv[2])
pattern = bytes(range(251)) * (piece_bytes // 251 + 2)
offset = storage.size(key) or 0
print("going", flush=True)
while True:
    piece = pattern[offset % 251:][:piece_bytes]
    offset = storage.append(key, offset, [piece])
"""

# A disk that is full in the middle of the second piece.
FULL = """
import resource, sys
from attachments import storage
resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))
storage.append(sys.argv[1], 0, [b"a" * 10_000])
try:
    storage.append(sys.argv[1], 10_000, [b"b" * 10_000])
except OSError as error:
    print(error.strerror.replace(" ", "-"))
"""


def bytes_at(key: str) -> bytes:
    return b"".join(storage.read(key, 0, storage.size(key) or 0))


def test_pieces_follow_each_other(folder: Path) -> None:
    key = new_key()
    assert storage.append(key, 0, [b"one "]) == 4
    assert storage.append(key, 4, [b"two "]) == 8
    assert storage.append(key, 8, [b""]) == 8
    assert storage.append(key, 8, [b"three"]) == 13
    assert bytes_at(key) == b"one two three"


@pytest.mark.parametrize("offset", [0, 3, 5, 1_000])
def test_a_piece_that_belongs_elsewhere_is_refused_and_changes_nothing(
    folder: Path, offset: int
) -> None:
    key = new_key()
    storage.append(key, 0, [b"here"])
    with pytest.raises(storage.WrongOffset) as caught:
        storage.append(key, offset, [b"elsewhere"])
    assert caught.value.size == 4
    assert bytes_at(key) == b"here"


def test_a_piece_that_comes_after_the_file_was_dropped_leaves_nothing_behind(folder: Path) -> None:
    key = new_key()
    storage.append(key, 0, [b"cancelled"])
    storage.drop(key)
    with pytest.raises(storage.WrongOffset) as caught:
        storage.append(key, 9, [b" in between"])
    assert caught.value.size == 0
    assert not storage.lies(key)


def test_two_who_append_at_once_tear_nothing_apart(folder: Path) -> None:
    key = new_key()
    senders = [begin(APPENDER, key, letter, 400, data=folder) for letter in "ab"]
    refused = [int(said(sender)[0]) for sender in senders]

    content = bytes_at(key)
    pieces = [content[at : at + 10_000] for at in range(0, len(content), 10_000)]
    assert sorted(pieces) == [b"a" * 10_000] * 400 + [b"b" * 10_000] * 400
    assert sum(refused) > 0  # they did meet


def test_whoever_is_killed_in_the_middle_leaves_a_beginning_to_go_on_from(folder: Path) -> None:
    key = new_key()
    have = 0
    for _ in range(5):
        sender = begin(SENDER, key, PIECE_BYTES, data=folder)
        assert sender.stdout
        with sender.stdout as out:
            assert out.readline()
        time.sleep(random.uniform(0.01, 0.05))
        sender.kill()
        sender.wait()
        size = storage.size(key) or 0
        assert size >= have
        have = size

    after = PATTERN[have % 251 :] + PATTERN
    assert storage.append(key, have, [after]) == have + len(after)  # nobody holds it any more
    whole = have + len(after)
    expected = (PATTERN * (whole // 251 + 1))[:whole]
    assert hashlib.sha256(bytes_at(key)).digest() == hashlib.sha256(expected).digest()


def test_a_disk_that_is_full_leaves_a_beginning_to_go_on_from(folder: Path) -> None:
    key = new_key()
    assert said(begin(FULL, key, data=folder)) == ["File-too-large"]
    assert storage.size(key) == 15_000
    assert storage.append(key, 15_000, [b"b" * 5_000]) == 20_000
    assert bytes_at(key) == b"a" * 10_000 + b"b" * 10_000


def test_browsers_send_to_us_and_fetch_from_us(folder: Path) -> None:
    assert storage.upload_form(new_key(), 10) is None
    assert storage.public_url(new_key(), name="a.png", media_type="image/png", shown=True) is None
