"""SASL XOAUTH2: signing in to IMAP, POP3 and SMTP with an OAuth2 access token.

Google: https://developers.google.com/gmail/imap/xoauth2-protocol; Microsoft's is the same.
"""

from __future__ import annotations

from helpdesk.lib.errors import TemporaryFailure

XOAUTH2 = "XOAUTH2"


class TokenRefused(TemporaryFailure):
    """The server did not let us in with this token; perhaps with the next."""


def response(username: str, token: str) -> str:
    """What a client says, before base64."""
    return f"user={username}\x01auth=Bearer {token}\x01\x01"
