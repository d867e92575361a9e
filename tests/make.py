"""Builders: the shortest way to a row that makes sense."""

from __future__ import annotations

import base64
from typing import Any

from attachments.models import Attachment, Check
from attachments.uploads import Limits, begin_upload, receive_piece
from helpdesk.lib import work
from tickets.access import Viewer, owner_of, visitor
from tickets.models import (
    Conversation,
    EmailAddress,
    Inbox,
    Message,
    Participant,
    Person,
    Team,
    Ticket,
    User,
)
from tickets.operations import post_reply
from tickets.operations.files import check_failed, check_file
from tickets.operations.timeline import open_ticket

PASSWORD = "a long enough password"
# One black pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def staff(name: str, *teams: Team) -> Viewer:
    """Someone with a login, in these teams."""
    user = User.objects.create_user(f"{name.lower()}@desk.example", PASSWORD, name=name)
    user.teams.set(teams)
    return Viewer(user.person, user)


def customer(name: str, address: str = "") -> Viewer:
    """A customer, reached by email if they have an address."""
    person = Person.objects.create(name=name)
    if address:
        EmailAddress.objects.create(person=person, address=address)
    return visitor(person)


def inbox(name: str, *teams: Team, **fields: Any) -> Inbox:
    """An inbox that only these teams see, or everyone if there are none."""
    made = Inbox.objects.create(name=name, **fields)
    made.teams.set(teams)
    return made


def conversation(who: Viewer, channel: str = "chat") -> Conversation:
    """An empty conversation with one customer in it."""
    made = Conversation.objects.create(channel=channel)
    reach = Participant.Reach.EMAIL if channel == "email" else Participant.Reach.LIVE
    Participant.objects.create(
        conversation=made, person=who.person, role=Participant.Role.CUSTOMER, reach=reach
    )
    return made


def ticket(who: Viewer, into: Inbox, body: str = "Hello?", *, channel: str = "email") -> Ticket:
    """A ticket that a customer opened by writing `body`."""
    made = conversation(who, channel)
    if channel == "email":
        open_ticket(made, inbox_id=into.pk, requester=who.person, subject=body)
    say(who, made, body, inbox_id=into.pk)
    return Ticket.objects.select_related("conversation").get(conversation=made)


def say(who: Viewer, where: Conversation | Ticket, body: str, **more: Any) -> Message:
    """A reply by anyone."""
    pk = where.conversation_id if isinstance(where, Ticket) else where.pk
    via = Message.Via.WEB if who.is_staff else Message.Via.WIDGET
    return post_reply(who, pk, body=body, via=via, **more)


def upload(who: Viewer, name: str = "photo.png", content: bytes = PNG) -> Attachment:
    """A file that someone has uploaded and no message shows yet, looked into and ready."""
    limits = Limits(len(content))
    begun = begin_upload(owner_of(who), name=name, size_bytes=len(content), limits=limits)
    receive_piece(owner_of(who), begun.uuid, 0, [content], len(content))
    work.perform(Check, begun.check_work.pk, check_file, gave_up=check_failed)
    begun.refresh_from_db()
    return begun
