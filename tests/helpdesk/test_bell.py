"""A bell that we write ourselves, beside one that Celery writes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.utils.timezone import now

from helpdesk.lib import bell
from helpdesk.lib.redis_client import redis_client

QUEUE = "celery:celery"


def taken() -> dict[str, Any]:
    raw = redis_client().lpop(QUEUE)
    assert isinstance(raw, bytes)
    found: dict[str, Any] = json.loads(raw)
    return found


def test_it_is_what_celery_writes() -> None:
    redis_client().delete(QUEUE)
    current_app.send_task("tickets.file_inbound", [7], expires=300, ignore_result=True)
    theirs = taken()
    bell.toll("tickets.file_inbound", 7)
    ours = taken()
    for one in (ours, theirs):
        head, about = one["headers"], one["properties"]
        assert head["id"] == head["root_id"] == about["correlation_id"]
        expires_at = datetime.fromisoformat(head["expires"])
        assert timedelta(seconds=290) < expires_at - now() <= timedelta(seconds=300)
        # What differs from bell to bell, or from process to process.
        for part, names in ((head, "id root_id origin expires"), (about, "correlation_id")):
            assert all(part.pop(name) for name in names.split())
        assert about.pop("reply_to")
        assert about.pop("delivery_tag")
    assert ours == theirs
    assert redis_client().llen(QUEUE) == 0
