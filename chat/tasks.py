"""Celery's hands: ids in, one call."""

from __future__ import annotations

from celery import shared_task

from chat import unread
from chat.models import UnreadMail
from helpdesk.lib import work


@shared_task(name=UnreadMail.TASK)
def mail_unread(pk: int) -> None:
    work.perform(UnreadMail, pk, unread.mail_unread)
