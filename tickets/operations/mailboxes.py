"""Setting up where mail comes from, by administrators."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.timezone import now

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound
from tickets.access import Viewer, access_mailbox
from tickets.models import Inbox, Mailbox

SETTINGS = (
    *("name", "kind", "host", "port", "tls", "username", "folder"),
    *("smtp_host", "smtp_port", "smtp_security"),
)


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
    from_now: bool = False,
) -> Mailbox:
    """Write what was typed; the mailbox is fetched anew at once. Without `pk` it is a new one.

    `settings` has the fields of SETTINGS. An empty `password` keeps the one there is. Without
    `inbox` one called `new_inbox` is made for `address`. `from_now` leaves alone what lies in a
    new mailbox. Raises NotFound for who is no administrator.
    """
    mailbox = access_mailbox(viewer, pk) if pk is not None else Mailbox()
    if viewer.user is None or not viewer.user.is_superuser:
        raise NotFound
    if inbox is None:
        inbox = Inbox.objects.create(name=new_inbox, address=address, from_name=new_inbox)
    typed = {**settings, "inbox": inbox, "due_at": now()}
    if password:
        typed["password"] = password
    for name, value in typed.items():
        setattr(mailbox, name, value)
    if pk is None:
        mailbox.began_at = now() if from_now else None
        mailbox.save()
    else:  # only what was typed: a worker may be fetching meanwhile
        mailbox.save(update_fields=list(typed))
    work.ring_on_commit(mailbox)
    return mailbox
