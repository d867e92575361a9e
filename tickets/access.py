"""The one door: who may see and do what.

Every rule is written once, as a queryset for many rows; the functions for one row are built
on it, so that the two cannot disagree. What is missing and what is forbidden look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _

from attachments.models import Attachment
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.prepared import Prepared
from tickets.models import (
    Conversation,
    InboundEmail,
    Inbox,
    Mailbox,
    MailboxAlarm,
    Message,
    MessageFile,
    Participant,
    Person,
    Team,
    Ticket,
    User,
)


class Merged(Refused):
    """Somebody was about to write in a conversation whose ticket was merged; `into` is the key of
    the one that goes on. Who follows it lets go of this one's lock first."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(_("This ticket was merged into another one. Go on there."))
        self.into = conversation.merged_into_id or conversation.pk


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks and acts. `user` is None for everyone who is not staff."""

    person: Person
    user: User | None = None

    @property
    def is_staff(self) -> bool:
        return self.user is not None


def viewer_for(user: AbstractBaseUser | AnonymousUser | None) -> Viewer:
    """The person behind a login. Raises NotFound for anyone without an active one."""
    if not isinstance(user, User) or not user.is_active:
        raise NotFound
    person = Person.objects.filter(user=user).first()
    if person is None:
        raise NotFound
    return Viewer(person, user)


def visitor(person: Person) -> Viewer:
    """A customer or visitor, who sees only what their seats show."""
    return Viewer(person)


def owner_of(viewer: Viewer) -> str:
    """Whose uploads a viewer's are, as `attachments` knows them."""
    return f"person:{viewer.person.pk}"


def visible_inboxes(viewer: Viewer) -> QuerySet[Inbox]:
    """Inboxes without a team are everyone's on staff; the others belong to their teams."""
    if viewer.user is None:
        return Inbox.objects.none()
    if viewer.user.is_superuser:
        return Inbox.objects.all()
    team = Inbox.teams.through.objects.filter(inbox=OuterRef("pk"))
    mine = team.filter(team__members=viewer.user)
    return Inbox.objects.filter(~Exists(team) | Exists(mine))


def seats_of(viewer: Viewer) -> QuerySet[Participant]:
    """The seats that are the viewer's now."""
    return Participant.objects.filter(person=viewer.person, left_at=None)


def visible_conversations(viewer: Viewer) -> QuerySet[Conversation]:
    """What the viewer has a seat in; for staff besides what came in by their inboxes, and what was
    merged into that. A group of colleagues has no inbox: only its seats open it, to administrators
    too."""
    return _conversations_by(viewer, seats_of(viewer))


def _conversations_by(viewer: Viewer, seats: QuerySet[Participant]) -> QuerySet[Conversation]:
    seat = Exists(seats.filter(conversation=OuterRef("pk")))
    if not viewer.is_staff:
        return Conversation.objects.filter(seat)
    inboxes = visible_inboxes(viewer).values("pk")
    return Conversation.objects.filter(
        seat | Q(ticket__inbox__in=inboxes) | Q(merged_into__ticket__inbox__in=inboxes)
    )


def visible_tickets(viewer: Viewer) -> QuerySet[Ticket]:
    if viewer.user is None:
        return Ticket.objects.none()
    if viewer.user.is_superuser:
        return Ticket.objects.all()
    inboxes = visible_inboxes(viewer).values("pk")
    return Ticket.objects.filter(
        Q(inbox__in=inboxes) | Q(conversation__in=seats_of(viewer).values("conversation"))
    )


def visible_messages(viewer: Viewer, conversation: Conversation) -> QuerySet[Message]:
    """The timeline as this viewer may read it, first entry first: all of it by its inbox, or by
    that of the ticket it was merged into; from where they joined by a seat."""
    messages = conversation.messages.select_related("author").order_by("seq")
    seat = seats_of(viewer).filter(conversation=conversation)
    by_seat = Q(seq__gt=Subquery(seat.values("sees_after_seq")[:1]))
    if not viewer.is_staff:
        return messages.filter(by_seat, audience=Message.Audience.EVERYONE)
    tickets = Ticket.objects.filter(
        conversation__in=[conversation.pk, conversation.merged_into_id or conversation.pk],
        inbox__in=visible_inboxes(viewer).values("pk"),
    )
    return messages.filter(Exists(tickets) | by_seat)


def visible_emails(viewer: Viewer) -> QuerySet[InboundEmail]:
    """Original mails: staff only, with the conversation they were filed in."""
    if not viewer.is_staff:
        return InboundEmail.objects.none()
    return InboundEmail.objects.filter(conversation__in=visible_conversations(viewer))


def access_file(viewer: Viewer, uuid: UUID) -> Attachment:
    """One file of a message that the viewer may read. Raises NotFound for a missing file and for
    a forbidden one alike."""
    file = (
        MessageFile.objects.select_related("attachment__blob", "message__conversation")
        .filter(attachment__uuid=uuid)
        .first()
    )
    if file is None:
        raise NotFound
    conversation = access_conversation(viewer, file.message.conversation_id)
    if not visible_messages(viewer, conversation).filter(pk=file.message_id).exists():
        raise NotFound
    return file.attachment


def visible_mailboxes(viewer: Viewer) -> QuerySet[Mailbox]:
    """Those in use, for who sets them up: administrators."""
    if viewer.user is None or not viewer.user.is_superuser:
        return Mailbox.objects.none()
    return Mailbox.in_use().select_related("inbox").order_by("name")


def access_mailbox(viewer: Viewer, pk: int) -> Mailbox:
    """One mailbox that the viewer may set up. Raises NotFound."""
    mailbox = visible_mailboxes(viewer).filter(pk=pk).first()
    if mailbox is None:
        raise NotFound
    return mailbox


def access_hook(service: str, key: str) -> Mailbox:
    """The mailbox that a mail service brings mail for, by the key in its address. That the request
    is from that service is for `mail.hooks` to see. Raises NotFound."""
    hooks = Mailbox.in_use().filter(kind=Mailbox.Kind.HOOK, host=service, hook_key=key)
    mailbox = hooks.first()
    if mailbox is None:
        raise NotFound
    return mailbox


def visible_alarms(viewer: Viewer) -> QuerySet[MailboxAlarm]:
    """What is wrong at this moment with the mailboxes of inboxes the viewer sees."""
    inboxes = visible_inboxes(viewer).values("pk")
    return MailboxAlarm.objects.filter(cleared_at=None, mailbox__inbox__in=inboxes)


def assignable_users(inbox: Inbox) -> QuerySet[User]:
    """Who may be given tickets of an inbox: those who can see it."""
    team = Inbox.teams.through.objects.filter(inbox=inbox)
    members = User.objects.filter(teams__in=team.values("team"))
    users = User.objects.filter(is_active=True).select_related("person").order_by("person__name")
    return users.filter(~Exists(team) | Q(pk__in=members.values("pk")) | Q(is_superuser=True))


def seeing_teams(inbox: Inbox) -> QuerySet[Team]:
    """The teams whose members see an inbox."""
    own = Inbox.teams.through.objects.filter(inbox=inbox)
    return Team.objects.filter(~Exists(own) | Q(pk__in=own.values("team"))).order_by("name")


def access_conversation(viewer: Viewer, pk: int, *, lock: bool = False) -> Conversation:
    """Return one conversation the viewer may read, with its ticket if it has one.

    `lock` holds the row until the transaction ends. It is the only row any operation locks:
    it guards the conversation, its timeline and its ticket together. Raises NotFound for a
    missing conversation and for a forbidden one alike; and Merged, with `lock`, for one that
    nothing is written in any more.
    """
    conversation = _rows(visible_conversations(viewer), pk, lock=lock).first()
    if conversation is None:
        raise NotFound
    if lock and conversation.merged_into_id is not None:
        raise Merged(conversation)
    return conversation


def access_to_write(viewer: Viewer, pk: int) -> Conversation:
    """As `access_conversation`, locked, for somebody who wants to say something there. Raises
    Refused, too, for who may only read."""
    if viewer.is_staff:
        conversation = _rows(_writable(viewer), pk, lock=True).first()
    else:
        conversation = _locked_for_customer.first(viewer.person.pk, pk)
    if conversation is None:
        access_conversation(viewer, pk)
        raise Refused(_("You can read here, and not write."))
    if conversation.merged_into_id is not None:
        raise Merged(conversation)
    return conversation


def _writable(viewer: Viewer) -> QuerySet[Conversation]:
    return _conversations_by(viewer, seats_of(viewer).exclude(rank=Participant.Rank.READER))


def _rows(conversations: QuerySet[Conversation], pk: int, *, lock: bool) -> QuerySet[Conversation]:
    conversations = conversations.filter(pk=pk)
    if lock:
        # An outer join cannot be locked, hence `of`; what the lock waited for is read again by
        # PostgreSQL for the locked row only, so the ticket is read after the lock is ours.
        conversations = conversations.select_for_update(of=("self",), no_key=True)
    return conversations


def _writable_for_customer(person: int, pk: int, *, lock: bool) -> QuerySet[Conversation]:
    return _rows(_writable(visitor(Person(pk=person))), pk, lock=lock)


# What every message of every visitor begins with.
_locked_for_customer = Prepared(partial(_writable_for_customer, lock=True), -1, -2)
WRITABLE_FOR_CUSTOMER = Prepared(partial(_writable_for_customer, lock=False), -1, -2)


def access_to_invite(viewer: Viewer, pk: int) -> Conversation:
    """As `access_to_write`, for somebody who brings in others: staff. Raises NotFound, Refused."""
    if not viewer.is_staff:
        raise NotFound
    return access_to_write(viewer, pk)


def access_team(viewer: Viewer, pk: int) -> Conversation:
    """As `access_conversation`, of those among colleagues: without a seat there is none. Raises
    NotFound."""
    conversation = access_conversation(viewer, pk)
    if conversation.channel != Conversation.Channel.INTERNAL:
        raise NotFound
    return conversation


def side_conversations(viewer: Viewer, ticket: Ticket) -> QuerySet[Conversation]:
    """What colleagues talk about beside a ticket. Whoever may see the ticket sees that these are
    there, who is in them and how they stand; what is said there opens by a seat alone."""
    beside = Conversation.objects.filter(
        channel=Conversation.Channel.INTERNAL, side_of__in=ticket.conversation.all_merged
    )
    return beside.filter(side_of__ticket__in=visible_tickets(viewer))


def joinable_conversations(viewer: Viewer) -> QuerySet[Conversation]:
    """Those beside the tickets of the viewer's inboxes: who works on a ticket may take a seat
    there, and a line says so. Not who was removed."""
    barred = Participant.objects.filter(person=viewer.person, barred=True)
    return Conversation.objects.filter(
        channel=Conversation.Channel.INTERNAL,
        side_of__ticket__inbox__in=visible_inboxes(viewer).values("pk"),
    ).exclude(Exists(barred.filter(conversation=OuterRef("pk"))))


def access_to_join(viewer: Viewer, pk: int, *, lock: bool = False) -> Conversation:
    """One conversation beside a ticket in which the viewer may take a seat. Raises NotFound."""
    conversation = _rows(joinable_conversations(viewer), pk, lock=lock).first()
    if conversation is None:
        raise NotFound
    return conversation


def may_lead(viewer: Viewer, conversation: Conversation) -> bool:
    """Whether the viewer may remove people, give ranks and rename: staff of the inbox a ticket is
    in, and the owners of a group."""
    if viewer.is_staff:
        inboxes = visible_inboxes(viewer).values("pk")
        if Ticket.objects.filter(conversation=conversation, inbox__in=inboxes).exists():
            return True
    seats = seats_of(viewer).filter(conversation=conversation, rank=Participant.Rank.OWNER)
    return seats.exists()


def access_ticket(viewer: Viewer, number: int, *, lock: bool = False) -> Ticket:
    """As `access_conversation`, by ticket number. The ticket is read after the lock. One that was
    merged is seen by those who see what it was merged into, too."""
    tickets = visible_tickets(viewer).filter(number=number)
    if lock:
        pk = tickets.values_list("conversation_id", flat=True).first()
        if pk is None:
            pk = access_ticket(viewer, number).conversation_id
        conversation = access_conversation(viewer, pk, lock=True)
        ticket = conversation.ticket
        ticket.conversation = conversation
        return ticket
    found = _first(tickets)
    if found is None:
        onward = visible_tickets(viewer).values("conversation")
        merged = Ticket.objects.filter(number=number, conversation__merged_into__in=onward)
        found = _first(merged)
    if found is None:
        raise NotFound
    return found


def _first(tickets: QuerySet[Ticket]) -> Ticket | None:
    rows = tickets.select_related("conversation", "requester", "inbox", "assignee__person", "team")
    return rows.first()


def may_merge(viewer: Viewer, *tickets: Ticket) -> bool:
    """Whether the viewer may bring tickets together: those of inboxes they see. A seat does not do,
    for everybody who sees the one that goes on reads all of them afterwards."""
    inboxes = {ticket.inbox_id for ticket in tickets}
    return visible_inboxes(viewer).filter(pk__in=inboxes).count() == len(inboxes)


def access_survivor(viewer: Viewer, ticket: Ticket) -> Ticket | None:
    """The ticket that goes on with this one, which was merged into it; None for one that was not,
    and for a viewer who may not see the other."""
    into = ticket.conversation.merged_into_id
    return _first(visible_tickets(viewer).filter(conversation=into)) if into else None
