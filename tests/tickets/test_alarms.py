"""Mail that does not come in is noticed, shown, mailed once, and over by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

import tickets.doctor
from helpdesk.lib import work
from tests import make
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Inbox, Mailbox, MailboxAlarm, User
from tickets.operations import alarms
from tickets.operations.alarms import mail_alarm, watch_mailboxes

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(minutes=16)
REFUSED = "imap.shop.example:993 refused the login of hello: Authentication failed."


@pytest.fixture
def smtp(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def silent(inbox: Inbox, name: str = "Support", **fields: Any) -> Mailbox:
    """A mailbox whose login has been refused for a while."""
    common: dict[str, Any] = {"kind": "imap", "host": "imap.shop.example", "password": "hush-hush"}
    common |= {"error": REFUSED, "last_ok_at": now() - LONG_AGO}
    return Mailbox.objects.create(name=name, inbox=inbox, **common | fields)


def administrator(name: str = "Ada") -> User:
    user = make.staff(name).user
    assert user
    user.is_superuser = user.is_staff = True
    user.save()
    return user


def mail_due() -> None:
    MailboxAlarm.objects.filter(state="queued").update(due_at=now())
    for alarm in MailboxAlarm.objects.filter(state="queued"):
        work.perform(MailboxAlarm, alarm.pk, mail_alarm)


# --- Noticing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["imap", "pop3", "folder"])
def test_a_mailbox_that_failed_for_a_quarter_of_an_hour_has_one_alarm(
    inbox: Inbox, kind: str
) -> None:
    silent(inbox, kind=kind)
    watch_mailboxes()
    watch_mailboxes()
    alarm = MailboxAlarm.objects.get()
    assert (alarm.kind, alarm.text, alarm.cleared_at) == ("silent", REFUSED, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"last_ok_at": None},  # new: it has a quarter of an hour
        {"last_ok_at": timedelta(minutes=14)},  # before now
        {"fetch_every_seconds": 3_600},  # its next turn has not come
        {"kind": "hook"},  # nobody fetches it
    ],
)
def test_what_may_pass_by_itself_is_no_alarm(inbox: Inbox, fields: dict[str, Any]) -> None:
    ago = fields.get("last_ok_at")
    silent(inbox, **{**fields, **({"last_ok_at": now() - ago} if ago else {})})
    watch_mailboxes()
    assert not MailboxAlarm.objects.exists()


def test_one_that_never_could_be_read_is_noticed_too(inbox: Inbox) -> None:
    silent(inbox, last_ok_at=None, created_at=now() - LONG_AGO)
    watch_mailboxes()
    assert MailboxAlarm.objects.count() == 1


def test_a_fetch_that_hangs_is_noticed_from_outside(inbox: Inbox) -> None:
    mailbox = silent(inbox, error="")
    assert work.claim(Mailbox, mailbox.pk)
    watch_mailboxes()
    assert MailboxAlarm.objects.get().text == "Its last fetch has not come to an end."


def test_a_ledger_that_lacks_mails_is_an_alarm_of_its_own(inbox: Inbox) -> None:
    silent(inbox, missing_count=2)
    watch_mailboxes()
    texts = dict(MailboxAlarm.objects.values_list("kind", "text"))
    assert texts == {"silent": REFUSED, "missing": "2 mails on the server could not be fetched."}


def test_an_alarm_says_what_is_wrong_now_and_ends_when_nothing_is(inbox: Inbox) -> None:
    mailbox = silent(inbox)
    watch_mailboxes()
    Mailbox.objects.update(error="imap.shop.example:993 cannot be reached: timed out")
    watch_mailboxes()
    alarm = MailboxAlarm.objects.get()
    assert "cannot be reached" in alarm.text
    Mailbox.objects.update(last_ok_at=now(), error="")
    watch_mailboxes()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None
    Mailbox.objects.filter(pk=mailbox.pk).update(last_ok_at=now() - LONG_AGO, error=REFUSED)
    watch_mailboxes()
    assert MailboxAlarm.objects.filter(cleared_at=None).count() == 1
    assert MailboxAlarm.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_who_notice_at_once_raise_one_alarm(inbox: Inbox) -> None:
    silent(inbox)
    together = threading.Barrier(4)

    def notice() -> None:
        trouble = alarms.troubles()[0]
        together.wait(10)
        alarms._raise(trouble)
        connection.close()

    threads = [threading.Thread(target=notice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert MailboxAlarm.objects.count() == 1


# --- By mail ----------------------------------------------------------------------------------


def test_administrators_are_told_once_in_plain_words(inbox: Inbox, smtp: Server) -> None:
    administrator()
    administrator("Grace")
    make.staff("Colleague")
    gone = administrator("Gone")
    gone.is_active = False
    gone.save()
    silent(inbox)
    watch_mailboxes()
    mail_due()
    watch_mailboxes()
    mail_due()
    assert sorted(mail["To"] for mail in smtp.got) == ["ada@desk.example", "grace@desk.example"]
    mail = smtp.got[0]
    text = mail.get_content()
    assert mail["Subject"] == "Mail of Support does not come in"
    assert mail["From"] == "hello@shop.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    for said in (
        REFUSED,
        "could last be read at 20",
        "UTC",
        "made for programs",
        "/settings/mailboxes/",
    ):
        assert said in text
    assert "hush-hush" not in mail.as_string()
    assert MailboxAlarm.objects.get().state == "done"


def test_what_is_over_before_it_is_mailed_is_not_mailed(inbox: Inbox, smtp: Server) -> None:
    administrator()
    silent(inbox)
    watch_mailboxes()
    assert MailboxAlarm.objects.get().due_at > now()
    Mailbox.objects.update(last_ok_at=now())
    watch_mailboxes()
    mail_due()
    assert (smtp.got, MailboxAlarm.objects.get().state) == ([], "done")


def test_nobody_reached_is_tried_again(inbox: Inbox, smtp: Server) -> None:
    administrator()
    silent(inbox)
    watch_mailboxes()
    smtp.answer_to_mail = "451 later"
    mail_due()
    assert MailboxAlarm.objects.get().state == "queued"
    smtp.answer_to_mail = "250 OK"
    mail_due()
    assert (len(smtp.got), MailboxAlarm.objects.get().state) == (1, "done")


def test_without_an_address_of_an_inbox_it_leaves_under_the_name_of_the_site(
    smtp: Server, settings: Settings
) -> None:
    settings.SITE_URL = "https://desk.shop.example"
    administrator()
    silent(make.inbox("Nameless"), missing_count=1, last_ok_at=now(), compared_at=now())
    watch_mailboxes()
    mail_due()
    assert smtp.got[0]["From"] == "helpdesk@desk.shop.example"
    assert smtp.got[0]["Subject"] == "Mails of Support are missing"


# --- At the desk ------------------------------------------------------------------------------


def banner(browser: Client, address: str = "/tickets/", **headers: str) -> str:
    html = browser.get(address, headers=headers).content.decode()
    return html.partition('data-part="alarms"')[2].partition("<nav")[0]


def test_staff_who_see_the_inbox_see_that_its_mail_stays_away(
    inbox: Inbox, alice: Viewer, enter: Enter
) -> None:
    mailbox = silent(inbox, name="<Support>")
    assert "banner" not in banner(enter(alice))
    watch_mailboxes()
    for address in ("/tickets/", "/tickets/new/", "/assistant/"):
        shown = banner(enter(alice), address)
        assert "Mail of <bdi>&lt;Support&gt;</bdi> does not come in." in shown
        assert REFUSED not in shown
        assert "/admin/" not in shown
    assert "does not come in" in banner(enter(alice), **{"HX-Request": "true"})
    user = administrator()
    shown = banner(enter(Viewer(user.person, user)))
    assert REFUSED in shown
    assert f'href="/settings/mailboxes/{mailbox.pk}/"' in shown


def test_staff_of_other_inboxes_see_nothing_of_it(
    inbox: Inbox, mallory: Viewer, enter: Enter
) -> None:
    silent(inbox)
    watch_mailboxes()
    assert "banner" not in banner(enter(mallory))


def test_it_is_gone_from_the_desk_once_it_is_over(
    inbox: Inbox, alice: Viewer, enter: Enter
) -> None:
    silent(inbox)
    watch_mailboxes()
    Mailbox.objects.update(last_ok_at=now())
    watch_mailboxes()
    assert "banner" not in banner(enter(alice))


# --- The doctor -------------------------------------------------------------------------------


def test_the_doctor_names_each_and_what_to_do(inbox: Inbox) -> None:
    silent(inbox)
    silent(inbox, name="Sales", error="", last_ok_at=now(), missing_count=1)
    found = tickets.doctor.mailboxes()
    assert found.level == "broken"
    assert found.found == (f"Sales: 1 mail on the server could not be fetched. Support: {REFUSED}")
    assert "each can be tried again" in found.advice
    assert "made for programs" in found.advice


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("x:993 cannot be reached: timed out", "its name, port and TLS"),
        ("x:993 has no folder Desk: no", "Name a folder"),
        ("", "See that workers run"),
        ("out of the blue", "Correct its settings"),
    ],
)
def test_each_failure_has_its_advice(inbox: Inbox, error: str, advice: str) -> None:
    silent(inbox, error=error)
    assert advice in alarms.troubles()[0].advice
