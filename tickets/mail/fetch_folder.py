"""Mails that others put into a folder on this disk: a Maildir, or a plain drop folder.

A Maildir must be ours alone: mails are read from `new/` and moved to `cur/`. From a drop folder
they are moved to `done/` below it. Nothing is deleted.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from helpdesk.lib.errors import TemporaryFailure

SETTLE_SECONDS = 2  # a drop folder's file that changed later than this may still be written
UNFINISHED = (".tmp", ".part", ".partial", ".filepart", "~")


def waiting(folder: Path) -> list[Path]:
    """The mails to be read, oldest first. Raises TemporaryFailure if we could not move them."""
    if not folder.is_dir():
        raise TemporaryFailure(f"{folder} is not a folder.")
    source, done = _places(folder)
    try:
        done.mkdir(exist_ok=True)
        probe = done / f".{uuid.uuid4().hex}.tmp"
        probe.touch()
        probe.unlink()
        found = [(one.stat().st_mtime, one) for one in source.iterdir() if _is_mail(one)]
    except OSError as error:
        raise TemporaryFailure(f"{folder} cannot be read and written: {error}") from error
    if source == folder:
        settled = time.time() - SETTLE_SECONDS
        found = [(mtime, one) for mtime, one in found if mtime <= settled]
    return [one for _, one in sorted(found)]


def put_away(mail: Path, folder: Path) -> None:
    """Move a mail that is safely stored out of the way, under a name that is still free."""
    source, done = _places(folder)
    target = done / (mail.name if source == folder else f"{mail.name.partition(':')[0]}:2,")
    if target.exists():
        target = done / f"{uuid.uuid4().hex}.{target.name}"
    mail.rename(target)


def _places(folder: Path) -> tuple[Path, Path]:
    if (folder / "new").is_dir() and (folder / "cur").is_dir():
        return folder / "new", folder / "cur"
    return folder, folder / "done"


def _is_mail(path: Path) -> bool:
    unfinished = path.name.startswith(".") or path.name.lower().endswith(UNFINISHED)
    return not unfinished and path.is_file() and not path.is_symlink()
