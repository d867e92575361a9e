"""A clamd of its own: the real scanner for one test run, which knows one virus. Nothing is
downloaded."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpdesk.stack.addresses import free_port
from helpdesk.stack.children import Service, stop
from helpdesk.stack.engines import start

CLAMD = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PORTS = range(15_000, 32_000)  # below those that outgoing connections are given
STREAM_MAX_BYTES = 30 * 1024 * 1024  # larger files it does not take,
FILE_MAX_BYTES = 26 * 1024 * 1024  # and into these it does not look
# The file that every scanner takes for a virus and that harms nobody (eicar.org). In two halves,
# lest a scanner take this one for it.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
VIRUS = "Eicar-Test.UNOFFICIAL"  # so clamd calls every signature that its makers did not sign

CONFIG = """
Foreground yes
DatabaseDirectory {folder}/signatures
TemporaryDirectory {folder}
LocalSocket {folder}/socket
TCPAddr 127.0.0.1
TCPSocket {port}
StreamMaxLength {stream_max}
MaxFileSize {file_max}
AlertExceedsMax yes
MaxThreads 2
"""


class Clamd:
    """It answers at a socket and at a port."""

    def __init__(self, folder: Path) -> None:
        port = free_port(PORTS)
        self._socket = folder / "socket"
        self.url = f"unix:{self._socket}"
        self.tcp_url = f"tcp://127.0.0.1:{port}"
        config = folder / "clamd.conf"
        limits = {"stream_max": STREAM_MAX_BYTES, "file_max": FILE_MAX_BYTES}
        config.write_text(CONFIG.format(folder=folder, port=port, **limits))
        (folder / "signatures").mkdir()
        (folder / "signatures" / "test.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
        assert CLAMD
        self.service = Service(
            name="clamd",
            argv=(CLAMD, f"--config-file={config}"),
            folder=folder,
            environ={"PATH": os.defpath, "LC_ALL": "C"},
        )

    def fault(self) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(1)
                line.connect(str(self._socket))
                line.sendall(b"zPING\0")
                return "" if line.recv(100) == b"PONG\0" else "it answers no PING"
        except OSError as error:
            return str(error)


@contextmanager
def clamd() -> Iterator[Clamd]:
    """The scanner, up and answering. It is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="clamd-"))
    try:
        scanner = Clamd(folder)
        child = start(scanner)
        try:
            yield scanner
        finally:
            stop(child)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
