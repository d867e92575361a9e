"""Signing in to mail servers: whose account mail leaves by, and OAuth2 tokens that are valid."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound, Refused, TemporaryFailure
from helpdesk.lib.limits import hit
from helpdesk.lib.text import preview
from tickets.access import Viewer, access_mailbox
from tickets.mail import oauth
from tickets.mail.addresses import normal
from tickets.mail.route import Route
from tickets.mail.xoauth2 import TokenRefused
from tickets.models import Inbox, Mailbox

FRESH = timedelta(seconds=120)  # a token that ends sooner is replaced before it is used
CLAIM = timedelta(seconds=oauth.TOKEN_SECONDS + 10)  # how long one process has for that
WAIT_EVERY_SECONDS = 0.2
PENDING_SECONDS = 900  # between leaving for the service and coming back
PENDING_MAX = 5
SESSION_KEY = "mailbox_sign_ins"

T = TypeVar("T")


def route_of(inbox: Inbox) -> Route:
    """Where replies of an inbox leave: by the account of its first mailbox that has an SMTP
    server, else by SMTP_URL. Raises TemporaryFailure while that account cannot be signed in to.
    """
    mailbox = Mailbox.in_use().filter(inbox=inbox).exclude(smtp_host="").order_by("pk").first()
    return Route.of(settings.SMTP_URL) if mailbox is None else smtp_route(mailbox)


def smtp_route(mailbox: Mailbox) -> Route:
    """The account of a mailbox that has an SMTP server, as a way out. Raises as `route_of`."""
    return Route(
        host=mailbox.smtp_host,
        port=mailbox.smtp_port,
        security=mailbox.smtp_security,
        username=mailbox.username,
        password=mailbox.password,
        token=access_token(mailbox),
    )


# --- Tokens that are valid --------------------------------------------------------------------


def access_token(mailbox: Mailbox) -> str:
    """What to sign in with in place of a password; empty where a password does.

    A token that ends soon is replaced first: by one process, while the others wait for it, because
    a refresh token may be good for one use only. Call it outside any transaction. Raises
    TemporaryFailure with a sentence that says what to do.
    """
    if not mailbox.uses_tokens:
        return ""
    stop_at = time.monotonic() + CLAIM.total_seconds()
    while True:
        row = Mailbox.in_use().filter(pk=mailbox.pk).first()
        if row is None:
            raise TemporaryFailure(_("The mailbox was removed."))
        if not row.uses_tokens:
            return ""
        if row.lacks_sign_in:
            raise TemporaryFailure(sign_in_wanted(row))
        moment = now()
        if row.oauth_access_token and _ends_at(row) > moment + FRESH:
            return row.oauth_access_token
        is_claimed = not row.oauth_access_token and _ends_at(row) > moment
        if not is_claimed and (token := _replaced(row, moment + CLAIM)):
            return token
        if time.monotonic() > stop_at:
            raise TemporaryFailure(_("Another process is signing in and has not come back."))
        time.sleep(WAIT_EVERY_SECONDS)


@contextmanager
def signing_in(mailbox: Mailbox) -> Iterator[str]:
    """`access_token`, for a sign-in inside: a token that is refused there is not used again."""
    token = access_token(mailbox)
    try:
        yield token
    except TokenRefused:
        Mailbox.objects.filter(pk=mailbox.pk, oauth_access_token=token).update(
            oauth_expires_at=now()
        )
        raise


def _ends_at(row: Mailbox) -> datetime:
    return row.oauth_expires_at or row.created_at


def _replaced(row: Mailbox, until: datetime) -> str:
    """A new token, or nothing if another process was faster. Whoever finds the row as it was read
    has it until `until`: an empty access token that ends later is one that is being replaced."""
    as_read = Mailbox.objects.filter(
        pk=row.pk,
        oauth_refresh_token=row.oauth_refresh_token,
        oauth_access_token=row.oauth_access_token,
        oauth_expires_at=row.oauth_expires_at,
    )
    if not as_read.update(oauth_access_token="", oauth_expires_at=until):
        return ""
    ours = Mailbox.objects.filter(
        pk=row.pk,
        oauth_refresh_token=row.oauth_refresh_token,
        oauth_access_token="",
        oauth_expires_at=until,
    )
    try:
        tokens = oauth.refresh(_client(row), row.oauth_refresh_token)
    except oauth.SignInEnded:
        ours.update(oauth_refresh_token="")
        raise
    except TemporaryFailure:
        ours.update(oauth_expires_at=now())
        raise
    if not _keep(ours, tokens, row.oauth_refresh_token):
        return ""  # somebody has signed in anew meanwhile
    return tokens.access


def _keep(rows: QuerySet[Mailbox], tokens: oauth.Tokens, refresh_token: str) -> int:
    return rows.update(
        oauth_access_token=tokens.access,
        oauth_refresh_token=tokens.refresh or refresh_token,
        oauth_expires_at=now() + timedelta(seconds=tokens.expires_seconds),
    )


def sign_in_wanted(mailbox: Mailbox) -> str:
    """A sentence for a mailbox that `lacks_sign_in`."""
    name = {"name": oauth.SERVICES[mailbox.auth].name}
    if mailbox.oauth_expires_at is None:
        return _("Nobody has signed in with %(name)s yet: do so on the page of the mailbox.") % name
    return _("%(name)s does not let us in any more. Sign in with %(name)s again.") % name


def client_of(mailbox: Mailbox) -> oauth.Client | None:
    """Who we are for the service of a mailbox: as it stands on the mailbox, else as the settings
    have it. None if nobody has registered us there."""
    client = registered(mailbox.auth)
    if mailbox.oauth_client_id:
        identity = (mailbox.oauth_client_id, mailbox.oauth_client_secret)
        client = oauth.Client(oauth.SERVICES[mailbox.auth], *identity)
    if client and mailbox.oauth_tenant:
        client = replace(client, tenant=mailbox.oauth_tenant)
    return client


def registered(auth: str) -> oauth.Client | None:
    """Who we are for a service by our settings, if we are anybody there."""
    match auth:
        case Mailbox.Auth.GOOGLE:
            identity = (settings.MAIL_GOOGLE_CLIENT_ID, settings.MAIL_GOOGLE_CLIENT_SECRET)
        case Mailbox.Auth.MICROSOFT:
            identity = (settings.MAIL_MICROSOFT_CLIENT_ID, settings.MAIL_MICROSOFT_CLIENT_SECRET)
        case _:
            return None
    tenant = settings.MAIL_MICROSOFT_TENANT
    return oauth.Client(oauth.SERVICES[auth], *identity, tenant=tenant) if identity[0] else None


def _client(mailbox: Mailbox) -> oauth.Client:
    client = client_of(mailbox)
    if client is None:
        name = {"name": oauth.SERVICES[mailbox.auth].name}
        raise TemporaryFailure(
            _("%(name)s does not know this helpdesk yet: the page of the mailbox says what to do.")
            % name
        )
    return client


# --- A person signs in ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pending:
    """What is remembered, in the session of a person, while they are at the service."""

    mailbox_id: int
    auth: str
    username: str
    state: str
    verifier: str
    at: float

    @property
    def is_alive(self) -> bool:
        return 0 <= time.time() - self.at < PENDING_SECONDS


def redirect_address() -> str:
    """Where services send people back to. It is registered with them, letter for letter."""
    return f"{settings.SITE_URL}{reverse('tickets:mailbox-signed-in')}"


def begin_sign_in(viewer: Viewer, pk: int, session: SessionBase) -> str:
    """The address at which somebody signs in for a mailbox; what is needed when they come back is
    remembered in their session. Several may be under way.

    Raises NotFound, and Refused with a sentence if the service does not know us.
    """
    mailbox = access_mailbox(viewer, pk)
    if not mailbox.uses_tokens:
        raise NotFound
    client = _refusing(lambda: _client(mailbox))
    pending = Pending(
        pk,
        mailbox.auth,
        mailbox.username,
        secrets.token_urlsafe(24),
        oauth.new_verifier(),
        time.time(),
    )
    others = [one for one in _remembered(session).values() if one.is_alive]
    kept = [*others[1 - PENDING_MAX :], pending]
    session[SESSION_KEY] = {one.state: asdict(one) for one in kept}
    return oauth.authorization_address(
        client,
        redirect=redirect_address(),
        state=pending.state,
        verifier=pending.verifier,
        username=mailbox.username,
    )


def _remembered(session: SessionBase) -> dict[str, Pending]:
    return {state: Pending(**kept) for state, kept in session.get(SESSION_KEY, {}).items()}


def finish_sign_in(
    viewer: Viewer, session: SessionBase, *, state: str, code: str, error: str
) -> Mailbox:
    """Keep what a person brought back from the service; the mailbox is fetched at once.

    A `state` is good for one answer, in the session that asked, for PENDING_SECONDS. Raises
    NotFound for who is no administrator and for a mailbox that is gone, and Refused with a
    sentence if this was not asked for, the service does not give what it takes, or somebody else
    signed in: then everything stays as it was.
    """
    if viewer.user is None or not viewer.user.is_superuser:
        raise NotFound
    pending = _remembered(session).get(state)
    if pending is None or not pending.is_alive or not _is_first(pending):
        raise Refused(
            _("This sign-in is over, or was begun in another browser. Begin it once more.")
        )
    session[SESSION_KEY] = {
        name: kept for name, kept in session[SESSION_KEY].items() if name != state
    }
    mailbox = access_mailbox(viewer, pending.mailbox_id)
    if (mailbox.auth, mailbox.username) != (pending.auth, pending.username):
        raise Refused(_("The mailbox was changed meanwhile. Begin the sign-in once more."))
    name = {"name": oauth.SERVICES[mailbox.auth].name}
    if not code:
        said = preview(error) or _("nothing said")
        raise Refused(
            _("%(name)s gave no permission (%(said)s). Begin the sign-in once more.")
            % {**name, "said": said}
        )
    tokens = _refusing(
        lambda: oauth.exchange(
            _client(mailbox), code=code, verifier=pending.verifier, redirect=redirect_address()
        )
    )
    _see_that_they_do(mailbox, tokens)
    same = Mailbox.in_use().filter(pk=mailbox.pk, auth=pending.auth, username=pending.username)
    with transaction.atomic():
        if not _keep(same, tokens, ""):
            raise NotFound
        same.filter(state=Mailbox.State.QUEUED).update(due_at=now(), error="")
        mailbox.due_at = now()
        work.ring_on_commit(mailbox)
    return mailbox


def _is_first(pending: Pending) -> bool:
    """Whether nobody comes with this state at the same moment: a code that is used twice ends all
    that came of it (RFC 9700, 4.14.2)."""
    return hit(f"mailbox-sign-in:{pending.state}", 1, PENDING_SECONDS) == 0


def _see_that_they_do(mailbox: Mailbox, tokens: oauth.Tokens) -> None:
    service = oauth.SERVICES[mailbox.auth]
    words = {"name": service.name, "other": tokens.address, "username": mailbox.username}
    if tokens.is_partial:
        raise Refused(
            _("%(name)s was not allowed to let us read and send mail: tick that when it asks.")
            % words
        )
    if not tokens.refresh:
        raise Refused(
            _("%(name)s gave no lasting permission. Take it back there, and sign in once more.")
            % words
        )
    if service.only_own and tokens.address and normal(tokens.address) != normal(mailbox.username):
        raise Refused(
            _(
                "You signed in as %(other)s, and the user name of this mailbox is %(username)s. "
                "Sign in as that, or change the user name."
            )
            % words
        )


def _refusing(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except TemporaryFailure as error:
        raise Refused(str(error)) from error
