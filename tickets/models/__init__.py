"""The model: one conversation, and a case file on it."""

from tickets.models.conversations import (
    Conversation,
    Mention,
    Message,
    MessageHtml,
    Participant,
)
from tickets.models.files import MessageFile
from tickets.models.inboxes import Asked, Desk, Inbox
from tickets.models.mail import InboundEmail, Mailbox, MailboxAlarm, OutgoingEmail
from tickets.models.people import EmailAddress, Person, Team, User
from tickets.models.tickets import Rating, Ticket, TicketCount

__all__ = [
    "Asked",
    "Conversation",
    "Desk",
    "EmailAddress",
    "InboundEmail",
    "Inbox",
    "Mailbox",
    "MailboxAlarm",
    "Mention",
    "Message",
    "MessageFile",
    "MessageHtml",
    "OutgoingEmail",
    "Participant",
    "Person",
    "Rating",
    "Team",
    "Ticket",
    "TicketCount",
    "User",
]
