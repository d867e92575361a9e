"""However large a file is, a process that takes it or reads it stays small."""

from __future__ import annotations

import hashlib
import http.client
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from attachments import storage
from attachments.models import new_key
from tests.attachments.conftest import begin, said

FILE_BYTES = 200 * 1024 * 1024
GROWTH_MAX_MB = 60
PIECE = secrets.token_bytes(4 * 1024 * 1024)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Most memory the process ever had, in MB more than before it touched its first file. The
# kernel's own figure, for what C libraries take as well.
MEASURED = """
import re, sys
from pathlib import Path
import django
django.setup()
from attachments import storage

def most():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024

before = most()
"""
READ = (
    MEASURED
    + """
import hashlib
total = hashlib.sha256()
for piece in storage.read(sys.argv[1], 0, storage.size(sys.argv[1])):
    total.update(piece)
print(most() - before, total.hexdigest())
"""
)
TAKE = (
    MEASURED
    + """
key, size, have = sys.argv[1], int(sys.argv[2]), 0
while have < size:
    have = storage.append(key, have, [bytes(4 * 1024 * 1024)])
print(most() - before, have)
"""
)


def pieces() -> Iterator[bytes]:
    for _ in range(FILE_BYTES // len(PIECE)):
        yield PIECE


def sum_of_it() -> str:
    total = hashlib.sha256()
    for piece in pieces():
        total.update(piece)
    return total.hexdigest()


def post(form: storage.Form) -> int:
    """As a browser does, which does not hold a large file in memory either."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.fields.items()
    ]
    parts.append('--x\r\nContent-Disposition: form-data; name="file"; filename="film.mp4"\r\n\r\n')
    head, end = "".join(parts).encode(), b"\r\n--x--\r\n"

    def body() -> Iterator[bytes]:
        yield head
        yield from pieces()
        yield end

    url = urlsplit(form.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=120)
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(len(head) + FILE_BYTES + len(end)),
    }
    connection.request("POST", url.path, body(), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_large_file_in_a_bucket_is_read_in_little_memory(
    bucket: dict[str, str], tmp_path: Path
) -> None:
    key = new_key()
    form = storage.upload_form(key, FILE_BYTES)
    assert form
    assert post(form) == 204
    assert storage.size(key) == FILE_BYTES
    grown, total = said(begin(READ, key, data=tmp_path, variables=bucket))
    assert total == sum_of_it()
    assert float(grown) < GROWTH_MAX_MB


def test_a_large_file_in_a_folder_is_taken_and_read_in_little_memory(folder: Path) -> None:
    key = new_key()
    grown, have = said(begin(TAKE, key, FILE_BYTES, data=folder))
    assert int(have) == FILE_BYTES
    assert float(grown) < GROWTH_MAX_MB
    grown, _total = said(begin(READ, key, data=folder))
    assert float(grown) < GROWTH_MAX_MB
