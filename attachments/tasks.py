"""Celery's hands."""

from __future__ import annotations

from celery import shared_task

from attachments import operations


@shared_task(name="attachments.purge")
def purge() -> None:
    operations.purge()
