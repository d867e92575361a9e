"""What `manage.py doctor` looks at in chat."""

from __future__ import annotations

import base64
import secrets
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from helpdesk.lib.doctor import Finding

DESK = "/ws/desk/"
ANSWER_SECONDS = 5
ADVICE = (
    "Let the proxy pass websockets below /ws/ (docs/operating.md). Until then pages ask every few "
    "seconds, and nobody sees who is typing."
)


def websockets() -> Finding:
    """Knocks at SITE_URL as a page of the desk does, without a login: it is let in, and shown out
    again (RFC 6455, 4.1)."""
    answer = _knock(urlsplit(settings.SITE_URL))
    if answer.status == 101 and answer.getheader("Upgrade", "").lower() == "websocket":
        return Finding("ok", "Pages can open one at SITE_URL.")
    said = f"{answer.status} {answer.reason}".strip()
    return Finding("broken", f"SITE_URL answers {said} where a page opens one.", ADVICE)


def _knock(site: SplitResult) -> HTTPResponse:
    kind = HTTPSConnection if site.scheme == "https" else HTTPConnection
    line = kind(site.netloc, timeout=ANSWER_SECONDS)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Origin": f"{site.scheme}://{site.netloc}",
    }
    try:
        line.request("GET", f"{site.path.rstrip('/')}{DESK}", headers=headers)
        return line.getresponse()
    finally:
        line.close()
