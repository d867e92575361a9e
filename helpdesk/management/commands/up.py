"""`manage.py up`: the whole helpdesk, on engines of its own unless it is given others."""

from __future__ import annotations

import contextlib
import os
import sys

from django.conf import settings
from django.core.management.base import BaseCommand

from helpdesk.stack.mend import CannotStart
from helpdesk.stack.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run the helpdesk until Ctrl-C: engines, web, worker, beat and mail."
    requires_system_checks: list[str] = []

    def handle(self, **options: object) -> None:
        try:
            Supervisor(settings.DATA_DIR, settings.PORT, os.environ, self._write).run()
        except CannotStart as reason:
            self.stderr.write(str(reason))
            sys.exit(1)

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more: no reason to stop serving
            self.stdout.write(line)
            self.stdout.flush()
