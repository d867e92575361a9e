"""`manage.py receive_mail`: the one process that a mail server hands mail over to, by LMTP."""

from __future__ import annotations

import asyncio

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, close_old_connections

from helpdesk.lib.errors import TemporaryFailure
from tickets.mail.receive_lmtp import opened, receive
from tickets.operations.fetching import record_inbound


class Command(BaseCommand):
    help = (
        "Take mail from a mail server by LMTP, on the address that LMTP_LISTEN names, until"
        " SIGTERM. A mail is accepted once it is stored; until then the server keeps it."
    )
    requires_system_checks = ()

    def handle(self, **options: object) -> None:
        if not settings.LMTP_LISTEN:
            raise CommandError("LMTP_LISTEN is empty: it names where to listen.")
        try:
            door = opened(settings.LMTP_LISTEN)
        except OSError as error:
            raise CommandError(f"Cannot listen on {settings.LMTP_LISTEN}: {error}") from error
        asyncio.run(receive(door, _store))


def _store(raw: bytes) -> None:
    try:
        record_inbound(raw, source="LMTP")
    except (OperationalError, InterfaceError) as error:
        raise TemporaryFailure(f"the database is away: {error}") from error
    finally:
        close_old_connections()
