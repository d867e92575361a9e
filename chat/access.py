"""The door for visitors: which inbox a page may show, and whose conversation a token opens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, IntegerField, OuterRef, Subquery
from django.db.models.functions import Greatest, Now
from django.http.request import validate_host
from django.utils.timezone import now

from attachments.models import Attachment
from chat.models import VisitorSession
from chat.tokens import WrongToken, session_id_in
from helpdesk.lib.errors import NotFound
from helpdesk.lib.prepared import Prepared, columns_of
from tickets.access import Viewer, access_file, visitor
from tickets.models import Inbox, MessageFile, Participant, Person

EARLIER_MAX = 50  # chats before the present one that a browser may still read

# Is the visitor of a session still in its conversation?
SEAT = Participant.objects.filter(
    conversation=OuterRef("conversation"), person=OuterRef("person"), left_at=None
)
SEATED = Exists(SEAT)
HAS = Greatest("got_seq", "last_read_seq", output_field=IntegerField())
# Of its conversation, together with the session.
ASKED = ("seats_version", "last_seq", "reach", "has_seq")


# Every request and every socket of a widget begins with these two.
SESSION = columns_of(VisitorSession)
PERSON = columns_of(Person)
_inboxes = Prepared(lambda key: Inbox.objects.filter(widget_key=key), "the key of a widget")
_sessions = Prepared(
    lambda pk: VisitorSession.objects.filter(pk=pk).values_list(
        *SESSION,
        *(f"person__{name}" for name in PERSON),
        SEATED,
        "conversation__seats_version",
        "conversation__last_seq",
        Subquery(SEAT.values("reach")[:1]),
        Subquery(SEAT.values(has=HAS)[:1]),
        "conversation__merged_into",
    ),
    UUID(int=1),
)


class WrongOrigin(Exception):
    """A page that may not show this inbox asked for it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor who was let in, and the one conversation that is theirs."""

    session_id: UUID
    viewer: Viewer
    conversation_id: int
    inbox_id: int
    earlier: tuple[int, ...] = ()  # chats of theirs that came before
    seats_version: int = 0  # of the conversation, when they were let in
    last_seq: int = 0  # and its last entry
    reach: str = Participant.Reach.LIVE
    has_seq: int = 0  # what they are known to have, read or not


def access_inbox(key: str, *, origin: str, host: str) -> Inbox:
    """The inbox of a widget key, for a page of `origin`; `host` is where it asked us.

    Our own pages may show every inbox; other pages only those that name their origin in
    `allowed_origins`, letter for letter. A request without an Origin header comes from no
    page, so there is no page to refuse: the token still has to be right.

    Raises NotFound for a key that is nobody's, WrongOrigin.
    """
    inbox = _inboxes.first(key)
    if inbox is None:
        raise NotFound
    if not _may_show(inbox.allowed_origins, origin, host):
        raise WrongOrigin
    return inbox


def _may_show(allowed_origins: Collection[str], origin: str, host: str) -> bool:
    return not origin or is_own(origin, host) or origin in allowed_origins


def is_own(origin: str, host: str) -> bool:
    """Is a page of `origin` one of ours, asked for at `host`?"""
    if origin == settings.SITE_URL:
        return True
    parts = urlsplit(origin)
    return parts.netloc == host and validate_host(parts.hostname or "", settings.ALLOWED_HOSTS)


def access_session(inbox: Inbox, token: str) -> VisitorSession:
    """The session that a token opens in an inbox, with its person.

    A chat that was merged goes on in another conversation, and so does its session, from the first
    time it is used. Raises WrongToken if it is forged, expired or revoked, and NotFound if it
    belongs to another inbox or its person has left the conversation.
    """
    session = _session(token)
    if session is not None and (onward := vars(session)["onward"]) is not None:
        _go_on(session, onward)
        session = _session(token)
    if session is None or session.revoked_at is not None or session.expires_at <= now():
        raise WrongToken
    if session.inbox_id != inbox.pk or not vars(session)["seated"]:
        raise NotFound
    return session


def _session(token: str) -> VisitorSession | None:
    found = _sessions.tuples(session_id_in(token))
    if not found:
        return None
    values = iter(found[0])
    session = VisitorSession.from_db(DEFAULT_DB_ALIAS, SESSION, [*islice(values, len(SESSION))])
    session.person = Person.from_db(DEFAULT_DB_ALIAS, PERSON, [*islice(values, len(PERSON))])
    vars(session).update(zip(("seated", *ASKED, "onward"), values, strict=True))
    return session


def _go_on(session: VisitorSession, conversation_id: int) -> None:
    """What was said before can be read as any earlier chat. Of two tabs that come at once one does
    this."""
    old = session.conversation_id
    earlier = [pk for pk in session.earlier if pk not in (old, conversation_id)]
    VisitorSession.objects.filter(pk=session.pk, conversation=old).update(
        conversation=conversation_id, earlier=[*earlier, old][-EARLIER_MAX:]
    )


# The widget key and the allowed origins of a session's inbox, and of its conversation the last
# entry that customers can see.
Stay = tuple[str, list[str], int]


def good_sessions(ids: Collection[UUID]) -> dict[UUID, Stay]:
    """Those of these sessions whose token still opens their conversation, with what there is to
    know of each while it is open."""
    sessions = VisitorSession.objects.filter(
        SEATED, pk__in=ids, revoked_at=None, expires_at__gt=Now()
    )
    found = sessions.values_list(
        "pk", "inbox__widget_key", "inbox__allowed_origins", "conversation__last_public_seq"
    )
    return {pk: (key or "", origins, upto) for pk, key, origins, upto in found}


def is_unchanged(stay: Stay | None, key: str, *, origin: str, host: str) -> bool:
    """Would a visitor who is in be let in again? Every socket asks now and then. After a no, the
    functions above say why."""
    return stay is not None and stay[0] == key and _may_show(stay[1], origin, host)


def visit_of(session: VisitorSession) -> Visit:
    return Visit(
        session.pk,
        visitor(session.person),
        session.conversation_id,
        session.inbox_id,
        tuple(session.earlier),
        **{name: vars(session)[name] for name in ASKED if name in vars(session)},
    )


def access_visit_file(visit: Visit, uuid: UUID) -> Attachment:
    """One file of this visitor's chats. Other conversations of the same person are closed to the
    widget: who sits there may have said no more than that an address is theirs. Raises NotFound."""
    chats = [visit.conversation_id, *visit.earlier]
    shown = MessageFile.objects.filter(attachment__uuid=uuid, message__conversation__in=chats)
    if not shown.exists():
        raise NotFound
    return access_file(visit.viewer, uuid)
