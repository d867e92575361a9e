"""Who sits in a conversation: adding people, and what becomes of their seats.

Whoever is added reads from the line that says so, or everything, as the one who adds them chooses.
Whoever loses a seat hears nothing from that moment: the version of the seats rises in the same
transaction, every later event carries it, and open sockets ask again before they pass one on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from django.db import transaction
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import clean
from tickets import events
from tickets.access import Viewer, access_conversation, access_to_invite, access_to_write, may_lead
from tickets.models import Conversation, Message, Participant, Person, User
from tickets.models.conversations import TITLE_MAX_CHARS
from tickets.operations.inviting import invite, withdraw_invitation
from tickets.operations.people import checked_address, person_at
from tickets.operations.related import hold_address
from tickets.operations.timeline import record_change, tell_team, ticket_of

SEATS_MAX = 200  # people in a conversation at once
GROUPS_MAX = 50  # groups a person is in at once
ADDED_MAX = 50  # addresses typed in at once
NAMED_MAX = 5  # of those added together, in the line that says so

Rank = Participant.Rank
Reach = Participant.Reach
Role = Participant.Role


@dataclass(frozen=True, slots=True)
class Guests:
    """Who is to be added: colleagues by their logins, whole teams, and customers by address."""

    user_ids: Sequence[int] = ()
    team_ids: Sequence[int] = ()
    addresses: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.user_ids or self.team_ids or self.addresses)


def add_people(
    viewer: Viewer,
    conversation_id: int,
    guests: Guests,
    *,
    sees_all: bool = False,
    rank: str = Rank.MEMBER,
) -> list[Participant]:
    """Give people a seat each, and say so in one line that everybody sees.

    Who has a seat already keeps it as it is. Customers are reached by mail until they come to the
    chat, and a mail tells them so; somebody new becomes a person. Returns the new seats. A second
    call changes nothing.

    Raises NotFound, and Refused for an address nobody can be reached at, for customers in a group
    of colleagues and where the inbox has no address, for a third in a direct message, for somebody
    who is in GROUPS_MAX groups, and beyond SEATS_MAX.
    """
    if not guests:
        raise Refused(_("Choose somebody to add, or write an address."))
    if len(guests.addresses) > ADDED_MAX:
        raise Refused(_("At most %(limit)s addresses can be added at once.") % {"limit": ADDED_MAX})
    addresses = list(dict.fromkeys(checked_address(one) for one in guests.addresses))
    with transaction.atomic():
        if addresses:  # before the conversation, as whoever files a mail does
            hold_address(*addresses)
        conversation = access_to_invite(viewer, conversation_id)
        if conversation.pair:
            raise Refused(_("A direct message is between two. Start a group for more."))
        if addresses:
            _check_reaches_mail(conversation)
        typed: dict[Person, str] = {}
        for one in addresses:
            typed.setdefault(person_at(one), one)
        return seat_people(
            conversation,
            [*colleagues(guests), *typed],
            by=viewer.person,
            sees_all=sees_all,
            rank=rank,
            reach=Reach.EMAIL,
            addresses={person.pk: one for person, one in typed.items() if not person.user_id},
        )


def _check_reaches_mail(conversation: Conversation) -> None:
    ticket = ticket_of(conversation)
    if ticket is None:
        raise Refused(_("This is among colleagues: customers cannot be added."))
    if not ticket.inbox.address:
        raise Refused(
            _("%(inbox)s has no address to write from. Invite by a link instead.")
            % {"inbox": ticket.inbox.name}
        )


def colleagues(guests: Guests) -> list[Person]:
    """Those who are named by their logins or by their teams, and still work here."""
    users = User.objects.filter(
        Q(pk__in=guests.user_ids) | Q(teams__in=guests.team_ids), is_active=True
    )
    return list(Person.objects.filter(user__in=users).order_by("name", "pk"))


def seat_people(
    conversation: Conversation,
    people: Iterable[Person],
    *,
    by: Person | None,
    sees_all: bool,
    rank: str = Rank.MEMBER,
    reach: str = Reach.LIVE,
    addresses: Mapping[int, str] = MappingProxyType({}),
) -> list[Participant]:
    """The part of adding that everybody shares. The caller holds the conversation.

    `reach` is that of customers; colleagues hear at the desk. `by` is None where they come by
    themselves. Those who have an address, by person, in `addresses` are told of it by mail, but for
    who had muted this conversation before. Raises Refused as `add_people` does.
    """
    seats = {seat.person_id: seat for seat in conversation.participants.all()}
    taken = sum(seat.left_at is None for seat in seats.values())
    unique = {person.pk: person for person in people}
    new = [one for one in unique.values() if one.pk not in seats or seats[one.pk].left_at]
    if not new:
        return []
    check_room(taken + len(new))
    if conversation.side_of_id is None:  # those beside a ticket end with it
        for person in new:
            check_groups(person)
    quiet = {person.pk for person in new if person.pk in seats and seats[person.pk].muted}
    start = 0 if sees_all else conversation.last_seq
    _becomes_group(conversation)
    given = [
        _seated(conversation, person, seats.get(person.pk), rank=rank, reach=reach, start=start)
        for person in new
    ]
    entry = say_who_came(conversation, new, by=by)
    if addresses:
        invite(entry, given, addresses, quiet=quiet)
    _people_changed(conversation)
    return given


def say_who_came(
    conversation: Conversation, people: Sequence[Person], *, by: Person | None
) -> Message:
    """One line for all, which everybody sees. `by` is None where they came by themselves."""
    names = [str(person) for person in people]
    line = ", ".join(names[:NAMED_MAX])
    if len(names) > NAMED_MAX:
        line = f"{line} +{len(names) - NAMED_MAX}"
    field, author = ("joined", people[0]) if by is None else ("member", by)
    return record_change(
        conversation, field, None, line, author=author, public=True, count=len(names)
    )


def _seated(
    conversation: Conversation,
    person: Person,
    seat: Participant | None,
    *,
    rank: str,
    reach: str,
    start: int,
) -> Participant:
    is_staff = person.user_id is not None
    seat = seat or Participant(conversation=conversation, person=person)
    seat.role = Role.STAFF if is_staff else Role.CUSTOMER
    seat.reach = Reach.LIVE if is_staff else Reach(reach)
    seat.rank = Rank(rank)
    seat.left_at, seat.barred, seat.muted, seat.copied = None, False, False, False
    seat.sees_after_seq, seat.last_read_seq = start, 0
    seat.mailed_seq = conversation.last_seq
    seat.save()
    return seat


def check_room(seats: int) -> None:
    if seats > SEATS_MAX:
        raise Refused(
            _("A conversation has room for %(limit)s people; this would be %(count)s.")
            % {"limit": SEATS_MAX, "count": seats}
        )


def check_groups(person: Person) -> None:
    """Raises Refused for who is in GROUPS_MAX groups. Those beside a ticket do not count."""
    groups = Participant.objects.filter(
        person=person,
        left_at=None,
        conversation__is_group=True,
        conversation__side_of=None,
        conversation__merged_into=None,
    )
    if groups.count() >= GROUPS_MAX:
        raise Refused(
            ngettext(
                "%(name)s is in %(limit)s group already; no more are possible at once.",
                "%(name)s is in %(limit)s groups already; no more are possible at once.",
                GROUPS_MAX,
            )
            % {"name": person, "limit": GROUPS_MAX}
        )


def _becomes_group(conversation: Conversation) -> None:
    if not conversation.is_group:
        conversation.is_group = True
        conversation.save(update_fields=["is_group"])


def remove_person(viewer: Viewer, conversation_id: int, person_id: int) -> Participant:
    """Take somebody's seat, for good: neither a mail nor a link brings them back.

    From the end of this transaction on they hear nothing. A second call changes nothing. Raises
    NotFound, and Refused for who may not, and for the one whose ticket it is.
    """
    with transaction.atomic():
        conversation, seat = _led(viewer, conversation_id, person_id)
        if seat.left_at is not None and seat.barred:
            return seat
        if person_id == viewer.person.pk:
            raise Refused(_("To go yourself, leave the conversation."))
        seat.left_at, seat.barred = seat.left_at or now(), True
        seat.save(update_fields=["left_at", "barred"])
        _loses_seat(conversation, seat)
        record_change(
            conversation, "member", str(seat.person), None, author=viewer.person, public=True
        )
        return seat


def leave(viewer: Viewer, conversation_id: int) -> None:
    """Go, of one's own will. A second call changes nothing. Raises NotFound, and Refused for the
    one whose ticket it is: staff could not answer them any more; and for a direct message."""
    with transaction.atomic():
        conversation = access_conversation(viewer, conversation_id, lock=True)
        seat = conversation.participants.filter(person=viewer.person, left_at=None).first()
        if seat is None:
            return
        if conversation.pair:
            raise Refused(_("A direct message stays with both. Mute it instead."))
        ticket = ticket_of(conversation)
        if ticket is not None and ticket.requester_id == viewer.person.pk:
            raise Refused(_("You began this conversation. End it instead of leaving it."))
        seat.left_at = now()
        seat.save(update_fields=["left_at"])
        _loses_seat(conversation, seat)
        record_change(conversation, "left", None, None, author=viewer.person, public=True)
        _hand_on(conversation, seat)


def _hand_on(conversation: Conversation, seat: Participant) -> None:
    """A group of colleagues is never without an owner: whoever is longest in it becomes one."""
    if seat.rank != Rank.OWNER or conversation.channel != Conversation.Channel.INTERNAL:
        return
    others = conversation.participants.filter(left_at=None)
    if not others.filter(rank=Rank.OWNER).exists() and (heir := others.order_by("pk").first()):
        heir.rank = Rank.OWNER
        heir.save(update_fields=["rank"])
        record_change(conversation, "rank", None, Rank.OWNER, author=None, of=str(heir.person))


def set_rank(viewer: Viewer, conversation_id: int, person_id: int, rank: str) -> Participant:
    """Make somebody owner, member or reader. A second call changes nothing. Raises NotFound, and
    Refused for who may not, and for an unknown rank."""
    if rank not in Rank.values:
        raise Refused(_("Choose owner, member or read-only."))
    with transaction.atomic():
        conversation, seat = _led(viewer, conversation_id, person_id)
        if seat.left_at is not None:
            raise NotFound
        if seat.rank == rank:
            return seat
        if _is_last_owner(conversation, seat):
            raise Refused(_("Make somebody else an owner first."))
        old, seat.rank = seat.rank, Rank(rank)
        seat.save(update_fields=["rank"])
        record_change(
            conversation, "rank", old, rank, author=viewer.person, public=True, of=str(seat.person)
        )
        _people_changed(conversation)
        return seat


def _is_last_owner(conversation: Conversation, seat: Participant) -> bool:
    owners = conversation.participants.filter(rank=Rank.OWNER, left_at=None)
    return (
        conversation.channel == Conversation.Channel.INTERNAL
        and seat.rank == Rank.OWNER
        and not owners.exclude(pk=seat.pk).exists()
    )


def mute(viewer: Viewer, conversation_id: int, *, muted: bool) -> None:
    """Get no mail and no notification of this conversation, or get them again. Raises NotFound."""
    conversation = access_conversation(viewer, conversation_id)
    seats = Participant.objects.filter(
        conversation=conversation, person=viewer.person, left_at=None
    )
    if not seats.update(muted=muted):
        raise NotFound
    if conversation.channel == Conversation.Channel.INTERNAL:
        events.team_changed(conversation.pk, [viewer.person.pk])


def rename(viewer: Viewer, conversation_id: int, title: str) -> Conversation:
    """Call a conversation something; empty takes the name away. A second call changes nothing.

    Raises NotFound, and Refused for who may not, and for more than TITLE_MAX_CHARS.
    """
    title = checked_title(title)
    with transaction.atomic():
        conversation = access_to_write(viewer, conversation_id)
        _check_leads(viewer, conversation)
        if conversation.title == title:
            return conversation
        old, conversation.title = conversation.title, title
        conversation.save(update_fields=["title"])
        record_change(conversation, "title", old, title, author=viewer.person, public=True)
        _people_changed(conversation)
        return conversation


def checked_title(title: str) -> str:
    """The name as it will be stored. Raises Refused for more than TITLE_MAX_CHARS."""
    title = " ".join(clean(title).split())
    if len(title) > TITLE_MAX_CHARS:
        raise Refused(_("A name has at most %(limit)s characters.") % {"limit": TITLE_MAX_CHARS})
    return title


def _led(viewer: Viewer, conversation_id: int, person_id: int) -> tuple[Conversation, Participant]:
    """A conversation whose people the viewer may change, locked, and one of its seats."""
    conversation = access_to_write(viewer, conversation_id)
    _check_leads(viewer, conversation)
    seats = conversation.participants.select_related("person")
    seat = seats.filter(person=person_id).exclude(role=Role.ASSISTANT).first()
    if seat is None:
        raise NotFound
    ticket = ticket_of(conversation)
    if ticket is not None and ticket.requester_id == person_id:
        raise Refused(_("This is their conversation. Solve it instead."))
    return conversation, seat


def _check_leads(viewer: Viewer, conversation: Conversation) -> None:
    if not may_lead(viewer, conversation):
        raise Refused(_("Only an owner of this group can do that."))


def _loses_seat(conversation: Conversation, seat: Participant) -> None:
    """Before the line that says so: nothing from now on is theirs to hear."""
    withdraw_invitation(conversation, seat.person_id)
    conversation.seats_version += 1
    conversation.save(update_fields=["seats_version"])
    events.seat_lost(conversation, seat.person_id)
    if conversation.channel == Conversation.Channel.INTERNAL:
        events.team_changed(conversation.pk, [seat.person_id])
    _people_changed(conversation)


def _people_changed(conversation: Conversation) -> None:
    events.people_changed(conversation)
    ticket = ticket_of(conversation)
    if ticket is not None:
        events.ticket_changed(ticket)
    tell_team(conversation)


def members(conversation: Conversation) -> list[Participant]:
    """The seats that are taken, owners first, then as they came."""
    seats = conversation.participants.filter(left_at=None).select_related("person__user")
    return sorted(seats, key=lambda seat: (seat.rank != Rank.OWNER, seat.pk))
