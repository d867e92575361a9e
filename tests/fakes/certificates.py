"""Certificates for servers of a test run, signed by nobody else."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """Who trusts `path` (a PEM file) trusts the server that holds `key`."""

    path: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


@contextmanager
def certificate(*names: str) -> Iterator[Certificate]:
    """A certificate for these host names and addresses, valid for two days."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is missing: apt-get install openssl"
    folder = Path(tempfile.mkdtemp(prefix="certificate-"))
    folder.chmod(0o755)
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    wanted = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
    try:
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={wanted}"),
                *("-keyout", str(made.key), "-out", str(made.path)),
            ],
            check=True,
            capture_output=True,
        )
        made.key.chmod(0o644)
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
