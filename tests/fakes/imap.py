"""A Dovecot of its own: a real IMAP and POP3 server for one test run, on free ports, in a folder of
its own. Every user name is an account; the password is PASSWORD."""

from __future__ import annotations

import getpass
import grp
import imaplib
import os
import pwd
import select
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest

from tests.fakes.certificates import Certificate

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PASSWORD = "secret"
START_SECONDS = 10

CONFIG = """
base_dir = {folder}/run
log_path = {folder}/log
protocols = {protocols}
listen = 127.0.0.1
disable_plaintext_auth = no
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {group}
first_valid_uid = 1
mail_location = maildir:~/Maildir
{encryption}
{sign_in}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail} gid={mail_group} home={folder}/homes/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {server.port}
  }}
  inet_listener imaps {{
    port = {server.tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""
# Its POP3 part is a package of its own.
POP3 = """
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {server.pop3_port}
  }}
  inet_listener pop3s {{
    port = {server.pop3_tls_port}
  }}
}}
"""
OAUTH = """
auth_mechanisms = plain login xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
"""
OAUTH_CHECK = """
tokeninfo_url = {url}/tokeninfo?access_token=
username_attribute = email
"""


class Server(NamedTuple):
    """Where it listens; 0 where it does not."""

    host: str
    port: int
    tls_port: int = 0
    pop3_port: int = 0
    pop3_tls_port: int = 0


@contextmanager
def dovecot(**options: Any) -> Iterator[Server]:
    """The server, up and answering. It is gone, with its mails, afterwards. The options are those
    of `mortal_dovecot`."""
    with mortal_dovecot(**options) as running:
        yield running.server


@contextmanager
def mortal_dovecot(
    *, encrypts: Certificate | None = None, tokens_at: str = "", pop3: bool = False
) -> Iterator[Dovecot]:
    """As `dovecot`, to be killed and started again.

    With a certificate it `encrypts` too; whoever it signs in by OAuth2 it asks about at the
    address `tokens_at` (tests.fakes.oauth).
    """
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    server = Server(
        "127.0.0.1",
        free_port(),
        free_port() if encrypts else 0,
        free_port() if pop3 else 0,
        free_port() if pop3 and encrypts else 0,
    )
    running = Dovecot(folder, server)
    try:
        _write_config(folder, server, encrypts, tokens_at)
        running.start()
        try:
            yield running
        finally:
            running.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Dovecot:
    folder: Path
    server: Server
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert DOVECOT
        command = [DOVECOT, "-F", "-c", str(self.folder / "dovecot.conf")]
        self.process = subprocess.Popen(command, start_new_session=True)
        _wait_for(self.server, self.process, self.folder)

    def kill(self) -> None:
        """All of it, with no time to say goodbye."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process = None


@contextmanager
def cutting(server: Server, word: bytes) -> Iterator[Server]:
    """The way to a server on which the line breaks each time `word` comes along."""

    class Cut(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((server.host, server.port)) as behind:
                ends = {self.request: behind, behind: self.request}
                last = b""
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        said = end.recv(65_536)
                        if not said or (end is behind and word in last + said):
                            return
                        last = said[-len(word) :] if end is behind else last
                        ends[end].sendall(said)

    with _way(Cut) as way:
        yield way


@contextmanager
def deaf_way(server: Server) -> Iterator[tuple[Server, Callable[[], None]]]:
    """The way to a server, and what makes it swallow all that is said from then on."""
    deaf = Event()

    class Deaf(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((server.host, server.port)) as behind:
                ends = {self.request: behind, behind: self.request}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        said = end.recv(65_536)
                        if not said:
                            return
                        if not deaf.is_set():
                            ends[end].sendall(said)

    with _way(Deaf) as way:
        yield way, deaf.set


@contextmanager
def _way(handler: type[socketserver.BaseRequestHandler]) -> Iterator[Server]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as way:
        way.daemon_threads = True
        Thread(target=way.serve_forever, daemon=True).start()
        try:
            yield Server("127.0.0.1", way.server_address[1])
        finally:
            way.shutdown()


@contextmanager
def black_hole() -> Iterator[Server]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        yield Server(*silent.getsockname())


@contextmanager
def trickling(said: bytes = b"* OK I am ") -> Iterator[Server]:
    """Begins with `said` and goes on with a letter every now and then, for ever."""

    class Trickle(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(said)
            with suppress(OSError):
                while True:
                    time.sleep(0.05)
                    self.request.sendall(b"s")

    with _way(Trickle) as way:
        yield way._replace(pop3_port=way.port)


@contextmanager
def dovecot_or_skip(**options: Any) -> Iterator[Server]:
    """As `dovecot`; where there is none the test is skipped, and fails in CI."""
    if not DOVECOT:
        if os.environ.get("CI"):
            pytest.fail("Dovecot is missing: apt-get install dovecot-imapd dovecot-pop3d")
        pytest.skip("Dovecot is not here: apt-get install dovecot-imapd dovecot-pop3d")
    with dovecot(**options) as running:
        yield running


@contextmanager
def mail_program(server: Server, user: str, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
    """What the account's owner uses beside us: may write, and sees flags."""
    with imaplib.IMAP4(server.host, server.port) as program:
        program.login(user, PASSWORD)
        program.create(folder)
        program.select(folder)
        yield program


def put(server: Server, user: str, *mails: bytes, folder: str = "INBOX") -> None:
    """Let mails arrive, unread and unseen by any program."""
    with imaplib.IMAP4(server.host, server.port) as delivery:
        delivery.login(user, PASSWORD)
        delivery.create(folder)
        for raw in mails:
            status, answer = delivery.append(folder, "", "", raw)
            assert status == "OK", answer


def flags(server: Server, user: str, folder: str = "INBOX") -> list[bytes]:
    """The flags of every mail as the next program finds them. Looking at them changes none."""
    with imaplib.IMAP4(server.host, server.port) as onlooker:
        onlooker.login(user, PASSWORD)
        onlooker.select(folder, readonly=True)
        _, data = onlooker.fetch("1:*", "(FLAGS)")
        return [line for line in data if isinstance(line, bytes)]


def _write_config(
    folder: Path, server: Server, encrypts: Certificate | None, tokens_at: str
) -> None:
    (folder / "homes").mkdir()
    me = getpass.getuser()
    names = {"internal": me, "login": me, "group": _group_of(me), "mail": me}
    if os.geteuid() == 0:  # it refuses to be root in every part
        folder.chmod(0o755)
        names = {"internal": "dovecot", "login": "dovenull", "group": "dovecot", "mail": "nobody"}
        shutil.chown(folder / "homes", "nobody")
    encryption = "ssl = no"
    if encrypts:
        encryption = f"ssl = yes\nssl_cert = <{encrypts.path}\nssl_key = <{encrypts.key}\n"
    config = CONFIG + (POP3 if server.pop3_port else "")
    (folder / "dovecot.conf").write_text(
        config.format(
            folder=folder,
            server=server,
            protocols="imap pop3" if server.pop3_port else "imap",
            password=PASSWORD,
            mail_group=_group_of(names["mail"]),
            encryption=encryption,
            sign_in=OAUTH.format(folder=folder) if tokens_at else "",
            **names,
        )
    )
    (folder / "oauth2.conf").write_text(OAUTH_CHECK.format(url=tokens_at))


def _group_of(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def free_port() -> int:
    """One that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    stop_at = time.monotonic() + START_SECONDS
    while time.monotonic() < stop_at:
        try:
            with imaplib.IMAP4(server.host, server.port, timeout=1):
                return
        except (OSError, imaplib.IMAP4.error):
            if process.poll() is not None:
                break
            time.sleep(0.05)
    log = folder / "log"
    raise RuntimeError(f"Dovecot did not start: {log.read_text() if log.exists() else ''}")
