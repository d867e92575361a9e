"""News that travels upward by name: the floors below never import those above.

`settings.SUBSCRIPTIONS` maps a name to dotted paths of subscribers. A subscriber is a plain
decision: it takes the news and returns an unsaved Work row, or None. It may not query; the
publisher writes the row, inside the transaction that made the news, in a savepoint of its
own. A subscriber that fails is logged and never blocks the writer; its own app's sweep finds
what it missed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from helpdesk.lib import work

log = logging.getLogger(__name__)

Subscriber = Callable[[Any], work.Work | None]


def publish(name: str, news: object) -> None:
    """Let every subscriber of `name` decide, and write the work they ask for.

    To be called inside a transaction. Never raises.
    """
    for path in settings.SUBSCRIPTIONS.get(name, ()):
        try:
            with connection.execute_wrapper(_no_queries):
                row = _subscriber(path)(news)
            if row is not None:
                with transaction.atomic():
                    row.save(force_insert=True)
                work.ring_on_commit(row)
        except Exception:
            log.exception("subscriber %s failed on %s", path, name)


def is_wanted(name: str, news: object) -> bool:
    """Would anybody write work for such news? For those who have to know before it is news: what a
    subscriber wants may depend on what happened, not on the numbers that it was given.

    A subscriber that fails wants it: `publish` then says what is wrong.
    """
    try:
        return any(_subscriber(path)(news) for path in settings.SUBSCRIPTIONS.get(name, ()))
    except Exception:  # noqa: BLE001
        return True


@cache
def _subscriber(path: str) -> Subscriber:
    subscriber: Subscriber = import_string(path)
    return subscriber


def _no_queries(*args: object) -> NoReturn:
    raise RuntimeError("A subscriber decides from the news alone; it may not query.")
