"""Mailboxes on a test's server, and one run of their work."""

from __future__ import annotations

from django.utils.timezone import now

from helpdesk.lib import work
from tests.fakes.imap import PASSWORD, Server
from tickets.models import InboundEmail, Inbox, Mailbox
from tickets.operations.fetching import fetch_mailbox
from tickets.operations.filing import file_inbound


def mailbox_on(server: Server, inbox: Inbox, user: str, **more: object) -> Mailbox:
    return Mailbox.objects.create(
        name=user,
        inbox=inbox,
        **{"kind": Mailbox.Kind.IMAP, "password": PASSWORD, **more},
        host=server.host,
        port=server.port,
        tls=False,
        username=user,
    )


def fetch(mailbox: Mailbox) -> Mailbox:
    """One run of the mailbox's work, now."""
    Mailbox.objects.filter(pk=mailbox.pk).update(due_at=now())
    work.perform(Mailbox, mailbox.pk, fetch_mailbox)
    mailbox.refresh_from_db()
    return mailbox


def file_all() -> None:
    for row in InboundEmail.objects.filter(state="queued"):
        work.perform(InboundEmail, row.pk, file_inbound)
