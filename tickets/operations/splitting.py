"""Somebody wrote about two matters at once: one of them becomes a ticket of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from operator import or_
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.timezone import now
from django.utils.translation import gettext as _

from attachments.models import Attachment
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import clean
from tickets import events
from tickets.access import Viewer, access_ticket, visible_messages, visitor
from tickets.mail.render import one_line
from tickets.models import (
    Conversation,
    EmailAddress,
    Message,
    MessageFile,
    MessageHtml,
    Participant,
    Person,
    Ticket,
)
from tickets.models.tickets import SUBJECT_MAX_CHARS
from tickets.operations.files import read_files, remember_files
from tickets.operations.looks import keep_look
from tickets.operations.opening import opened_with
from tickets.operations.timeline import (
    append_change,
    append_entry,
    line_of,
    open_ticket,
    ticket_hears,
)

SPLIT_MAX = 50  # messages at once

CHECKING = Attachment.State.CHECKING
Kind = Message.Kind
Role = Participant.Role
Place = tuple[int, int]  # the number of a ticket, and the place of an entry in it


def split_ticket(
    viewer: Viewer,
    number: int,
    places: Sequence[Place],
    *,
    client_token: UUID,
    subject: str = "",
) -> Ticket:
    """Begin a ticket with copies of what was said in another, in the same inbox; both say so.

    `places` are 1 to SPLIT_MAX messages of the ticket, or of those that were merged into it. Each
    copy says what its message says, of the same author and moment, with the same files, whose bytes
    are kept once; no mail goes out. The ticket is of the customer who wrote the first of them, or
    of the other ticket's; whoever of the customers wrote one of them takes part, and hears by mail
    where they have an address. Without a `subject` it is called after its first message. A second
    call of the viewer's with the same `client_token` returns the first call's ticket.

    Raises NotFound for a ticket or a message that the viewer may not see, and Refused for none, too
    many, what is no message, and a file that is still looked into.
    """
    if not viewer.is_staff:
        raise NotFound
    places = list(dict.fromkeys(places))
    if not places:
        raise Refused(_("Choose a message."))
    if len(places) > SPLIT_MAX:
        raise Refused(_("At most %(limit)s messages can be split at once.") % {"limit": SPLIT_MAX})
    try:
        with transaction.atomic():
            # First, so that a second call is told before anything else.
            conversation = Conversation.objects.create(
                channel=Conversation.Channel.EMAIL, opened_with=client_token
            )
            source = access_ticket(viewer, number, lock=True)
            said = _said(viewer, source, places)
            return _split(viewer, source, conversation, said, subject)
    except IntegrityError as refused:
        if "conversation_opened_once" not in str(refused):
            raise
    return opened_with(viewer, client_token)


def _said(viewer: Viewer, source: Ticket, places: Sequence[Place]) -> list[Message]:
    """The messages at these places, in the order in which they were said."""
    merged = Conversation.objects.filter(pk__in=source.conversation.merged_from)
    here = [source.conversation, *merged]
    visible = [visible_messages(viewer, one).values("pk") for one in here]
    wanted = (Q(conversation__ticket=number, seq=seq) for number, seq in places)
    found = list(
        Message.objects.filter(
            reduce(or_, wanted), reduce(or_, (Q(pk__in=keys) for keys in visible))
        )
        .select_related("author", "html")
        .order_by("created_at", "pk")
    )
    if len(found) != len(places):
        raise NotFound
    if any(one.kind == Kind.CHANGE for one in found):
        raise Refused(_("Only what somebody said can be split."))
    read_files(found)
    if any(file.attachment.state == CHECKING for one in found for file in one.files.all()):
        raise Refused(_("A file of it is still being checked. Try again in a moment."))
    return found


def _split(
    viewer: Viewer,
    source: Ticket,
    conversation: Conversation,
    said: Sequence[Message],
    subject: str,
) -> Ticket:
    authors = [one.author for one in said if one.author is not None and _is_customer(one.author)]
    requester = authors[0] if authors else source.requester
    _seat(source, conversation, list(dict.fromkeys([requester, *authors])), said)
    subject = one_line(clean(subject))[:SUBJECT_MAX_CHARS] or line_of(said[0])
    copies = [
        append_entry(
            conversation,
            _copy(one),
            searched_too=" ".join([*([subject] if one is said[0] else []), *_names(one)]),
            attach=partial(_attach, message=one),
        )
        for one in said
    ]
    ticket = open_ticket(
        conversation,
        inbox_id=source.inbox_id,
        requester=requester,
        subject=subject,
        first=copies[0],
        assignee=source.assignee,
    )
    for copy in copies:
        if copy.kind == Kind.REPLY and copy.author is not None:
            role = "customer" if _is_customer(copy.author) else _role_of_ours(copy.author)
            ticket_hears(ticket, copy, role=role)
    names = ", ".join(dict.fromkeys(str(one.author or _("the helpdesk")) for one in said))
    count, author = len(said), viewer.person
    append_change(ticket, "split_from", None, source.number, author=author)
    append_change(source, "split", None, ticket.number, author=author, by=names, count=count)
    events.ticket_changed(ticket)
    events.ticket_changed(source)
    return ticket


def _is_customer(person: Person) -> bool:
    return person.user_id is None and not person.is_assistant


def _role_of_ours(person: Person) -> str:
    return "assistant" if person.is_assistant else "staff"


def _seat(
    source: Ticket, conversation: Conversation, people: Sequence[Person], said: Sequence[Message]
) -> None:
    """Whoever may not read one of these messages where it was said reads what comes after them."""
    addresses = EmailAddress.objects.filter(person=OuterRef("pk"), is_primary=True)
    reached = set(
        Person.objects.filter(Exists(addresses), pk__in=[one.pk for one in people]).values_list(
            "pk", flat=True
        )
    )
    public = {one.pk for one in said if one.is_public}
    for person in people:
        sees_all = all(
            visible_messages(visitor(person), one.conversation).filter(pk=one.pk).exists()
            for one in said
            if one.pk in public
        )
        Participant.objects.create(
            conversation=conversation,
            person=person,
            role=Role.CUSTOMER,
            reach=Participant.Reach.EMAIL if person.pk in reached else Participant.Reach.LIVE,
            sees_after_seq=0 if sees_all else len(said),
        )


def _copy(message: Message) -> Message:
    return Message(
        kind=message.kind,
        audience=message.audience,
        via=message.via,
        author=message.author,
        body=message.body,
        quoted=message.quoted,
        sources=message.sources,
        file_count=message.file_count,
        has_html=message.has_html,
        created_at=message.created_at,
    )


def _names(message: Message) -> list[str]:
    return [file.attachment.name for file in message.files.all() if not file.inline]


def _attach(copy: Message, *, message: Message) -> None:
    """The same bytes under names of their own, and the look of the mail."""
    if message.has_html:
        look = message.html
        keep_look(
            copy,
            MessageHtml(visible=look.visible, quoted=look.quoted, has_remote=look.has_remote),
        )
    files = list(message.files.all()) if message.file_count else []
    kept = Attachment.objects.bulk_create(
        Attachment(
            name=file.attachment.name,
            state=file.attachment.state,
            refusal=file.attachment.refusal,
            blob=file.attachment.blob,
            claimed_at=now(),
        )
        for file in files
    )
    rows = [
        MessageFile(message=copy, attachment=new, inline=file.inline, content_id=file.content_id)
        for new, file in zip(kept, files, strict=True)
    ]
    remember_files(copy, MessageFile.objects.bulk_create(rows))
