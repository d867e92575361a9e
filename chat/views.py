"""The widget's scripts, and the demo shop it stands in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import minify
import zopfli.gzip
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe

from tickets.models import Inbox

JAVASCRIPT = "text/javascript"
CHAT = Path(__file__).parent / "static" / "chat"
UPLOADS = settings.BASE_DIR / "helpdesk" / "static" / "js" / "uploads.js"
# What comes in one request; a later module imports from those before it.
SCRIPTS = {
    "widget.js": [CHAT / "widget.js"],
    "chat.js": [UPLOADS, CHAT / "chat.js"],
    "look.js": [CHAT / "look.js"],
}
IMPORT = re.compile(r"^import .*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    plain: bytes
    gzipped: bytes
    etag: str


@cache
def script(name: str) -> Script:
    """One of SCRIPTS, read, made small and packed once a process."""
    text = "".join(IMPORT.sub("", file.read_text("utf-8")) for file in SCRIPTS[name])
    plain = minify.string(JAVASCRIPT, text).encode()
    packed = zopfli.gzip.compress(plain)
    return Script(plain, packed, f'"{hashlib.sha256(plain).hexdigest()}"')


@require_safe
def widget_script(request: HttpRequest, name: str) -> HttpResponseBase:
    """One of SCRIPTS, for pages of every site. A new version is everywhere within an hour.

    `widget.js` is the one request that a page view costs. It loads `chat.js` once there is
    something to show, and that loads `look.js` for the first file that somebody looks at.
    """
    found = script(name)
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(
        found.gzipped if packed else found.plain, content_type=f"{JAVASCRIPT}; charset=utf-8"
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
