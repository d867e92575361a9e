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

from chat.languages import closest, with_words
from chat.queries import visit_card
from tickets.access import access_ticket, viewer_for
from tickets.models import Inbox
from tickets.views.frame import DeskRequest, desk_page

JAVASCRIPT = "text/javascript"
CHAT = Path(__file__).parent / "static" / "chat"
UPLOADS = settings.BASE_DIR / "helpdesk" / "static" / "js" / "uploads.js"
# What comes in one request; a later module imports from those before it.
SCRIPTS = {
    "widget.js": [CHAT / "widget.js"],
    "chat.js": [CHAT / "style.js", CHAT / "dom.js", CHAT / "chat.js"],
    "files.js": [UPLOADS, CHAT / "files.js"],
    "look.js": [CHAT / "look.js"],
    "more.js": [CHAT / "more.js"],
    "people.js": [CHAT / "people.js"],
    "api.js": [CHAT / "api.js"],
    "lease.js": [CHAT / "lease.js"],
    "past.js": [CHAT / "past.js"],
}
IMPORT = re.compile(r"^import .*\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function) (\w+))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    plain: bytes
    gzipped: bytes
    etag: str


@cache
def script(name: str, language: str) -> Script:
    """One of SCRIPTS with its words, read, made small and packed once a process."""
    text = "".join(IMPORT.sub("", file.read_text("utf-8")) for file in SCRIPTS[name])
    text = _as_one(with_words(text, language))
    plain = minify.string(JAVASCRIPT, text).encode()
    packed = zopfli.gzip.compress(plain)
    return Script(plain, packed, f'"{hashlib.sha256(plain).hexdigest()}"')


def _as_one(text: str) -> str:
    """One module, which exports what the last of its files exports last. All else is inside of a
    function, where names can be made short."""
    exported = EXPORT.findall(text)
    if not exported:
        return text
    return (
        f"export const {exported[-1]} = (() => {{{EXPORT.sub('', text)}return {exported[-1]}}})()"
    )


@require_safe
def widget_script(request: HttpRequest, name: str) -> HttpResponseBase:
    """One of SCRIPTS, for pages of every site. A new version is everywhere within an hour.

    `widget.js` is the one request that a page view costs. It loads `chat.js` once there is
    something to show, and that loads the others when they are first needed. `?lang=` says which
    language the words are in that come with it.
    """
    found = script(name, closest(request.GET.get("lang", "")))
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
@desk_page
def visit(request: DeskRequest, number: int) -> HttpResponse:
    """What a chat's visitor looks at and says of themselves, for the side column of its ticket."""
    ticket = access_ticket(viewer_for(request.user), number)
    return render(request, "chat/_visit.html", {"visit": visit_card(ticket)})


@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """A small shop with the real widget, where DEMO is on."""
    inbox = Inbox.objects.exclude(widget_key=None).order_by("pk").first()
    if not settings.DEMO or inbox is None:
        raise Http404
    return render(request, "chat/demo.html", {"inbox": inbox})
