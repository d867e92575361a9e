"""Errors become pages, statuses and headers here, once each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from psycopg_pool import PoolTimeout
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from helpdesk.lib.errors import Ended, NotFound, Refused, SlowDown, StorageAway

log = logging.getLogger(__name__)

STORAGE_RETRY_SECONDS = 5
AWAY = (OperationalError, InterfaceError, PoolTimeout, StorageAway)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class plain_errors:
    """Turn our own exceptions into pages with the right status."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        response = self._page(request, error)
        if response is not None:
            # What is missing for one is there for another, and after a login for the same one.
            response["Cache-Control"] = "no-store"
        return response

    def _page(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        match error:
            case NotFound():
                return render(request, "404.html", status=404)
            case Ended():
                return render(request, "refused.html", {"sentence": str(error)}, status=410)
            case Refused():
                return render(request, "refused.html", {"sentence": str(error)}, status=422)
            case SlowDown():
                response = render(request, "refused.html", {"sentence": str(error)}, status=429)
                response["Retry-After"] = str(error.retry_after_seconds)
                return response
            case _ if isinstance(error, AWAY):
                return _away(request, error)
        return None


def storage_away(get_response: GetResponse) -> GetResponse:
    """Say so when a store is away, wherever in the chain of middleware that shows."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        try:
            return get_response(request)
        except AWAY as error:
            return _away(request, error)

    return middleware


def _away(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("a store is away at %s: %s", request.path, error)
    response = render(request, "503.html", status=503)
    response["Retry-After"] = str(STORAGE_RETRY_SECONDS)
    return response


def api_errors(error: Exception, context: dict[str, Any]) -> Response | None:
    """Errors of the HTTP API: {"code", "sentence"} with the right status."""
    match error:
        case NotFound():
            return _problem(404, "not_found", _("There is no such thing."))
        case Refused():
            return _problem(422, "refused", str(error))
        case SlowDown():
            response = _problem(429, "slow_down", str(error))
            response["Retry-After"] = str(error.retry_after_seconds)
            return response
        case _ if isinstance(error, AWAY):
            log.error("a store is away: %s", error)
            sentence = _("We cannot store anything just now. Try again soon.")
            response = _problem(503, "away", sentence)
            response["Retry-After"] = str(STORAGE_RETRY_SECONDS)
            return response
    answer = exception_handler(error, context)
    if answer is not None:  # one of the framework's own: the same shape as ours
        code = getattr(error, "default_code", "refused")
        answer.data = {"code": code, "sentence": _sentence(error)}
    return answer


def _sentence(error: Exception) -> str:
    if isinstance(error, ParseError):
        return _("This is not the JSON we expect.")
    detail: Any = getattr(error, "detail", _("This is not possible."))
    if isinstance(error, ValidationError) and isinstance(detail, dict):
        return " ".join(f"{name}: {texts[0]}" for name, texts in detail.items())
    return str(detail)


def _problem(status: int, code: str, sentence: str) -> Response:
    return Response({"code": code, "sentence": sentence}, status=status)
