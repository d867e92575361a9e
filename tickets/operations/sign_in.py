"""Signing in to mail servers: whose account mail leaves by, and OAuth2 tokens that are valid."""

from __future__ import annotations

from django.conf import settings

from tickets.mail.route import Route
from tickets.models import Inbox, Mailbox


def route_of(inbox: Inbox) -> Route:
    """Where replies of an inbox leave: by the account of its first mailbox that has an SMTP
    server, else by SMTP_URL. Raises TemporaryFailure while that account cannot be signed in to.
    """
    mailbox = Mailbox.objects.filter(inbox=inbox).exclude(smtp_host="").order_by("pk").first()
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


def access_token(mailbox: Mailbox) -> str:
    """What to sign in with in place of a password; empty where a password does."""
    if mailbox.auth == Mailbox.Auth.PASSWORD:
        return ""
    raise NotImplementedError
