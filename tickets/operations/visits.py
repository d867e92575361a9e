"""What a customer does about their own chat besides writing: ending it, rating it, saying who
they are."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib.errors import Refused
from helpdesk.lib.text import clean
from tickets import events
from tickets.access import Viewer, access_conversation
from tickets.models import EmailAddress, Message, Person, Rating, Ticket, User
from tickets.models.people import NAME_MAX_CHARS
from tickets.models.tickets import RATING_CHANGEABLE, RATING_COMMENT_MAX_CHARS
from tickets.operations.people import checked_address
from tickets.operations.related import hold_address
from tickets.operations.timeline import append_change, ticket_of

WIDGET = Message.Via.WIDGET


@transaction.atomic
def end_chat(viewer: Viewer, conversation_id: int) -> None:
    """A customer needs no more. Ending a chat that has ended changes nothing; writing opens it.

    Raises NotFound, Refused while nothing has been said, and for others in a group.
    """
    ticket = _own_ticket(viewer, conversation_id)
    if ticket.status == Ticket.Status.SOLVED:
        return
    old, ticket.status = ticket.status, Ticket.Status.SOLVED
    ticket.solved_at, ticket.waiting_since, ticket.unread = now(), None, False
    ticket.save(update_fields=["status", "solved_at", "waiting_since", "unread"])
    append_change(
        ticket, "status", old, ticket.status, author=viewer.person, via=WIDGET, reason="ended"
    )
    events.ticket_changed(ticket)
    events.ended_changed(ticket)


@transaction.atomic
def rate_ticket(viewer: Viewer, conversation_id: int, *, score: int, comment: str = "") -> Rating:
    """Say how it was, from 1 to 5. Once for a ticket; within RATING_CHANGEABLE it may be changed.

    Saying the same again changes nothing. Raises NotFound, Refused while nothing has been said,
    for a score that is none, for others in a group, and once it is too late.
    """
    if not 1 <= score <= 5:
        raise Refused(_("Choose one of the five."))
    comment = clean(comment).strip()[:RATING_COMMENT_MAX_CHARS]
    ticket = _own_ticket(viewer, conversation_id)
    rating = Rating.objects.filter(ticket=ticket).first()
    if rating is not None and (rating.score, rating.comment) == (score, comment):
        return rating
    if rating is not None and now() - rating.created_at > RATING_CHANGEABLE:
        raise Refused(_("A rating can be changed for a day only."))
    old = rating.score if rating else None
    rating, _created = Rating.objects.update_or_create(
        ticket=ticket,
        defaults={"score": score, "comment": comment, "changed_at": now()},
        create_defaults={"score": score, "comment": comment, "person": viewer.person},
    )
    append_change(ticket, "rating", old, score, author=viewer.person, via=WIDGET, comment=comment)
    events.ticket_changed(ticket)
    return rating


@transaction.atomic
def introduce(viewer: Viewer, *, name: str = "", address: str = "") -> str:
    """Note what a visitor says about themselves: it is believed, and proves nothing.

    Nobody's name is changed once an address of theirs is verified. An address that nobody has
    becomes theirs, unverified, so that they can be written to. One that somebody has stays with
    them; then it is returned, comparable, for the visitor's session to remember as a claim.
    Raises Refused for what is no address.
    """
    address = checked_address(address) if address.strip() else ""
    name = clean(name).strip()[:NAME_MAX_CHARS]
    known = viewer.is_staff or viewer.person.addresses.filter(is_verified=True).exists()
    if name and not known:
        Person.objects.filter(pk=viewer.person.pk).update(name=name)
    if not address:
        return ""
    hold_address(address)
    theirs = owner_of_address(address)
    if theirs == viewer.person.pk:
        return ""
    if theirs is not None or known:
        return address
    EmailAddress.objects.filter(person=viewer.person).delete()  # an unverified one, said before
    EmailAddress.objects.create(person=viewer.person, address=address, is_verified=False)
    return ""


def owner_of_address(address: str) -> int | None:
    """The person who has an address, or logs in with it. It is comparable, and held by the
    caller where that matters."""
    has = EmailAddress.objects.filter(Exact(Lower("address"), address))
    logs_in = User.objects.filter(Exact(Lower("email"), address))
    pk = has.values_list("person", flat=True).first()
    return pk if pk is not None else logs_in.values_list("person__pk", flat=True).first()


@transaction.atomic
def file_answers(viewer: Viewer, conversation_id: int, answers: dict[str, str]) -> bool:
    """Show staff what was answered before the chat. False while there is no ticket for it."""
    conversation = access_conversation(viewer, conversation_id, lock=True)
    ticket = ticket_of(conversation)
    if ticket is None:
        return False
    append_change(ticket, "answers", None, answers, author=viewer.person, via=WIDGET)
    return True


def _own_ticket(viewer: Viewer, conversation_id: int) -> Ticket:
    """The ticket of whoever it is that began it."""
    ticket = _ticket(viewer, conversation_id)
    if ticket.requester_id != viewer.person.pk:
        raise Refused(_("Only whoever began this conversation can do that."))
    return ticket


def _ticket(viewer: Viewer, conversation_id: int) -> Ticket:
    ticket = ticket_of(access_conversation(viewer, conversation_id, lock=True))
    if ticket is None:
        raise Refused(_("Write something first."))
    return ticket
