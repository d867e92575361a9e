"""Which pages a visitor looks at: kept for a day in Redis, the last few only, for staff to see."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django.utils.timezone import now

from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client
from helpdesk.lib.text import clean

log = logging.getLogger(__name__)

PAGES_KEPT = 20
KEPT_SECONDS = 86_400
URL_MAX_CHARS = 500
TITLE_MAX_CHARS = 120


@dataclass(frozen=True, slots=True)
class PageVisit:
    title: str
    url: str
    at: datetime


def note_page(session_id: UUID, *, title: str, url: str, origin: str) -> bool:
    """Keep a page that a visitor has come to. False for an address that is no page of `origin`.

    What stands behind ? and # is left out: it may hold names, addresses and keys.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return False
    if origin and origin != f"{parts.scheme}://{parts.netloc}":
        return False
    kept = {
        "title": clean(title).strip()[:TITLE_MAX_CHARS],
        "url": clean(urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")))[:URL_MAX_CHARS],
        "at": now().isoformat(),
    }
    try:
        with asking_redis():
            line: Any = redis_client().pipeline()
            line.lpush(_key(session_id), json.dumps(kept))
            line.ltrim(_key(session_id), 0, PAGES_KEPT - 1)
            line.expire(_key(session_id), KEPT_SECONDS)
            line.execute()
    except AWAY as error:
        log.warning("page visit not kept: %s", error)
    return True


def pages_of(session_id: UUID) -> list[PageVisit]:
    """The last PAGES_KEPT, latest first; none where Redis is away or a day has passed."""
    try:
        with asking_redis():
            found = cast("list[bytes]", redis_client().lrange(_key(session_id), 0, -1))
    except AWAY:
        return []
    rows = (json.loads(one) for one in found)
    return [PageVisit(one["title"], one["url"], datetime.fromisoformat(one["at"])) for one in rows]


def _key(session_id: UUID) -> str:
    return f"visit:pages:{session_id.hex}"
