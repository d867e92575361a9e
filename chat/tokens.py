"""What a browser shows to be let in: the id of its session, or of a join link, signed."""

from __future__ import annotations

from uuid import UUID

from django.core.signing import BadSignature, Signer

SALT = "chat.visitor"
LINK_SALT = "chat.join"
FORM_SALT = "chat.join.form"


class WrongToken(Exception):
    """The token is not ours, or its session or link has ended."""


def token_for(session_id: UUID) -> str:
    """The token of a session. It stays the same as long as SECRET_KEY does."""
    return Signer(salt=SALT).sign(session_id.hex)


def session_id_in(token: str) -> UUID:
    """The session that a token names. Raises WrongToken if we did not sign it."""
    return _id_in(token, SALT)


def link_token_for(link_id: UUID) -> str:
    """What stands in the address of a join link."""
    return Signer(salt=LINK_SALT).sign(link_id.hex)


def link_id_in(token: str) -> UUID:
    """The join link that an address names. Raises WrongToken."""
    return _id_in(token, LINK_SALT)


def form_token_for(session_id: UUID) -> str:
    """What the form of a join page holds: the session that sending it begins, so that sending it
    twice begins one."""
    return Signer(salt=FORM_SALT).sign(session_id.hex)


def form_id_in(token: str) -> UUID:
    """The session that a form begins. Raises WrongToken."""
    return _id_in(token, FORM_SALT)


def _id_in(token: str, salt: str) -> UUID:
    try:
        return UUID(Signer(salt=salt).unsign(token))
    except (BadSignature, ValueError) as error:
        raise WrongToken from error
