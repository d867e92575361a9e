"""One mail of all that somebody has not read."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from tickets.models import EmailAddress, Inbox, Message, Participant
from tickets.operations.timeline import locked, queue_email, ticket_of


def unread_seats(conversation_id: int, seq: int) -> list[Participant]:
    """Customers who hear live, have an address, and have neither read the entry `seq` nor been
    mailed it."""
    addresses = EmailAddress.objects.filter(person=OuterRef("person"), is_primary=True)
    return list(
        Participant.objects.filter(
            Exists(addresses),
            conversation=conversation_id,
            role=Participant.Role.CUSTOMER,
            reach=Participant.Reach.LIVE,
            left_at=None,
            muted=False,
            last_read_seq__lt=seq,
            mailed_seq__lt=seq,
            sees_after_seq__lt=seq,
        ).order_by("pk")
    )


def mail_digest(seat: Participant) -> bool:
    """Queue one mail with every reply of others that this seat has neither read nor been mailed.

    Returns whether there was anything to mail. A second call finds nothing left. Expects a
    transaction; holds the conversation.
    """
    conversation = locked(seat.conversation_id)
    seat.refresh_from_db()
    if seat.left_at is not None or seat.muted:  # since it was found
        return False
    ticket = ticket_of(conversation)
    if ticket is None or not Inbox.objects.filter(pk=ticket.inbox_id, address__gt="").exists():
        return False
    since = max(seat.last_read_seq, seat.mailed_seq, seat.sees_after_seq)
    unread = Message.objects.filter(
        conversation=conversation, kind=Message.Kind.REPLY, seq__gt=since
    ).exclude(author=seat.person_id)
    last = unread.select_related("author").order_by("seq").last()
    if last is None or last.outgoing_emails.filter(person=seat.person_id).exists():
        return False
    address = EmailAddress.objects.filter(person=seat.person_id, is_primary=True).get()
    queue_email(last, seat.person_id, address.address, since_seq=since, wait_seconds=0)
    seat.mailed_seq = conversation.last_seq
    seat.save(update_fields=["mailed_seq"])
    return True
