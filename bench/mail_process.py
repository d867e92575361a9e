"""`python -m bench.mail_process DATABASE MAILS MB`: file mails, and say how the process grew.

Grown is from a fifth of the mails on, when everything is imported and every cache is filled.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

import django
import psutil

BEFORE = """From: Carol <carol@mail.example>\r
To: hello@shop.example\r
Subject: The film\r
Message-ID: <large@mail.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=x\r
\r
--x\r
Content-Type: text/plain\r
\r
Here it is.\r
--x\r
Content-Type: video/mp4; name=film.mp4\r
Content-Disposition: attachment; filename=film.mp4\r
Content-Transfer-Encoding: base64\r
\r
"""
LINE_BYTES = 57  # as base64 they are a line of 76 letters
PAGE = 500


def main() -> None:
    database, count, large_mb = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    path = Path(os.environ["HELPDESK_DATA"]) / "large.eml"
    _write(path, large_mb)
    django.setup()
    from bench.mail import file_one
    from bench.mails import mails
    from bench.parts import use_database
    from helpdesk.lib.work import perform
    from tickets.models import InboundEmail
    from tickets.operations.fetching import record_inbound
    from tickets.operations.filing import file_inbound

    use_database(database)
    us = psutil.Process()
    warm = 0
    for start in range(0, count, PAGE):
        if start >= count / 5 and not warm:
            warm = us.memory_info().rss
        for raw in mails(PAGE, seed=start):
            file_one(raw)
    growth = us.memory_info().rss - warm
    row = record_inbound(path.read_bytes(), source="bench")
    assert row
    pk = row.pk
    del row
    perform(InboundEmail, pk, file_inbound)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    print(json.dumps({"growth_mb": growth / 1e6, "peak_mb": peak_bytes / 1e6}))


def _write(path: Path, size_mb: int) -> None:
    """A mail of so many MB, most of it one file, made line by line."""
    import base64

    with path.open("wb") as out:
        out.write(BEFORE.encode())
        while out.tell() < size_mb * 1_000_000:
            out.write(base64.b64encode(os.urandom(LINE_BYTES)) + b"\r\n")
        out.write(b"--x--\r\n")


if __name__ == "__main__":
    main()
