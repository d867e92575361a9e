"""What can go wrong in words. Middleware, the API handler and the consumers translate each once."""

from __future__ import annotations

from django.utils.translation import gettext as _


class NotFound(Exception):
    """There is no such thing, or the viewer may not know of it. The two look alike."""


class Refused(Exception):
    """The request is understood and declined. The text is a sentence for the person who asked."""


class Ended(Refused):
    """It was allowed once, and is no longer."""


class SlowDown(Exception):
    """Too many requests. `retry_after_seconds` says when to come back."""

    def __init__(self, retry_after_seconds: int) -> None:
        sentence = _("Too many requests. Try again in %(seconds)s seconds.")
        super().__init__(sentence % {"seconds": retry_after_seconds})
        self.retry_after_seconds = retry_after_seconds


class TemporaryFailure(Exception):
    """The other side asked us to come back later, or could not be reached."""


class StorageAway(OSError):
    """Where files lie cannot be reached, or takes no more. The same may work in a while."""


class GiveUp(Exception):
    """A piece of work can never succeed. The text says why; no further attempt is made."""
