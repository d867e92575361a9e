"""What the widget speaks. Its words are in `words/<language>.json`, ours in `locale/`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.utils.translation import override
from django.utils.translation.trans_real import parse_accept_lang_header

WORDS = Path(__file__).parent / "words"
DEFAULT = "en"
NAME = re.compile(r"\bTEXT\.(\w+)")

P = ParamSpec("P")
T = TypeVar("T")


@cache
def languages() -> frozenset[str]:
    return frozenset(file.stem for file in WORDS.glob("*.json"))


def closest(tag: str) -> str:
    """The language we speak that a tag such as "de-AT" asks for; English where we speak none."""
    language = tag[:2].lower()
    return language if language in languages() else DEFAULT


def wanted(header: str) -> str:
    """The first language of an Accept-Language header that we speak."""
    for tag, _weight in parse_accept_lang_header(header):
        if tag[:2] in languages():
            return closest(tag)
    return DEFAULT


@cache
def words_in(language: str) -> dict[str, str]:
    """Everything the widget says, by name."""
    words: dict[str, str] = json.loads((WORDS / f"{language}.json").read_text("utf-8"))
    return {"lang": language, **words}


def with_words(text: str, language: str) -> str:
    """A script with its words where it has their names: TEXT.send becomes "Send".

    Raises KeyError for a name that the language lacks.
    """
    words = words_in(language)
    return NAME.sub(lambda found: json.dumps(words[found[1]], ensure_ascii=False), text)


def spoken(language: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, with every sentence it writes in this language."""
    with override(language):
        return work(*args, **kwargs)
