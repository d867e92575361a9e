"""Saying something: replies and notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from attachments.models import Attachment
from helpdesk.lib import prepared
from helpdesk.lib.errors import Refused
from helpdesk.lib.text import clean, says_nothing
from tickets import events
from tickets.access import Merged, Viewer, access_to_write
from tickets.models import Conversation, Message, Participant, Person, Ticket
from tickets.operations.copies import (
    Copies,
    check_may_copy,
    checked_copies,
    put_in_copy,
    queue_blind_copies,
)
from tickets.operations.files import (
    FILES_MAX,
    check_limits,
    check_number,
    read_files,
    show_files,
    uploaded_files,
)
from tickets.operations.mentions import note_mentions
from tickets.operations.related import hold_address
from tickets.operations.timeline import (
    announce,
    append_change,
    append_entry,
    open_ticket,
    queue_emails,
    sets_handler,
    tell_team,
    ticket_hears,
    ticket_of,
)

CHOICES_MAX = 6
CHOICE_MAX_CHARS = 80
LIMITS = {"limit": CHOICES_MAX, "chars": CHOICE_MAX_CHARS}


class MovedOn(Refused):
    """Others have spoken since the writer looked, up to `upto`: nothing was sent."""

    def __init__(self, newer: Sequence[Message], upto: int) -> None:
        self.upto = upto
        self.first_seq = newer[0].seq
        names = list(dict.fromkeys(str(message.author) for message in newer))
        some = names[0] if len(names) == 1 else _("%s and others") % names[0]
        sentence = ngettext(
            "%(name)s wrote since you began.",
            "%(name)s wrote %(count)s messages since you began.",
            len(newer),
        )
        super().__init__(sentence % {"name": some, "count": len(newer)})


@transaction.atomic
def start_chat(*, name: str = "", person: Person | None = None) -> Participant:
    """A new visitor, or `person`, in a chat of their own. No ticket yet: they have said nothing."""
    if person is None:
        person = Person.objects.create(name=clean(name).strip()[:150])
    conversation = Conversation.objects.create(channel=Conversation.Channel.CHAT)
    return Participant.objects.create(
        conversation=conversation, person=person, role=Participant.Role.CUSTOMER
    )


def post_reply(
    viewer: Viewer,
    conversation_id: int,
    *,
    body: str,
    via: str,
    client_token: UUID | None = None,
    inbox_id: int | None = None,
    files: Sequence[UUID] = (),
    cc: Sequence[str] = (),
    bcc: Sequence[str] = (),
    choices: Sequence[str] = (),
    seen_seq: int | None = None,
) -> Message:
    """Say something to everyone in a conversation, and let its ticket notice.

    `body` is plain text of 1 to MESSAGE_MAX_CHARS characters once trimmed; it may be empty where
    there are `files`, ids of ready uploads of the viewer's that no message shows yet. A second
    call with the same `client_token` returns the first call's message and does nothing else. One
    email is queued for each other customer here who is reached by email. If the conversation has
    no ticket yet, one is opened in `inbox_id`. A reply by staff takes the conversation from the
    assistant, and an unassigned ticket becomes theirs. Addresses in `cc` get a seat and hear what
    is said from now on; those in `bcc` get this one message, and nobody learns of them. In a chat,
    staff may give up to CHOICES_MAX answers to choose from with one tap: `choices`. `seen_seq` is
    the last entry that the writer had before them, where that is known. What a customer says in a
    ticket that was merged is said in the one that goes on; staff are told.

    Raises NotFound if the viewer may not see the conversation, Refused if they may only read it,
    if the body is empty or too long, if a file cannot be had, if an address cannot be written to,
    or for choices where none can be given, Merged for staff, MovedOn if somebody else has spoken
    after `seen_seq`.
    """
    body = checked(body, may_be_empty=bool(files))
    copies = checked_copies(cc, bcc)
    given = checked_choices(choices)

    def write() -> Message:
        return _reply(
            *(viewer, conversation_id, body, via, client_token),
            *(inbox_id, files, copies, given, seen_seq),
        )

    while True:
        try:
            return _once(write, viewer, conversation_id, client_token)
        except Merged as merged:  # its lock went with its transaction
            if viewer.is_staff:
                raise
            conversation_id = merged.into


def _reply(
    viewer: Viewer,
    conversation_id: int,
    body: str,
    via: str,
    client_token: UUID | None,
    inbox_id: int | None,
    files: Sequence[UUID],
    copies: Copies,
    choices: list[str],
    seen_seq: int | None,
) -> Message:
    attached = uploaded_files(viewer, files)
    if copies:  # before the conversation, as whoever files a mail does
        hold_address(*copies.cc, *copies.bcc)
    role = "staff" if viewer.is_staff else "customer"
    message = Message(
        kind=Message.Kind.REPLY,
        via=via,
        author=viewer.person,
        body=body,
        client_token=client_token,
        file_count=len(attached),
        choices=choices,
    )
    conversation = access_to_write(viewer, conversation_id)
    if choices and not (viewer.is_staff and conversation.channel == Conversation.Channel.CHAT):
        raise Refused(_("Answers to choose from are for customers in a chat."))
    if client_token and (said := _said_before_merging(conversation, viewer, client_token)):
        return said
    if seen_seq is not None and conversation.last_public_seq > seen_seq:
        _check_nobody_spoke(conversation, viewer, seen_seq, client_token)
    ticket = ticket_of(conversation)
    if ticket is None and inbox_id is not None:
        subject = body or ", ".join(file.name for file in attached)
        ticket = open_ticket(
            conversation, inbox_id=inbox_id, requester=viewer.person, subject=subject
        )
    if ticket is not None and viewer.is_staff:
        _take(ticket, viewer)
    if ticket is not None and attached:
        check_limits(ticket.inbox, attached)
    if ticket is None:
        check_number(attached, FILES_MAX)
    typed = put_in_copy(check_may_copy(ticket, viewer), viewer, copies.cc) if copies else {}
    _append(conversation, message, attached)
    note_mentions(viewer, conversation, message)
    if ticket is not None:
        ticket_hears(ticket, message, role=role)
        announce(ticket, message, role=role)
    else:
        tell_team(conversation)
    if viewer.is_staff or via != Message.Via.EMAIL:
        # A mail has reached the people it was addressed to already.
        queue_emails(message, typed)
        if copies.bcc:
            queue_blind_copies(message, copies.bcc)
    return message


def post_note(
    viewer: Viewer,
    conversation_id: int,
    *,
    body: str,
    via: str,
    client_token: UUID | None = None,
    files: Sequence[UUID] = (),
    sources: Sequence[Mapping[str, str | int]] = (),
) -> Message:
    """Write something that only staff can read. It has no road to the outbox.

    Same rules for `body`, `files` and `client_token` as `post_reply`. `sources` are where it is
    from, each with `title` and `url`. Raises as `post_reply` does,
    and Refused if the viewer is not staff.
    """
    if not viewer.is_staff:
        raise Refused(_("Only staff write notes."))
    body = checked(body, may_be_empty=bool(files))

    def write() -> Message:
        attached = uploaded_files(viewer, files)
        conversation = access_to_write(viewer, conversation_id)
        if attached and (ticket := ticket_of(conversation)):
            check_limits(ticket.inbox, attached)
        note = Message(
            kind=Message.Kind.NOTE,
            via=via,
            author=viewer.person,
            body=body,
            client_token=client_token,
            file_count=len(attached),
            sources=[dict(source) for source in sources],
        )
        _append(conversation, note, attached)
        note_mentions(viewer, conversation, note)
        return note

    return _once(write, viewer, conversation_id, client_token)


def mark_read(viewer: Viewer, conversation_id: int, seq: int) -> None:
    """Move the viewer's mark forward to `seq`; a mark never moves back or past the end. Others in
    the conversation see how far it is."""
    if move_mark(viewer, conversation_id, seq):
        role = "staff" if viewer.is_staff else "customer"
        events.seen_changed(conversation_id, viewer.person.pk, role, seq)


def move_mark(viewer: Viewer, conversation_id: int, seq: int) -> bool:
    """The part of reading that concerns the viewer's seat. Returns whether it has moved."""
    return bool(_unread_seat(viewer, conversation_id, seq).update(last_read_seq=seq))


def mark_got(viewer: Viewer, conversation_id: int, seq: int) -> None:
    """The viewer's browser has everything up to `seq`, whether they look or not: staff see that it
    was delivered. What they have read they have got."""
    seat = _unread_seat(viewer, conversation_id, seq).filter(got_seq__lt=seq)
    if seat.update(got_seq=seq):
        events.got_changed(conversation_id, viewer.person.pk, seq)


def _unread_seat(viewer: Viewer, conversation_id: int, seq: int) -> QuerySet[Participant]:
    """The viewer's seat, if they may read the entry `seq` and have not."""
    return Participant.objects.filter(
        conversation_id=conversation_id,
        person=viewer.person,
        left_at=None,
        last_read_seq__lt=seq,
        sees_after_seq__lt=seq,
        conversation__last_seq__gte=seq,
    )


def checked(body: str, *, may_be_empty: bool = False) -> str:
    """The body as it will be stored. Raises Refused with a sentence if it cannot be."""
    body = clean(body).strip()
    if says_nothing(body):
        if may_be_empty:
            return ""
        raise Refused(_("Write something first."))
    if len(body) > settings.MESSAGE_MAX_CHARS:
        raise Refused(
            _("This text has %(length)s characters. At most %(limit)s can be sent at once.")
            % {"length": f"{len(body):,}", "limit": f"{settings.MESSAGE_MAX_CHARS:,}"}
        )
    return body


def checked_choices(choices: Sequence[str]) -> list[str]:
    """Those answers that say something, each once and on one line. Raises Refused for too many and
    for one that is too long."""
    lines = (" ".join(clean(one).split()) for one in choices)
    given = [one for one in dict.fromkeys(lines) if one]
    if len(given) > CHOICES_MAX:
        raise Refused(_("At most %(limit)s answers can be given to choose from.") % LIMITS)
    if any(len(one) > CHOICE_MAX_CHARS for one in given):
        raise Refused(_("An answer to choose has at most %(chars)s characters.") % LIMITS)
    return given


def _once(
    write: Callable[[], Message], viewer: Viewer, conversation_id: int, client_token: UUID | None
) -> Message:
    """What `write` writes in one transaction, or what this sender wrote with the same token.

    The database refuses a token that comes twice, and takes back everything that went with it.
    To look first would cost every message a question that hardly ever has an answer.
    """
    try:
        with transaction.atomic():
            return write()
    except IntegrityError as refused:
        if "message_token_once" not in str(refused):
            raise
    message = Message.objects.select_related("author").get(
        conversation=conversation_id, author=viewer.person, client_token=client_token
    )
    read_files([message])
    return message


def _said_before_merging(
    conversation: Conversation, viewer: Viewer, client_token: UUID
) -> Message | None:
    """What this sender wrote with the same token where it was said, before that was merged into
    this conversation: its acknowledgement got lost."""
    if not conversation.merged_from:
        return None
    said = Message.objects.select_related("author").filter(
        conversation__in=conversation.merged_from, author=viewer.person, client_token=client_token
    )
    message = said.first()
    if message is not None:
        read_files([message])
    return message


def _check_nobody_spoke(
    conversation: Conversation, viewer: Viewer, seen_seq: int, client_token: UUID | None
) -> None:
    """Raises MovedOn if somebody else has said something after `seen_seq`."""
    said = Message.objects.filter(conversation=conversation, kind=Message.Kind.REPLY)
    newer = list(
        said.filter(seq__gt=seen_seq)
        .exclude(author=viewer.person)
        .select_related("author")
        .only("seq", "author__name")
        .order_by("seq")
    )
    if not newer:
        return
    # What was stored and whose answer got lost is sent again: it is no news to its writer.
    if not said.filter(author=viewer.person, client_token=client_token or UUID(int=0)).exists():
        raise MovedOn(newer, conversation.last_seq)


def _append(conversation: Conversation, message: Message, files: Sequence[Attachment]) -> Message:
    """Give a message its place, with its files: they are found by their names, too."""
    if not files:
        return append_entry(conversation, message)
    names = " ".join(file.name for file in files)
    attach = partial(show_files, files=files)
    return append_entry(conversation, message, searched_too=names, attach=attach)


def _take(ticket: Ticket, viewer: Viewer) -> None:
    """Whoever on staff answers first takes the conversation."""
    sets_handler(ticket, Ticket.Handler.STAFF, author=viewer.person, reason="staff_wrote")
    if ticket.assignee_id is None and viewer.user is not None:
        ticket.assignee = viewer.user
        prepared.save(ticket, "assignee")
        append_change(ticket, "assignee", None, viewer.person.name, author=viewer.person)
