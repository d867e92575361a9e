"""Mails as they came, for those who look at one."""

from __future__ import annotations

from django.http import HttpResponse

from tickets.models import InboundEmail
from tickets.operations.stored import raw_of


def original_mail(email: InboundEmail, name: str) -> HttpResponse:
    """The mail byte for byte, as a download: it is never shown as a page. `name` is plain ASCII.
    `email` need not have its bytes yet."""
    return HttpResponse(
        raw_of(email),
        content_type="message/rfc822",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
