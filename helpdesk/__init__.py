"""The project package: settings, wiring and the engines behind `make run`."""

from helpdesk.celery import app as celery_app

__all__ = ["celery_app"]
