from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from helpdesk.env import read_env
from helpdesk.settings import files
from helpdesk.stack.kept import BASE_DIR
from tests.fakes.s3 import new_bucket


def store_in(settings: Settings, folder: Path, **variables: str) -> None:
    """Let files lie where an operator who has set these variables wants them."""
    env = read_env({"SECRET_KEY": "k" * 50, **variables})
    settings.STORAGES = {**settings.STORAGES, "files": files(env, folder / "files")}


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """The helpdesk's data folder; files lie below it."""
    store_in(settings, tmp_path)
    return tmp_path


@pytest.fixture
def bucket(settings: Settings, tmp_path: Path, s3_endpoint: str) -> dict[str, str]:
    """What leads to the bucket that files lie in. Browsers call its host by another name."""
    public = s3_endpoint.replace("127.0.0.1", "localhost")
    variables = {**new_bucket(s3_endpoint), "S3_PUBLIC_ENDPOINT_URL": public}
    store_in(settings, tmp_path, **variables)
    return variables


def begin(
    script: str, *arguments: object, data: Path, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run a few lines in another process of the same helpdesk."""
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "helpdesk.settings",
        "PYTHONPATH": str(BASE_DIR),
        "HELPDESK_DATA": str(data),
        **(variables or {}),
    }
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> list[str]:
    """The words it printed, once it has ended well."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.split()
