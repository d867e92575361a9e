"""Trying a mailbox step by step, and saying at each what failed and how to mend it.

What was found is kept in the cache for an hour: it is for the person who looks at the page.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.core.cache import cache
from django.db import connection
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp, NotFound, Refused, TemporaryFailure
from helpdesk.lib.redis_client import asking_redis
from tickets.access import Viewer, access_mailbox
from tickets.mail import fetch_imap, fetch_pop3, oauth, send, trial
from tickets.mail.providers import advice_for
from tickets.models import InboundEmail, Mailbox
from tickets.operations.sign_in import access_token, client_of, route_of, signing_in

TASK = "tickets.try_mailbox"
KEPT_SECONDS = 3_600
SILENT_AFTER = timedelta(seconds=100)  # no step takes longer
FIND_SECONDS = 75
FIND_EVERY_SECONDS = 1.0

STEPS = ("reach", "sign_in", "folder", "smtp", "send", "find")


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    state: str  # waiting, running, ok, failed, skipped
    words: str = ""  # what was found, in the server's words
    mend: str = ""  # what to do about it

    @property
    def title(self) -> str:
        titles = {
            "reach": _("Reach the server"),
            "sign_in": _("Sign in"),
            "folder": _("Open the folder"),
            "smtp": _("Reach the server to send by, and sign in there"),
            "send": _("Send a test mail to itself"),
            "find": _("Find that mail again"),
        }
        return titles[self.name]

    @property
    def icon(self) -> str:
        icons = {"ok": "circle-check", "failed": "circle-alert", "running": "hourglass"}
        return icons.get(self.state, "circle-dot")


@dataclass(frozen=True, slots=True)
class Run:
    """How far a check has come. `is_over` also where nobody performs it."""

    id: str
    mailbox_id: int
    steps: list[Step]
    is_over: bool
    is_silent: bool

    @property
    def is_good(self) -> bool:
        return self.is_over and all(step.state in {"ok", "skipped"} for step in self.steps)


def begin_check(viewer: Viewer, pk: int) -> str:
    """Have a mailbox tried; returns what the run is known by. Raises NotFound, and Refused
    with a sentence if no worker can be told."""
    mailbox = access_mailbox(viewer, pk)
    run = uuid.uuid4().hex
    user = viewer.user.pk if viewer.user else 0
    _keep(run, {"user": user, "mailbox": mailbox.pk, "steps": {}})
    try:
        with asking_redis():
            current_app.send_task(TASK, [mailbox.pk, run], retry=False, ignore_result=True)
    except Exception as error:
        raise Refused(_("The check cannot begin: Redis does not answer.")) from error
    return run


def check_of(viewer: Viewer, pk: int, run: str) -> Run:
    """What a run has found so far. Raises NotFound for somebody else's, and for an old one."""
    mailbox = access_mailbox(viewer, pk)
    kept = cache.get(_key(run))
    user = viewer.user.pk if viewer.user else 0
    if kept is None or (kept["user"], kept["mailbox"]) != (user, mailbox.pk):
        raise NotFound
    steps = [Step(name, **kept["steps"].get(name, {"state": "waiting"})) for name in STEPS]
    done = all(step.state in {"ok", "skipped"} for step in steps)
    failed = any(step.state == "failed" for step in steps)
    silent = now() - datetime.fromisoformat(kept["at"]) > SILENT_AFTER
    is_over = done or failed or silent
    return Run(run, mailbox.pk, steps, is_over, silent and not (done or failed))


def perform_check(pk: int, run: str) -> None:
    """Take the steps one after the other, up to the first that fails."""
    mailbox = Mailbox.in_use().select_related("inbox").filter(pk=pk).first()
    kept = cache.get(_key(run))
    if mailbox is None or kept is None or kept["steps"]:
        return  # it was taken back, or another worker has it
    for name in STEPS:
        kept["steps"][name] = {"state": "running"}
        _keep(run, kept)
        connection.close()  # the network may take its time
        try:
            words = _ACTS[name](mailbox, run)
        except (TemporaryFailure, GiveUp) as error:
            words = str(error)
            mend = _mend(name, words, mailbox)
            kept["steps"][name] = {"state": "failed", "words": words, "mend": mend}
            _keep(run, kept)
            return
        state = "skipped" if words is None else "ok"
        kept["steps"][name] = {"state": state, "words": words or ""}
        _keep(run, kept)


# --- The steps --------------------------------------------------------------------------------


def _reach(mailbox: Mailbox, run: str) -> str:
    if mailbox.kind == Mailbox.Kind.POP3:
        server = fetch_pop3.connected(mailbox)
        server.close()
    else:
        fetch_imap.connected(mailbox).shutdown()
    how = _("encrypted") if mailbox.tls else _("not encrypted")
    return f"{mailbox.host}:{mailbox.port}, {how}"


def _sign_in(mailbox: Mailbox, run: str) -> str:
    with signing_in(mailbox) as token:
        if mailbox.kind == Mailbox.Kind.POP3:
            with fetch_pop3.opened(mailbox, token=token):
                return mailbox.username
        with fetch_imap.signed_in(mailbox, token):
            return mailbox.username


def _folder(mailbox: Mailbox, run: str) -> str | None:
    if mailbox.kind == Mailbox.Kind.POP3:
        return None  # it has but one
    with fetch_imap.opened(mailbox, writable=False, token=access_token(mailbox)) as folder:
        return _("%(folder)s, %(count)d mails") % {"folder": mailbox.folder, "count": folder.count}


def _smtp(mailbox: Mailbox, run: str) -> str:
    return send.reach(route_of(mailbox.inbox))


def _send(mailbox: Mailbox, run: str) -> str:
    address = mailbox.inbox.address or mailbox.username
    mail = trial.compose(address, run)
    return send.send(
        mail.as_bytes(),
        message_id=mail["Message-ID"].strip("<>"),
        sender=address,
        recipient=address,
        route=route_of(mailbox.inbox),
        before_data=lambda: None,
    )


def _find(mailbox: Mailbox, run: str) -> str | None:
    if route_of(mailbox.inbox).folder is not None:
        return None  # nothing leaves this installation
    stop_at = time.monotonic() + FIND_SECONDS
    began = now()
    while time.monotonic() < stop_at:
        waiting = Mailbox.objects.filter(pk=mailbox.pk, state=Mailbox.State.QUEUED)
        if waiting.update(due_at=now()):
            work.ring(Mailbox, mailbox.pk)
        if InboundEmail.objects.filter(mailbox=mailbox, rfc_message_id=run).exists():
            return _("It came back after %d s.") % (now() - began).total_seconds()
        connection.close()
        time.sleep(FIND_EVERY_SECONDS)
    mailbox.refresh_from_db(fields=["error"])
    if mailbox.error:
        raise TemporaryFailure(mailbox.error)
    raise TemporaryFailure(_("It did not come back within %d seconds.") % FIND_SECONDS)


# Codes of what may go better later (RFC 5321, 4.2.1).
PATIENCE = re.compile(r"(?:answered|:) 4\d\d\b")

_ACTS: dict[str, Callable[[Mailbox, str], str | None]] = {
    "reach": _reach,
    "sign_in": _sign_in,
    "folder": _folder,
    "smtp": _smtp,
    "send": _send,
    "find": _find,
}


# --- What to do -------------------------------------------------------------------------------


def _mend(step: str, words: str, mailbox: Mailbox) -> str:
    """What usually helps where this step fails with these words of the server's."""
    said = words.lower()
    smtp = step in {"smtp", "send"}
    host = mailbox.smtp_host if smtp else mailbox.host
    if "certificate" in said:
        return _(
            "The server shows a certificate of another name, or one nobody vouches for. Write the "
            "name that its provider gives for %s."
        ) % (host or _("it"))
    if "login" in said or "auth" in said or step == "sign_in":
        if mailbox.uses_tokens:
            return _mend_token(mailbox, smtp)
        usual = _("Check user name and password. The user name is mostly the whole address.")
        return " ".join(filter(None, [advice_for(mailbox.host), usual]))
    if "name or service" in said or "nodename" in said or "getaddrinfo" in said:
        return _("There is no server of this name. Check how it is written.")
    if "refused" in said and "connection" in said:
        return _("Nothing listens there. Check the port: 993 for IMAP, 995 for POP3, 587 to send.")
    if "timed out" in said:
        return _("No answer. Check the port, and whether a firewall stops the way out.")
    if "ssl" in said or "wrong version" in said:
        return _("The port and the encryption do not go together. Usual are 993 with TLS for IMAP.")
    match step:
        case "folder":
            return _("Check how the folder is written. INBOX is there in every account.")
        case "smtp" | "send" if PATIENCE.search(words):
            return _("The server asks for patience. Check again in a few minutes.")
        case "send" if "refused our address" in words:
            return _("The account may not send under this address. Check the address of the inbox.")
        case "send" if "refused the mail" in words:
            return _("The server does not take this mail. Its provider can say why.")
        case "send" if "refused" in words:
            return _("The server knows no such address. Check the address of the inbox.")
        case "find":
            return _(
                "Look into the account's spam folder, and whether this address leads to this "
                "account. Then check again."
            )
        case _:
            return _("Check server, port and encryption with what your provider names.")


def _mend_token(mailbox: Mailbox, smtp: bool) -> str:
    name = {"name": oauth.SERVICES[mailbox.auth].name}
    mailbox.refresh_from_db()
    if client_of(mailbox) is None:
        return _("Register this helpdesk with %(name)s, as this page says.") % name
    if mailbox.lacks_sign_in:
        return _("Sign in with %(name)s on this page.") % name
    if mailbox.auth == Mailbox.Auth.MICROSOFT:
        return _(
            "Whoever signed in must have full access to this mailbox, and in Exchange IMAP, POP3 "
            "and authenticated SMTP must be switched on for it. Then sign in once more."
        )
    if smtp and mailbox.smtp_host != "smtp.gmail.com":
        return _("A sign-in with Google is good for Google's servers: smtp.gmail.com.")
    return _("The user name must be the address you signed in with. Else sign in once more.")


def _key(run: str) -> str:
    return f"mailbox-check:{run}"


def _keep(run: str, kept: dict[str, Any]) -> None:
    cache.set(_key(run), {**kept, "at": now().isoformat()}, KEPT_SECONDS)
