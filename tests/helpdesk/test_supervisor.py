"""`manage.py up`, run for real: what it starts, mends, refuses and leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import psutil
import pytest
import redis

from helpdesk.stack.addresses import LOOPBACK
from helpdesk.stack.children import stop
from helpdesk.stack.engines import Postgres, start
from helpdesk.stack.kept import BASE_DIR, read_kept
from helpdesk.stack.processes import WEBS
from tests.stack import CHILDREN, Stack, data_folder, running, wait_until

pytestmark = pytest.mark.stack

BARE = {"DEMO": "no"}  # starts sooner


@pytest.fixture(scope="module")
def up() -> Iterator[Stack]:
    with data_folder() as folder, running(Stack(folder, settings=BARE)) as stack:
        yield stack


def web_answers(stack: Stack) -> bool:
    try:
        answer = httpx.get(f"{stack.base_url}/healthz", timeout=5)
    except httpx.HTTPError:
        return False
    return bool(answer.json() == {"database": True, "redis": True})


def worker_answers(stack: Stack) -> bool:
    ping = [sys.executable, "-m", "celery", "-A", "helpdesk", "inspect", "ping", "--timeout=2"]
    environ = {**stack.environ, **stack.addresses}
    return subprocess.run(ping, env=environ, cwd=BASE_DIR, capture_output=True).returncode == 0


def redis_answers(stack: Stack) -> bool:
    client = redis.from_url(stack.addresses["REDIS_URL"])
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()


def beat_rings(stack: Stack) -> bool:
    """Ask with the worker held still, so that the bells of beat pile up in the queue."""
    os.kill(stack.pid("worker"), signal.SIGSTOP)
    client = redis.from_url(stack.addresses["REDIS_URL"])
    try:
        before = client.llen("celery:celery")
        wait_until(lambda: client.llen("celery:celery") > before, 10)
    finally:
        client.close()
        os.kill(stack.pid("worker"), signal.SIGCONT)
    return True


ANSWERS: dict[str, Callable[[Stack], bool]] = {
    "web": web_answers,
    "worker": worker_answers,
    "beat": beat_rings,
    "mail": lambda stack: psutil.pid_exists(stack.pid("mail")),  # what it does: test_mail_listened
    "postgres": lambda stack: web_answers(stack) and worker_answers(stack),
    "redis": lambda stack: redis_answers(stack) and web_answers(stack) and worker_answers(stack),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_killed_child_comes_back_and_works(up: Stack, name: str) -> None:
    before = up.pid(name)
    up.kill(name)
    wait_until(lambda: up.pid(name) != before)
    wait_until(lambda: ANSWERS[name](up))
    # Of the two web processes it may be either.
    lines = [f"{each:>8} | ended (SIGKILL), starting it again now" for each in (name, f"{name}-2")]
    assert any(line in up.terminal for line in lines)


def test_who_comes_while_the_web_process_starts_again_waits_and_is_not_refused(
    up: Stack,
) -> None:
    up.kill("web")
    answer = httpx.get(f"{up.base_url}/healthz", timeout=60)
    assert answer.status_code == 200
    assert "ended (SIGKILL), starting it again now" in up.terminal


def test_another_web_process_takes_over_and_the_one_killed_is_replaced(up: Stack) -> None:
    served: set[int] = set()
    for _ in range(3):
        pids = {int((up.data / "run" / f"{name}.pid").read_text()) for name in WEBS}
        serving = up.pid("web")
        assert serving in pids
        up.kill("web")
        wait_until(partial(is_served_by, up, pids - {serving}), 30)
        served.add(serving)
    assert len(served) == 3
    wait_until(lambda: len(web_processes(up)) == 2, 30)


def is_served_by(stack: Stack, pids: set[int]) -> bool:
    return stack.pid("web") in pids and web_answers(stack)


def web_processes(stack: Stack) -> list[psutil.Process]:
    children = psutil.Process(stack.process.pid if stack.process else 0).children()
    return [child for child in children if "helpdesk.stack.serve" in child.cmdline()]


def test_a_second_one_on_the_same_data_says_so_and_ends(up: Stack) -> None:
    other = Stack(up.data.parent / "data", settings=BARE)
    pids = up.pids()
    said = refused(other)
    assert up.process
    assert said == (
        f"The helpdesk runs already on {up.data}: {up.base_url}/ (process {up.process.pid})\n"
    )
    assert up.pids() == pids
    assert web_answers(up)


def test_commands_in_another_terminal_find_what_runs(up: Stack) -> None:
    assert up.manage("migrate", "--check") == ""
    assert (up.data / "kept.env").stat().st_mode & 0o777 == 0o600


def test_the_doctor_finds_what_runs_well_and_says_what_does_not(up: Stack) -> None:
    lines = up.manage("doctor").splitlines()
    levels = {line[9:20].strip(): line.split()[0] for line in lines}
    assert levels.pop("settings") == "warning", "it is not served over https"
    assert levels.pop("mail out") == "warning", "mail is written to a folder"
    assert set(levels.values()) == {"ok"}, lines
    assert len(lines) == 15
    assert any("celery@" in line for line in lines)


def test_data_and_key_outlive_a_stop_and_a_kill() -> None:
    with data_folder() as folder, running(Stack(folder, settings=BARE)) as stack:
        stack.rows("CREATE TABLE kept AS SELECT 7 AS number")
        key = stack.addresses["SECRET_KEY"]
        family = processes_of(stack)

        began = time.monotonic()
        assert stack.stop() == 0
        assert time.monotonic() - began < 15
        assert alive(family) == []
        assert read_kept(folder) == {"SECRET_KEY": key}

        stack.start()
        assert stack.rows("SELECT number FROM kept") == [(7,)]
        assert stack.addresses["SECRET_KEY"] == key
        family = processes_of(stack)

        stack.stop(signal.SIGKILL)
        stack.start()  # at once: it waits for what the killed one has left
        assert alive(family) == []
        assert stack.rows("SELECT number FROM kept") == [(7,)]

        assert stack.stop(signal.SIGINT) == 0


def test_a_port_that_is_taken_is_one_line() -> None:
    with data_folder() as folder, socket.create_server((LOOPBACK, 0)) as taken:
        stack = Stack(folder, port=taken.getsockname()[1], settings=BARE)
        said = refused(stack)
    assert said.startswith(f"Port {stack.port} is taken: ")
    assert f"PORT={stack.port + 1}" in said
    assert said.count("\n") == 1


def test_a_data_folder_that_is_a_file_is_one_line() -> None:
    with data_folder() as folder:
        folder.mkdir()
        (folder / "notes").write_text("no folder")
        outside = Stack(folder, settings=BARE)
        environ = outside.environ | {"HELPDESK_DATA": str(folder / "notes")}
        command = [sys.executable, str(BASE_DIR / "manage.py"), "up"]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.strip() == f"{folder / 'notes'} is no folder: set HELPDESK_DATA to one."


def test_a_command_says_in_one_line_that_the_database_is_away() -> None:
    with data_folder() as folder:
        environ = Stack(folder, settings=BARE).environ
        environ |= {"DATABASE_URL": "postgres://x@127.0.0.1:1/x", "SECRET_KEY": "k" * 50}
        command = [sys.executable, str(BASE_DIR / "manage.py"), "check_invariants"]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("The database does not answer: ")
    assert ended.stderr.count("\n") == 1


def test_a_database_of_our_own_that_is_down_is_waited_for() -> None:
    with data_folder() as folder:
        engine = Postgres(folder.parent / "elsewhere", durable=False)
        settings = {**BARE, "DATABASE_URL": engine.url, "SECRET_KEY": "k" * 50}
        stack = Stack(folder, settings=settings)
        stack.begin()
        wait_until(lambda: stack.data.exists() and "waiting for" in stack.terminal)
        server = start(engine)
        try:
            wait_until(lambda: "is up:" in stack.terminal, 60)
            assert web_answers(stack)
            assert not (folder / "postgres").exists()
            assert not (folder / "kept.env").exists()  # there everything is the operator's to say
            assert stack.terminal.count("waiting for") == 1
            assert stack.stop() == 0
        finally:
            stop(server)


def test_who_waits_can_be_stopped() -> None:
    settings = {
        **BARE,
        "DATABASE_URL": "postgres://somebody:secret@127.0.0.1:9/none",
        "SECRET_KEY": "k" * 50,
    }
    with data_folder() as folder:
        stack = Stack(folder, settings=settings)
        stack.begin()
        wait_until(lambda: stack.data.exists() and "waiting for 127.0.0.1:9" in stack.terminal)
        assert stack.stop(signal.SIGINT) == 0
        assert "secret" not in stack.terminal


def refused(stack: Stack) -> str:
    """What an `up` says that does not start; its exit code is 1."""
    before = len(stack.terminal) if (stack.data / "terminal.log").exists() else 0
    stack.begin()
    assert stack.process
    try:
        assert stack.process.wait(30) == 1
    except subprocess.TimeoutExpired:
        stack.stop()
        raise
    return stack.terminal[before:]


def processes_of(stack: Stack) -> list[psutil.Process]:
    assert stack.process
    family = psutil.Process(stack.process.pid).children(recursive=True)
    assert len(family) > len(CHILDREN)  # PostgreSQL has some of its own
    return family


def alive(family: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in family if process.is_running()]
