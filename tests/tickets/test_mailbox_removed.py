"""A mailbox that is removed is read no more; what came by it stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.timezone import now
from pytest_django.fixtures import DjangoAssertNumQueries, Settings

import tickets.doctor
from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp, NotFound
from tests.fakes.imap import Server, put
from tests.fakes.mails import mail
from tests.tickets.conftest import Enter
from tests.tickets.fetching import fetch, file_all, mailbox_on
from tickets.access import Viewer
from tickets.models import InboundEmail, Inbox, Mailbox, MailboxAlarm, Ticket
from tickets.operations.alarms import troubles, watch_mailboxes
from tickets.operations.fetching import fetch_mailbox
from tickets.operations.filing import file_inbound
from tickets.operations.listening import ring_mailbox
from tickets.operations.mailboxes import remove_mailbox
from tickets.operations.sign_in import route_of
from tickets.operations.trying import begin_check

pytestmark = pytest.mark.django_db

LIST = "/settings/mailboxes/"


@pytest.fixture
def mailbox(inbox: Inbox) -> Mailbox:
    return Mailbox.objects.create(
        name="Shop",
        inbox=inbox,
        kind="imap",
        host="imap.shop.example",
        username="hello",
        password="geheim",
        smtp_host="smtp.shop.example",
        oauth_client_secret="s",
    )


def test_before_it_is_removed_it_is_said_what_that_means(
    enter: Enter, admin: Viewer, mailbox: Mailbox
) -> None:
    browser = enter(admin)
    assert f"{LIST}{mailbox.pk}/remove/" in browser.get(f"{LIST}{mailbox.pk}/").content.decode()
    text = browser.get(f"{LIST}{mailbox.pk}/remove/").content.decode()
    assert "Mails and tickets that came by it stay" in text
    assert "New mail stays on the server" in text
    assert "leave by smtp.shop.example no more" in text
    mailbox.refresh_from_db()
    assert not mailbox.is_removed


def test_a_removed_mailbox_is_gone_from_the_desk_and_forgets_its_secrets(
    enter: Enter, admin: Viewer, mailbox: Mailbox
) -> None:
    browser = enter(admin)
    assert browser.post(f"{LIST}{mailbox.pk}/remove/")["Location"] == LIST
    assert "Shop" not in browser.get(LIST).content.decode().partition('class="page-in"')[2]
    for page in ("", "remove/", "check/abc/"):
        assert browser.get(f"{LIST}{mailbox.pk}/{page}").status_code == 404
    for page in ("", "remove/", "check/", "sign-in/"):
        assert browser.post(f"{LIST}{mailbox.pk}/{page}").status_code == 404
    mailbox.refresh_from_db()
    assert mailbox.is_removed
    assert (mailbox.password, mailbox.oauth_client_secret) == ("", "")


def test_its_mails_and_tickets_stay(
    enter: Enter, admin: Viewer, imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "leaver")
    put(imap_server, "leaver", mail(subject="My kettle"))
    fetch(mailbox)
    file_all()
    remove_mailbox(admin, mailbox.pk)
    assert InboundEmail.objects.get().mailbox_id == mailbox.pk
    assert Ticket.objects.get().subject == "My kettle"
    put(imap_server, "leaver", mail(subject="Another"))
    fetch(mailbox)
    assert InboundEmail.objects.count() == 1


def test_a_mail_that_waits_is_still_filed(admin: Viewer, mailbox: Mailbox) -> None:
    raw = mail(subject="On its way")
    InboundEmail.objects.create(mailbox=mailbox, raw=raw, size_bytes=len(raw), sha256="x")
    remove_mailbox(admin, mailbox.pk)
    file_all()
    assert Ticket.objects.get().inbox == mailbox.inbox


def test_a_mail_that_was_never_had_says_why(admin: Viewer, mailbox: Mailbox) -> None:
    row = InboundEmail.objects.create(
        mailbox=mailbox, uid=1, uidvalidity=1, raw=b"", size_bytes=0, sha256="x"
    )
    remove_mailbox(admin, mailbox.pk)
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    assert (row.state, row.error) == ("failed", "The mailbox it lay in was removed here.")


def test_removing_touches_none_of_its_mails(
    admin: Viewer, mailbox: Mailbox, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """They may be millions."""
    with django_assert_max_num_queries(6) as asked:
        remove_mailbox(admin, mailbox.pk)
    assert not any("inboundemail" in query["sql"] for query in asked.captured_queries)


def test_who_is_fetching_it_loses_it(admin: Viewer, mailbox: Mailbox) -> None:
    def removed_meanwhile(row: Mailbox) -> None:
        remove_mailbox(admin, row.pk)
        with work.closing(row) as fields:
            fields["last_ok_at"] = now()

    work.perform(Mailbox, mailbox.pk, removed_meanwhile)
    mailbox.refresh_from_db()
    assert (mailbox.is_removed, mailbox.last_ok_at) == (True, None)
    Mailbox.objects.filter(pk=mailbox.pk).update(due_at=now() - timedelta(hours=1))
    assert list(work.overdue(Mailbox)) == []
    work.perform(Mailbox, mailbox.pk, fetch_mailbox)
    mailbox.refresh_from_db()
    assert (mailbox.is_removed, mailbox.error) == (True, "")


def test_a_failure_on_its_way_does_not_bring_it_back(admin: Viewer, mailbox: Mailbox) -> None:
    def fails(row: Mailbox) -> None:
        remove_mailbox(admin, row.pk)
        raise GiveUp("nobody is there")

    work.perform(Mailbox, mailbox.pk, fails)
    mailbox.refresh_from_db()
    assert (mailbox.is_removed, mailbox.error) == (True, "")
    assert work.retry(Mailbox.objects.filter(pk=mailbox.pk)) == 0


def test_it_is_not_removed_twice(admin: Viewer, mailbox: Mailbox) -> None:
    remove_mailbox(admin, mailbox.pk)
    with pytest.raises(NotFound):
        remove_mailbox(admin, mailbox.pk)


def test_it_may_be_added_anew_under_its_name(enter: Enter, admin: Viewer, mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(name="x" * 80)
    remove_mailbox(admin, mailbox.pk)
    mailbox.refresh_from_db()
    assert len(mailbox.name) == 80
    assert mailbox.name.endswith(f"xx (removed, {mailbox.pk})")
    Mailbox.objects.create(name="x" * 80, inbox=mailbox.inbox, kind="folder")


def test_no_alarm_listener_or_doctor_minds_it(admin: Viewer, mailbox: Mailbox) -> None:
    Mailbox.objects.update(created_at=now() - timedelta(hours=1), error="refused", missing_count=3)
    watch_mailboxes()
    assert MailboxAlarm.objects.filter(cleared_at=None).count() == 2
    remove_mailbox(admin, mailbox.pk)
    assert not MailboxAlarm.objects.filter(cleared_at=None).exists()
    assert troubles() == []
    assert tickets.doctor.mailboxes().found == "None is set up."
    assert ring_mailbox(mailbox.pk)  # a bell for it is forgotten


def test_replies_leave_by_another_way(admin: Viewer, mailbox: Mailbox, settings: Settings) -> None:
    settings.SMTP_URL = "smtp://common.example"
    assert route_of(mailbox.inbox).host == "smtp.shop.example"
    remove_mailbox(admin, mailbox.pk)
    assert route_of(mailbox.inbox).host == "common.example"


def test_only_administrators_remove_mailboxes(
    enter: Enter, client: Client, alice: Viewer, bob: Viewer, mallory: Viewer, mailbox: Mailbox
) -> None:
    address = f"{LIST}{mailbox.pk}/remove/"
    for who in (alice, bob, mallory):  # of its inbox or not
        assert enter(who).get(address).status_code == 404
        assert enter(who).post(address).status_code == 404
        with pytest.raises(NotFound):
            remove_mailbox(who, mailbox.pk)
    assert client.get(address)["Location"].startswith("/?next")
    assert client.post(address)["Location"].startswith("/?next")
    ended = enter(alice)
    ended.session.flush()
    assert ended.post(address)["Location"].startswith("/?next")
    strict = Client(enforce_csrf_checks=True)
    assert alice.user
    strict.force_login(alice.user)
    assert strict.post(address).status_code == 403
    mailbox.refresh_from_db()
    assert not mailbox.is_removed


def test_the_administration_shows_it_and_deletes_none(
    enter: Enter, admin: Viewer, mailbox: Mailbox
) -> None:
    browser = enter(admin)
    address = f"/admin/tickets/mailbox/{mailbox.pk}/"
    assert browser.get(f"{address}delete/").status_code == 403
    assert browser.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    listed = browser.get("/admin/tickets/mailbox/").content.decode()
    assert "delete_selected" not in listed
    assert "geheim" not in browser.get(f"{address}change/").content.decode()
    remove_mailbox(admin, mailbox.pk)
    page = browser.get(f"{address}change/").content.decode()
    assert "removed" in page
    assert 'name="host"' not in page
    assert browser.post(f"{address}change/", {"name": "Back"}).status_code == 403
    assert Mailbox.objects.get().is_removed


def test_who_may_only_look_at_the_administration_sees_no_password(
    enter: Enter, bob: Viewer, mailbox: Mailbox
) -> None:
    assert bob.user
    bob.user.is_staff = True
    bob.user.save()
    bob.user.user_permissions.add(Permission.objects.get(codename="view_mailbox"))
    page = enter(bob).get(f"/admin/tickets/mailbox/{mailbox.pk}/change/")
    assert page.status_code == 200
    assert "geheim" not in page.content.decode()


def test_a_check_of_it_does_nothing(admin: Viewer, mailbox: Mailbox) -> None:
    remove_mailbox(admin, mailbox.pk)
    with pytest.raises(NotFound):
        begin_check(admin, mailbox.pk)
