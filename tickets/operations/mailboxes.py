"""Setting up where mail comes from, by administrators."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, access_mailbox
from tickets.models import Inbox, Mailbox, MailboxAlarm

SETTINGS = (
    *("name", "kind", "host", "port", "tls", "username", "folder"),
    *("smtp_host", "smtp_port", "smtp_security"),
    *("auth", "oauth_client_id", "oauth_tenant"),
)
# What a sign-in was for: tokens are good for nothing else.
SIGN_IN = ("auth", "username", "oauth_client_id", "oauth_tenant")
NO_TOKENS = {"oauth_access_token": "", "oauth_refresh_token": "", "oauth_expires_at": None}
NAME_MAX_CHARS = 80
KEY_BYTES = 24


@transaction.atomic
def save_mailbox(
    viewer: Viewer,
    pk: int | None,
    *,
    settings: dict[str, Any],
    password: str,
    inbox: Inbox | None,
    new_inbox: str,
    address: str,
    client_secret: str = "",
    from_now: bool = False,
) -> Mailbox:
    """Write what was typed; the mailbox is fetched anew at once. Without `pk` it is a new one.

    `settings` has the fields of SETTINGS. An empty `password` or `client_secret` keeps the one
    there is, but who signs in by tokens has no password. Without `inbox` one called `new_inbox` is
    made for `address`. `from_now` leaves alone what lies in a new mailbox. Where it changes whom
    one signs in as, the tokens are forgotten. Raises NotFound for who is no administrator, and for
    a mailbox that is removed.
    """
    before = access_mailbox(viewer, pk) if pk is not None else Mailbox()
    if viewer.user is None or not viewer.user.is_superuser:
        raise NotFound
    inbox = inbox or _made(new_inbox, address)
    typed = {**settings, "inbox": inbox, "due_at": now()}
    if password:
        typed["password"] = password
    if settings["auth"] != Mailbox.Auth.PASSWORD:
        typed["password"] = ""
    if client_secret:
        typed["oauth_client_secret"] = client_secret
    if pk is None:
        mailbox = Mailbox.objects.create(**typed, began_at=now() if from_now else None)
    else:  # only what was typed: a worker may be fetching meanwhile
        if client_secret or any(settings[name] != getattr(before, name) for name in SIGN_IN):
            typed |= NO_TOKENS
        if not Mailbox.in_use().filter(pk=pk).update(**typed):
            raise NotFound
        mailbox = access_mailbox(viewer, pk)
    work.ring_on_commit(mailbox)
    return mailbox


def _made(name: str, address: str) -> Inbox:
    return Inbox.objects.create(name=name, address=address, from_name=name)


@transaction.atomic
def save_hook(
    viewer: Viewer,
    pk: int | None,
    *,
    service: str,
    name: str,
    signing_key: str,
    inbox: Inbox | None,
    new_inbox: str,
    address: str,
) -> Mailbox:
    """Write what was typed of a mailbox whose mail a service brings; without `pk` it is a new one,
    with an address that nobody can guess.

    `service` is one of `mail.hooks.SERVICES`, and stays what it was. An empty `signing_key` keeps
    the one there is; a service that does not sign gets a secret of ours. Inboxes as for
    `save_mailbox`. Raises NotFound for who is no administrator, and for a mailbox that is removed.
    """
    if viewer.user is None or not viewer.user.is_superuser:
        raise NotFound
    inbox = inbox or _made(new_inbox, address)
    typed: dict[str, Any] = {"name": name, "inbox": inbox}
    if signing_key:
        typed |= {"hook_secret": signing_key, "error": ""}
    if pk is None:
        typed |= {"kind": Mailbox.Kind.HOOK, "host": service}
        typed["hook_key"] = secrets.token_urlsafe(KEY_BYTES)
        typed.setdefault("hook_secret", secrets.token_urlsafe(KEY_BYTES))
        return Mailbox.objects.create(**typed)
    mailbox = access_mailbox(viewer, pk)
    hooks = Mailbox.in_use().filter(pk=pk, kind=Mailbox.Kind.HOOK)
    if not hooks.update(**typed):
        raise NotFound
    mailbox.refresh_from_db()
    return mailbox


@transaction.atomic
def remove_mailbox(viewer: Viewer, pk: int) -> None:
    """Read a mailbox no more, and forget its password and tokens. Nothing changes on its server.

    The row stays, under a name that gives the old one free: its mails, however many, and their
    tickets are not touched. Who is fetching it at this moment loses it. Raises NotFound, also the
    second time.
    """
    mailbox = access_mailbox(viewer, pk)
    mark = f" (removed, {pk})"
    removed = (
        Mailbox.in_use()
        .filter(pk=pk)
        .update(
            state=Mailbox.State.DONE,
            lease=None,
            leased_until=None,
            finished_at=now(),
            error="",
            missing_count=0,
            name=mailbox.name[: NAME_MAX_CHARS - len(mark)] + mark,
            password="",
            oauth_client_secret="",
            hook_key=None,
            hook_secret="",
            **NO_TOKENS,
        )
    )
    if not removed:
        raise NotFound
    MailboxAlarm.objects.filter(mailbox=pk, cleared_at=None).update(cleared_at=now())
