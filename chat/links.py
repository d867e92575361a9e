"""Join links: how somebody comes into a conversation by an address that was passed on to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.timezone import now
from django.utils.translation import gettext as _

from chat.access import Visit
from chat.models import ORIGIN_MAX_CHARS, JoinLink, VisitorSession
from chat.operations import count_group, count_sessions, revoke_session
from chat.tokens import WrongToken, link_id_in
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import clean
from tickets.access import Viewer, access_to_invite
from tickets.models import Conversation, Participant, Person, Ticket
from tickets.models.people import NAME_MAX_CHARS
from tickets.operations import seats
from tickets.operations.timeline import locked, survivor_of

DAYS_MAX = 90
USES_MAX = 200


@transaction.atomic
def create_link(
    viewer: Viewer, conversation_id: int, *, days: int, uses_max: int, sees_all: bool
) -> JoinLink:
    """A link that lets `uses_max` people in within `days` days. With `sees_all` they read what was
    said before. Raises NotFound, and Refused for numbers out of range, among colleagues, and where
    the inbox has no widget."""
    if not 1 <= days <= DAYS_MAX:
        raise Refused(_("A link lasts 1 to %(limit)s days.") % {"limit": DAYS_MAX})
    if not 1 <= uses_max <= USES_MAX:
        raise Refused(_("A link lets 1 to %(limit)s people in.") % {"limit": USES_MAX})
    conversation = access_to_invite(viewer, conversation_id)
    if conversation.channel == Conversation.Channel.INTERNAL:
        raise Refused(_("This is among colleagues: add them by name."))
    if not Ticket.objects.filter(
        conversation=conversation, inbox__widget_key__isnull=False
    ).exists():
        raise Refused(_("This inbox has no widget, which a link leads to."))
    return JoinLink.objects.create(
        conversation=conversation,
        created_by=viewer.person,
        uses_max=uses_max,
        sees_all=sees_all,
        expires_at=now() + timedelta(days=days),
    )


@transaction.atomic
def revoke_link(viewer: Viewer, conversation_id: int, link_id: UUID) -> None:
    """Let nobody in by this link any more; who came by it stays. A second call changes nothing.
    Raises NotFound."""
    conversation = access_to_invite(viewer, conversation_id)
    links = JoinLink.objects.filter(pk=link_id, conversation=conversation)
    if not links.exists():
        raise NotFound
    links.filter(revoked_at=None).update(revoked_at=now())


def link_shown(token: str) -> JoinLink:
    """The link of an address, ended or not. Raises NotFound for an address that is none of ours."""
    try:
        link_id = link_id_in(token)
    except WrongToken as error:
        raise NotFound from error
    links = JoinLink.objects.select_related("conversation__ticket__inbox")
    link = links.filter(pk=link_id, conversation__ticket__isnull=False).first()
    if link is None:
        raise NotFound
    return link


def access_link(token: str) -> JoinLink:
    """As `link_shown`, if it lets somebody in now. Raises WrongToken for a link that has ended."""
    link = link_shown(token)
    if not link.is_open:
        raise WrongToken
    return link


def join(token: str, session_id: UUID, *, name: str, address: str, origin: str) -> VisitorSession:
    """Take a seat by a link, under a name; the session is the new member's key.

    A second call with the same `session_id` returns the first call's session and uses the link no
    further. Raises as `access_link` does, Refused without a name, and where the conversation is
    full, SlowDown where one network address comes too often.
    """
    name = " ".join(clean(name).split())[:NAME_MAX_CHARS]
    if not name:
        raise Refused(_("Write a name that the others see."))
    if begun := _begun(token, session_id):
        return begun
    link = access_link(token)
    count_sessions(address)
    with transaction.atomic():
        conversation = locked(survivor_of(link.conversation_id))
        if begun := _begun(token, session_id):
            return begun
        if not _use(link):
            raise WrongToken
        person = Person.objects.create(name=name)
        # What it shows is what was said where it was made, not in what that was merged into.
        sees_all = link.sees_all and link.conversation_id == conversation.pk
        seats.seat_people(conversation, [person], by=None, sees_all=sees_all)
        return VisitorSession.objects.create(
            id=session_id,
            person=person,
            inbox=link.conversation.ticket.inbox,
            conversation=conversation,
            link=link,
            origin=origin[:ORIGIN_MAX_CHARS],
        )


def _begun(token: str, session_id: UUID) -> VisitorSession | None:
    """What the same form has begun by the same link. Raises WrongToken if that has ended."""
    try:
        link_id = link_id_in(token)
    except WrongToken as error:
        raise NotFound from error
    sessions = VisitorSession.objects.select_related("person", "inbox")
    session = sessions.filter(pk=session_id).first()
    if session is not None and (session.link_id != link_id or session.revoked_at is not None):
        raise WrongToken
    return session


def _use(link: JoinLink) -> bool:
    """Of two who come at once for the last place, one has it."""
    links = JoinLink.objects.filter(pk=link.pk, revoked_at=None, expires_at__gt=now())
    return bool(links.filter(uses__lt=F("uses_max")).update(uses=F("uses") + 1))


def open_links(conversation: Conversation) -> Sequence[JoinLink]:
    """Those that let somebody in now, latest first."""
    links = JoinLink.objects.filter(conversation=conversation).select_related("created_by")
    return [link for link in links.order_by("-created_at") if link.is_open]


@transaction.atomic
def remove_member(viewer: Viewer, conversation_id: int, person_id: int) -> Participant:
    """As `seats.remove_person`, and nothing they hold opens the conversation any more: neither
    their browsers' keys nor the link they came by."""
    seat = seats.remove_person(viewer, conversation_id, person_id)
    theirs = VisitorSession.objects.filter(conversation=conversation_id, person=person_id)
    for session in theirs:
        revoke_session(session.pk)
    came_by = theirs.exclude(link=None).values("link")
    JoinLink.objects.filter(pk__in=came_by, revoked_at=None).update(revoked_at=now())
    return seat


def remove_from_widget(visit: Visit, person_id: int) -> None:
    """As `remove_member`, by a customer who owns the group. Who is in it no more, or never was, is
    no error: their list may be a moment old."""
    count_group(visit)
    if Participant.objects.filter(
        conversation=visit.conversation_id, person=person_id, left_at=None
    ).exists():
        remove_member(visit.viewer, visit.conversation_id, person_id)
