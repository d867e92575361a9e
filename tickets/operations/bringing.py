"""Mail services bring mail. What they bring is stored before they are thanked for it."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest
from django.utils.timezone import now

from helpdesk.lib.errors import Refused
from tickets.mail.envelope import noted
from tickets.mail.hooks import SERVICES, Brought, bring
from tickets.models import InboundEmail, Mailbox
from tickets.operations.fetching import bounded, record_inbound


def take_in(mailbox: Mailbox, request: HttpRequest) -> None:
    """Store what a service brings for a mailbox. It is safe once this returns.

    A mail that it brings twice under one name is stored once. A refusal is kept on the mailbox,
    where whoever sets it up sees it. Raises what `mail.hooks.bring` raises.
    """
    own = Mailbox.in_use().filter(pk=mailbox.pk)
    try:
        mails = bring(mailbox.host, mailbox.hook_secret, request)
    except Refused as refused:
        own.update(error=str(refused))
        raise
    while mails:
        _record(mailbox, mails.pop(0))  # of a large one there are few copies at a time
        own.update(last_ok_at=now(), error="")


def _record(mailbox: Mailbox, mail: Brought) -> InboundEmail | None:
    raw, problems = bounded(noted(mail.recipients, sender=mail.sender) + mail.raw)
    name = mail.name
    del mail
    return record_inbound(
        raw,
        mailbox=mailbox,
        uidl=hashlib.sha256(name.encode()).hexdigest() if name else None,
        source=f"{SERVICES[mailbox.host].name}, mail {name or '?'}",
        problems=problems,
    )
