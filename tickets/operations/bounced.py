"""What comes back about a mail that we sent: it did not arrive, not yet, or was not welcome.

It is noted on the mail, where the desk shows how far it has come, and said in the timeline once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.timezone import now

from tickets import events
from tickets.mail.addresses import normal
from tickets.mail.bounce import Bounce, Failed
from tickets.mail.parse import ParsedEmail
from tickets.mail.reasons import Kind
from tickets.models import Conversation, InboundEmail, Message, OutgoingEmail, Ticket
from tickets.operations.related import Facts
from tickets.operations.timeline import append_change, locked, ticket_of, ticket_reopens

Decision = InboundEmail.Decision
COMPLAINT = "complaint"  # as `bounce_kind` of a mail that its recipient called spam
REASON_MAX_CHARS = 500


def note_report(bounce: Bounce, mail: ParsedEmail, facts: Facts) -> dict[str, Any] | None:
    """Note on the mails that a report is about what became of them. Returns what the row of the
    report says, or None if it is about no mail that we know to have left.

    A mail is known by its Message-ID, which no two have; or, where that was not returned, by the
    conversation whose reply address the report went to, and the recipient. Only a report that says
    something worse than what is known already adds anything.
    """
    conversation_id = _conversation(mail, facts)
    if conversation_id is None:
        return None
    conversation = locked(conversation_id)
    told = _told(conversation, bounce, mail, facts)
    if not told:
        return None
    worse = [(outgoing, failed) for outgoing, failed in told if _note(outgoing, failed)]
    place = f"message {told[0][0].message.seq} of #{_number(conversation)}"
    where = {"conversation_id": conversation_id}
    for message in {outgoing.message for outgoing, _ in worse}:
        events.delivery_changed(message)
    bounced = [(outgoing, failed) for outgoing, failed in worse if failed.kind != Kind.DELAYED]
    if bounced:
        line = _say(conversation, bounced)
        reason = f"It is a delivery report about {place}, and noted there."
        return {"decision": Decision.FILED, "reason": reason, "message": line, **where}
    if worse:
        reason = f"It says that {place} is delayed, and is noted there."
        return {"decision": Decision.FILED, "reason": reason, **where}
    reason = f"It says nothing new about {place}."
    return {"decision": Decision.IGNORED, "reason": reason, **where}


def note_complaint(mail: ParsedEmail, facts: Facts) -> dict[str, Any] | None:
    """As `note_report`, of a mail that its recipient marked as spam. Staff hear of it, and it is
    nobody's turn because of it."""
    conversation_id = _conversation(mail, facts)
    if conversation_id is None:
        return None
    conversation = locked(conversation_id)
    known = [normal(mail.complaint.recipient)] if mail.complaint else []
    mails = _mails(conversation, mail, facts, known)
    ticket = ticket_of(conversation)
    if not mails or ticket is None:
        return None
    outgoing = mails[0]
    place = f"message {outgoing.message.seq} of #{ticket.number}"
    where = {"conversation_id": conversation_id}
    if outgoing.bounce_kind == COMPLAINT:
        reason = f"It says nothing new about {place}."
        return {"decision": Decision.IGNORED, "reason": reason, **where}
    OutgoingEmail.objects.filter(pk=outgoing.pk).update(bounce_kind=COMPLAINT)
    events.delivery_changed(outgoing.message)
    line = _append(ticket, outgoing, COMPLAINT)
    reason = f"It is a complaint about {place}, and noted there."
    return {"decision": Decision.FILED, "reason": reason, "message": line, **where}


def _conversation(mail: ParsedEmail, facts: Facts) -> int | None:
    """Where the mail was written that a report is about."""
    ids = _ids(mail)
    for one in ids:
        for known in facts.ours:
            if known.rfc_message_id == one:
                return known.conversation_id
    return facts.tokens[0].conversation_id if facts.tokens else None


def _ids(mail: ParsedEmail) -> list[str]:
    """What was returned says more than what was answered: a report may stand in a conversation of
    its own."""
    return [*mail.returned_ids, *filter(None, [mail.in_reply_to]), *reversed(mail.references)]


def _mails(
    conversation: Conversation, mail: ParsedEmail, facts: Facts, recipients: Iterable[str]
) -> list[OutgoingEmail]:
    """The mails a report is about that a server has accepted, those it names itself, or else the
    last one to each recipient."""
    sent = OutgoingEmail.objects.select_related("message").filter(
        message__conversation__in=conversation.all_merged,
        state=OutgoingEmail.State.DONE,
    )
    ids = {known.rfc_message_id for known in facts.ours}
    for one in _ids(mail):
        if one in ids:
            return list(sent.filter(rfc_message_id=one))
    wanted = set(recipients)
    latest: dict[str, OutgoingEmail] = {}
    for outgoing in sent.order_by("pk"):
        if normal(outgoing.address) in wanted:
            latest[normal(outgoing.address)] = outgoing
    return list(latest.values())


def _told(
    conversation: Conversation, bounce: Bounce, mail: ParsedEmail, facts: Facts
) -> list[tuple[OutgoingEmail, Failed]]:
    """The mails a report is about, with what it says of each. A mail of ours has one recipient:
    where the report calls them otherwise, somebody forwards their mail."""
    failed = {normal(one.recipient): one for one in bounce.recipients}
    mails = _mails(conversation, mail, facts, failed)
    return [(one, failed.get(normal(one.address), bounce.recipients[0])) for one in mails]


def _note(outgoing: OutgoingEmail, failed: Failed) -> bool:
    """Keep the worst that is known of a mail. Returns whether this is it."""
    is_delayed = failed.kind == Kind.DELAYED
    known = (outgoing.bounced_at is not None) + outgoing.bounce_hard
    told = 0 if is_delayed else 1 + failed.hard
    if told < known or (told == known and outgoing.bounce_kind not in {"", COMPLAINT}):
        return False
    outgoing.bounced_at = None if is_delayed else now()
    outgoing.bounce_hard = failed.hard
    outgoing.bounce_kind = failed.kind.value
    outgoing.bounce_reason = failed.reason[:REASON_MAX_CHARS]
    outgoing.save(update_fields=["bounced_at", "bounce_hard", "bounce_kind", "bounce_reason"])
    return True


def _say(conversation: Conversation, bounced: list[tuple[OutgoingEmail, Failed]]) -> Message | None:
    """Tell staff once, and let the ticket notice: nobody has heard what we wrote."""
    ticket = ticket_of(conversation)
    if ticket is None:
        return None
    lines = [_append(ticket, outgoing, "bounced", hard=failed.hard) for outgoing, failed in bounced]
    # That an automatic mail did not arrive leaves nobody without an answer.
    missed = [(outgoing, failed) for outgoing, failed in bounced if not outgoing.is_automatic]
    if any(failed.hard for _, failed in missed):
        ticket_reopens(ticket, reason="undelivered")
    elif missed:
        ticket.unread = True
        ticket.save(update_fields=["unread"])
        events.ticket_changed(ticket)
    return lines[0]


def _append(ticket: Ticket, outgoing: OutgoingEmail, what: str, **more: Any) -> Message:
    return append_change(
        ticket,
        "delivery",
        None,
        what,
        author=None,
        via=Message.Via.SYSTEM,
        address=outgoing.address,
        seq=outgoing.message.seq,
        **more,
    )


def _number(conversation: Conversation) -> int | None:
    ticket = ticket_of(conversation)
    return ticket.number if ticket else None
