"""`manage.py watch_mail`: the one process that listens to all IMAP mailboxes."""

from __future__ import annotations

import signal
import threading

from django.core.management.base import BaseCommand

from tickets.operations.listening import Switchboard

STACK_BYTES = 512 * 1024  # a thread for each mailbox, which does little


class Command(BaseCommand):
    help = (
        "Listen to all IMAP mailboxes (IDLE) until SIGTERM, so that mail shows within seconds. It"
        " only rings: without it mailboxes are fetched every so often."
    )
    requires_system_checks = ()

    def handle(self, **options: object) -> None:
        threading.stack_size(STACK_BYTES)
        switchboard = Switchboard()
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, lambda *_: switchboard.end())
        switchboard.run()
