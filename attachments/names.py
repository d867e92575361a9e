"""File names as people gave them, made safe to show and to save."""

from __future__ import annotations

import re
from urllib.parse import quote

from django.utils.http import content_disposition_header

from attachments.models import NAME_MAX_CHARS
from helpdesk.lib.text import clean

# Signs that turn the direction of what follows: "gpj.exe" would be shown as "exe.jpg".
TURNS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ENDING_MAX_CHARS = 20


def disposition(name: str, *, shown: bool) -> str:
    """The Content-Disposition of a file (RFC 6266): shown in the browser, or saved under `name`."""
    kind = "inline" if shown else "attachment"
    if "%" in name:  # some browsers decode what stands in quotes, too
        return f"{kind}; filename*=utf-8''{quote(name, safe='')}"
    return content_disposition_header(not shown, name) or kind


def safe_name(name: str, fallback: str = "file") -> str:
    """The last part of a path, on one line, of at most NAME_MAX_CHARS characters with its
    ending kept; `fallback` where nothing is left."""
    name = TURNS.sub("", clean(name)).replace("\\", "/").rpartition("/")[2]
    name = " ".join(name.split()).strip()
    if len(name) > NAME_MAX_CHARS:
        _stem, dot, ending = name.rpartition(".")
        kept = dot + ending if dot and len(ending) <= ENDING_MAX_CHARS else ""
        name = name[: NAME_MAX_CHARS - len(kept)] + kept
    return name if name.strip(".") else fallback
