"""Celery's hands: ids in, one call."""

from __future__ import annotations

from celery import shared_task

from attachments.models import Check
from helpdesk.lib import work
from tickets.models import InboundEmail, Mailbox, MailboxAlarm, OutgoingEmail
from tickets.operations import alarms, files
from tickets.operations.counts import fold_counts as fold
from tickets.operations.email import deliver_email
from tickets.operations.fetching import fetch_mailbox as fetch_one
from tickets.operations.filing import file_inbound as file_one


@shared_task(name="tickets.sweep")
def sweep() -> None:
    """Ring for every piece of work, of any app, that waits longer than its bell should take."""
    work.sweep()


@shared_task(name="tickets.fold_counts")
def fold_counts() -> None:
    fold()


@shared_task(name=Mailbox.TASK)
def fetch_mailbox(pk: int) -> None:
    work.perform(Mailbox, pk, fetch_one)


@shared_task(name="tickets.watch_mailboxes")
def watch_mailboxes() -> None:
    alarms.watch_mailboxes()


@shared_task(name=MailboxAlarm.TASK)
def mail_alarm(pk: int) -> None:
    work.perform(MailboxAlarm, pk, alarms.mail_alarm)


@shared_task(name=Check.TASK)
def check_file(pk: int) -> None:
    files.perform_checks(pk)


@shared_task(name=InboundEmail.TASK)
def file_inbound(pk: int) -> None:
    work.perform(InboundEmail, pk, file_one)


@shared_task(name=OutgoingEmail.TASK)
def deliver(pk: int) -> None:
    deliver_email(pk)
