"""Children of ours: locks, signals and logs, with small processes in place of servers."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from helpdesk.stack.children import Child, Service, StillRunning, end_leftover, leftover, stop
from helpdesk.stack.keeper import Keeper, LogWatch, how, pause_seconds
from tests.stack import wait_until

SLEEP = "import time; print('awake', flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
LEAVES_A_CHILD = "import subprocess, sys; subprocess.Popen(['sleep', '1'], close_fds=False)"


def service(folder: Path, code: str, grace_seconds: float = 5.0) -> Service:
    argv = (sys.executable, "-c", code)
    return Service("sleeper", argv, folder, grace_seconds=grace_seconds)


def awake(child: Child) -> None:
    wait_until(lambda: "awake" in child.last_words())


def test_one_service_runs_once(tmp_path: Path) -> None:
    child = Child(service(tmp_path, SLEEP))
    child.start()
    with pytest.raises(StillRunning):
        Child(child.service).start()
    assert leftover(child.service) == child.pid

    stop(child)

    assert child.exit_code == -signal.SIGTERM
    assert leftover(child.service) is None


def test_who_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    child = Child(service(tmp_path, DEAF, grace_seconds=0.2))
    child.start()
    awake(child)
    stop(child)
    assert child.exit_code == -signal.SIGKILL


def test_what_an_earlier_run_left_is_ended_before_the_next_start(tmp_path: Path) -> None:
    left = Child(service(tmp_path, SLEEP))
    left.start()
    end_leftover(left.service)
    assert not left.running


def test_a_service_waits_for_what_its_last_process_forked(tmp_path: Path) -> None:
    child = Child(service(tmp_path, LEAVES_A_CHILD))
    child.start()
    wait_until(lambda: not child.running)
    with pytest.raises(StillRunning):
        child.start()
    end_leftover(child.service)
    child.start()
    stop(child)


def test_a_dead_child_is_started_at_once_and_its_death_told(tmp_path: Path) -> None:
    told: list[str] = []
    child = Child(service(tmp_path, SLEEP))
    keeper = Keeper(child, lambda name, line: told.append(f"{name}: {line}"))
    keeper.tend()
    first = child.pid
    awake(child)
    child._process.kill()  # type: ignore[union-attr]  # it has just been started
    wait_until(lambda: not child.running)

    keeper.tend()

    assert child.running
    assert child.pid != first
    assert told == ["sleeper: ended (SIGKILL), starting it again now"]
    stop(child)


def test_who_dies_again_and_again_gets_longer_pauses(tmp_path: Path) -> None:
    ages = [float(age) for age in range(20)]
    assert [pause_seconds(ages[:deaths]) for deaths in (1, 3, 4, 5, 20)] == [0, 0, 2, 4, 15]
    assert pause_seconds([100.0] * 20) == 0

    told: list[str] = []
    child = Child(service(tmp_path, "raise SystemExit('no such table')"))
    keeper = Keeper(child, lambda _, line: told.append(line))
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        keeper.tend()
    assert len(told) == 5
    assert told[3:] == [
        "ended (code 1), starting it again in 2 s",
        "its last words: no such table",
    ]


def test_what_cannot_be_started_just_now_is_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    child = Child(Service("sleeper", (str(tmp_path / "program"),), tmp_path))
    keeper = Keeper(child, lambda _, line: told.append(line))
    keeper.tend()
    keeper.tend()
    assert len(told) == 1
    assert "No such file" in told[0]
    assert "starting it again in 1 s" in told[0]

    (tmp_path / "program").symlink_to(shutil.which("true") or "")
    time.sleep(1)
    keeper.tend()
    wait_until(lambda: child.exit_code == 0)


def test_exit_codes_are_told_in_words() -> None:
    assert (how(3), how(-9), how(-15)) == ("code 3", "SIGKILL", "SIGTERM")


def test_only_new_lines_that_speak_of_errors_reach_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("an old ERROR\n")
    watch = LogWatch(log)
    with log.open("a") as more:
        more.write("12:00 INFO fine\n12:01 ERROR broken\n12:02 ERROR half a li")
    assert watch.alarms() == ["12:01 ERROR broken"]
    with log.open("a") as more:
        more.write("ne\n" + "CRITICAL again\n" * 5)
    assert watch.alarms() == [
        "12:02 ERROR half a line",
        "CRITICAL again",
        "CRITICAL again",
        "and 3 more like this",
    ]
    log.write_text("ERROR anew\n")  # moved aside and begun again
    assert watch.alarms() == ["ERROR anew"]
