"""The small picture of a file that pages show before anybody opens it."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from attachments import drawing

logger = logging.getLogger(__name__)

SOURCE_MAX_BYTES = 100 * 1024 * 1024
DRAWN = frozenset({*drawing.FORMATS, drawing.PDF})
WAIT_SECONDS = 30  # on a machine that has other work than these CPU seconds
# Each may take drawing.MEMORY_MAX_BYTES. The others wait, a few hundredths of a second as a rule.
AT_ONCE = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Preview:
    content: bytes  # WebP without metadata
    width: int  # pixels
    height: int


def preview_of(pieces: Iterable[bytes], media_type: str) -> Preview | None:
    """A picture or the first page of a PDF, at most drawing.SIDE_MAX pixels on the longer side,
    never enlarged, upright, its first frame if it moves. `pieces` are all its bytes in order.

    None for other types and for what is broken, locked, larger than SOURCE_MAX_BYTES, or takes
    more than the limits in attachments.drawing. Blocks for WAIT_SECONDS at most once its turn has
    come. Raises what `pieces` raises.

    It is drawn by a process of its own, which costs 0.03 s. Here, a PDF of 1,600 bytes took 0.2 GB
    and another of 2,000 ten times as much and ten times as long; pdfium must not be called by two
    threads; and no library of its kind has been free of faults that end a process.
    """
    if media_type not in DRAWN:
        return None
    with AT_ONCE, tempfile.TemporaryFile() as source:
        # A copy: what comes from a bucket has no file that another process could read.
        for piece in pieces:
            source.write(piece)
            if source.tell() > SOURCE_MAX_BYTES:
                return None
        source.seek(0)
        drawn = _drawn(source, media_type)
    if not drawn:
        return None
    width, height = drawing.HEAD.unpack_from(drawn)
    return Preview(drawn[drawing.HEAD.size :], width, height)


def _drawn(source: BinaryIO, media_type: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - our own program, and a type out of DRAWN
            [sys.executable, "-I", drawing.__file__, media_type],
            stdin=source,
            capture_output=True,
            env={},
            timeout=WAIT_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        logger.warning("No preview of a file of type %s: %s", media_type, error)
        return b""
    return done.stdout
