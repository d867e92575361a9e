"""Small things done to people's words."""

from __future__ import annotations

import re
import unicodedata

PREVIEW_CHARS = 160

_SPACE = re.compile(r"\s+")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
# Control characters that no one types on purpose; PostgreSQL refuses NUL in text outright.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")


def clean(text: str) -> str:
    """The text as we store it: NFC, newlines as \\n, no control or lone surrogate characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFC", text)


def says_nothing(text: str) -> bool:
    """True for a text without a visible character: spaces, controls, zero-width signs."""
    return all(unicodedata.category(c)[0] in "ZC" for c in text)


def fold(text: str) -> str:
    """The text as search compares it: no marks, no case ("Übung" and "ubung" are one word)."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return _BEYOND_ASCII.sub(_without_marks, decomposed).casefold()


def _without_marks(found: re.Match[str]) -> str:
    return "".join(c for c in found[0] if not unicodedata.combining(c))


def words_of(text: str) -> str:
    """Only the words of a text, as a search asks for them. PostgreSQL takes "photo.jpg" for a host
    and an address for one word, and would find neither by its end."""
    return _BETWEEN_WORDS.sub(" ", text)


def preview(text: str) -> str:
    """The first PREVIEW_CHARS characters on one line."""
    line = _SPACE.sub(" ", text[: PREVIEW_CHARS * 4]).strip()
    return line if len(line) <= PREVIEW_CHARS else line[: PREVIEW_CHARS - 1].rstrip() + "…"
