"""What `manage.py doctor` looks at in mail."""

from __future__ import annotations

from django.conf import settings

from helpdesk.lib.doctor import Finding, Level
from helpdesk.lib.text import preview
from tickets.mail.handover import check_folder
from tickets.mail.route import Route
from tickets.mail.send import reach
from tickets.models import Mailbox
from tickets.operations.alarms import advice_on, troubles
from tickets.operations.email import slips


def mailboxes() -> Finding:
    """Broken is what has an alarm, or will have one at once; an error before may pass by itself."""
    count = Mailbox.in_use().count()
    wrong = troubles()
    named = {one.mailbox.pk for one in wrong}
    passing = Mailbox.in_use().exclude(error="").exclude(pk__in=named).order_by("name")
    if not wrong and not passing:
        return Finding("ok", f"{count} read without an error." if count else "None is set up.")
    found = [f"{one.mailbox.name}: {_sentence(one.text)}" for one in wrong]
    found += [f"{one.name}: {_sentence(one.error)}" for one in passing]
    advice = [one.advice for one in wrong] or [advice_on(one) for one in passing]
    level: Level = "broken" if wrong else "warning"
    return Finding(level, " ".join(found), " ".join(dict.fromkeys(advice)))


def _sentence(text: str) -> str:
    said = preview(text)
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def mail_out() -> Finding:
    """Connects and logs in; sends nothing."""
    found = reach(Route.of(settings.SMTP_URL))
    check_folder(slips())
    if settings.SMTP_URL.startswith("folder:"):
        return Finding("warning", found, "Set SMTP_URL, or nobody gets our mail.")
    return Finding("ok", found)
