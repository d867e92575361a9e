"""The bytes of a file, for those who bring a link that opens it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from attachments import storage
from attachments.kinds import UNKNOWN
from attachments.lasting import link_of
from attachments.links import link_to, opened, served
from attachments.models import Attachment, FileLink
from attachments.names import disposition
from helpdesk.lib.addresses import sender_of
from helpdesk.lib.errors import NotFound, SlowDown
from helpdesk.lib.limits import hit

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Whatever a file holds, nothing in it runs, and nothing in it asks for more.
POLICY = (
    "default-src 'none'; object-src 'self'; media-src 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
)


@require_http_methods(["GET", "HEAD", "OPTIONS"])
def file_bytes(request: HttpRequest, signed: str, name: str) -> HttpResponseBase:
    """The file or its preview, or the range of it that was asked for (RFC 9110, 14). The name is
    only for people; what is opened is what was signed. Scripts of every page may read it: the
    link alone opens it, and no cookie. Raises NotFound, and Refused for what was closed since the
    link was made."""
    if request.method == "OPTIONS":  # not every browser lets Range through unasked
        return HttpResponse(
            status=204,
            headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "Range"},
        )
    link = opened(signed)
    file = Attachment.objects.select_related("blob").filter(pk=link.attachment_id).first()
    if file is None:
        raise NotFound
    what = served(file, link.way)
    size = storage.size(what.key)
    if size is None:
        raise NotFound
    start, end = asked_range(request.headers.get("Range", ""), size)
    if start >= end and size:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {
        "Content-Type": what.media_type if what.shown else UNKNOWN,
        "Content-Disposition": disposition(file.name, shown=what.shown),
        "Content-Length": str(end - start),
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": "private, max-age=300",
    }
    partly = (start, end) != (0, size)
    if partly:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    pieces = storage.read(what.key, start, end)
    return StreamingHttpResponse(_drawn(pieces), status=206 if partly else 200, headers=headers)


STATUS = {
    FileLink.State.EXPIRED: 410,
    FileLink.State.REVOKED: 410,
    FileLink.State.WITHHELD: 403,
}


@require_safe
def lasting_link(request: HttpRequest, token: str, name: str) -> HttpResponse:
    """On to the bytes, for whoever has the mail; a page that says why not, once that has ended.

    Raises NotFound for a token that is not ours, SlowDown for an address that tries too often.
    """
    if wait := hit(f"lasting:{sender_of(request)}", settings.FILE_LINKS_PER_MINUTE, 60):
        raise SlowDown(wait)
    link = link_of(token)
    if status := STATUS.get(link.state):
        response = render(request, "attachments/link_ended.html", {"link": link}, status=status)
    else:
        asked_to_save = "download" in request.GET
        response = redirect(link_to(link.attachment, "save" if asked_to_save else "show"))
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"  # mails are forwarded, and some archives are public
    return response


def asked_range(header: str, size: int) -> tuple[int, int]:
    """The first byte and the one after the last. Everything where nothing sensible is asked for;
    an empty range where what is asked for lies beyond the end."""
    match = RANGE.fullmatch(header)
    if match is None or not any(match.groups()):
        return 0, size
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


async def _drawn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Piece by piece from a thread, each while the one before it leaves: under ASGI a plain
    iterator would be read to its end first."""
    draw = sync_to_async(lambda: next(pieces, None), thread_sensitive=False)
    coming = asyncio.ensure_future(draw())
    try:
        while (piece := await coming) is not None:
            coming = asyncio.ensure_future(draw())
            yield piece
    finally:
        coming.cancel()
