"""The widget's script, and the demo shop it stands in."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe

from tickets.models import Inbox

SCRIPT = Path(__file__).parent / "static" / "chat" / "widget.js"


@dataclass(frozen=True, slots=True)
class Script:
    plain: bytes
    gzipped: bytes
    etag: str


@cache
def script() -> Script:
    """The widget, read and packed once a process."""
    plain = SCRIPT.read_bytes()
    return Script(plain, gzip.compress(plain, mtime=0), f'"{hashlib.sha256(plain).hexdigest()}"')


@require_safe
def widget_script(request: HttpRequest) -> HttpResponseBase:
    """The one request that a page view costs. A new version is everywhere within an hour."""
    found = script()
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(
        found.gzipped if packed else found.plain, content_type="text/javascript; charset=utf-8"
    )
    if packed:
        response["Content-Encoding"] = "gzip"
    response["ETag"] = found.etag
    response["Cache-Control"] = "public, max-age=3600, stale-while-revalidate=86400"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Access-Control-Allow-Origin"] = "*"
    patch_vary_headers(response, ["Accept-Encoding"])
    return get_conditional_response(request, found.etag, response=response) or response


@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """A small shop with the real widget, where DEMO is on."""
    inbox = Inbox.objects.exclude(widget_key=None).order_by("pk").first()
    if not settings.DEMO or inbox is None:
        raise Http404
    return render(request, "chat/demo.html", {"inbox": inbox})
