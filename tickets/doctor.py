"""What `manage.py doctor` looks at in mail."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils.timezone import now

from helpdesk.lib.doctor import Finding
from helpdesk.lib.text import preview
from tickets.mail.route import Route
from tickets.mail.send import reach
from tickets.models import Mailbox

# A mailbox that could be read this lately has trouble that may pass by itself.
SILENT_MINUTES = 15


def mailboxes() -> Finding:
    count = Mailbox.objects.count()
    troubled = Mailbox.objects.exclude(error="").order_by("name")
    if not troubled:
        return Finding("ok", f"{count} read without an error." if count else "None is set up.")
    long_ago = now() - timedelta(minutes=SILENT_MINUTES)
    silent = troubled.filter(Q(last_ok_at=None) | Q(last_ok_at__lt=long_ago)).exists()
    return Finding(
        "broken" if silent else "warning",
        " ".join(f"{one.name}: {preview(one.error)}" for one in troubled),
        "Correct its settings in the admin; saving them tries it at once.",
    )


def mail_out() -> Finding:
    """Connects and logs in; sends nothing."""
    found = reach(Route.of(settings.SMTP_URL))
    if settings.SMTP_URL.startswith("folder:"):
        return Finding("warning", found, "Set SMTP_URL, or nobody gets our mail.")
    return Finding("ok", found)
