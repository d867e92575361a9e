"""What is wrong with mailboxes: noticed, shown at the desk, mailed once, and over by itself.

It is looked for from outside, by what a mailbox notes when it succeeds: so a fetch that hangs, or
that nobody performs, is noticed like one that fails.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp, TemporaryFailure
from helpdesk.lib.text import preview
from tickets.mail.render import one_line
from tickets.mail.route import Route
from tickets.mail.send import send
from tickets.models import Inbox, Mailbox, MailboxAlarm, User
from tickets.operations.sign_in import sign_in_wanted

log = logging.getLogger(__name__)

Kind = MailboxAlarm.Kind

SILENT_AFTER = timedelta(minutes=15)
# What is over by then is not mailed: after a night off, the first fetch may still be on its way.
MAILED_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a mailbox at this moment, in a sentence, and what to do about it."""

    mailbox: Mailbox
    kind: Kind
    text: str
    advice: str
    since: datetime | None


def troubles() -> list[Trouble]:
    """All there is to raise an alarm about: two for a mailbox at most."""
    found = []
    for mailbox in Mailbox.in_use().order_by("name"):
        if _is_silent(mailbox):
            text = preview(mailbox.error) or _("Its last fetch has not come to an end.")
            text = sign_in_wanted(mailbox) if mailbox.lacks_sign_in else text
            since = mailbox.last_ok_at or mailbox.created_at
            found.append(Trouble(mailbox, Kind.SILENT, text, advice_on(mailbox), since))
        if mailbox.missing_count:
            text = ngettext(
                "%d mail on the server could not be fetched.",
                "%d mails on the server could not be fetched.",
                mailbox.missing_count,
            )
            advice = _("Its list of failed mails says why; each can be tried again there.")
            text %= mailbox.missing_count
            found.append(Trouble(mailbox, Kind.MISSING, text, advice, mailbox.compared_at))
    return found


def _is_silent(mailbox: Mailbox) -> bool:
    if mailbox.kind == Mailbox.Kind.HOOK:  # it is not fetched: nobody knows when mail should come
        return False
    if mailbox.lacks_sign_in and mailbox.oauth_expires_at is not None:
        return True  # it was taken back: waiting mends nothing
    patience = SILENT_AFTER + timedelta(seconds=mailbox.fetch_every_seconds)
    return (mailbox.last_ok_at or mailbox.created_at) < now() - patience


def advice_on(mailbox: Mailbox) -> str:
    """What to do about a mailbox that cannot be read, from the words of the failure."""
    said = mailbox.error
    if mailbox.lacks_sign_in:
        return _("Open its page under Mailboxes and sign in there.")
    if mailbox.uses_tokens and "refused the login" in said:
        return _("Open its page under Mailboxes: check the user name, and sign in there again.")
    if "refused the login" in said:
        return _(
            "Enter user name and password anew; many providers want a password made for programs."
        )
    if "cannot be reached" in said or "broke off" in said:
        return _("See whether the server is up, and whether its name, port and TLS are right.")
    if "has no folder" in said:
        return _("Name a folder that exists on the server.")
    if mailbox.kind == Mailbox.Kind.FOLDER:
        return _("See that the folder exists and that the helpdesk may read and write there.")
    if not said:
        return _("See that workers run: `manage.py doctor`.")
    return _("Correct its settings; saving them tries it at once.")


def watch_mailboxes() -> None:
    """Raise an alarm for each trouble that has none, and end those whose trouble is over."""
    wrong = {(one.mailbox.pk, one.kind): one for one in troubles()}
    raised = {
        (one.mailbox_id, one.kind): one for one in MailboxAlarm.objects.filter(cleared_at=None)
    }
    for key, alarm in raised.items():
        if key not in wrong:
            _still(alarm).update(cleared_at=now())
        elif alarm.text != wrong[key].text:
            _still(alarm).update(text=wrong[key].text)
    for key in wrong.keys() - raised.keys():
        _raise(wrong[key])


def _still(alarm: MailboxAlarm) -> QuerySet[MailboxAlarm]:
    return MailboxAlarm.objects.filter(pk=alarm.pk, cleared_at=None)


def _raise(trouble: Trouble) -> None:
    """The sweep rings for it once it is due to be mailed."""
    try:
        with transaction.atomic():
            MailboxAlarm.objects.create(
                mailbox=trouble.mailbox,
                kind=trouble.kind,
                text=trouble.text,
                due_at=now() + MAILED_AFTER,
            )
    except IntegrityError:
        return  # somebody else has just raised it
    log.warning("mailbox %s: %s", trouble.mailbox, trouble.text)


# --- By mail ----------------------------------------------------------------------------------


def mail_alarm(alarm: MailboxAlarm) -> None:
    """Tell the administrators once, by the helpdesk's own way out: the mailbox's may be broken.

    It is told when one of them could be reached. Raises TemporaryFailure if none could.
    """
    if alarm.cleared_at is not None:
        return
    failures = []
    told = 0
    for user in User.objects.filter(is_superuser=True, is_active=True).order_by("pk"):
        mail = _letter(alarm, user)
        extend = partial(work.extend, alarm)
        try:
            send(
                mail.as_bytes(),
                message_id=mail["Message-ID"].strip("<>"),
                sender=_address(alarm),
                recipient=user.email,
                route=Route.of(settings.SMTP_URL),
                before_data=extend,
            )
            told += 1
        except (GiveUp, TemporaryFailure) as error:
            log.warning("alarm %s was not mailed to %s: %s", alarm.pk, user.pk, error)
            failures.append(str(error))
    if failures and not told:
        raise TemporaryFailure(failures[0])


def _letter(alarm: MailboxAlarm, user: User) -> EmailMessage:
    mailbox = alarm.mailbox
    trouble = next(
        (one for one in troubles() if (one.mailbox, one.kind) == (mailbox, alarm.kind)), None
    )
    since = trouble.since if trouble and trouble.since else alarm.raised_at
    page = settings.SITE_URL + reverse("tickets:mailbox", args=[mailbox.pk])
    named = {"mailbox": one_line(mailbox.name), "since": f"{since:%Y-%m-%d %H:%M} UTC"}
    if alarm.kind == Kind.SILENT:
        subject = _("Mail of %(mailbox)s does not come in") % named
        first = _("The mailbox %(mailbox)s could last be read at %(since)s.") % named
        rest = _("Nothing is lost: mail waits on the server and comes in once this is mended.")
    else:
        subject = _("Mails of %(mailbox)s are missing") % named
        first = _("Server and helpdesk were compared at %(since)s: they differ.") % named
        rest = _("All other mail comes in as ever.")
    lines = [first, alarm.text, trouble.advice if trouble else "", rest, page]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _address(alarm)
    mail["To"] = user.email
    mail["Subject"] = subject
    mail["Date"] = now()
    mail["Message-ID"] = f"<alarm-{alarm.pk}-{user.pk}@{_address(alarm).rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join(filter(None, lines)) + "\n")
    return mail


def _address(alarm: MailboxAlarm) -> str:
    """One that we may send from: the inbox's own, another inbox's, or one named after the site."""
    inboxes = Inbox.objects.exclude(address=None).exclude(address="")
    own = inboxes.filter(pk=alarm.mailbox.inbox_id).first()
    inbox = own or inboxes.order_by("pk").first()
    if inbox and inbox.address:
        return inbox.address
    return f"helpdesk@{urlsplit(settings.SITE_URL).hostname}"
