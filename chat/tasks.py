"""Celery's hands."""

from __future__ import annotations

from celery import shared_task

from chat import waiting


@shared_task(name="chat.look_after_waiting")
def look_after_waiting() -> None:
    waiting.look_after_waiting()
