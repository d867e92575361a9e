"""A chat by mail, to an address that its visitor names: what they see of it, and nothing else."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import override

from chat.access import Visit
from chat.models import Transcript
from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp, SlowDown
from helpdesk.lib.limits import hit_all
from tickets.access import access_conversation, visible_messages, visitor
from tickets.events import role_of
from tickets.mail.handover import hand_over
from tickets.mail.render import one_line
from tickets.models import Inbox, Message
from tickets.operations.email import slips
from tickets.operations.files import read_files
from tickets.operations.hours import zone_of
from tickets.operations.people import checked_address
from tickets.operations.related import hold_address
from tickets.operations.sign_in import route_of
from tickets.operations.visits import owner_of_address

# In an hour: by one browser, from one network address, and to one mail address.
BY_VISITOR, BY_ADDRESS, TO_ADDRESS = 3, 20, 3
HOUR_SECONDS = 3_600
MESSAGES_MAX = 2_000


def ask_for_transcript(visit: Visit, *, email: str, language: str, address: str) -> None:
    """Mail the chat as it stands to an address.

    Nothing leaves for an address that belongs to anybody else, who has not asked; the caller
    learns nothing of that, or they could try out whom we know. Raises Refused for what is no
    address, SlowDown.
    """
    email = checked_address(email)
    limits = {
        f"transcripts-by:{visit.session_id.hex}": BY_VISITOR,
        f"transcripts:{address}": BY_ADDRESS,
        f"transcripts-to:{email}": TO_ADDRESS,
    }
    if wait_seconds := hit_all(limits, HOUR_SECONDS):
        raise SlowDown(wait_seconds)
    with transaction.atomic():
        hold_address(email)
        if owner_of_address(email) not in (None, visit.viewer.person.pk):
            return
        conversation = access_conversation(visit.viewer, visit.conversation_id)
        row = Transcript.objects.create(
            conversation=conversation,
            person=visit.viewer.person,
            inbox_id=visit.inbox_id,
            address=email,
            language=language,
            upto_seq=conversation.last_public_seq,
        )
        work.ring_on_commit(row)


def mail_transcript(row: Transcript) -> None:
    """Send it. Once a server has accepted it, it is never sent again."""
    inbox = row.inbox
    sender = inbox.address or f"helpdesk@{urlsplit(settings.SITE_URL).hostname}"
    mail = letter(row, sender)
    hand_over(
        mail.as_bytes(),
        message_id=mail["Message-ID"].strip("<>"),
        sender=sender,
        recipient=row.address,
        route=route_of(inbox),
        slip=slips() / f"transcript-{row.pk}",
        before_data=partial(work.extend, row),
        accepted=partial(_note_accepted, row),
    )


def _note_accepted(row: Transcript, _answer: str) -> None:
    with work.closing(row):
        pass


def letter(row: Transcript, sender: str) -> EmailMessage:
    """The mail. Raises GiveUp where there is nothing to send."""
    inbox, viewer = row.inbox, visitor(row.person)
    brand = one_line(inbox.from_name or inbox.name)
    conversation = access_conversation(viewer, row.conversation_id)
    replies = visible_messages(viewer, conversation).filter(
        kind=Message.Kind.REPLY, seq__lte=row.upto_seq
    )
    messages = list(replies[:MESSAGES_MAX])
    if not messages:
        raise GiveUp("Nothing has been said.")
    read_files(messages)
    with override(row.language):
        mail = EmailMessage(policy=SMTP)
        mail["From"] = Address(brand, addr_spec=sender)
        mail["To"] = row.address
        mail["Subject"] = _("Your chat with %(brand)s") % {"brand": brand}
        mail["Date"] = now()
        mail["Message-ID"] = f"<transcript-{row.pk}@{sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it by itself
        mail.set_content("\n\n".join(_lines(message, inbox, brand) for message in messages) + "\n")
    return mail


def _lines(message: Message, inbox: Inbox, brand: str) -> str:
    author = message.author
    role = role_of(author) if author else "staff"
    if role == "assistant":
        name = _("Assistant · not a person")
    elif role == "customer":
        name = author.name if author and author.name else _("You")
    else:
        name = author.first_name if author else brand
    moment = message.created_at.astimezone(zone_of(inbox))
    files = [f"[{file.attachment.name}]" for file in message.files.all()]
    words = "\n".join(filter(None, [message.body, *files]))
    return f"{name} · {moment:%Y-%m-%d %H:%M %Z}\n{words}"
