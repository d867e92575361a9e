"""Replies leave as mail. The network is talked to here, outside any transaction."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils.timezone import now

from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp
from tickets import events
from tickets.access import Viewer, access_ticket
from tickets.mail.addresses import is_address
from tickets.mail.handover import hand_over
from tickets.mail.render import one_line, render
from tickets.models import Message, OutgoingEmail, Ticket
from tickets.operations.enclosures import with_files
from tickets.operations.letters import letter_for
from tickets.operations.sign_in import route_of
from tickets.operations.timeline import (
    locked,
    survivor_of,
    ticket_of,
    ticket_reopens,
)
from tickets.queries import undelivered_mails

log = logging.getLogger(__name__)

SETTLE_SECONDS = 15  # how long we try to note that a mail was accepted
SMTP_REPLY_MAX_CHARS = 500


def deliver_email(pk: int) -> None:
    """Perform the work of one OutgoingEmail, and show on open pages how it went."""
    work.perform(OutgoingEmail, pk, deliver, gave_up=_undelivered)
    waiting = OutgoingEmail.objects.exclude(state=OutgoingEmail.State.DONE)
    outgoing = waiting.select_related("message").filter(pk=pk).first()
    if outgoing is not None:  # put off or failed; success has rung already
        events.delivery_changed(outgoing.message)


def deliver(outgoing: OutgoingEmail) -> None:
    """Send one reply to one recipient.

    Once a server has accepted it, it is never sent again: acceptance closes the row, and a worker
    that dies between the server's answer and that commit leaves a slip on which its successor reads
    the answer. Raises GiveUp where sending can never succeed, TemporaryFailure where it may later.
    """
    message = Message.objects.select_related("conversation", "author__user").get(
        pk=outgoing.message_id
    )
    ticket = (
        Ticket.objects.select_related("inbox").filter(conversation=message.conversation_id).first()
    )
    if ticket is None or not ticket.inbox.address:
        raise GiveUp("The inbox has no address to send from.")
    letter = letter_for(outgoing, message, ticket)
    if not is_address(letter.to_address):
        raise GiveUp(f"{letter.to_address} is no address.")
    letter = with_files(letter, outgoing, message)
    try:
        mail = render(letter)
    except ValueError as error:
        raise GiveUp(str(error)) from error
    hand_over(
        mail.as_bytes(),
        message_id=outgoing.rfc_message_id,
        sender=letter.reply_to,  # a bounce comes back to its conversation
        recipient=letter.to_address,
        route=route_of(ticket.inbox),
        slip=slips() / str(outgoing.pk),
        plain_sender=ticket.inbox.address,
        before_data=partial(work.extend, outgoing),
        accepted=partial(_note_accepted, outgoing, message),
    )


def slips() -> Path:
    """Where it is written what became of mails that are being handed over."""
    return Path(settings.DATA_DIR) / "mail" / "slips"


def _undelivered(outgoing: OutgoingEmail) -> None:
    """The customer has not heard us, so it is our turn again, and the lists show it."""
    ticket = ticket_of(locked(survivor_of(outgoing.message.conversation_id)))
    if ticket is not None:
        ticket_reopens(ticket, reason="undelivered")


def retry_delivery(viewer: Viewer, number: int, seq: int) -> int:
    """Send again, at once, the mails of one message that did not arrive. Returns how many.

    What a server has accepted is never sent again. Raises NotFound for a ticket the viewer may
    not see.
    """
    ticket = access_ticket(viewer, number)
    mails = OutgoingEmail.objects.filter(
        message__conversation=ticket.conversation_id, message__seq=seq
    )
    count = work.retry(mails)
    if count:
        events.delivery_changed(mails.select_related("message")[0].message)
    return count


def retry_all_failed(viewer: Viewer) -> int:
    """Send again, at once, every mail that failed for good in a ticket that the viewer can see and
    nobody has solved. Returns how many."""
    mails = undelivered_mails(viewer)
    shown = list(Message.objects.filter(outgoing_emails__in=mails).distinct())
    count = work.retry(mails)
    for message in shown:
        events.delivery_changed(message)
    return count


def _note_accepted(outgoing: OutgoingEmail, message: Message, answer: str) -> None:
    """Close the row. A database that is away for a moment must not make us send twice."""
    stop_at = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            with work.closing(outgoing) as fields:
                fields["accepted_at"] = now()
                fields["smtp_reply"] = one_line(answer)[:SMTP_REPLY_MAX_CHARS]
                events.delivery_changed(message)
        except (OperationalError, InterfaceError):
            if time.monotonic() > stop_at or connection.in_atomic_block:
                raise
            log.warning("email %s: accepted, and not noted yet", outgoing.pk, exc_info=True)
            connection.close()
            time.sleep(0.5)
        else:
            return
