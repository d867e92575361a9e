"""Two tickets are about one matter: one goes on, the other is part of it from then on.

What was said in the other stays where it was said, word for word and place for place: whoever has
read up to somewhere, was mailed up to somewhere or looks for a mail finds it as before. Nothing is
added to it any more; what still arrives for it is said in the one that goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from tickets import events
from tickets.access import Viewer, access_survivor, access_ticket, assignable_users, may_merge
from tickets.models import Conversation, Participant, Person, Ticket
from tickets.operations.seats import check_room, say_who_came
from tickets.operations.timeline import append_change, sets_handler

MERGED_MAX = 50  # tickets that one ticket takes in, with all that they took in before

Status = Ticket.Status
Role = Participant.Role
Channel = Conversation.Channel


@dataclass(frozen=True, slots=True)
class Merging:
    """What would become of two tickets, before it is done."""

    source: Ticket
    target: Ticket
    newcomers: list[Person] = field(default_factory=list)  # who get a seat in the target
    strangers: list[Person] = field(default_factory=list)  # customers there whom they do not know

    @property
    def is_of_one_customer(self) -> bool:
        return self.source.requester_id == self.target.requester_id

    @property
    def changes_inbox(self) -> bool:
        return self.source.inbox_id != self.target.inbox_id


def plan_merging(viewer: Viewer, number: int, into: int) -> Merging:
    """What `merge_tickets` would do. Raises as it does; of tickets that are merged already, too."""
    source, target = _both(viewer, number, into)
    if source.conversation.merged_into_id is not None:
        raise Refused(_merged_already(viewer, source))
    _check_may(viewer, source, target)
    seats = _Seats(source, target)
    return Merging(source, target, seats.newcomers, seats.strangers)


def merge_tickets(viewer: Viewer, number: int, into: int, *, sees_all: bool = False) -> Ticket:
    """Let a ticket go on in another one, which is returned. It cannot be undone.

    The desk shows both timelines in one order. Whoever has a seat in the ticket gets one in the
    other, and reads there what is said from now on, or with `sees_all` what was said before, too;
    customers of the other see nothing of the ticket. It is solved; the other is open if either
    was, and unread if either was. One that was merged before stands for the one it goes on in. A
    second call changes nothing.

    Raises NotFound for a ticket the viewer may not see, and Refused: for one that was merged
    elsewhere, for a ticket and itself, for inboxes the viewer does not see, where somebody was
    removed from the other ticket whose ticket this is, and beyond SEATS_MAX and MERGED_MAX.
    """
    with transaction.atomic():
        source, target = _both(viewer, number, into)
        keys = {source.conversation_id, target.conversation_id, *source.conversation.merged_from}
        _lock(keys)
        # Whoever was waited for may have merged one of them.
        source, target = _both(viewer, number, into)
        if source.conversation.merged_into_id is not None:
            if source.conversation.merged_into_id == target.conversation_id:
                return target
            raise Refused(_merged_already(viewer, source))
        if not {target.conversation_id, *source.conversation.merged_from} <= keys:
            raise Refused(_("Somebody merged one of these just now. Look again, then try again."))
        _check_may(viewer, source, target)
        _merge(viewer, source, target, sees_all=sees_all)
        return target


def _both(viewer: Viewer, number: int, into: int) -> tuple[Ticket, Ticket]:
    """The ticket and the one it is to go on in. A ticket that was merged stands for the one that
    goes on with it, where the viewer may see that."""
    if not viewer.is_staff:
        raise NotFound
    source = access_ticket(viewer, number)
    if into == number:
        raise Refused(_("A ticket cannot be merged with itself. Choose another one."))
    try:
        target = access_ticket(viewer, into)
    except NotFound as missing:
        raise Refused(_("There is no ticket #%(number)s.") % {"number": into}) from missing
    if target.conversation.merged_into_id is not None:
        onward = access_survivor(viewer, target)
        if onward is None or onward.number == source.number:
            raise Refused(_merged_already(viewer, target))
        target = onward
    return source, target


def _merged_already(viewer: Viewer, ticket: Ticket) -> str:
    """A ticket is merged once."""
    onward = access_survivor(viewer, ticket)
    if onward is None:
        return _("#%(number)s was merged into another ticket already.") % {"number": ticket.number}
    return _("#%(number)s was merged into #%(into)s already.") % {
        "number": ticket.number,
        "into": onward.number,
    }


def _lock(keys: set[int]) -> None:
    """All these conversations, in the order of their keys: see `moving`."""
    rows = Conversation.objects.filter(pk__in=keys).order_by("pk")
    list(rows.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))


def _check_may(viewer: Viewer, source: Ticket, target: Ticket) -> None:
    if not may_merge(viewer, source, target):
        raise Refused(_("Only who sees the inboxes of both tickets can merge them."))
    if len(source.conversation.merged_from) + len(target.conversation.merged_from) >= MERGED_MAX:
        raise Refused(_("One ticket can take in %(limit)s others.") % {"limit": MERGED_MAX})


def _merge(viewer: Viewer, source: Ticket, target: Ticket, *, sees_all: bool) -> None:
    old, conversation = source.conversation, target.conversation
    seats = _Seats(source, target)
    check_room(seats.taken + len(seats.newcomers))
    start = 0 if sees_all else conversation.last_seq
    _give_seats(seats, start)
    if seats.newcomers and seats.strangers:
        conversation.is_group = True
    conversation.is_group |= old.is_group
    line = append_change(
        target, "merged", None, source.number, author=viewer.person, subject=source.subject
    )
    append_change(source, "merged_into", None, target.number, author=viewer.person)
    if seats.newcomers:
        say_who_came(conversation, seats.newcomers, by=viewer.person)
    _take_over(viewer, source, target)
    taken_in = old.all_merged
    conversation.merged_from = [*conversation.merged_from, *taken_in]
    conversation.save(update_fields=["merged_from", "is_group"])
    Conversation.objects.filter(pk__in=taken_in).update(
        merged_into=conversation, merged_seq=line.seq, merged_from=[]
    )
    _close(source)
    events.merged(old)
    events.people_changed(conversation)
    events.ticket_changed(source)
    events.ticket_changed(target)


class _Seats:
    """Who sits in both, and who does not yet."""

    def __init__(self, source: Ticket, target: Ticket) -> None:
        self.source, self.target = source, target
        rows = Participant.objects.select_related("person").order_by("pk")
        self.here = list(rows.filter(conversation=source.conversation_id))
        self.there = {
            seat.person_id: seat for seat in rows.filter(conversation=target.conversation_id)
        }
        self.joining = [seat for seat in self.here if seat.left_at is None and self._lacks(seat)]
        self.newcomers = [seat.person for seat in self.joining]
        known = {seat.person_id for seat in self.here if seat.left_at is None}
        taken = [seat for seat in self.there.values() if seat.left_at is None]
        self.taken = len(taken)
        self.strangers = [
            seat.person
            for seat in taken
            if seat.role == Role.CUSTOMER and seat.person_id not in known
        ]

    def _lacks(self, seat: Participant) -> bool:
        """Whether somebody gets a seat. Who was removed from the target stays outside."""
        theirs = self.there.get(seat.person_id)
        if theirs is None:
            return True
        if theirs.barred and seat.person_id == self.source.requester_id:
            raise Refused(
                _("%(name)s was removed from #%(number)s: nobody could answer them there.")
                % {"name": seat.person, "number": self.target.number}
            )
        return theirs.left_at is not None and not theirs.barred


def _give_seats(seats: _Seats, start: int) -> None:
    """Each hears as they did. Who was removed from the one is not let into the other by a mail."""
    conversation = seats.target.conversation
    for seat in seats.joining:
        new = seats.there.get(seat.person_id) or Participant(
            conversation=conversation, person=seat.person
        )
        new.role, new.reach, new.muted, new.copied = seat.role, seat.reach, seat.muted, seat.copied
        is_reader = seat.rank == Participant.Rank.READER
        new.rank = Participant.Rank.READER if is_reader else Participant.Rank.MEMBER
        new.left_at, new.last_read_seq = None, 0
        new.sees_after_seq, new.mailed_seq = start, conversation.last_seq
        new.save()
    for seat in seats.here:
        if seat.barred and seat.person_id not in seats.there:
            Participant.objects.create(
                conversation=conversation,
                person=seat.person,
                role=seat.role,
                sees_after_seq=conversation.last_seq,
                left_at=seat.left_at,
                barred=True,
            )
    _hide_mails_from_widgets(seats)


def _hide_mails_from_widgets(seats: _Seats) -> None:
    """The widget of a customer who has a seat in mails shows them from the merging on.

    Whoever sits there may have said no more than that an address is theirs, and to have a seat in
    the mails of that address proves nothing. Who wrote them has them in their own mail program.
    """
    if (seats.source.conversation.channel, seats.target.conversation.channel) != (
        Channel.CHAT,
        Channel.EMAIL,
    ):
        return
    start = seats.target.conversation.last_seq
    both = {seat.person_id for seat in seats.here if seat.role == Role.CUSTOMER}
    both -= {person.pk for person in seats.newcomers}
    Participant.objects.filter(
        conversation=seats.target.conversation, person__in=both, sees_after_seq__lt=start
    ).update(sees_after_seq=start, last_read_seq=0, mailed_seq=start)


def _take_over(viewer: Viewer, source: Ticket, target: Ticket) -> None:
    """Whose turn it is, who answers, and what the lists show: of either what asks for more."""
    was = target.status
    if source.status == Status.OPEN:
        since = [one.waiting_since for one in (source, target) if one.waiting_since]
        target.status, target.solved_at, target.waiting_since = Status.OPEN, None, min(since)
    target.unread |= source.unread
    target.live |= source.live
    if source.last_message_at > target.last_message_at:
        target.last_message_at = source.last_message_at
        target.last_preview = source.last_preview
        target.last_author_name = source.last_author_name
    given = None
    if target.assignee_id is None and source.assignee_id is not None:
        given = assignable_users(target.inbox).filter(pk=source.assignee_id).first()
        target.assignee = given
    target.save(
        update_fields=[
            *("status", "solved_at", "waiting_since", "unread", "live", "assignee"),
            *("last_message_at", "last_preview", "last_author_name"),
        ]
    )
    if given is not None:
        append_change(target, "assignee", None, given.person.name, author=viewer.person)
    if source.handler == Ticket.Handler.STAFF:
        sets_handler(target, Ticket.Handler.STAFF, author=viewer.person, reason="merged")
    if was == Status.SOLVED != target.status:
        append_change(target, "status", was, target.status, author=viewer.person)
        events.ended_changed(target)


def _close(source: Ticket) -> None:
    """Nobody answers in it any more, and no list shows it as work."""
    if source.status != Status.SOLVED:
        source.status, source.solved_at, source.waiting_since = Status.SOLVED, now(), None
    source.handler = Ticket.Handler.STAFF
    source.unread = source.live = False
    source.save(update_fields=["status", "solved_at", "waiting_since", "handler", "unread", "live"])
