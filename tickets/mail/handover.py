"""Handing mail over in a process that outlives the worker, so that no mail leaves twice.

A worker may be killed between a server's word that a mail is theirs and our note of it. So a small
process of its own talks to the server, and goes on to the end when the worker is gone. Before the
text leaves it writes on a slip, a file for each mail, that it begins, and then what the server
said; it holds the slip by a lock (flock) meanwhile. Whoever takes the work over finds on the slip
the answer, or the lock of a process that is still at it. Only where that process itself died before
the answer, or the line broke, does nobody know; then the mail is handed over again under the same
Message-ID.

The worker writes an order, one line of JSON and the mail, into the process; answers come back as
lines of JSON: `ready` (the recipient is accepted; the worker says `go`, or hangs up), and at last
`accepted` with the server's words or `failed` with ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, cast

from helpdesk.lib.errors import GiveUp, TemporaryFailure
from tickets.mail.route import Route
from tickets.mail.send import send

CODE = Path(__file__).resolve().parents[2]
GO = b"go\n"
GO_SECONDS = 60  # how long a process waits for it; a worker that sleeps longer has lost its lease
SLIPS_KEPT_SECONDS = 7 * 86_400  # longer than any mail is tried
BEGUN, ACCEPTED = "begun", "accepted"


def hand_over(
    mail: bytes,
    *,
    message_id: str,
    sender: str,
    recipient: str,
    route: Route,
    slip: Path,
    before_data: Callable[[], None],
    accepted: Callable[[str], None],
    plain_sender: str = "",
) -> None:
    """`send`, by a process that outlives this one. `slip` is where it writes what became of it: one
    path for one mail, whoever tries. What an earlier attempt learned is not tried again: `accepted`
    is called with that answer.

    Raises GiveUp and TemporaryFailure as `send` does, and what `before_data` and `accepted` raise.
    """
    if route.folder is not None:  # the same file however often it is written
        send(
            mail,
            message_id=message_id,
            sender=sender,
            recipient=recipient,
            route=route,
            before_data=before_data,
            accepted=accepted,
        )
        return
    order = {
        "message_id": message_id,
        "sender": sender,
        "recipient": recipient,
        "route": asdict(route),
        "plain_sender": plain_sender,
        "slip": str(slip),
    }
    accepted(_answer(order, mail, before_data))
    slip.unlink(missing_ok=True)  # it is noted where it belongs


def hang_up() -> None:
    """End the processes that wait for an order. The next mail starts another."""
    with _lock:
        lines, _idle[:] = list(_idle), []
    for line in lines:
        line.leave()


def check_folder(folder: Path) -> None:
    """Raises TemporaryFailure if no slip can be written there, and so no mail can leave."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _cannot_write(folder, error) from error


# --- The worker's side ------------------------------------------------------------------------


class Line:
    """A process that takes orders, and the two pipes to it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tickets.mail.handover"],
            cwd=CODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # what is sent to us all is not meant for it
        )
        self.orders = cast("IO[bytes]", self.process.stdin)
        self.answers = cast("IO[bytes]", self.process.stdout)

    def said(self) -> dict[str, Any]:
        """Its next answer. Raises EOFError if it has ended."""
        said = self.answers.readline()
        if not said.endswith(b"\n"):
            raise EOFError
        answer: dict[str, Any] = json.loads(said)
        return answer

    def leave(self) -> None:
        """Let it come to its end by itself."""
        for pipe in (self.orders, self.answers):
            with contextlib.suppress(OSError):
                pipe.close()
        name = f"waits for {self.process.pid}"
        threading.Thread(target=self.process.wait, name=name, daemon=True).start()


_idle: list[Line] = []
_lock = threading.Lock()
os.register_at_fork(after_in_child=_idle.clear)  # they are the parent's


def _answer(order: dict[str, Any], mail: bytes, before_data: Callable[[], None]) -> str:
    """What the server said. A line on which anything went otherwise than foreseen is left."""
    line = _line()
    try:
        _tell(line.orders, {**order, "bytes": len(mail)}, mail)
        said = line.said()
        while "ready" in said:
            before_data()
            _write(line.orders, GO)
            said = line.said()
    except BaseException as error:
        line.leave()
        if isinstance(error, EOFError | BrokenPipeError):
            text = "The process that hands mail over has ended before it knew more."
            raise TemporaryFailure(text) from error
        raise
    with _lock:
        _idle.append(line)
    if "accepted" in said:
        return str(said["accepted"])
    kind = GiveUp if said["is_final"] else TemporaryFailure
    raise kind(said["failed"])


def _line() -> Line:
    with _lock:
        while _idle:
            line = _idle.pop()
            if line.process.poll() is None:
                return line
            line.leave()
    return Line()


# --- The other side ---------------------------------------------------------------------------


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """Perform orders until the worker is gone."""
    while (order := orders.readline()).endswith(b"\n"):
        asked: dict[str, Any] = json.loads(order)
        mail = orders.read(asked["bytes"])
        if len(mail) < asked["bytes"]:
            return  # it died while it spoke
        try:
            said = _perform(asked, mail, orders, answers)
        except (GiveUp, TemporaryFailure) as error:
            said = {"failed": str(error), "is_final": isinstance(error, GiveUp)}
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the process
            traceback.print_exc()
            said = {"failed": f"A mail could not be handed over: {error!r}", "is_final": False}
        if said:
            _tell(answers, said)


def _perform(
    asked: dict[str, Any], mail: bytes, orders: IO[bytes], answers: IO[bytes]
) -> dict[str, Any]:
    """Hand one mail over. What there is to say of it at last; nothing if it has been said."""
    with _held(Path(asked["slip"])) as slip:
        if known := slip.answer(asked["message_id"]):
            return {"accepted": known}

        def before_data() -> None:
            _tell(answers, {"ready": True})
            if not select.select([orders], [], [], GO_SECONDS)[0] or orders.readline() != GO:
                raise EOFError
            slip.write(BEGUN, asked["message_id"])

        def accepted(answer: str) -> None:
            try:
                slip.write(ACCEPTED, answer)
            except TemporaryFailure as error:  # then only the worker knows
                print(error, file=sys.stderr)  # noqa: T201
            with contextlib.suppress(BrokenPipeError):  # the slip has it
                _tell(answers, {"accepted": answer})

        try:
            send(
                mail,
                message_id=asked["message_id"],
                sender=asked["sender"],
                recipient=asked["recipient"],
                route=Route(**asked["route"]),
                plain_sender=asked["plain_sender"],
                before_data=before_data,
                accepted=accepted,
            )
        except BaseException:
            if not slip.answer(asked["message_id"]):
                slip.remove()
            raise
        return {}


class _Slip:
    """A file of lines, `begun ID` and `accepted ANSWER`; a line counts once it is whole."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def answer(self, message_id: str) -> str:
        """What a server said when it took this mail, if one has."""
        begun = ""
        text = self.path.read_text("utf-8", "replace") if self.path.exists() else ""
        for line in text.split("\n")[:-1]:
            word, _, rest = line.partition(" ")
            if word == BEGUN:
                begun = rest
            elif word == ACCEPTED and begun == message_id:
                return rest
        return ""

    def write(self, word: str, rest: str) -> None:
        """Append a line that outlasts a power cut. Raises TemporaryFailure if it cannot."""
        line = f"{word} {' '.join(rest.split())}\n".encode()
        try:
            os.write(self.descriptor, line)
            os.fsync(self.descriptor)
        except OSError as error:
            raise _cannot_write(self.path.parent, error) from error

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[_Slip]:
    """The slip of a mail, ours alone meanwhile. Raises TemporaryFailure if it is another's."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        descriptor = _locked(path)
    except BlockingIOError as error:
        raise TemporaryFailure("Another process is handing this mail over.") from error
    except OSError as error:
        raise _cannot_write(path.parent, error) from error
    try:
        yield _Slip(path, descriptor)
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        if os.fstat(descriptor).st_nlink:
            _keep_name(path.parent)
            return descriptor
        os.close(descriptor)  # removed between the two


def _keep_name(folder: Path) -> None:
    """A new file outlasts a power cut only once its folder is written, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_swept: list[float] = []


def _sweep(folder: Path) -> None:
    """Once an hour, what was left behind by workers that died after they had noted it."""
    if _swept and time.monotonic() - _swept[-1] < 3_600:
        return
    _swept[:] = [time.monotonic()]
    oldest = time.time() - SLIPS_KEPT_SECONDS
    for slip in folder.iterdir():
        with contextlib.suppress(OSError):
            if slip.stat().st_mtime < oldest:
                slip.unlink()


def _cannot_write(folder: Path, error: OSError) -> TemporaryFailure:
    return TemporaryFailure(f"Nothing can be written into {folder}: {error.strerror}")


# --- Both ---------------------------------------------------------------------------------------


def _tell(pipe: IO[bytes], said: dict[str, Any], then: bytes = b"") -> None:
    _write(pipe, json.dumps(said).encode() + b"\n" + then)


def _write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(data)
    pipe.flush()


if __name__ == "__main__":
    # A worker that is gone hears nothing; what matters is on the slip.
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)
