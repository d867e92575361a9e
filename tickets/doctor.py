"""What `manage.py doctor` looks at in mail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from helpdesk.lib.doctor import Finding, Level
from helpdesk.lib.text import preview
from tickets.mail import dns_check
from tickets.mail.handover import check_folder
from tickets.mail.route import Route
from tickets.mail.send import reach
from tickets.models import Inbox, Mailbox
from tickets.operations.alarms import advice_on, troubles
from tickets.operations.email import slips

DNS_SECONDS = 4.0  # for one question
DOMAINS_MAX = 10


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


def sending_domains() -> Finding:
    """Whether receivers can tell that mail of our domains is ours. Being offline is no fault."""
    addresses = Inbox.objects.exclude(address=None).values_list("address", flat=True)
    domains = sorted({str(one).rpartition("@")[2].lower() for one in addresses})
    domains = [one for one in domains if one and not dns_check.is_reserved(one)][:DOMAINS_MAX]
    if not domains:
        return Finding("ok", "No domain to look up.")
    with ThreadPoolExecutor(max_workers=len(domains)) as pool:
        looked = list(pool.map(_remarks_on, domains))
    remarks = [one for found in looked for one in found or ()]
    if remarks:
        level: Level = "broken" if any(one.level == "broken" for one in remarks) else "warning"
        mend = "; ".join(dict.fromkeys(one.mend for one in remarks))
        return Finding(level, " ".join(one.text for one in remarks), f"Write into DNS: {mend}.")
    silent = [name for name, found in zip(domains, looked, strict=True) if found is None]
    if silent:
        names = ", ".join(silent)
        return Finding("ok", f"Not looked up: no name server answers for {names}.")
    return Finding("ok", f"SPF, DKIM, DMARC and MX of {', '.join(domains)}.")


def _remarks_on(domain: str) -> list[dns_check.Remark] | None:
    try:
        return dns_check.remarks_on(domain, dns_check.resolver_for(DNS_SECONDS))
    except dns_check.Unanswered:
        return None
