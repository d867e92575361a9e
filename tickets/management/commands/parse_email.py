from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from helpdesk.lib.text import clean
from tickets.mail.parse import parse_email
from tickets.mail.reply import split_reply
from tickets.mail.reply_html import split_html
from tickets.mail.sanitize import sanitize
from tickets.mail.text import html_to_text


class Command(BaseCommand):
    help = (
        "Take mails apart and print one JSON object a line. Reads files only: no database, nothing"
        " is stored. Exits 1 if a file could not be read."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="a mail, or - for stdin")
        parser.add_argument(
            "--reply",
            action="store_true",
            help="the files are bare bodies (.html or text); print only file and visible_reply",
        )
        parser.add_argument(
            "--sanitize",
            action="store_true",
            help="the files are bare HTML; print only file and html, as it would be shown",
        )

    def handle(self, *, files: list[str], reply: bool, **options: object) -> None:
        read = _sanitized if options["sanitize"] else _reply if reply else _whole
        unreadable = 0
        for name in files:
            try:
                raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            except OSError as error:
                self.stderr.write(f"{name}: {error.strerror}")
                unreadable += 1
                continue
            self.stdout.write(json.dumps({"file": name, **read(name, raw)}))
        if unreadable:
            raise CommandError(f"{unreadable} of {len(files)} files could not be read.")


def _whole(name: str, raw: bytes) -> dict[str, object]:
    return parse_email(raw).as_dict()


def _sanitized(name: str, raw: bytes) -> dict[str, object]:
    return {"html": sanitize(clean(raw.decode("utf-8", "replace")))}


def _reply(name: str, raw: bytes) -> dict[str, object]:
    text = clean(raw.decode("utf-8", "replace"))
    if Path(name).suffix.lower() in {".html", ".htm"}:
        return {"visible_reply": html_to_text(split_html(text).visible)}
    return {"visible_reply": split_reply(text).visible}
