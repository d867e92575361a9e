"""Staff move a mail to the ticket where it belongs."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.search import SearchVector
from django.db import transaction
from django.db.models import Max, Value
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import fold, words_of
from tickets import events
from tickets.access import Viewer, access_survivor, access_ticket
from tickets.mail.machines import Nature
from tickets.models import (
    Conversation,
    Message,
    OutgoingEmail,
    Participant,
    Ticket,
)
from tickets.operations.files import read_files
from tickets.operations.tickets import asked_at
from tickets.operations.timeline import (
    announce,
    append_change,
    line_of,
    open_ticket,
    searched,
    ticket_hears,
)

Status = Ticket.Status
REASON_MAX_CHARS = 500


def may_be_moved(message: Message) -> bool:
    """A mail can be moved: what somebody wrote on a page was written in this ticket."""
    return message.kind != Message.Kind.CHANGE and hasattr(message, "inbound_email")


def move_message(viewer: Viewer, number: int, seq: int, *, to: int | None) -> Ticket:
    """Move a message that came by mail to the end of another ticket, or into a new one (None).

    In its old place stays a change line that says where it went. Its writer, and whoever was put in
    copy by it, sit in the other ticket from this message on, and no longer in the old one unless
    they heard or said something else there. The other ticket hears it as if it had just come; the
    old one is as if it never had, and solved if nothing is left in it. Answers to the mail find the
    other ticket from now on. A second call returns the ticket that the first one moved it to.

    Raises NotFound for a ticket or an entry the viewer may not see, Refused with a sentence for
    what cannot be moved, and for a ticket that is not there for the viewer.
    """
    with transaction.atomic():
        source, target = _locked(viewer, number, to)
        message = _entry(source, seq)
        if message.kind == Message.Kind.CHANGE:
            return _moved_before(viewer, message, target.number if target else None)
        if not may_be_moved(message):
            raise Refused(_("Only what came by mail can be moved."))
        if target is None and message.kind == Message.Kind.NOTE:
            raise Refused(_("A note cannot be a ticket of its own. Move it to another ticket."))
        return _move(viewer, source, target, message)


def _locked(viewer: Viewer, number: int, to: int | None) -> tuple[Ticket, Ticket | None]:
    """Both tickets, with the locks of both conversations.

    Whoever takes several, as merging does, too, takes them in the order of their keys, so that two
    who move messages to and fro cannot wait for each other. A ticket that was merged stands for the
    one that goes on.
    """
    source = access_ticket(viewer, number)
    if to is None:
        return access_ticket(viewer, number, lock=True), None
    if to == number:
        raise Refused(_("It is in this ticket already."))
    try:
        target = access_ticket(viewer, to)
    except NotFound as missing:
        raise Refused(_("There is no ticket #%(number)s.") % {"number": to}) from missing
    target = access_survivor(viewer, target) or target
    if target.number == number:
        raise Refused(_("It is in this ticket already."))
    both = sorted([source, target], key=lambda ticket: ticket.conversation_id)
    locked = {one.number: access_ticket(viewer, one.number, lock=True) for one in both}
    return locked[source.number], locked[target.number]


def _entry(ticket: Ticket, seq: int) -> Message:
    messages = ticket.conversation.messages.select_related("author", "inbound_email")
    message = messages.defer("inbound_email__raw").filter(seq=seq).first()
    if message is None:
        raise NotFound
    read_files([message])
    return message


def _moved_before(viewer: Viewer, line: Message, to: int | None) -> Ticket:
    change = line.change or {}
    if change.get("field") != "moved":
        raise Refused(_("Only what came by mail can be moved."))
    if to not in (None, change["new"]):
        raise Refused(_("It was moved to #%(number)s already.") % {"number": change["new"]})
    return access_ticket(viewer, change["new"])


def _move(viewer: Viewer, source: Ticket, target: Ticket | None, message: Message) -> Ticket:
    old, seq = source.conversation, message.seq
    guests = _came_with(message)
    made_it_open = asked_at(source) == message.created_at
    status_before = _status_before(message)
    is_new = target is None
    conversation = target.conversation if target else _new_conversation()
    after = _take_last_place(conversation, message)
    if target is None:
        subject = message.inbound_email.subject
        target = open_ticket(
            conversation,
            inbox_id=source.inbox_id,
            requester=message.author or source.requester,
            subject=subject or message.body,
            first=message,
        )
        _index(message, subject)
    else:
        _index(message)
    _leave_a_line(viewer, source, message, old, seq, target)
    _unseat(source, old, [*([message.author_id] if message.author_id else []), *guests])
    seated = _seat(conversation, message, guests)
    events.message_posted(conversation, message, after=after)
    _hear(target, message, is_new=is_new)
    if seated:
        append_change(target, "copied", None, ", ".join(seated), author=viewer.person)
    _without(source, message, status_before if made_it_open else None)
    return target


def _new_conversation() -> Conversation:
    return Conversation.objects.create(channel=Conversation.Channel.EMAIL)


def _take_last_place(conversation: Conversation, message: Message) -> int:
    """Let the message stand at the end of a conversation; returns the place of the last entry
    before it that customers can see.

    It is the same row: its files, its look, and the mail it came by stay with it.
    """
    after = conversation.last_public_seq
    conversation.last_seq += 1
    if message.is_public:
        conversation.last_public_seq = conversation.last_seq
    conversation.save(update_fields=["last_seq", "last_public_seq"])
    message.conversation, message.seq = conversation, conversation.last_seq
    message.save(update_fields=["conversation", "seq"])
    return after


def _index(message: Message, searched_too: str = "") -> None:
    """Found by its own words and the names of its files; the subject belongs to a first message."""
    names = " ".join(f.attachment.name for f in message.files.all() if not f.inline)
    words = searched(message, f"{searched_too} {names}")
    vector = SearchVector(Value(words), config="simple")
    Message.objects.filter(pk=message.pk).update(search=vector)


def _leave_a_line(
    viewer: Viewer, source: Ticket, message: Message, old: Conversation, seq: int, target: Ticket
) -> None:
    """In the place of the message, and with its moment: days stay in order."""
    author = message.author
    line = Message.objects.create(
        conversation=old,
        seq=seq,
        kind=Message.Kind.CHANGE,
        audience=Message.Audience.STAFF,
        via=Message.Via.WEB,
        author=viewer.person,
        change={
            "field": "moved",
            "old": source.number,
            "new": target.number,
            "by": str(author) if author else _("the helpdesk"),
            "at": now().isoformat(),
        },
        created_at=message.created_at,
    )
    if seq == 1:  # the ticket is still found by its subject
        subject = SearchVector(Value(words_of(fold(source.subject))), config="simple")
        Message.objects.filter(pk=line.pk).update(search=subject)
    public = old.messages.filter(audience=Message.Audience.EVERYONE)
    old.last_public_seq = public.aggregate(last=Max("seq"))["last"] or 0
    old.save(update_fields=["last_public_seq"])
    events.delivery_changed(line)
    mail = message.inbound_email
    mail.reason = f"{viewer.person} moved it here from #{source.number}. {mail.reason}"
    mail.reason = mail.reason[:REASON_MAX_CHARS]
    mail.conversation = target.conversation
    mail.save(update_fields=["reason", "conversation"])


def _came_with(message: Message) -> list[int]:
    """Whom this message put in copy: their seats begin with it."""
    seats = Participant.objects.filter(
        conversation=message.conversation_id,
        copied=True,
        left_at=None,
        sees_after_seq=message.seq - 1,
    )
    return list(seats.order_by("pk").values_list("person", flat=True))


def _unseat(source: Ticket, old: Conversation, people: list[int]) -> None:
    """Who came here with this message only hears nothing more of it."""
    here = Message.objects.filter(conversation=old)
    heard = OutgoingEmail.objects.filter(message__conversation=old)
    for person in people:
        if person == source.requester_id or here.filter(author=person).exclude(kind="change"):
            continue
        if not heard.filter(person=person).exists():
            seats = Participant.objects.filter(
                conversation=old, person=person, role=Participant.Role.CUSTOMER, left_at=None
            )
            seats.update(left_at=now())


def _seat(conversation: Conversation, message: Message, guests: list[int]) -> list[str]:
    """Let the writer hear by mail from now on, and whom they put in copy. Returns the addresses of
    those in copy who are new here."""
    seats = Participant.objects.filter(conversation=conversation)
    seated = set(seats.values_list("person", flat=True))
    is_automatic = message.inbound_email.nature == Nature.VACATION
    author = message.author
    new = []
    if author is not None and message.kind == Message.Kind.REPLY:
        if author.pk not in seated:
            new.append((author.pk, False, message.created_at if is_automatic else None))
        elif not is_automatic:
            seats.filter(person=author).update(left_at=None, reach=Participant.Reach.EMAIL)
    guests = [person for person in guests if person not in seated]
    new += [(person, True, None) for person in guests]
    made = [
        Participant(
            conversation=conversation,
            person_id=person,
            role=Participant.Role.CUSTOMER,
            reach=Participant.Reach.EMAIL,
            sees_after_seq=message.seq - 1,
            copied=copied,
            left_at=left_at,
        )
        for person, copied, left_at in new
    ]
    Participant.objects.bulk_create(made)
    in_copy = seats.filter(person__in=guests, person__addresses__is_primary=True).order_by("pk")
    return list(in_copy.values_list("person__addresses__address", flat=True))


def _hear(ticket: Ticket, message: Message, *, is_new: bool) -> None:
    """The ticket follows a customer's message; of a note and an automatic answer nobody waits for
    an answer."""
    is_answer = message.inbound_email.nature == Nature.VACATION
    if message.kind == Message.Kind.REPLY and not is_answer:
        if not is_new:
            ticket_hears(ticket, message, role="customer")
        announce(ticket, message, role="customer")
    else:
        events.ticket_changed(ticket)


def _status_before(message: Message) -> str:
    """What the ticket was before this message opened it."""
    opened = Message.objects.filter(
        conversation=message.conversation_id,
        seq=message.seq + 1,
        author=message.author_id,
        change__field="status",
        change__new=Status.OPEN,
    ).first()
    return str((opened.change or {}).get("old")) if opened else Status.WAITING


def _without(ticket: Ticket, message: Message, status_before: str | None) -> None:
    """Whose turn it is, and what the lists show, from what is left of the timeline.

    `status_before` is set where this message made it our turn.
    """
    # What the helpdesk says by itself, such as that a mail arrived, is nobody's word.
    replies = ticket.conversation.messages.filter(kind=Message.Kind.REPLY, author__isnull=False)
    last = replies.select_related("author").order_by("seq").last()
    asked = asked_at(ticket)
    ticket.unread = ticket.unread and asked is not None
    if last is not None:
        ticket.last_message_at = last.created_at
        ticket.last_author_name = last.author.name if last.author else ""
    ticket.last_preview = line_of(last) if last else ""
    was = ticket.status
    if last is None:
        _becomes(ticket, Status.SOLVED, None)
    elif status_before is not None and was == Status.OPEN:
        _becomes(ticket, Status.OPEN if asked else Status(status_before), asked)
    ticket.save(
        update_fields=[
            *("unread", "status", "solved_at", "waiting_since"),
            *("last_message_at", "last_preview", "last_author_name"),
        ]
    )
    if was != ticket.status:
        append_change(
            ticket, "status", was, ticket.status, author=None, via="system", reason="moved"
        )
    events.ticket_changed(ticket)


def _becomes(ticket: Ticket, status: str, waiting_since: datetime | None) -> None:
    if status == Status.SOLVED and ticket.solved_at is None:
        ticket.solved_at = now()
    ticket.status, ticket.waiting_since = status, waiting_since
