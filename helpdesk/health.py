"""Is this process fit to serve? For load balancers, compose and `make run`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse

log = logging.getLogger(__name__)


def healthz(request: HttpRequest) -> JsonResponse:
    """200 while PostgreSQL answers, 503 otherwise; the body says what is up.

    Without Redis we still accept and show messages, only later, so that is no reason to be
    taken out of service.
    """
    up = {"database": _answers(_ask_database), "redis": _answers(_ask_redis)}
    return JsonResponse(up, status=200 if up["database"] else 503)


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_redis() -> None:
    cache.get("healthz")


def _answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - any fault means that it is not up
        log.warning("%s: %s", ask.__name__, error)
        return False
    return True
