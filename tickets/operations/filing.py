"""A stored mail becomes a message, or a row that says why it did not."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from attachments.operations import keep
from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp
from tickets.mail import fetch_imap, fetch_pop3
from tickets.mail.addresses import is_address, normal
from tickets.mail.joining import IDS_MAX, Match, match
from tickets.mail.machines import Nature
from tickets.mail.parse import ParsedEmail, parse_email
from tickets.mail.protection import ENCRYPTED
from tickets.mail.subjects import is_another_matter, matter
from tickets.models import InboundEmail, Mailbox, Message, Participant, Person, Ticket
from tickets.models.tickets import SUBJECT_MAX_CHARS
from tickets.operations.acknowledging import acknowledge
from tickets.operations.bounced import note_complaint, note_report
from tickets.operations.looks import html_of, without_marks, words_of_invite
from tickets.operations.mail_entries import MailFiles, Written, join_with, name_of, open_with
from tickets.operations.people import give_address
from tickets.operations.related import WRITTEN, Facts, Guest, look_up
from tickets.operations.sign_in import access_token
from tickets.operations.stored import raw_of
from tickets.operations.timeline import (
    announce,
    append_change,
    append_entry,
    hearers,
    locked,
    queue_email,
    ticket_of,
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
    raw = raw_of(row)
    if not raw and (row.uid is not None or row.uidl):
        raw = _fetched_again(row)
    mail = parse_email(raw)
    is_news = mail.nature in {Nature.REPORT, Nature.COMPLAINT}  # often of nobody
    problems = [*row.problems, *mail.problems]
    look = None if is_news else html_of(mail, problems)
    about = _about(row, mail, problems)
    if not is_news and not (mail.sender and is_address(mail.sender.email)):
        InboundEmail.objects.filter(pk=row.pk, lease=row.lease).update(**about)
        raise GiveUp("It names no sender: nobody could be answered.")
    blobs = keep([file.content for file in mail.attachments]) if mail.attachments else []
    with work.closing(row) as fields:
        facts = look_up(row, mail)
        facts.blobs, facts.look = blobs, look
        decided = _decide(row, mail, facts)
        fields |= about | decided
        fields["reason"] = fields["reason"][:REASON_MAX_CHARS]


def _fetched_again(row: InboundEmail) -> bytes:
    """A mail that the server once would not hand over. Raises GiveUp if it is no longer there."""
    mailbox = row.mailbox
    if mailbox is None or mailbox.is_removed:
        raise GiveUp("The mailbox it lay in was removed here.")
    try:
        raw = _from_maildrop(mailbox, row.uidl) if row.uidl else _from_folder(mailbox, row)
    except (fetch_imap.NotHandedOver, fetch_pop3.NotHandedOver) as error:
        raise GiveUp(str(error)) from error
    row.sha256 = hashlib.sha256(raw).hexdigest()
    InboundEmail.objects.filter(pk=row.pk, lease=row.lease).update(
        raw=raw, size_bytes=len(raw), sha256=row.sha256
    )
    return raw


def _from_folder(mailbox: Mailbox, row: InboundEmail) -> bytes:
    with fetch_imap.opened(mailbox, writable=False, token=access_token(mailbox)) as folder:
        if folder.uidvalidity != row.uidvalidity:
            raise GiveUp("The folder it lay in was made anew.")
        return folder.raw(row.uid or 0)


def _from_maildrop(mailbox: Mailbox, uidl: str) -> bytes:
    with fetch_pop3.opened(mailbox, token=access_token(mailbox)) as maildrop:
        place = maildrop.places().get(uidl)
        if place is None:
            raise GiveUp("It is no longer there.")
        return maildrop.raw(place.number)


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
        "nature": str(mail.nature),
        "protection": mail.protection,
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
        ours=facts.ours,
        theirs=facts.theirs,
    )
    match mail.nature:
        case Nature.REPORT:
            return _file_report(row, mail, facts, found)
        case Nature.COMPLAINT:
            return note_complaint(mail, facts) or _ignored(
                "It is a complaint about a mail that we did not send."
            )
    if facts.is_ours:
        return _ignored("It is our own mail, come back: only we give its reply address.")
    if found is None:
        if mail.nature == Nature.VACATION:
            return _ignored("It is an automatic reply that answers no mail we know.")
        return _open(row, mail, facts)
    writer = facts.staff or facts.person
    if writer is not None and writer.user_id is not None:
        return _file_as_note(row, mail, facts, writer, found)
    if found.is_group and writer is not None and _may_not_write(writer, found):
        decided = _open(row, mail, facts)
        return decided | {
            "reason": f"{decided['reason']} The sender was removed from #{found.ticket_number}, "
            "or may only read there."
        }
    if mail.nature in WRITTEN and is_another_matter(mail.subject, found.closed_subject or ""):
        return _continue(row, mail, facts, found)
    return _join(row, mail, facts, found)


def _may_not_write(writer: Person, found: Match) -> bool:
    """Nobody comes back into a group by mail who was removed from it, and who may only read there
    says nothing. Their mail is lost to nobody: it opens a ticket."""
    seats = Participant.objects.filter(conversation=found.conversation_id, person=writer)
    return seats.filter(Q(barred=True) | Q(rank=Participant.Rank.READER)).exists()


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
    row: InboundEmail, mail: ParsedEmail, facts: Facts, found: Match | None
) -> dict[str, Any]:
    """What became of a mail of ours, noted on it; a note for staff where we cannot tell which."""
    if mail.bounce is None:
        return _ignored("It is a report that a mail arrived or was read.")
    if decided := note_report(mail.bounce, mail, facts):
        return decided
    if found is None:
        return _ignored("It is a delivery report that belongs to no conversation.")
    recipient = mail.bounce.recipient or _("a recipient")
    words = _("A mail to %(recipient)s was not delivered.") % {"recipient": recipient}
    body = f"{words}\n{mail.bounce.status} {mail.bounce.reason}".strip()
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
    files = MailFiles(mail.attachments, facts.blobs, facts.look)
    note = Message(
        kind=Message.Kind.NOTE,
        via=Message.Via.EMAIL,
        author=author,
        body=body,
        quoted=quoted[: settings.MESSAGE_MAX_CHARS],
        file_count=len(files),
        has_html=facts.look is not None,
        created_at=row.received_at,
    )
    return append_entry(
        locked(found.conversation_id),
        note,
        searched_too=files.names,
        attach=files.attach if files or facts.look else None,
    )


def _open(
    row: InboundEmail, mail: ParsedEmail, facts: Facts, *, continues: int | None = None
) -> dict[str, Any]:
    if facts.inbox_id is None:
        raise GiveUp("There is no inbox in which a ticket could be opened.")
    if facts.person is None and facts.staff is not None:
        give_address(facts.staff, facts.sender)
    author, message, files = _reply(row, mail, facts)
    written = open_with(
        message,
        author,
        files,
        _people(facts),
        inbox_id=facts.inbox_id,
        subject=mail.subject,
        continues=continues,
    )
    ticket = written.ticket
    announce(ticket, message, role="customer")
    if facts.acknowledges:
        acknowledge(ticket, author, facts.sender, mail)
    if continues is not None:
        append_change(ticket, "continues", None, continues, author=None, via=Message.Via.SYSTEM)
    why = "it answers no mail we know" if mail.in_reply_to else "it answers no mail"
    return _filed(message, f"Opened #{ticket.number}: {why}.")


def _continue(row: InboundEmail, mail: ParsedEmail, facts: Facts, found: Match) -> dict[str, Any]:
    """Another matter in an answer to a ticket that was solved long ago: a ticket of its own, which
    names the old one. Who writes about it once more by the same way joins that."""
    subject = matter(mail.subject)
    since = Ticket.objects.filter(continues=found.ticket_number).order_by("-number")
    for later in since.select_related("conversation")[:5]:
        if matter(later.subject) == subject:
            reason = f"It has the subject of #{later.number}, which continues the ticket it answers"
            onward = later.conversation.merged_into_id or later.conversation_id
            there = Match(onward, f"{reason}. {found.reason}")
            return _join(row, mail, facts, there)
    decided = _open(row, mail, facts, continues=found.ticket_number)
    message = decided["message"]
    old = ticket_of(locked(found.conversation_id))
    number = message.conversation.ticket.number
    if old is not None:
        append_change(old, "continued", None, number, author=None, via=Message.Via.SYSTEM)
    reason = f"Opened #{number}: another subject, and #{found.ticket_number} was solved long ago."
    return decided | {"reason": f"{reason} {found.reason}"}


def _join(row: InboundEmail, mail: ParsedEmail, facts: Facts, found: Match) -> dict[str, Any]:
    """Say it in the conversation it answers. Nobody is mailed a copy: the sender chose in their
    own mail program who gets one. In a group they cannot, for they know names only: there it is
    passed on. Who is new here hears every reply from now on, unless a machine wrote: an answer to
    that reaches nobody, or another machine."""
    is_answer = mail.nature == Nature.VACATION
    hears = mail.nature != Nature.GENERATED or mail.may_be_answered
    author, message, files = _reply(row, mail, facts)
    written = join_with(
        message,
        author,
        files,
        _people(facts),
        conversation_id=found.conversation_id,
        is_heard=not is_answer,
        left_at=None if hears and not is_answer else row.received_at,
    )
    if is_answer:
        return _filed(message, f"It is an automatic reply. {found.reason}")
    if found.is_group and mail.nature == Nature.PERSON:
        message.conversation.is_group = True
        _pass_on(message, mail)
    if written.has_ticket:
        announce(written.ticket, message, role="customer")
        _say_what_changed(written, facts, hears=hears)
    return _filed(message, found.reason)


def _pass_on(message: Message, mail: ParsedEmail) -> None:
    """Mail it to everybody else in the group whom the writer has not addressed themselves."""
    addressed = {normal(one.email) for one in (*mail.to, *mail.cc)}
    for hearer in hearers(message):
        if normal(hearer.address) not in addressed:
            queue_email(message, hearer.person_id, hearer.address, field=hearer.field)


def _say_what_changed(written: Written, facts: Facts, *, hears: bool) -> None:
    ticket, author = written.ticket, written.message.author

    def say(field: str, old: str | None, new: str) -> None:
        append_change(ticket, field, old, new, author=author, via=Message.Via.EMAIL)

    if written.was == Ticket.Status.SOLVED:
        say("status", written.was, Ticket.Status.OPEN)
    if hears and facts.sender in written.seated:
        say("participant", None, facts.sender)
    copied = [address for address in written.seated if address != facts.sender]
    if copied:
        say("copied", None, ", ".join(copied))


def _reply(row: InboundEmail, mail: ParsedEmail, facts: Facts) -> tuple[Person, Message, MailFiles]:
    body, quoted = _body(mail)
    author = facts.person or facts.staff or Person()
    author.name = author.name or name_of(_people(facts)[0])
    files = MailFiles(mail.attachments, facts.blobs, facts.look)
    message = Message(
        kind=Message.Kind.REPLY,
        audience=Message.Audience.EVERYONE,
        via=Message.Via.EMAIL,
        author=author,
        body=body,
        quoted=quoted,
        file_count=len(files),
        has_html=facts.look is not None,
        created_at=row.received_at,
    )
    return author, message, files


def _people(facts: Facts) -> list[Guest]:
    """Who takes part, the writer first."""
    writer = facts.person or facts.staff
    if writer is not None:
        return [Guest(writer.pk, writer.name, facts.sender), *facts.guests]
    return [Guest(None, facts.sender_name, facts.sender), *facts.guests]


def _body(mail: ParsedEmail) -> tuple[str, str]:
    """What is shown at once, and what is folded away. Where nothing is to be shown, files are."""
    body = without_marks(mail.visible_reply, mail.attachments).strip()
    if mail.invite is not None:
        body = f"{words_of_invite(mail.invite)}\n\n{body}".strip()
    quoted = without_marks(mail.quoted, mail.attachments).strip("\n")
    limit = settings.MESSAGE_MAX_CHARS
    if len(body) > limit:
        body, quoted = body[:limit], f"{body[limit:]}\n{quoted}"
    if not body and mail.protection == ENCRYPTED:
        body = _("(This mail is encrypted: only a mail program that has the key can read it.)")
    elif not body and not mail.attachments:
        body = _("(This mail has no text.)")
    return body, quoted.strip("\n")
