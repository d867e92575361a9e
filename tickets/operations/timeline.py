"""What every operation that writes into a timeline is made of.

All of it expects the caller to hold the conversation's lock, inside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.timezone import now

from helpdesk.lib import news, prepared
from helpdesk.lib.errors import NotFound
from helpdesk.lib.prepared import Prepared
from helpdesk.lib.text import fold, preview, words_of
from helpdesk.lib.work import ring_on_commit
from tickets import events
from tickets.access import Merged
from tickets.mail.message_ids import new_message_id
from tickets.models import (
    Conversation,
    Desk,
    Inbox,
    Message,
    OutgoingEmail,
    Participant,
    Person,
    Ticket,
    User,
)
from tickets.models.tickets import SUBJECT_MAX_CHARS

# Long texts are searched by their beginning: PostgreSQL caps a text vector at 1 MB.
SEARCHED_CHARS = 50_000


@dataclass(frozen=True, slots=True)
class MessagePosted:
    """The news "message.posted": a reply entered a timeline that has a ticket."""

    conversation_id: int
    channel: str
    seq: int
    author_role: str  # customer, staff, assistant
    ticket_number: int
    inbox_id: int
    handler: str
    is_group: bool = False
    is_merged: bool = False  # others were merged into it, by which somebody may hear live


def locked(conversation_id: int) -> Conversation:
    """A conversation whose lock is ours, for those who act for nobody in particular: mail, the
    assistant. Raises NotFound for one that is gone."""
    rows = Conversation.objects.select_for_update(of=("self",), no_key=True)
    conversation = rows.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation


def append_entry(
    conversation: Conversation,
    message: Message,
    *,
    searched_too: str = "",
    attach: Callable[[Message], None] | None = None,
) -> Message:
    """Give an entry the next place in line and tell whoever may see it.

    `message` is new and has no place yet. Without an audience it gets that of its kind: replies
    are for everyone, notes and changes for staff. `searched_too` is found by search like the body,
    such as the subject of a new ticket. `attach` writes the rows of the message's files, whose
    number it states in `file_count`. Raises Merged where nothing is said any more.
    """
    if conversation.merged_into_id is not None:
        raise Merged(conversation)
    if not message.audience:
        is_reply = message.kind == Message.Kind.REPLY
        message.audience = Message.Audience.EVERYONE if is_reply else Message.Audience.STAFF
    after = conversation.last_public_seq
    conversation.last_seq += 1
    changed = ["last_seq"]
    if message.is_public:
        conversation.last_public_seq = conversation.last_seq
        changed.append("last_public_seq")
    prepared.save(conversation, *changed)
    return write_entry(conversation, message, after=after, searched_too=searched_too, attach=attach)


def write_entry(
    conversation: Conversation,
    message: Message,
    *,
    after: int,
    searched_too: str = "",
    attach: Callable[[Message], None] | None = None,
) -> Message:
    """Write the entry for the place that `conversation.last_seq` has already been moved to.

    `after` is the place of the last public entry before it. Use `append_entry` unless the place
    was taken in a statement of your own.
    """
    message.conversation, message.seq = conversation, conversation.last_seq
    if message.body or message.file_count:
        text = searched(message, searched_too)
        prepared.insert(message, search=("to_tsvector('simple', %s)", text))
    else:
        prepared.insert(message)
    if attach is not None:
        attach(message)
    events.message_posted(conversation, message, after=after)
    return message


def searched(message: Message, searched_too: str = "") -> str:
    """The words that a message is found by: its own, its author's name, and `searched_too`."""
    author = message.author.name if message.author else ""
    return words_of(fold(f"{searched_too} {author} {message.body}"[:SEARCHED_CHARS]))


def append_change(
    ticket: Ticket,
    field: str,
    old: Any,
    new: Any,
    *,
    author: Person | None,
    via: str = Message.Via.WEB,
    public: bool = False,
    **more: Any,
) -> Message:
    """Record "field: old to new" of a ticket. Only public changes are seen by customers."""
    return record_change(
        ticket.conversation, field, old, new, author=author, via=via, public=public, **more
    )


def record_change(
    conversation: Conversation,
    field: str,
    old: Any,
    new: Any,
    *,
    author: Person | None,
    via: str = Message.Via.WEB,
    public: bool = False,
    **more: Any,
) -> Message:
    """As `append_change`, of what is no ticket's: who takes part, and what a group is called."""
    change = Message(
        kind=Message.Kind.CHANGE,
        audience=Message.Audience.EVERYONE if public else Message.Audience.STAFF,
        via=via,
        author=author,
        change={"field": field, "old": old, "new": new, **more},
    )
    return append_entry(conversation, change)


def open_ticket(
    conversation: Conversation,
    *,
    inbox_id: int,
    requester: Person,
    subject: str,
    first: Message | None = None,
    assignee: User | None = None,
    continues: int | None = None,
) -> Ticket:
    """A case file for a conversation that has none.

    The assistant handles chats where it is switched on; everything else is staff's. `first` is
    the message that opens it where it stands in the timeline already: if it is the customer's, the
    ticket then needs not hear it, only `announce` it.
    """
    handler = Ticket.Handler.STAFF
    if conversation.channel == Conversation.Channel.CHAT and assistant_is_on(inbox_id):
        handler = Ticket.Handler.ASSISTANT
    moment = first.created_at if first else now()
    return Ticket.objects.create(
        conversation=conversation,
        subject=preview(subject)[:SUBJECT_MAX_CHARS],
        requester=requester,
        inbox_id=inbox_id,
        assignee=assignee,
        continues_id=continues,
        handler=handler,
        opened_at=moment,
        waiting_since=moment,
        last_message_at=moment,
        last_preview=line_of(first) if first else "",
        last_author_name=first.author.name if first and first.author else "",
    )


def assistant_is_on(inbox_id: int) -> bool:
    """Both switches: the desk's and the inbox's."""
    return (
        Inbox.objects.filter(pk=inbox_id, assistant_on=True).exists()
        and not Desk.objects.filter(assistant_on=False).exists()
    )


def survivor_of(conversation_id: int) -> int:
    """The conversation that goes on with this one: itself, or what it was merged into."""
    rows = Conversation.objects.filter(pk=conversation_id)
    return rows.values_list("merged_into", flat=True).first() or conversation_id


def ticket_of(conversation: Conversation) -> Ticket | None:
    """The conversation's ticket, read after the lock; None if there is none (yet)."""
    ticket = _ticket_of.first(conversation.pk)
    if ticket is not None:
        ticket.conversation = conversation
    return ticket


_ticket_of = Prepared(lambda pk: Ticket.objects.filter(conversation=pk), -1)


def ticket_hears(ticket: Ticket, message: Message, *, role: str, reopens: bool = True) -> None:
    """Let the case file follow a reply: whose turn it is, and what the list shows.

    A reply by staff or the assistant makes it the customer's turn, a customer's makes it
    ours. That is no change line: the reply itself says it. Only a solved ticket that opens
    again gets one. `reopens` is false for mail that no person wrote. `announce` it afterwards.
    """
    was = ticket.status
    if role == "customer":
        if reopens and was != Ticket.Status.OPEN:
            ticket.status = Ticket.Status.OPEN
            ticket.solved_at = None
            ticket.waiting_since = message.created_at
        ticket.unread = True
        if reopens:
            ticket.live = waits_live(ticket) and message.via == Message.Via.WIDGET
    else:
        ticket.live = False
        if was == Ticket.Status.OPEN:
            ticket.status = Ticket.Status.WAITING
            ticket.waiting_since = None
        if role == "staff" and ticket.first_reply_at is None:
            ticket.first_reply_at = max(message.created_at, ticket.opened_at)
        ticket.unread = False
    # A mail may have been written, and a message moved here, after what came meanwhile.
    ticket.last_message_at = max(ticket.last_message_at, message.created_at)
    ticket.last_preview = line_of(message)
    ticket.last_author_name = message.author.name if message.author else ""
    prepared.save(
        ticket,
        "status",
        "solved_at",
        "waiting_since",
        "unread",
        "live",
        "first_reply_at",
        "last_message_at",
        "last_preview",
        "last_author_name",
    )
    if was == Ticket.Status.SOLVED != ticket.status:
        append_change(ticket, "status", was, ticket.status, author=message.author, via=message.via)
        events.ended_changed(ticket)


def waits_live(ticket: Ticket) -> bool:
    """Is it a chat, or does one go on in it, and is it the turn of staff? That somebody still is
    there to wait is for `chat.operations` to see."""
    conversation = ticket.conversation
    return (
        (conversation.channel == Conversation.Channel.CHAT or bool(conversation.merged_from))
        and ticket.status == Ticket.Status.OPEN
        and ticket.handler == Ticket.Handler.STAFF
    )


def ticket_reopens(ticket: Ticket, *, reason: str) -> None:
    """It is our turn again although nobody wrote, and the lists show it: the customer has not
    heard us. `reason` is what the change line tells."""
    was = ticket.status
    ticket.unread = True
    if was != Ticket.Status.OPEN:
        ticket.status, ticket.solved_at, ticket.waiting_since = Ticket.Status.OPEN, None, now()
    prepared.save(ticket, "unread", "status", "solved_at", "waiting_since")
    if was != ticket.status:
        append_change(
            ticket, "status", was, ticket.status, author=None, via="system", reason=reason
        )
    events.ticket_changed(ticket)


def tell_team(conversation: Conversation) -> None:
    """Something is new among colleagues: the lists of those who sit there, and the ticket that it
    is beside, are out of date. Other conversations have tickets for that."""
    if conversation.channel != Conversation.Channel.INTERNAL:
        return
    seats = Participant.objects.filter(conversation=conversation, left_at=None)
    events.team_changed(conversation.pk, seats.values_list("person", flat=True))
    if conversation.side_of_id is not None:
        events.sides_changed(survivor_of(conversation.side_of_id))


def line_of(message: Message) -> str:
    """A message on one line of a list: its words, or the names of its files."""
    if message.body or not message.file_count:
        return preview(message.body)
    return preview(", ".join(file.attachment.name for file in message.files.all()))


def announce(ticket: Ticket, message: Message, *, role: str) -> None:
    """Tell the lists that show the ticket, and whoever subscribed to messages."""
    events.ticket_changed(ticket)
    news.publish(
        "message.posted",
        MessagePosted(
            conversation_id=ticket.conversation_id,
            channel=ticket.conversation.channel,
            seq=message.seq,
            author_role=role,
            ticket_number=ticket.number,
            inbox_id=ticket.inbox_id,
            handler=ticket.handler,
            is_group=ticket.conversation.is_group,
            is_merged=bool(ticket.conversation.merged_from),
        ),
    )


# Who hears a reply by email: customers whose reach is email, and who want to hear.
EMAILED_SEATS = Prepared(
    lambda pk: Participant.objects.filter(
        conversation=pk,
        reach=Participant.Reach.EMAIL,
        role=Participant.Role.CUSTOMER,
        left_at=None,
        muted=False,
    ).order_by("pk"),
    -1,
)


@dataclass(frozen=True, slots=True)
class Hearer:
    """Somebody who gets a message by mail, at this address, named in this field."""

    person_id: int
    address: str
    field: str = OutgoingEmail.Field.TO


def queue_emails(message: Message, typed: Mapping[int, str] | None = None) -> None:
    """One OutgoingEmail for each who is to hear a message by mail, as `hearers` says."""
    for hearer in hearers(message, typed):
        queue_email(message, hearer.person_id, hearer.address, field=hearer.field)


def hearers(message: Message, typed: Mapping[int, str] | None = None) -> list[Hearer]:
    """Each seat reached by email, except the author's own: at the person's address, or at the one
    that was `typed` for them."""
    seats = [
        seat
        for seat in EMAILED_SEATS.all(message.conversation_id)
        if seat.person_id != message.author_id
    ]
    if not seats:
        return []
    primary = Person.objects.filter(
        pk__in=[seat.person_id for seat in seats], addresses__is_primary=True
    )
    addresses = {**dict(primary.values_list("pk", "addresses__address")), **(typed or {})}
    fields = {True: OutgoingEmail.Field.CC, False: OutgoingEmail.Field.TO}
    return [
        Hearer(seat.person_id, addresses[seat.person_id], fields[seat.copied])
        for seat in seats
        if seat.person_id in addresses
    ]


def queue_email(
    message: Message,
    person_id: int,
    address: str,
    *,
    field: str = OutgoingEmail.Field.TO,
    is_automatic: bool = False,
    since_seq: int | None = None,
    wait_seconds: int | None = None,
) -> None:
    """Mail a message to one person, at this address of theirs; with `since_seq` all replies after
    that place, too.

    What staff wrote leaves OUTGOING_UNDO_SECONDS later, unless `wait_seconds` says otherwise: until
    then they can take it back.
    """
    if wait_seconds is None:
        by_staff = message.author is not None and message.author.user_id is not None
        wait_seconds = settings.OUTGOING_UNDO_SECONDS if by_staff else 0
    wait = timedelta(seconds=wait_seconds)
    outgoing = OutgoingEmail.objects.create(
        message=message,
        person_id=person_id,
        address=address,
        field=field,
        is_automatic=is_automatic,
        since_seq=since_seq,
        rfc_message_id=new_message_id(message.conversation_id),
        due_at=now() + wait,
    )
    ring_on_commit(outgoing)


def sets_handler(ticket: Ticket, handler: str, *, author: Person | None, reason: str) -> bool:
    """Change who answers next. Customers see the change line, in their own language.

    Returns False if it was so already. Work handed to staff is open: it is our turn.
    """
    if ticket.handler == handler:
        return False
    old, ticket.handler = ticket.handler, handler
    ticket.live = waits_live(ticket)
    prepared.save(ticket, "handler", "live")
    append_change(
        ticket, "handler", old, handler, author=author, public=True, reason=reason, via="system"
    )
    return True
