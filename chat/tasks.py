"""Celery's hands: ids in, one call."""

from __future__ import annotations

from celery import shared_task

from chat.models import Transcript
from chat.transcripts import mail_transcript
from helpdesk.lib import work


@shared_task(name=Transcript.TASK)
def send_transcript(pk: int) -> None:
    work.perform(Transcript, pk, mail_transcript)
