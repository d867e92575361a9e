"""Celery's hands: ids in, one call."""

from __future__ import annotations

from celery import shared_task

from ai import operations
from ai.models import Answer
from helpdesk.lib import work


@shared_task(name=Answer.TASK)
def answer(pk: int) -> None:
    work.perform(Answer, pk, operations.answer)


@shared_task(name="ai.find_unanswered")
def find_unanswered() -> None:
    operations.find_unanswered()
