"""What kind of file some bytes are, and whether a browser may show them on our pages."""

from __future__ import annotations

import puremagic

SNIFFED_BYTES = 8_192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"

# Shown in the browser under their own type. Everything else is only ever downloaded: HTML and SVG
# can carry scripts, and nobody knows what the next format can carry.
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
SHOWN = IMAGES | {"application/pdf"}
# What the small pictures are that we make of files.
PREVIEW = "image/webp"


def type_of(content: bytes) -> str:
    """The media type of a file, read from its bytes; its name and what was said of it count for
    nothing. What is readable is text/plain, whatever it is written in, HTML and SVG included."""
    head = content[:SNIFFED_BYTES]
    if _is_text(head):
        return TEXT
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError, IndexError):
        return UNKNOWN
    return next((one.mime_type.lower() for one in found if one.mime_type), UNKNOWN)


def _is_text(head: bytes) -> bool:
    if b"\0" in head or head.startswith(b"%PDF"):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == SNIFFED_BYTES  # cut in a character
    return True
