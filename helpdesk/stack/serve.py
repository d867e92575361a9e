"""`python -m helpdesk.stack.serve <pid file> <what daphne gets>`: one serves, another is ready to.

Whoever holds the lock on the pid file serves, and its number is in there. The kernel gives the lock
to the next in the moment in which the one before it dies, so nobody waits for Python to load all we
are made of: seconds, on a machine that everybody comes back to.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
import time
from pathlib import Path

from helpdesk.stack.children import locked

# Whoever has just taken over has everybody coming back: the next one loads later.
QUIET_SECONDS = 10.0
LOOK_SECONDS = 0.05


def main(pid_file: Path, arguments: list[str]) -> None:
    """Wait for the lock, and serve until the end."""
    lock = os.open(pid_file, os.O_RDWR | os.O_CREAT, 0o600)
    quiet_until = time.monotonic() + QUIET_SECONDS
    while not (is_ours := locked(lock)) and time.monotonic() < quiet_until:
        time.sleep(LOOK_SECONDS)
    cli = importlib.import_module("daphne.cli")  # its reactor comes before everything
    importlib.import_module("helpdesk.asgi")
    if not is_ours:
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.pwrite(lock, f"{os.getpid():<10}\n".encode(), 0)
    cli.CommandLineInterface().run(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
