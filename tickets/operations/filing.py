"""A stored mail becomes a message, or a row that says why it did not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from attachments.checks import state_of_mailed, wants_check
from attachments.models import Attachment, Check
from attachments.names import safe_name
from attachments.operations import keep
from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp
from tickets.mail import fetch_imap
from tickets.mail.addresses import is_address
from tickets.mail.bounce import Bounce
from tickets.mail.parse import Attachment as MailFile
from tickets.mail.parse import ParsedEmail, parse_email
from tickets.mail.threading import IDS_MAX, Match, match
from tickets.models import (
    Conversation,
    InboundEmail,
    Message,
    MessageFile,
    Participant,
    Person,
)
from tickets.models.files import CONTENT_ID_MAX_CHARS as ID_MAX_CHARS
from tickets.models.tickets import SUBJECT_MAX_CHARS
from tickets.operations.files import remember_files
from tickets.operations.looks import (
    html_of,
    keep_look,
    shown_inside,
    without_marks,
    words_of_invite,
)
from tickets.operations.people import give_address, new_person
from tickets.operations.related import Facts, look_up
from tickets.operations.timeline import (
    announce,
    append_change,
    append_entry,
    locked,
    open_ticket,
    ticket_hears,
    ticket_of,
    write_entry,
)

Decision = InboundEmail.Decision
REASON_MAX_CHARS = 500
PROBLEMS_MAX = 20


def file_inbound(row: InboundEmail) -> None:
    """Decide what becomes of a stored mail, and do it, in one transaction.

    It joins the conversation that its reply address or its references name, or opens a ticket;
    it is ignored, with the reason, where it is a copy or says nothing to anyone. Copies that
    arrive at the same time, and an answer that arrives with what it answers, wait for each other.

    Raises GiveUp for a mail that can never be filed as it is.
    """
    raw = bytes(row.raw)
    if not raw and row.uid is not None:
        raw = _fetched_again(row)
    mail = parse_email(raw)
    problems = [*row.problems, *mail.problems]
    look = html_of(mail, problems) if mail.bounce is None else None
    about = _about(row, mail, problems)
    if mail.bounce is None and not (mail.sender and is_address(mail.sender.email)):
        InboundEmail.objects.filter(pk=row.pk, lease=row.lease).update(**about)
        raise GiveUp("It names no sender: nobody could be answered.")
    blobs = keep([file.content for file in mail.attachments]) if mail.attachments else []
    with work.closing(row) as fields:
        facts = look_up(row, mail)
        facts.blobs, facts.look = blobs, look
        decided = _decide(row, mail, facts)
        fields |= about | decided
        fields["reason"] = fields["reason"][:REASON_MAX_CHARS]


# All rows of every file in one statement, in the order in which the mail has them.
ATTACH = """
WITH given AS (
    SELECT * FROM unnest(%s::uuid[], %s::varchar[], %s::varchar[], %s::bigint[], %s::boolean[],
                         %s::varchar[])
        WITH ORDINALITY AS one (uuid, state, name, blob_id, inline, content_id, place)
), attached AS (
    INSERT INTO attachments_attachment (uuid, state, name, blob_id, created_at, claimed_at)
    SELECT uuid, state, name, blob_id, now(), now() FROM given ORDER BY place
    RETURNING id, uuid
), shown AS (
    INSERT INTO tickets_messagefile (message_id, attachment_id, inline, content_id)
    SELECT %s, attached.id, inline, content_id
      FROM given JOIN attached USING (uuid) ORDER BY place
), checked AS (
    INSERT INTO attachments_check (attachment_id, state, attempts, due_at, error)
    SELECT attached.id, 'queued', 0, now(), ''
      FROM attached WHERE uuid = ANY(%s::uuid[])
    RETURNING id, attachment_id
)
SELECT attached.uuid, attached.id, checked.id
  FROM attached LEFT JOIN checked ON checked.attachment_id = attached.id
"""


def _attaching(files: Sequence[MailFile], facts: Facts) -> Callable[[Message], None]:
    """What writes the look of a mail and the rows of its files, for the message that it became."""

    def attach(message: Message) -> None:
        if facts.look is not None:
            keep_look(message, facts.look)
        if not facts.blobs:
            return
        made = [
            MessageFile(
                message=message,
                attachment=Attachment(
                    name=safe_name(file.name), blob=blob, state=state_of_mailed(blob)
                ),
                inline=inline,
                content_id=file.content_id[:ID_MAX_CHARS],
            )
            for file, blob, inline in zip(
                files, facts.blobs, shown_inside(facts.look, files), strict=True
            )
        ]
        by_uuid = {file.attachment.uuid: file.attachment for file in made}
        unknown = _to_check(by_uuid.values())
        columns = zip(*(_columns(file) for file in made), strict=True)
        with connection.cursor() as cursor:
            cursor.execute(ATTACH, [*map(list, columns), message.pk, unknown])
            for uuid, attachment_id, check_id in cursor.fetchall():
                by_uuid[uuid].pk = attachment_id
                if check_id is not None:
                    work.ring_on_commit(Check(pk=check_id))
        remember_files(message, made)

    return attach


def _to_check(files: Iterable[Attachment]) -> list[UUID]:
    """Each that waits for it, and one of those that show the same bytes otherwise."""
    waiting = [one for one in files if one.state == Attachment.State.CHECKING]
    first = {one.stored.pk: one for one in files if wants_check(one.stored)}
    return list({one.uuid for one in (*waiting, *first.values())})


def _columns(file: MessageFile) -> tuple[Any, ...]:
    one = file.attachment
    return one.uuid, one.state, one.name, one.stored.pk, file.inline, file.content_id


def _fetched_again(row: InboundEmail) -> bytes:
    """A mail that the server once would not hand over. Raises GiveUp if it is no longer there."""
    mailbox = row.mailbox
    if mailbox is None:
        raise GiveUp("The mailbox it lay in is no longer known.")
    try:
        with fetch_imap.opened(mailbox, writable=False) as folder:
            if folder.uidvalidity != row.uidvalidity:
                raise GiveUp("The folder it lay in was made anew.")
            raw = folder.raw(row.uid or 0)
    except fetch_imap.NotHandedOver as error:
        raise GiveUp(str(error)) from error
    row.sha256 = hashlib.sha256(raw).hexdigest()
    InboundEmail.objects.filter(pk=row.pk, lease=row.lease).update(
        raw=raw, size_bytes=len(raw), sha256=row.sha256
    )
    return raw


def _about(row: InboundEmail, mail: ParsedEmail, problems: list[str]) -> dict[str, Any]:
    """What the lists of mails show, whatever is decided."""
    referred = [mail.message_id, mail.in_reply_to, *reversed(mail.references)]
    return {
        "rfc_message_id": mail.message_id,
        "reference_ids": list(dict.fromkeys(filter(None, referred)))[: IDS_MAX + 1],
        "subject": mail.subject[:SUBJECT_MAX_CHARS],
        "from_address": mail.sender.email[:254] if mail.sender else "",
        "problems": list(dict.fromkeys(problems))[:PROBLEMS_MAX],
        "file_count": len(mail.attachments),
    }


def _decide(row: InboundEmail, mail: ParsedEmail, facts: Facts) -> dict[str, Any]:
    """Do what is to be done; return what the row says about it."""
    if facts.copy_id is not None:
        where = f", which is in #{facts.copy.ticket_number}" if facts.copy else ""
        conversation = facts.copy.conversation_id if facts.copy else None
        return {
            "decision": Decision.DUPLICATE,
            "reason": f"The same as mail {facts.copy_id}{where}.",
            "conversation_id": conversation,
        }
    decided = _join_or_open(row, mail, facts)
    return {"dedupe_key": facts.dedupe_key, **decided}


def _join_or_open(row: InboundEmail, mail: ParsedEmail, facts: Facts) -> dict[str, Any]:
    own = [known for known in facts.ours if known.rfc_message_id == mail.message_id]
    if own:
        return _ignored(f"It is our own mail, message {own[0].seq} of #{own[0].ticket_number}.")
    found = match(
        tokens=facts.tokens,
        in_reply_to=mail.in_reply_to,
        references=[*mail.returned_ids, *mail.references],
        known=[*facts.ours, *facts.theirs],
    )
    if mail.bounce is not None and (found or mail.bounce.is_standard or not facts.sender):
        return _file_report(row, mail, facts, mail.bounce, found)
    if found is None:
        return _open(row, mail, facts)
    writer = facts.staff or facts.person
    if writer is not None and writer.user_id is not None:
        return _file_as_note(row, mail, facts, writer, found)
    return _join(row, mail, facts, found)


def _ignored(reason: str) -> dict[str, Any]:
    return {"decision": Decision.IGNORED, "reason": reason}


def _filed(message: Message, reason: str) -> dict[str, Any]:
    return {
        "decision": Decision.FILED,
        "reason": reason,
        "conversation_id": message.conversation_id,
        "message": message,
    }


def _file_report(
    row: InboundEmail, mail: ParsedEmail, facts: Facts, bounce: Bounce, found: Match | None
) -> dict[str, Any]:
    """A delivery report is for staff: what we sent did not arrive."""
    if found is None:
        return _ignored("It is a delivery report that belongs to no conversation.")
    recipient = bounce.recipient or _("a recipient")
    words = _("A mail to %(recipient)s was not delivered.") % {"recipient": recipient}
    body = f"{words}\n{bounce.status} {bounce.reason}".strip()
    message = _note(row, mail, facts, found, author=None, body=body, quoted=mail.text)
    return _filed(message, f"It is a delivery report. {found.reason}")


def _file_as_note(
    row: InboundEmail, mail: ParsedEmail, facts: Facts, person: Person, found: Match
) -> dict[str, Any]:
    """Anyone can write a colleague's address into From, and customers must not be fooled by it."""
    body, quoted = _body(mail)
    message = _note(row, mail, facts, found, author=person, body=body, quoted=quoted)
    return _filed(message, f"It is from the address of someone on staff, so a note. {found.reason}")


def _note(
    row: InboundEmail,
    mail: ParsedEmail,
    facts: Facts,
    found: Match,
    *,
    author: Person | None,
    body: str,
    quoted: str,
) -> Message:
    note = Message(
        kind=Message.Kind.NOTE,
        via=Message.Via.EMAIL,
        author=author,
        body=body,
        quoted=quoted[: settings.MESSAGE_MAX_CHARS],
        file_count=len(facts.blobs),
        has_html=facts.look is not None,
        created_at=row.received_at,
    )
    return append_entry(locked(found.conversation_id), note, **_files(mail, facts))


def _open(row: InboundEmail, mail: ParsedEmail, facts: Facts) -> dict[str, Any]:
    if facts.inbox_id is None:
        raise GiveUp("There is no inbox in which a ticket could be opened.")
    person = facts.person or facts.staff or _new_person(mail, facts.sender)
    if person is facts.staff:
        give_address(person, facts.sender)
    conversation = _new_conversation(person)
    message = _reply(row, mail, facts, person)
    write_entry(conversation, message, after=0, **_files(mail, facts, searched_too=mail.subject))
    ticket = open_ticket(
        conversation,
        inbox_id=facts.inbox_id,
        requester=person,
        subject=mail.subject or message.body,
        first=message,
    )
    announce(ticket, message, role="customer")
    why = "it answers no mail we know" if mail.in_reply_to else "it answers no mail"
    return _filed(message, f"Opened #{ticket.number}: {why}.")


def _join(row: InboundEmail, mail: ParsedEmail, facts: Facts, found: Match) -> dict[str, Any]:
    """Say it in the conversation it answers. Nobody is mailed a copy: the sender chose in their
    own mail program who gets one. Who is new here hears every reply from now on, unless a machine
    wrote: an answer to that reaches nobody, or another machine."""
    person = facts.person or _new_person(mail, facts.sender)
    place = _take_place(found.conversation_id, person)
    conversation = place.conversation
    if place.seat_id is None:
        Participant.objects.create(
            conversation=conversation,
            person=person,
            role=Participant.Role.CUSTOMER,
            reach=Participant.Reach.EMAIL,
            sees_after_seq=conversation.last_seq - 1,
            left_at=row.received_at if mail.auto_submitted else None,
        )
    elif mail.auto_submitted:
        pass  # a machine changes nothing about who hears how
    elif place.left_at is not None or place.reach != Participant.Reach.EMAIL:
        Participant.objects.filter(pk=place.seat_id).update(
            left_at=None, reach=Participant.Reach.EMAIL
        )
    message = _reply(row, mail, facts, person)
    write_entry(conversation, message, after=place.after, **_files(mail, facts))
    if ticket := ticket_of(conversation):
        ticket_hears(ticket, message, role="customer", reopens=not mail.auto_submitted)
        announce(ticket, message, role="customer")
        if place.seat_id is None and not mail.auto_submitted:  # say who hears from now on
            append_change(
                ticket, "participant", None, facts.sender, author=person, via=Message.Via.EMAIL
            )
    reason = f"It is an automatic mail. {found.reason}" if mail.auto_submitted else found.reason
    return _filed(message, reason)


def _files(mail: ParsedEmail, facts: Facts, *, searched_too: str = "") -> dict[str, Any]:
    """How the entry that a mail becomes shows its files, and is found by their names."""
    if not facts.blobs and facts.look is None:
        return {"searched_too": searched_too}
    names = " ".join(file.name for file in mail.attachments if not file.inline)
    return {
        "searched_too": f"{searched_too} {names}",
        "attach": _attaching(mail.attachments, facts),
    }


def _reply(row: InboundEmail, mail: ParsedEmail, facts: Facts, person: Person) -> Message:
    body, quoted = _body(mail)
    return Message(
        kind=Message.Kind.REPLY,
        audience=Message.Audience.EVERYONE,
        via=Message.Via.EMAIL,
        author=person,
        body=body,
        quoted=quoted,
        file_count=len(facts.blobs),
        has_html=facts.look is not None,
        created_at=row.received_at,
    )


NEW_CONVERSATION = """
WITH conversation AS (
    INSERT INTO tickets_conversation (channel, last_seq, last_public_seq, created_at)
    VALUES ('email', 1, 1, %s) RETURNING id
)
INSERT INTO tickets_participant
    (conversation_id, person_id, role, reach, sees_after_seq, last_read_seq)
SELECT id, %s, 'customer', 'email', 0, 0 FROM conversation
RETURNING conversation_id
"""


def _new_person(mail: ParsedEmail, address: str) -> Person:
    return new_person(mail.sender.name if mail.sender else "", address)


def _new_conversation(person: Person) -> Conversation:
    """A conversation of one customer, whose first place is taken."""
    conversation = Conversation(channel=Conversation.Channel.EMAIL, last_seq=1, last_public_seq=1)
    with connection.cursor() as cursor:
        cursor.execute(NEW_CONVERSATION, [conversation.created_at, person.pk])
        (conversation.pk,) = cursor.fetchall()[0]
    return conversation


@dataclass(frozen=True, slots=True)
class _Place:
    """The next place in a timeline, ours until the transaction ends, and the person's seat."""

    conversation: Conversation
    after: int
    seat_id: int | None
    left_at: datetime | None
    reach: str | None


# Lock, next place and seat in one statement. The seat is read as it was before the lock was
# waited for, which is as good: only mail of this sender seats them, and that waits elsewhere.
TAKE_PLACE = """
WITH was AS (
    SELECT c.id, c.last_public_seq AS after, p.id AS seat_id, p.left_at, p.reach
      FROM tickets_conversation c
      LEFT JOIN tickets_participant p ON p.conversation_id = c.id AND p.person_id = %s
     WHERE c.id = %s
       FOR NO KEY UPDATE OF c
)
UPDATE tickets_conversation c
   SET last_seq = c.last_seq + 1, last_public_seq = c.last_seq + 1
  FROM was
 WHERE c.id = was.id
RETURNING c.id, c.channel, c.last_seq, c.last_public_seq, c.created_at,
          was.after, was.seat_id, was.left_at, was.reach
"""


def _take_place(conversation_id: int, person: Person) -> _Place:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_PLACE, [person.pk, conversation_id])
        found = cursor.fetchone()
    if found is None:
        raise LookupError(f"Conversation {conversation_id} is gone.")  # tried again later
    names = ("id", "channel", "last_seq", "last_public_seq", "created_at")
    conversation = Conversation.from_db("default", names, found[:5])
    return _Place(conversation, *found[5:])


def _body(mail: ParsedEmail) -> tuple[str, str]:
    """What is shown at once, and what is folded away. Where nothing is to be shown, files are."""
    body = without_marks(mail.visible_reply, mail.attachments).strip()
    if mail.invite is not None:
        body = f"{words_of_invite(mail.invite)}\n\n{body}".strip()
    quoted = without_marks(mail.quoted, mail.attachments).strip("\n")
    limit = settings.MESSAGE_MAX_CHARS
    if len(body) > limit:
        body, quoted = body[:limit], f"{body[limit:]}\n{quoted}"
    if not body and not mail.attachments:
        body = _("(This mail has no text.)")
    return body, quoted.strip("\n")
