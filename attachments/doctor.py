"""What `manage.py doctor` looks at in files."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.conf import settings

from attachments import storage
from attachments.inventory import take
from attachments.scan import version
from helpdesk.lib.doctor import Finding, Level

MEND_STORAGE = "Give the processes a storage that they may read and write; see STORAGES."
NAMED_MAX = 3  # of what is lost or in the way; check_invariants names all that is lost


def storage_writable() -> Finding:
    """Writes, reads and deletes a few bytes."""
    key, content = f"probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
    storage.put(key, content)
    try:
        whole = b"".join(storage.read(key, 0, len(content))) == content
    finally:
        storage.drop(key)
    if whole and not storage.lies(key):
        return Finding("ok", "What is written can be read and deleted.")
    return Finding("broken", "It does not do what it is told.", MEND_STORAGE)


def files() -> Finding:
    """Rows without bytes, and bytes without rows."""
    inventory = take()
    found, advice = [], []
    if inventory.lost:
        found.append(f"{len(inventory.lost)} without bytes: {_some(inventory.lost)}.")
        advice.append("Restore the storage from the backup that belongs to the database.")
    if inventory.strays:
        strays = _some(inventory.strays)
        found.append(f"{len(inventory.strays)} in the storage that no row names: {strays}.")
        advice.append("Delete these by hand, once you are sure that the database is the right one.")
    if not found:
        return Finding("ok", f"All {inventory.count} are where they belong.")
    level: Level = "broken" if inventory.lost else "warning"
    return Finding(level, " ".join(found), " ".join(advice))


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED_MAX], *(["…"] if len(names) > NAMED_MAX else [])])


def scanner() -> Finding:
    if not settings.CLAMD_URL:
        return Finding("ok", "None is set: files are shown as not scanned.")
    said = version()
    if said.startswith("ClamAV "):
        return Finding("ok", f"{said} answers.")
    return Finding("broken", "Something else than clamd answers.", "Correct CLAMD_URL.")
