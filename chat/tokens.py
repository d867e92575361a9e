"""What a visitor's browser shows to be let in again: the id of its session, signed."""

from __future__ import annotations

from uuid import UUID

from django.core.signing import BadSignature, Signer

SALT = "chat.visitor"


class WrongToken(Exception):
    """The token is not ours, or its session has expired or was revoked."""


def token_for(session_id: UUID) -> str:
    """The token of a session. It stays the same as long as SECRET_KEY does."""
    return Signer(salt=SALT).sign(session_id.hex)


def session_id_in(token: str) -> UUID:
    """The session that a token names. Raises WrongToken if we did not sign it."""
    try:
        return UUID(Signer(salt=SALT).unsign(token))
    except (BadSignature, ValueError) as error:
        raise WrongToken from error
