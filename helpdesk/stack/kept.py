"""What a running `manage.py up` keeps in its data folder for other commands.

`var/kept.env` holds SECRET_KEY always, and DATABASE_URL and REDIS_URL of the embedded engines
while they run, so that `manage.py ingest_email` in a second terminal finds the same helpdesk.
Real environment variables always win.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]
FILE_NAME = "kept.env"
SECRET_KEY_BYTES = 48


def data_dir(environ: Mapping[str, str]) -> Path:
    """The data folder this environment names, as an absolute path."""
    return BASE_DIR / (environ.get("HELPDESK_DATA") or "var")


def read_kept(folder: Path) -> dict[str, str]:
    """The variables kept in `folder`; empty if there are none."""
    try:
        lines = (folder / FILE_NAME).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write_kept(folder: Path, values: Mapping[str, str]) -> None:
    """Replace what is kept in `folder`, readable by its owner only, in one rename."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(folder / FILE_NAME)


def with_kept(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` completed with what is kept.

    An installation that names its own database gets nothing from here: there a missing
    SECRET_KEY is a mistake to be told, not to be papered over. Elsewhere a key is made for
    this process, and `manage.py up` is what keeps one.
    """
    if environ.get("DATABASE_URL"):
        return dict(environ)
    kept = {"SECRET_KEY": secrets.token_urlsafe(SECRET_KEY_BYTES)} | read_kept(data_dir(environ))
    given = {name: value for name, value in environ.items() if value}
    return kept | given
