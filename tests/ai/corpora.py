"""Material that other projects published. It is not part of this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "corpora"


def corpus(name: str) -> Path:
    """A file of the corpora; the test is skipped, and says so, where they are not."""
    path = Path(os.environ.get("HELPDESK_CORPORA") or BESIDE) / name
    if not path.exists():
        pytest.skip(f"needs {name} of the corpora (HELPDESK_CORPORA)")
    return path
