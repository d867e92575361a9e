"""Celery's hands: ids in, one call."""

from __future__ import annotations

from celery import shared_task

from chat import unread, waiting
from chat.models import Transcript, UnreadMail
from chat.transcripts import mail_transcript
from helpdesk.lib import work


@shared_task(name=Transcript.TASK)
def send_transcript(pk: int) -> None:
    work.perform(Transcript, pk, mail_transcript)


@shared_task(name=UnreadMail.TASK)
def mail_unread(pk: int) -> None:
    work.perform(UnreadMail, pk, unread.mail_unread)


@shared_task(name="chat.look_after_waiting")
def look_after_waiting() -> None:
    waiting.look_after_waiting()
