"""What stops us from starting, said in one line with its mend."""

from __future__ import annotations


class CannotStart(Exception):
    """Something is missing or in the way. The text is one line: what, and how to mend it."""
