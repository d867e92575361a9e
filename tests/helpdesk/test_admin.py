"""The admin shows everything: each list with its search, filters and columns, and each row."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from unittest import mock

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from ai.models import Answer, Article
from attachments.lasting import lasting_link
from attachments.models import Attachment, Check, FileLink
from attachments.operations import keep
from chat.identify import new_identity_secret
from chat.links import create_link
from chat.models import Identity, Transcript, UnreadMail
from chat.operations import start_session
from helpdesk.lib import work
from helpdesk.lib.errors import GiveUp
from tests import make
from tests.fakes.mails import mail
from tickets.access import Viewer
from tickets.models import (
    Desk,
    InboundEmail,
    Inbox,
    Mailbox,
    MailboxAlarm,
    MessageFile,
    OutgoingEmail,
    Rating,
    Ticket,
)
from tickets.operations.enclosures import given_to
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound

pytestmark = pytest.mark.django_db

MODELS = [pytest.param(model, id=model._meta.label) for model in admin.site._registry]


@pytest.fixture
def browser(alice: Viewer) -> Client:
    assert alice.user
    alice.user.is_superuser = True
    alice.user.save()
    client = Client()
    client.force_login(alice.user)
    return client


@pytest.fixture
def _one_of_each(alice: Viewer, ticket: Ticket, chat: Ticket, inbox: Inbox) -> None:
    make.say(alice, ticket, "A new one is on its way.")
    row = record_inbound(mail(files={"serial.txt": ("text/plain", b"K2-0522")}))
    assert row
    work.perform(InboundEmail, row.pk, file_inbound)
    start_session(inbox, origin="https://shop.example", address="192.0.2.1")
    lasting_link(Attachment.objects.get(), "email:1")
    Check.objects.create(attachment=Attachment.objects.get())
    drop = Mailbox.objects.create(name="Drop", inbox=inbox, kind="folder", folder="mail/in")
    MailboxAlarm.objects.create(mailbox=drop, kind="silent", text="nowhere is not a folder.")
    Article.objects.create(title="Descale the kettle", slug="descale", body="Use citric acid.")
    Answer.objects.create(conversation=chat.conversation, question_seq=1)
    Desk.objects.update_or_create(pk=1)
    Rating.objects.create(ticket=chat, person=chat.requester, score=5)
    Identity.objects.create(inbox=inbox, external_id="7", person=chat.requester)
    new_identity_secret(inbox)
    UnreadMail.objects.create(conversation=chat.conversation, seq=1)
    create_link(alice, chat.conversation_id, days=1, uses_max=1, sees_all=False)
    Transcript.objects.create(
        conversation=chat.conversation,
        person=chat.requester,
        inbox=inbox,
        address="carol@mail.example",
        upto_seq=1,
    )


def address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.usefixtures("_one_of_each")
@pytest.mark.parametrize("model", MODELS)
def test_every_list_is_read_searched_filtered_and_sorted(
    model: type[Model], browser: Client
) -> None:
    at = address(model, "changelist")
    page = browser.get(at)
    assert page.status_code == 200
    text = page.content.decode()
    links = {unescape(link) for link in re.findall(r'href="(\?[^"]*)"', text)}
    for query in {"?q=grinder", "?q=12", "?q=%00'\"", *links}:
        assert browser.get(at + query, follow=True).status_code == 200, query


@pytest.mark.usefixtures("_one_of_each")
@pytest.mark.parametrize("model", MODELS)
def test_every_row_can_be_looked_at_and_added_where_that_is_offered(
    model: type[Model], browser: Client
) -> None:
    row = model._default_manager.first()
    assert row is not None or model._meta.label == "auth.Group"
    if row is not None:
        assert browser.get(address(model, "change", row.pk)).status_code == 200
        assert browser.get(address(model, "history", row.pk)).status_code == 200
    offered = browser.get(address(model, "changelist")).context["has_add_permission"]
    added = browser.get(address(model, "add"))
    assert added.status_code == (200 if offered else 403)


def test_mail_that_failed_is_tried_again_with_one_click(browser: Client, ticket: Ticket) -> None:
    row = record_inbound(mail())
    assert row

    def hopeless(_: InboundEmail) -> None:
        raise GiveUp("There was no inbox.")

    work.perform(InboundEmail, row.pk, hopeless)
    at = address(InboundEmail, "changelist")
    assert b"There was no inbox." in browser.get(f"{at}?state__exact=failed").content

    form = {"action": "try_again", "_selected_action": [row.pk]}
    assert b"1 is tried again." in browser.post(at, form, follow=True).content
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    assert (row.state, row.decision) == ("done", "filed")
    again = browser.post(at, form, follow=True).content
    assert b"None of these has failed or is waiting to be tried." in again


def test_a_mail_is_read_and_tried_again_on_its_own_page(browser: Client, ticket: Ticket) -> None:
    row = record_inbound(b"From: nobody\r\n\r\nHello?\r\n")
    assert row
    work.perform(InboundEmail, row.pk, file_inbound)
    at = address(InboundEmail, "change", row.pk)
    page = browser.get(at)
    assert b"It names no sender" in page.content
    assert b"Try again now" in page.content
    original = browser.get(address(InboundEmail, "original", row.pk))
    assert original.content == b"From: nobody\r\n\r\nHello?\r\n"
    assert original["Content-Disposition"].startswith("attachment;")

    tried = browser.post(address(InboundEmail, "try", row.pk), follow=True)
    assert b"1 is tried again." in tried.content
    row.refresh_from_db()
    assert row.state == "queued"
    assert browser.get(address(InboundEmail, "try", row.pk)).status_code == 403
    assert Client().get(address(InboundEmail, "original", row.pk)).status_code == 302


def test_a_mailbox_shows_what_became_of_its_mails(browser: Client, inbox: Inbox) -> None:
    mailbox = Mailbox.objects.create(
        name="Drop", inbox=inbox, kind="folder", folder="mail/in", missing_count=4
    )
    for raw in (mail(message_id="<a@b>"), mail(message_id="<a@b>"), b"no mail", mail(), mail()):
        record_inbound(raw, mailbox=mailbox)
    record_inbound(mail())  # another's
    for row in InboundEmail.objects.filter(mailbox=mailbox).order_by("pk")[:3]:
        work.perform(InboundEmail, row.pk, file_inbound)
    html = unescape(browser.get(address(Mailbox, "change", mailbox.pk)).content.decode())
    shown = re.search(r"(<a [^>]*>1 filed.*?missing)", html)
    assert shown
    words = re.sub(r"<[^>]+>", "", shown[1])
    assert words == "1 filed · 1 seen before · 0 ignored · 1 failed · 2 waiting · 4 missing"
    links = re.findall(r'href="([^"]+)"', shown[1])
    rows = [re.search(r"(\d+) inbound email", browser.get(one).content.decode()) for one in links]
    assert [row and row[1] for row in rows] == ["1", "1", "0", "1", "2"]


def test_a_mailbox_that_waits_is_asked_at_once(browser: Client, inbox: Inbox) -> None:
    mailbox = Mailbox.objects.create(name="Drop", inbox=inbox, kind="folder", folder="nowhere")
    Mailbox.objects.update(due_at=now() + timedelta(minutes=5), last_uid=7)
    browser.post(address(Mailbox, "try", mailbox.pk))
    mailbox.refresh_from_db()
    assert mailbox.due_at <= now()


def test_a_corrected_mailbox_is_asked_at_once_and_keeps_its_cursor(
    browser: Client, inbox: Inbox
) -> None:
    mailbox = Mailbox.objects.create(name="Drop", inbox=inbox, kind="folder", folder="nowhere")
    form = {"name": "Drop", "inbox": inbox.pk, "kind": "folder", "folder": "mail/in", "port": 993}
    Mailbox.objects.update(due_at=now() + timedelta(minutes=5))

    def fetched_meanwhile(*_: object, **__: object) -> None:
        Mailbox.objects.update(last_uid=7)

    with mock.patch.object(Mailbox, "full_clean", fetched_meanwhile):
        sent = browser.post(
            address(Mailbox, "change", mailbox.pk), form | {"fetch_every_seconds": 30}
        )
    assert sent.status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.folder, mailbox.last_uid) == ("mail/in", 7)
    assert mailbox.due_at <= now()


def test_a_mailbox_keeps_its_password_and_never_shows_it(browser: Client, inbox: Inbox) -> None:
    form = {
        "name": "Support",
        "inbox": inbox.pk,
        "kind": "imap",
        "folder": "INBOX",
        "fetch_every_seconds": 30,
        "host": "imap.example",
        "port": 993,
        "tls": "on",
        "username": "support",
        "password": "very secret",
    }
    assert browser.post(address(Mailbox, "add"), form).status_code == 302
    mailbox = Mailbox.objects.get()
    at = address(Mailbox, "change", mailbox.pk)
    assert b"very secret" not in browser.get(at).content
    assert browser.post(at, form | {"password": "", "name": "Help"}).status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.name, mailbox.password) == ("Help", "very secret")
    refused = browser.post(address(Mailbox, "add"), form | {"host": "", "name": "Third"})
    assert refused.status_code == 200
    assert b"errorlist" in refused.content


@pytest.mark.parametrize("model", MODELS)
def test_a_stranger_and_whoever_has_no_rights_see_nothing(
    model: type[Model], bob: Viewer, ticket: Ticket
) -> None:
    at = address(model, "changelist")
    assert Client().get(at).status_code == 302
    assert bob.user
    client = Client()
    client.force_login(bob.user)
    assert client.get(at).status_code == 403


def test_what_was_sent_is_tried_again_too(browser: Client, alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "A new one is on its way.")
    outgoing = OutgoingEmail.objects.get()

    def refused(_: OutgoingEmail) -> None:
        raise GiveUp("The mail server refused the mail.")

    work.perform(OutgoingEmail, outgoing.pk, refused)
    at = address(OutgoingEmail, "changelist")
    assert b"The mail server refused the mail." in browser.get(at).content
    page = browser.get(address(OutgoingEmail, "change", outgoing.pk))
    assert b"Try again now</button>" in page.content
    form = {"action": "try_again", "_selected_action": [outgoing.pk]}
    assert b"1 is tried again." in browser.post(at, form, follow=True).content
    outgoing.refresh_from_db()
    assert outgoing.state == "queued"


@pytest.fixture
def link(alice: Viewer, ticket: Ticket) -> FileLink:
    """A link in a mail of Alice's to Carol."""
    message = make.say(alice, ticket, "See the film.")
    (blob,) = keep([b"a film"])
    film = Attachment.objects.create(name="film.mp4", blob=blob, claimed_at=now())
    MessageFile.objects.create(message=message, attachment=film)
    return lasting_link(film, given_to(message.outgoing_emails.get()))


def test_a_link_in_a_mail_is_taken_back_with_one_click(
    browser: Client, link: FileLink, ticket: Ticket
) -> None:
    at = address(FileLink, "changelist")
    page = browser.get(at).content.decode()
    for shown in ("film.mp4", "carol@mail.example", f'href="/tickets/{ticket.number}/"', ">Open<"):
        assert shown in page
    form = {"action": "revoke_links", "_selected_action": [link.pk]}
    assert b"1 link is revoked." in browser.post(at, form, follow=True).content
    assert b">Revoked<" in browser.get(at).content


def test_a_link_is_taken_back_on_its_own_page_by_those_who_may(
    browser: Client, bob: Viewer, link: FileLink
) -> None:
    at, act = address(FileLink, "change", link.pk), address(FileLink, "revoke", link.pk)
    assert b">Revoke</button>" in browser.get(at).content
    assert browser.get(act).status_code == 403

    assert bob.user
    bob.user.user_permissions.add(Permission.objects.get(codename="view_filelink"))
    looks = Client()
    looks.force_login(bob.user)
    assert b">Revoke</button>" not in looks.get(at).content
    assert looks.post(act).status_code == 403
    link.refresh_from_db()
    assert link.revoked_at is None

    assert b"1 link is revoked." in browser.post(act, follow=True).content
    assert b">Revoke</button>" not in browser.get(at).content
