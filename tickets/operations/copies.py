"""Whom a reply goes to besides those who hear it anyway: seats in copy, and blind copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from helpdesk.lib.errors import NotFound, Refused
from tickets import events
from tickets.access import Viewer, access_ticket
from tickets.models import Message, OutgoingEmail, Participant, Ticket
from tickets.operations.people import checked_address, person_at
from tickets.operations.timeline import append_change, queue_email

COPIES_MAX = 20  # in either field


@dataclass(frozen=True, slots=True)
class Copies:
    """Addresses in their comparable form, each once."""

    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cc or self.bcc)


def checked_copies(cc: Sequence[str], bcc: Sequence[str]) -> Copies:
    """Raises Refused with a sentence for too many, for what is no address, and for our own.
    Who is named in both is in Cc."""
    open_ones, blind = _checked(cc), _checked(bcc)
    return Copies(open_ones, tuple(one for one in blind if one not in open_ones))


def _checked(addresses: Sequence[str]) -> tuple[str, ...]:
    if len(addresses) > COPIES_MAX:
        raise Refused(
            ngettext(
                "At most %(limit)s address can be put in copy.",
                "At most %(limit)s addresses can be put in copy.",
                COPIES_MAX,
            )
            % {"limit": COPIES_MAX}
        )
    return tuple(dict.fromkeys(_named(one) for one in addresses))


def _named(address: str) -> str:
    """As `checked_address`, in a sentence that says which of several it was."""
    try:
        return checked_address(address)
    except Refused as error:
        raise Refused(f"{address.strip()[:100]}: {error}") from error


def check_may_copy(ticket: Ticket | None, viewer: Viewer) -> Ticket:
    """The ticket whose mails have copies. Raises Refused where there are none to be had."""
    if ticket is None or not viewer.is_staff:
        raise Refused(_("Nobody can be put in copy here."))
    if not ticket.inbox.address:
        raise Refused(_("%(inbox)s has no address to write from.") % {"inbox": ticket.inbox.name})
    return ticket


def put_in_copy(ticket: Ticket, viewer: Viewer, addresses: Sequence[str]) -> dict[int, str]:
    """Give each address a seat that hears from the next entry on, and record it in one line.

    Who hears already stays as they are. The caller holds the addresses, and the conversation.
    Returns each one's address, by person.
    """
    seats = {seat.person_id: seat for seat in ticket.conversation.participants.all()}
    typed: dict[int, str] = {}
    new: list[Participant] = []
    for address in addresses:
        person = person_at(address)
        typed.setdefault(person.pk, address)
        seat = seats.get(person.pk)
        if seat is None:
            seat = Participant(
                conversation=ticket.conversation, person=person, role=Participant.Role.CUSTOMER
            )
            seat.copied = True
        elif seat.left_at is None and seat.reach == Participant.Reach.EMAIL:
            continue
        elif seat.left_at is None:  # they sit in the chat, and see what they saw
            Participant.objects.filter(pk=seat.pk).update(reach=Participant.Reach.EMAIL)
            continue
        seats[person.pk] = seat
        new.append(seat)
    if not new:
        return typed
    after = ticket.conversation.last_seq + 1  # the line below, which stands right before the reply
    for seat in new:
        seat.reach, seat.left_at = Participant.Reach.EMAIL, None
        seat.sees_after_seq, seat.last_read_seq = after, 0
        seat.save()
    names = ", ".join(typed[seat.person_id] for seat in new)
    seat_ids = [seat.pk for seat in new]  # so that they can be taken back with it
    append_change(ticket, "copied", None, names, author=viewer.person, seats=seat_ids)
    return typed


def leave_out(viewer: Viewer, number: int, seat_id: int) -> Ticket:
    """Let somebody who hears in copy hear no more. A second call changes nothing.

    Raises NotFound for a ticket the viewer may not see, and for a seat that is not in copy there.
    """
    with transaction.atomic():
        ticket = access_ticket(viewer, number, lock=True)
        seat = ticket.conversation.participants.filter(pk=seat_id, copied=True).first()
        if seat is None:
            raise NotFound
        if seat.left_at is not None:
            return ticket
        seat.left_at = now()
        seat.save(update_fields=["left_at"])
        primary = seat.person.addresses.filter(is_primary=True).first()
        name = primary.address if primary else str(seat.person)
        append_change(ticket, "copied", name, None, author=viewer.person)
        events.ticket_changed(ticket)
        return ticket


def queue_blind_copies(message: Message, addresses: Sequence[str]) -> None:
    """Mail this one message to these as well, named to nobody. Who gets it anyway gets it once.
    The caller holds the addresses."""
    has_it = set(message.outgoing_emails.values_list("person", flat=True))
    for address in addresses:
        person = person_at(address)
        if person.pk not in has_it:
            has_it.add(person.pk)
            queue_email(message, person.pk, address, field=OutgoingEmail.Field.BCC)
