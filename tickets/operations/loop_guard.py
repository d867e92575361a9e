"""What no person wrote is sent only so often: two machines that answer each other come to rest.

Counted in the database, from the mails themselves, so nothing is forgotten with a process or a
cache. The caller holds the conversation.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet
from django.utils.timezone import now

from tickets.models import Message, OutgoingEmail, Ticket
from tickets.operations.related import hold
from tickets.operations.timeline import Hearer, append_change, queue_email

log = logging.getLogger(__name__)

# At most so many automatic mails within so many minutes, on one ticket and to one address.
CAPS = ((10, 10), (15, 30), (25, 60), (50, 180), (100, 600))


def queue_automatic(ticket: Ticket, message: Message, hearers: Sequence[Hearer]) -> None:
    """Mail a message that no person wrote to those whom the guard lets it through to."""
    for hearer in let_through(ticket, hearers):
        queue_email(
            message, hearer.person_id, hearer.address, field=hearer.field, is_automatic=True
        )


def let_through(ticket: Ticket, hearers: Sequence[Hearer]) -> list[Hearer]:
    """Who may get one more automatic mail now; of the others a line of the ticket says so.

    Until the transaction ends nobody else is let through to the same addresses.
    """
    if not hearers:
        return []
    hold(*(f"automatic to {one.address}" for one in hearers))
    moment = now()
    automatic = OutgoingEmail.objects.filter(is_automatic=True)
    here = automatic.filter(message__conversation=ticket.conversation_id)
    # One answer to several people is one.
    is_full = _is_full(here, moment, "message")
    passed = []
    for hearer in hearers:
        if is_full or _is_full(automatic.filter(address=hearer.address), moment, "pk"):
            _note(ticket, hearer.address)
        else:
            passed.append(hearer)
    return passed


def _is_full(mails: QuerySet[OutgoingEmail], moment: datetime, what: str) -> bool:
    since = {minutes: moment - timedelta(minutes=minutes) for _most, minutes in CAPS}
    within = {
        str(minutes): Count(what, distinct=True, filter=Q(created_at__gt=start))
        for minutes, start in since.items()
    }
    counts = mails.filter(created_at__gt=min(since.values())).aggregate(**within)
    return any(counts[str(minutes)] >= most for most, minutes in CAPS)


def _note(ticket: Ticket, address: str) -> None:
    log.warning("ticket %s: held back an automatic mail to %s", ticket.number, address)
    append_change(ticket, "held_back", None, address, author=None, via=Message.Via.SYSTEM)
