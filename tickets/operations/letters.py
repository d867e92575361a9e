"""What one recipient of a reply gets: who is named, who signs, and what was said before."""

from __future__ import annotations

from django.db.models import F
from django.utils.translation import gettext as _

from tickets.events import role_of
from tickets.mail.addresses import reply_address
from tickets.mail.render import Letter, Named, Quoted, one_line
from tickets.models import (
    Conversation,
    InboundEmail,
    Inbox,
    Message,
    OutgoingEmail,
    Person,
    Ticket,
)
from tickets.operations.hours import zone_of
from tickets.operations.inviting import invitation, is_invitation

EARLIER_IDS_MAX = 200
NAMED_MAX = 50  # people in To and Cc together
QUOTED_MESSAGES_MAX = 10
QUOTED_MAX_CHARS = 20_000


def letter_for(outgoing: OutgoingEmail, message: Message, ticket: Ticket) -> Letter:
    """The letter to one recipient, without its files. `message` comes with its author and
    conversation, `ticket` with its inbox."""
    inbox, author = ticket.inbox, message.author
    to, cc = _named(outgoing, message, inbox)
    is_digest = outgoing.since_seq is not None
    is_ours = author is None or role_of(author) != "customer"
    body = words_of(message)
    if invites := is_invitation(message):
        body = invitation(outgoing, ticket, by=speaker(author, inbox))
    return Letter(
        message_id=outgoing.rfc_message_id,
        from_name=inbox.from_name or inbox.name if is_digest else speaker(author, inbox),
        from_address=inbox.address or "",
        reply_to=reply_address(inbox.address or "", message.conversation_id),
        to_name=one_line(outgoing.person.name),
        to_address=outgoing.address,
        to=to,
        cc=cc,
        subject=ticket.subject,
        body="" if is_digest else body,
        is_markdown=is_ours and not invites,
        said=[_quoted(one, inbox) for one in carried(outgoing, message)] if is_digest else [],
        signature=signature(author, inbox) if is_ours else "",
        history=_history(outgoing, message, inbox) if inbox.quotes_history or invites else [],
        sources=[(one["title"], one["url"]) for one in message.sources],
        earlier_ids=_earlier_ids(outgoing, message),
        sent_at=message.created_at,
        is_automatic=outgoing.is_automatic or bool(author and author.is_assistant),
        opens=invites or message.seq == 1,
    )


def carried(outgoing: OutgoingEmail, message: Message) -> list[Message]:
    """The messages of a mail: its own, or all replies by others since `since_seq` that the
    recipient may read, in order."""
    if outgoing.since_seq is None:
        return [message]
    return list(
        Message.objects.filter(
            conversation=message.conversation_id,
            kind=Message.Kind.REPLY,
            audience=Message.Audience.EVERYONE,
            seq__gt=outgoing.since_seq,
            seq__lte=message.seq,
        )
        .exclude(author=outgoing.person_id)
        .select_related("author__user")
        .defer("search", "quoted")
        .order_by("seq")
    )


def words_of(message: Message) -> str:
    """What it says; in a mail, where nothing can be tapped, answers to choose from are a list."""
    answers = "\n".join(f"- {one}" for one in message.choices)
    return "\n\n".join(filter(None, [message.body, answers]))


def speaker(author: Person | None, inbox: Inbox) -> str:
    """Who speaks to customers: somebody of the brand, the brand itself, or another customer
    through it."""
    brand = inbox.from_name or inbox.name
    if author is None or not author.name:
        return brand
    if role_of(author) == "customer":
        return _("%(name)s via %(brand)s") % {"name": author.name, "brand": brand}
    return f"{author.first_name} from {brand}"


def signature(author: Person | None, inbox: Inbox) -> str:
    """The person's own, and below it the inbox's, as Markdown; {name} is who wrote."""
    name = one_line(author.name) if author and author.name else inbox.from_name or inbox.name
    own = author.user.signature if author and author.user else ""
    lines = [one.strip().replace("{name}", name) for one in (own, inbox.signature)]
    return "\n\n".join(filter(None, lines))


def _named(
    outgoing: OutgoingEmail, message: Message, inbox: Inbox
) -> tuple[list[Named], list[Named]]:
    """Whom the mail names in To and Cc, so that an answer to all reaches all.

    In a conversation by mail everybody wrote by mail, or was put in copy by staff: those who get
    this message see each other, as they would without us. A visitor of a chat, or a member of a
    group, gave their address to us alone, so there each mail names its own recipient only, unless
    the inbox says otherwise. Who is in Bcc is named to nobody, and sees the others.
    """
    conversation = message.conversation
    by_mail = conversation.channel == Conversation.Channel.EMAIL and not conversation.is_group
    if not (by_mail or (conversation.is_group and inbox.shows_addresses)):
        return [], []
    Field = OutgoingEmail.Field
    rows = list(
        message.outgoing_emails.exclude(field=Field.BCC).select_related("person").order_by("pk")
    )
    rows.sort(key=lambda row: row.pk != outgoing.pk)  # their own name is never left out
    shown = sorted(rows[:NAMED_MAX], key=lambda row: row.pk)
    named = {
        field: [Named(row.person.name, row.address) for row in shown if row.field == field]
        for field in (Field.TO, Field.CC)
    }
    return named[Field.TO], named[Field.CC]


def _history(outgoing: OutgoingEmail, message: Message, inbox: Inbox) -> list[Quoted]:
    """What this recipient may read of the conversation so far, latest first: at most
    QUOTED_MESSAGES_MAX messages and QUOTED_MAX_CHARS of text. Nothing where they have no seat."""
    rows = (
        Message.objects.filter(
            conversation=message.conversation_id,
            kind=Message.Kind.REPLY,
            audience=Message.Audience.EVERYONE,
            seq__lt=message.seq,
            conversation__participants__person=outgoing.person_id,
            conversation__participants__left_at=None,
            seq__gt=F("conversation__participants__sees_after_seq"),
        )
        .exclude(body="")
        .select_related("author")
        .defer("search", "quoted")
        .order_by("-seq")
    )
    room = QUOTED_MAX_CHARS
    quoted = []
    for one in rows[:QUOTED_MESSAGES_MAX]:
        told = _quoted(one, inbox, room)
        quoted.append(told)
        room -= len(told.words)
        if room <= 0:
            break
    return quoted


def _quoted(message: Message, inbox: Inbox, room: int = QUOTED_MAX_CHARS) -> Quoted:
    """A message with who said it and when, its words cut at `room` characters."""
    body = words_of(message)
    words = body if len(body) <= room else f"{body[:room].rstrip()} …"
    is_ours = message.author is None or role_of(message.author) != "customer"
    author = speaker(message.author, inbox) if is_ours else str(message.author)
    return Quoted(author, message.created_at.astimezone(zone_of(inbox)), words, is_ours)


def _earlier_ids(outgoing: OutgoingEmail, message: Message) -> list[str]:
    """Message-IDs of what this recipient and we have mailed each other before, oldest first; of
    what was merged first, so that their mail program shows it in one place."""
    theirs = InboundEmail.objects.filter(
        conversation=message.conversation_id, message__seq__lt=message.seq
    ).exclude(rfc_message_id="")
    ours = OutgoingEmail.objects.filter(
        message__conversation=message.conversation_id,
        message__seq__lt=message.seq,
        person=outgoing.person_id,
    )
    places = [
        *theirs.values_list("message__seq", "rfc_message_id"),
        *ours.values_list("message__seq", "rfc_message_id"),
    ]
    ids = [*_merged_ids(outgoing, message), *(one for _, one in sorted(places))]
    return ids if len(ids) <= EARLIER_IDS_MAX else [ids[0], *ids[1 - EARLIER_IDS_MAX :]]


def _merged_ids(outgoing: OutgoingEmail, message: Message) -> list[str]:
    """Of this recipient alone: who wrote the other ticket is nobody else's to know."""
    merged = message.conversation.merged_from
    if not merged:
        return []
    theirs = InboundEmail.objects.filter(
        conversation__in=merged, message__author=outgoing.person_id
    ).exclude(rfc_message_id="")
    ours = OutgoingEmail.objects.filter(message__conversation__in=merged, person=outgoing.person_id)
    places = [
        *theirs.values_list("message__created_at", "rfc_message_id"),
        *ours.values_list("message__created_at", "rfc_message_id"),
    ]
    return [one for _, one in sorted(places)]
