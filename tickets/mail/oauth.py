"""OAuth2 for mailboxes: the authorization-code flow with PKCE, and refreshing (RFC 6749, 7636).

What is secret here never stands in an address, in an error or in a log.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx2
from django.conf import settings
from django.utils.translation import gettext as _

from helpdesk.lib.errors import TemporaryFailure

TOKEN_SECONDS = 10
EXPIRES_SECONDS = 3_600  # where a server does not say
VERIFIER_BYTES = 48
WORDS_MAX_CHARS = 300


class SignInEnded(TemporaryFailure):
    """The permission is used up or was taken back: somebody must sign in again."""


@dataclass(frozen=True, slots=True)
class Service:
    """Whom one signs in with: where, and for what."""

    name: str
    authorize: str  # an address; {login} and {tenant} are filled in
    token: str
    scope: str  # {mail} is filled in
    asks: Mapping[str, str]  # what else is said when asking for permission
    only_own: bool  # a token is good for the account that signed in, and no other
    box: str = ""  # a permission of `scope` that people may leave out


SERVICES = {
    "google": Service(
        "Google",
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        "openid email https://mail.google.com/",
        # Without both there is no refresh token the second time.
        {"access_type": "offline", "prompt": "consent"},
        only_own=True,
        box="https://mail.google.com/",
    ),
    "microsoft": Service(
        "Microsoft",
        "{login}/{tenant}/oauth2/v2.0/authorize",
        "{login}/{tenant}/oauth2/v2.0/token",
        "openid email profile offline_access {mail}/IMAP.AccessAsUser.All "
        "{mail}/POP.AccessAsUser.All {mail}/SMTP.Send",
        {"prompt": "select_account"},
        only_own=False,  # shared mailboxes are read by those who may
    ),
}
# Microsoft's national clouds keep mail apart.
MAIL_OF_LOGIN = {
    "login.microsoftonline.us": "https://outlook.office365.us",
    "login.partner.microsoftonline.cn": "https://partner.outlook.cn",
}


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are for a service, as it was registered there."""

    service: Service
    id: str
    secret: str = field(default="", repr=False)
    tenant: str = "common"

    def address(self, template: str) -> str:
        login = settings.MAIL_MICROSOFT_LOGIN_URL
        return template.format(login=login, tenant=quote(self.tenant, safe=""))

    @property
    def scope(self) -> str:
        host = urlsplit(settings.MAIL_MICROSOFT_LOGIN_URL).hostname or ""
        return self.service.scope.format(mail=MAIL_OF_LOGIN.get(host, "https://outlook.office.com"))


@dataclass(frozen=True, slots=True)
class Tokens:
    access: str = field(repr=False)
    refresh: str = field(repr=False)  # empty where the one before goes on
    expires_seconds: int
    address: str = ""  # who signed in, where the service says
    is_partial: bool = False  # without what it takes to read and send mail


def new_verifier() -> str:
    return secrets.token_urlsafe(VERIFIER_BYTES)


def authorization_address(
    client: Client, *, redirect: str, state: str, verifier: str, username: str
) -> str:
    """Where a person gives the permission. They come back to `redirect` with a code."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    query = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": redirect,
        "scope": client.scope,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"),
        "code_challenge_method": "S256",
        **client.service.asks,
    }
    if username:
        query["login_hint"] = username
    return f"{client.address(client.service.authorize)}?{urlencode(query)}"


def exchange(client: Client, *, code: str, verifier: str, redirect: str) -> Tokens:
    """The tokens that a code is good for, once. Raises SignInEnded or TemporaryFailure."""
    return _asked(
        client,
        grant_type="authorization_code",
        code=code,
        redirect_uri=redirect,
        code_verifier=verifier,
    )


def refresh(client: Client, refresh_token: str) -> Tokens:
    """A new access token. Raises SignInEnded or TemporaryFailure."""
    return _asked(
        client, grant_type="refresh_token", refresh_token=refresh_token, scope=client.scope
    )


def _asked(client: Client, **form: str) -> Tokens:
    form["client_id"] = client.id
    if client.secret:  # who has none is a public client, and has PKCE alone
        form["client_secret"] = client.secret
    name = client.service.name
    try:
        with httpx2.Client(timeout=TOKEN_SECONDS, follow_redirects=False) as browser:
            answer = browser.post(client.address(client.service.token), data=form)
    except (httpx2.HTTPError, OSError) as error:
        words = {"name": name, "error": type(error).__name__}
        raise TemporaryFailure(_("%(name)s cannot be reached: %(error)s") % words) from None
    said = _read(answer)
    if answer.status_code == 200 and (access := _token(said, "access_token")):
        return Tokens(
            access,
            _token(said, "refresh_token"),
            _seconds(said.get("expires_in")),
            _who(said.get("id_token")),
            is_partial=client.service.box not in str(said.get("scope", client.service.box)),
        )
    raise _refusal(name, answer.status_code, said)


def _read(answer: httpx2.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _token(said: Mapping[str, Any], name: str) -> str:
    """A token as it may stand in a sign-in: visible ASCII (RFC 6749, appendix A)."""
    token = said.get(name)
    if isinstance(token, str) and token.isascii() and token.isprintable():
        return token
    return ""


def _seconds(said: object) -> int:
    try:
        return max(0, int(str(said)))
    except ValueError:
        return EXPIRES_SECONDS


def _who(id_token: object) -> str:
    """The address in an ID token. It came from the service itself, so its signature says no more
    than the connection did (OpenID Connect Core, 3.1.3.7)."""
    try:
        claims = str(id_token).split(".")[1]
        told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        address = told.get("email") or told.get("preferred_username") or ""
    except (IndexError, ValueError, AttributeError):
        return ""
    return address if isinstance(address, str) else ""


def _refusal(name: str, status: int, said: Mapping[str, Any]) -> TemporaryFailure:
    error = str(said.get("error") or status)
    words = " ".join(str(said.get("error_description") or "").split())[:WORDS_MAX_CHARS]
    told = {"name": name, "words": f"{error}, {words}" if words else error}
    if error in {"invalid_grant", "interaction_required", "consent_required", "login_required"}:
        return SignInEnded(
            _("%(name)s does not let us in any more (%(words)s). Sign in with %(name)s again.")
            % told
        )
    if error in {"invalid_client", "unauthorized_client"}:
        return TemporaryFailure(
            _("%(name)s does not know us (%(words)s). Check client ID and client secret.") % told
        )
    return TemporaryFailure(_("%(name)s gave no permission: %(words)s") % told)
