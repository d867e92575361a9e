"""The one table of environment variables, and the file that is printed from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from helpdesk.env import VARS, example, read_env
from helpdesk.stack.kept import BASE_DIR, data_dir, read_kept, with_kept, write_kept

KEY = {"SECRET_KEY": "k" * 50}


def test_the_example_file_is_printed_from_the_table() -> None:
    assert (BASE_DIR / ".env.example").read_text() == example()


def test_every_variable_has_a_default_that_does_or_is_asked_for() -> None:
    assert vars(read_env(KEY)).keys() == {var.name for var in VARS}
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is not set"):
        read_env({})


def test_all_wrong_variables_are_named_at_once() -> None:
    wrong = {"PORT": "http", "DEBUG": "perhaps", "REDIS_URL": "http://redis", "ROLE": "boss"}
    with pytest.raises(ImproperlyConfigured) as caught:
        read_env(KEY | wrong)
    said = str(caught.value)
    assert all(name in said for name in wrong)
    assert "write yes or no" in said
    assert said.count("\n") == len(wrong)


@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "80.5", ""])
def test_a_port_is_one(port: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="PORT"):
        read_env(KEY | {"PORT": port})


@pytest.mark.parametrize(
    "address", ["tcp://clamd:3310", "tcp://[::1]:3310", "unix:/run/clamd.ctl", ""]
)
def test_a_scanner_has_an_address(address: str) -> None:
    found = read_env(KEY | {"CLAMD_URL": address})
    assert address == found.CLAMD_URL


@pytest.mark.parametrize(
    "address",
    [
        "clamd:3310",
        "tcp:3310",
        "tcp://clamd",
        "tcp://clamd:99999",
        "unix:",
        "unix:clamd",
        "http://clamd",
    ],
)
def test_what_is_no_address_of_a_scanner_is_named(address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="CLAMD_URL"):
        read_env(KEY | {"CLAMD_URL": address})


@pytest.mark.parametrize("place", ["127.0.0.1:2424", "[::1]:24", "localhost:24", "unix:/a", ""])
def test_mail_is_taken_from_this_machine(place: str) -> None:
    found = read_env(KEY | {"LMTP_LISTEN": place})
    assert place == found.LMTP_LISTEN


@pytest.mark.parametrize(
    "place",
    ["0.0.0.0:2424", "[::]:24", "192.0.2.1:24", "mail.example:24", ":24", "127.0.0.1", "unix:a"],
)
def test_mail_is_taken_from_no_other_machine(place: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"LMTP_LISTEN.*others must not reach it"):
        read_env(KEY | {"LMTP_LISTEN": place})


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, "AI_MODEL"),
        ({"OPENAI_BASE_URL": "http://localhost:8080/v1", "AI_MODEL": "m"}, "OPENAI_API_KEY"),
        ({"S3_BUCKET": "files", "S3_ACCESS_KEY": "k"}, "S3_SECRET_KEY"),
        ({"S3_BUCKET": "files", "S3_SECRET_KEY": "s"}, "S3_ACCESS_KEY"),
        ({"S3_ENDPOINT_URL": "http://minio:9000"}, "S3_BUCKET"),
        ({"S3_PUBLIC_ENDPOINT_URL": "https://files.example"}, "S3_BUCKET"),
    ],
)
def test_what_does_nothing_alone_is_named(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{missing} is not set"):
        read_env(KEY | given)
    read_env(KEY | {"OPENAI_BASE_URL": "http://x/v1", "OPENAI_API_KEY": "k", "AI_MODEL": "m"})


def test_a_wrong_secret_is_named_and_not_shown() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read_env(KEY | {"DATABASE_URL": "mysql://root:hunter2@db/helpdesk"})
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    assert read_env({"SECRET_KEY_FILE": str(tmp_path / "key")}).SECRET_KEY == "from a file"
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE cannot be read"):
        read_env({"SECRET_KEY_FILE": str(tmp_path / "missing")})


def test_what_is_kept_completes_the_environment_and_never_replaces_it(tmp_path: Path) -> None:
    folder = {"HELPDESK_DATA": str(tmp_path)}
    write_kept(tmp_path, {"SECRET_KEY": "kept", "REDIS_URL": "redis://127.0.0.1:1/0"})

    assert data_dir(folder) == tmp_path
    assert read_kept(tmp_path)["SECRET_KEY"] == "kept"
    assert with_kept(folder)["REDIS_URL"] == "redis://127.0.0.1:1/0"
    assert with_kept(folder | KEY)["SECRET_KEY"] == KEY["SECRET_KEY"]
    assert with_kept(folder | {"SECRET_KEY": ""})["SECRET_KEY"] == "kept"
    own = folder | {"DATABASE_URL": "postgres://db/helpdesk"}
    assert with_kept(own) == own
