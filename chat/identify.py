"""Who a visitor is, as their shop says with its signature.

Either a JWT (HS256, with `exp`), or an id with its HMAC-SHA256. Both are made on the shop's server
with a secret of the inbox; what comes without is a claim that proves nothing (`introduce_visitor`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import jwt
from django.db import transaction

from chat.access import EARLIER_MAX, Visit
from chat.models import SECRETS_MAX, Identity, IdentitySecret, VisitorSession
from chat.operations import checked_attributes
from chat.tokens import WrongToken
from helpdesk.lib.errors import Refused
from helpdesk.lib.text import clean
from tickets.access import access_conversation, visitor
from tickets.models import Conversation, EmailAddress, Inbox, Message, Person, Ticket
from tickets.models.people import NAME_MAX_CHARS
from tickets.operations import start_chat
from tickets.operations.people import checked_address
from tickets.operations.related import hold, hold_address
from tickets.operations.timeline import append_change, ticket_of
from tickets.operations.visits import owner_of_address

ALGORITHM = "HS256"
JWT_MAX_CHARS = 4_096
ID_MAX_CHARS = 200
LEEWAY_SECONDS = 30  # between the shop's clock and ours
HMAC_HEX_CHARS = 64


@dataclass(frozen=True, slots=True)
class Claim:
    """What a shop says about somebody, with its signature."""

    external_id: str
    signed_at: datetime  # when at the earliest
    name: str = ""
    email: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


def read_jwt(inbox: Inbox, token: str) -> Claim:
    """What a JWT claims. `sub` or `id` is the person; `exp` must be there.

    Raises WrongToken for one that is not signed by a secret of this inbox with HS256, whatever it
    says about itself, and for one that has expired or says too little.
    """
    if len(token) > JWT_MAX_CHARS:
        raise WrongToken
    for one in secrets_of(inbox):
        try:
            claims = jwt.decode(
                token,
                one.secret,
                algorithms=[ALGORITHM],
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp"], "verify_aud": False, "verify_sub": False},
            )
        except (jwt.InvalidTokenError, ValueError):
            continue
        return _claim(claims)
    raise WrongToken


def _claim(claims: dict[str, Any]) -> Claim:
    external_id = _id(claims.get("sub") or claims.get("id"))
    name, email, attributes = (claims.get(key) for key in ("name", "email", "attributes"))
    return Claim(
        external_id,
        _moment(claims.get("iat")),
        name if isinstance(name, str) else "",
        email if isinstance(email, str) else "",
        attributes if isinstance(attributes, dict) else {},
    )


def _moment(issued: Any) -> datetime:
    """When it was signed; for one that does not say, before everything."""
    try:
        return datetime.fromtimestamp(issued, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def read_hmac(inbox: Inbox, external_id: str, signature: str) -> Claim:
    """An id whose HMAC-SHA256, in hex, is by a secret of this inbox. Raises WrongToken.

    It says nothing about time, so it is as old as the secret it was made with.
    """
    external_id = _id(external_id)
    given = signature.lower().encode("ascii", "replace")
    if len(given) != HMAC_HEX_CHARS:
        raise WrongToken
    for one in secrets_of(inbox):
        right = hmac.new(one.secret.encode(), external_id.encode(), sha256).hexdigest()
        if hmac.compare_digest(right.encode(), given):
            return Claim(external_id, one.created_at)
    raise WrongToken


def secrets_of(inbox: Inbox) -> list[IdentitySecret]:
    """Those that hold: the latest SECRETS_MAX."""
    return list(IdentitySecret.objects.filter(inbox=inbox).order_by("-pk")[:SECRETS_MAX])


@transaction.atomic
def new_identity_secret(inbox: Inbox) -> IdentitySecret:
    """A new secret. The one before holds on beside it; those before that hold no longer."""
    made = IdentitySecret.objects.create(inbox=inbox)
    kept = [one.pk for one in secrets_of(inbox)]
    IdentitySecret.objects.filter(inbox=inbox).exclude(pk__in=kept).delete()
    return made


@transaction.atomic
def identify(inbox: Inbox, visit: Visit | None, claim: Claim, *, origin: str) -> VisitorSession:
    """The session of whom a shop vouches for: in the chat that they have in this inbox already,
    from whatever device.

    `visit` is who this browser was until now. A visitor whom nobody knows yet becomes the person
    the shop names, with all they said. Where that person is known already, the browser gets a
    session of theirs, and what it said before stays a ticket of its own, in which a line says so.
    Raises WrongToken for what was signed before the person was shut out.
    """
    hold(f"identity {inbox.pk} {claim.external_id}")
    identity = Identity.objects.filter(inbox=inbox, external_id=claim.external_id).first()
    if identity is not None and identity.revoked_at and claim.signed_at <= identity.revoked_at:
        raise WrongToken
    session = None
    if visit is not None:
        session = VisitorSession.objects.select_for_update().get(pk=visit.session_id)
    unknown = session is not None and session.identity_id is None
    if identity is None:
        person = _person_of(claim, session.person if session and unknown else None)
        identity = Identity.objects.create(
            inbox=inbox, external_id=claim.external_id, person=person
        )
    claimed = _note(identity, claim)
    if session is not None and session.identity_id == identity.pk:
        return session
    if session is not None and unknown and session.person_id == identity.person_id:
        session.identity, session.claimed_email = identity, claimed
        session.earlier = [pk for pk in _chats(identity) if pk != session.conversation_id]
        session.save(update_fields=["identity", "claimed_email", "earlier"])
        return session
    if session is not None and unknown:
        _say_who_it_was(session, claim)
    return _new_session(identity, origin, claimed)


def _person_of(claim: Claim, here: Person | None) -> Person:
    """Who it is to us: whoever has proved that the address is theirs, else the visitor who is
    here, else somebody new. Never anyone on staff."""
    known = here is not None and here.addresses.filter(is_verified=True).exists()
    if email := _address(claim):
        hold_address(email)
        owner = owner_of_address(email)
        proved = EmailAddress.objects.filter(person=owner, address__iexact=email, is_verified=True)
        customer = proved.filter(person__user=None, person__is_assistant=False).first()
        if customer is not None:
            return customer.person
    if here is not None and not known:
        return here
    return Person.objects.create(name=clean(claim.name).strip()[:NAME_MAX_CHARS])


def _note(identity: Identity, claim: Claim) -> str:
    """Keep name, attributes and address; returns an address that is somebody else's."""
    name = clean(claim.name).strip()[:NAME_MAX_CHARS]
    if name:
        Person.objects.filter(pk=identity.person_id).update(name=name)
    identity.attributes = checked_attributes(claim.attributes)
    identity.save(update_fields=["attributes"])
    email = _address(claim)
    if not email:
        return ""
    hold_address(email)
    owner = owner_of_address(email)
    if owner is None:
        EmailAddress.objects.filter(person=identity.person_id, is_verified=False).delete()
        first = not EmailAddress.objects.filter(person=identity.person_id, is_primary=True).exists()
        EmailAddress.objects.create(person=identity.person, address=email, is_primary=first)
    elif owner == identity.person_id:
        EmailAddress.objects.filter(person=owner, address__iexact=email).update(is_verified=True)
    return "" if owner in (None, identity.person_id) else email


def _address(claim: Claim) -> str:
    try:
        return checked_address(claim.email) if claim.email else ""
    except Refused:
        return ""


def _chats(identity: Identity) -> list[int]:
    """Chats of this person in this inbox, the one that was used last at the end."""
    found = (
        Ticket.objects.filter(
            inbox=identity.inbox_id,
            conversation__channel=Conversation.Channel.CHAT,
            conversation__participants__person=identity.person_id,
            conversation__participants__left_at=None,
        )
        .order_by("-last_message_at")
        .values_list("conversation", flat=True)[:EARLIER_MAX]
    )
    return list(found)[::-1]


def _new_session(identity: Identity, origin: str, claimed: str) -> VisitorSession:
    chats = _chats(identity)
    current = chats.pop() if chats else start_chat(person=identity.person).conversation_id
    return VisitorSession.objects.create(
        person=identity.person,
        inbox=identity.inbox,
        conversation_id=current,
        identity=identity,
        earlier=chats,
        claimed_email=claimed,
        origin=origin[:200],
    )


def _say_who_it_was(session: VisitorSession, claim: Claim) -> None:
    """In the ticket of the visitor who turned out to be somebody else, if they said anything."""
    conversation = access_conversation(visitor(session.person), session.conversation_id, lock=True)
    ticket = ticket_of(conversation)
    if ticket is not None:
        append_change(
            ticket,
            "identity",
            None,
            claim.external_id,
            author=session.person,
            via=Message.Via.WIDGET,
        )


def _id(given: Any) -> str:
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    if not text.strip() or len(text) > ID_MAX_CHARS or "\0" in text:
        raise WrongToken
    return text
