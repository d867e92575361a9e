from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from helpdesk.lib import work
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.models import InboundEmail
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound

STDIN = "-"


class Command(BaseCommand):
    help = (
        "Take in mails from files, or one from stdin (-) as a mail server's pipe. Each is stored"
        " first and then filed. Prints what became of each. Exits 75 if the database is away, so"
        " that a mail server tries again, 65 for a mail that is too large, 1 if a file could not"
        " be read."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="a mail, or - for stdin")

    def handle(self, *, files: list[str], **options: object) -> None:
        unread = 0
        for name in files:
            try:
                raw = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
            except OSError as error:
                self.stderr.write(f"{name}: {error.strerror}")
                unread += 1
                continue
            if len(raw) > RAW_MAX_BYTES:
                limit = f"{RAW_MAX_BYTES:,}"
                self._leave(os.EX_DATAERR, f"{name}: larger than {limit} bytes, not taken")
            try:
                self.stdout.write(f"{name}: {_take(name, raw)}")
            except (OperationalError, InterfaceError) as error:
                self._leave(os.EX_TEMPFAIL, f"{name}: the database is away, not taken: {error}")
        if unread:
            raise CommandError(f"{unread} of {len(files)} files could not be read.")

    def _leave(self, code: int, reason: str) -> None:
        self.stderr.write(" ".join(reason.split()))
        sys.exit(code)


def _take(name: str, raw: bytes) -> str:
    source = "stdin" if name == STDIN else name
    row = record_inbound(raw, source=source, rings=False)
    if row is None:  # only mails with a UID can have been recorded before
        raise AssertionError(name)
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    match row.state:
        case InboundEmail.State.DONE:
            return f"mail {row.pk}, {row.decision}. {row.reason}"
        case InboundEmail.State.FAILED:
            return f"mail {row.pk}, stored but not filed. {row.error}"
        case _:
            return f"mail {row.pk}, stored; it will be tried again. {row.error}"
