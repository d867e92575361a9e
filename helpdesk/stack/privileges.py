"""PostgreSQL refuses to run as root: as root the engines run as somebody else."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpdesk.stack.mend import CannotStart

CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}  # capability.h; the weaker first


@dataclass(frozen=True, slots=True)
class Owner:
    uid: int
    gid: int


def engine_owner(folder: Path) -> Owner | None:
    """Who runs the engine that lives in `folder`. None: we ourselves.

    A folder that exists decides, so that an engine first started by an ordinary user goes on
    under root with the same files.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return Owner(folder.stat().st_uid, folder.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return Owner(nobody.pw_uid, nobody.pw_gid)


def lowered(
    argv: tuple[str, ...], owner: Owner | None, orphan_signal: signal.Signals
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The command line, and the arguments to Popen, that run `argv` as `owner`.

    On Linux `setpriv` lowers us, because a clone below /root is out of anybody else's reach
    without the capability to walk through closed folders.
    """
    if owner is None:
        return argv, {}
    if sys.platform != "linux":
        return argv, {"user": owner.uid, "group": owner.gid, "extra_groups": []}
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise CannotStart("As root we need setpriv: sudo apt-get install util-linux")
    capability = _may_walk_anywhere()
    lower = (
        setpriv,
        f"--reuid={owner.uid}",
        f"--regid={owner.gid}",
        "--clear-groups",
        # Changing the user forgets the signal that was asked for before.
        f"--pdeathsig={orphan_signal.name.removeprefix('SIG')}",
        *((f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}") if capability else ()),
        "--",
    )
    return (*lower, *argv), {}


def _may_walk_anywhere() -> str | None:
    """The weakest capability we hold that opens closed folders."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = int(status.split("CapEff:")[1].split()[0], 16)
    return next((name for name, bit in CAPABILITIES.items() if held >> bit & 1), None)
