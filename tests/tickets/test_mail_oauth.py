"""Mailboxes signed in to with Google or Microsoft: coming and going, tokens, and who may."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from helpdesk.lib import work
from helpdesk.lib.errors import TemporaryFailure
from tests.fakes.imap import Server, dovecot_or_skip, mortal_dovecot, put
from tests.fakes.mails import mail
from tests.fakes.oauth import CLIENT_ID, CLIENT_SECRET, GOOGLE, OAuthServer, oauth_server
from tests.fakes.smtp import smtp_server
from tests.stack import wait_until
from tests.tickets.conftest import Enter, need_dovecot
from tests.tickets.fetching import fetch
from tickets.access import Viewer
from tickets.mail import oauth
from tickets.models import InboundEmail, Inbox, Mailbox, MailboxAlarm
from tickets.operations import listening, sign_in, trying
from tickets.operations.alarms import advice_on, watch_mailboxes
from tickets.operations.fetching import fetch_mailbox
from tickets.operations.listening import Listener
from tickets.operations.sign_in import access_token, redirect_address, route_of
from tickets.operations.trying import begin_check, check_of, perform_check

pytestmark = pytest.mark.django_db

LIST = "/settings/mailboxes/"
USER = "hello@shop.example"
FORM = {
    "address": USER,
    "name": USER,
    "kind": "imap",
    "folder": "INBOX",
    "host": "imap.gmail.com",
    "port": 993,
    "tls": "on",
    "username": USER,
    "auth": "google",
    "smtp_host": "smtp.gmail.com",
    "smtp_port": 587,
    "smtp_security": "starttls",
    "new_inbox": "Shop",
    "from_now": "yes",
}


@pytest.fixture
def service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    """Google and Microsoft in one, at which we are registered."""
    with oauth_server() as server:
        google = replace(
            oauth.SERVICES["google"], authorize=server.url + GOOGLE, token=f"{server.url}/token"
        )
        monkeypatch.setitem(oauth.SERVICES, "google", google)
        monkeypatch.setattr(sign_in, "WAIT_EVERY_SECONDS", 0.02)
        settings.MAIL_MICROSOFT_LOGIN_URL = server.url
        settings.MAIL_GOOGLE_CLIENT_ID = settings.MAIL_MICROSOFT_CLIENT_ID = CLIENT_ID
        settings.MAIL_GOOGLE_CLIENT_SECRET = CLIENT_SECRET
        settings.MAIL_MICROSOFT_CLIENT_SECRET = CLIENT_SECRET
        server.redirects.add(redirect_address())
        yield server


@pytest.fixture
def imap(service: OAuthServer) -> Iterator[Server]:
    with dovecot_or_skip(tokens_at=service.url, pop3=True) as server:
        yield server


@pytest.fixture
def mailbox(inbox: Inbox) -> Mailbox:
    """Nobody has signed in yet."""
    return Mailbox.objects.create(
        name=USER,
        inbox=inbox,
        kind="imap",
        host="127.0.0.1",
        tls=False,
        username=USER,
        auth="google",
        due_at=now() + timedelta(hours=1),
    )


def leave(browser: Client, mailbox: Mailbox) -> str:
    """The button; where it leads."""
    page = browser.post(f"{LIST}{mailbox.pk}/sign-in/")
    assert page.status_code == 200
    return str(page["Refresh"]).removeprefix("0; url=")


def signed_in(browser: Client, mailbox: Mailbox, service: OAuthServer) -> Mailbox:
    answer = browser.get(service.allow(leave(browser, mailbox)))
    assert answer.status_code == 302, answer.content.decode()
    mailbox.refresh_from_db()
    return mailbox


def expire(mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(oauth_expires_at=now())


def refused(browser: Client, address: str) -> str:
    """What is said instead; nothing was kept."""
    page = browser.get(address)
    assert page.status_code == 422
    assert not Mailbox.objects.exclude(oauth_refresh_token="").exists()
    return page.content.decode()


# --- There and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["google", "microsoft"])
def test_a_mailbox_is_signed_in_to_by_a_button(
    auth: str, enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    Mailbox.objects.update(auth=auth, error="old")
    browser = enter(admin)
    answer = browser.get(service.allow(leave(browser, mailbox)))
    assert answer["Location"].startswith(f"{LIST}{mailbox.pk}/?check=")
    mailbox.refresh_from_db()
    assert mailbox.oauth_access_token in service.access
    assert mailbox.oauth_refresh_token in service.refreshes
    assert mailbox.due_at <= now()  # fetched at once
    assert mailbox.error == ""
    mails = {scope for scope in service.scopes if scope.startswith("https://")}
    assert (
        mails
        == {
            "google": {"https://mail.google.com/"},
            "microsoft": {
                f"https://outlook.office.com/{what}"
                for what in ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")
            },
        }[auth]
    )
    assert len(service.asked) == 1


def test_the_way_there_asks_for_what_it_takes(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    query = parse_qs(urlsplit(leave(enter(admin), mailbox)).query)
    assert query["access_type"] == ["offline"]
    assert query["login_hint"] == [USER]
    assert query["redirect_uri"] == ["http://localhost:8000/settings/mailboxes/signed-in/"]
    again = parse_qs(urlsplit(leave(enter(admin), mailbox)).query)
    assert query["state"] != again["state"]
    assert query["code_challenge"] != again["code_challenge"]


def test_an_answer_is_good_once(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    assert browser.get(back).status_code == 302
    page = browser.get(back)
    assert page.status_code == 422
    assert "This sign-in is over" in page.content.decode()
    assert len(service.asked) == 1  # the code is not used twice
    mailbox.refresh_from_db()
    assert access_token(mailbox) == mailbox.oauth_access_token


def test_of_two_answers_at_once_one_is_taken(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    """Both read the session before either has written it."""
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    kept = dict(browser.session)
    assert browser.get(back).status_code == 302
    session = browser.session
    session.update(kept)
    session.save()
    assert browser.get(back).status_code == 422
    assert len(service.asked) == 1


def test_two_sign_ins_may_be_under_way(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    first = service.allow(leave(browser, mailbox))
    assert browser.get(service.allow(leave(browser, mailbox))).status_code == 302
    assert browser.get(first).status_code == 302
    mailbox.refresh_from_db()
    assert access_token(mailbox) in service.access


def test_an_answer_is_for_the_browser_that_asked(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    back = service.allow(leave(enter(admin), mailbox))
    assert "was begun in another browser" in refused(enter(admin), back)
    assert "was begun in another browser" in refused(enter(admin), "/settings/mailboxes/signed-in/")
    assert service.asked == []


def test_an_answer_after_15_minutes_is_too_late(
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    begun = time.time()
    monkeypatch.setattr(time, "time", lambda: begun + 901)
    assert "This sign-in is over" in refused(browser, back)
    assert service.asked == []


def test_somebody_who_says_no_is_heard(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    address = leave(browser, mailbox)
    query = {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}
    _, back, _ = service.page(GOOGLE, {**query, "decision": "deny"})
    assert "Google gave no permission (access_denied)" in refused(browser, back)
    assert service.asked == []


def test_a_code_that_is_refused_is_said(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    service.codes.clear()
    assert "invalid_grant" in refused(browser, back)


def test_the_wrong_account_is_refused(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    service.email = "private@shop.example"
    browser = enter(admin)
    text = refused(browser, service.allow(leave(browser, mailbox)))
    assert "You signed in as private@shop.example" in text
    assert USER in text


def test_a_shared_mailbox_of_microsoft_is_read_by_whoever_may(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    Mailbox.objects.update(auth="microsoft")
    service.email = "alice@shop.example"
    assert signed_in(enter(admin), mailbox, service).oauth_refresh_token


def test_a_permission_that_is_not_enough_is_refused(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    service.unticked = {"https://mail.google.com/"}
    assert "tick that when it asks" in refused(browser, service.allow(leave(browser, mailbox)))
    service.unticked = set()
    service.gives_refresh = False
    assert "no lasting permission" in refused(browser, service.allow(leave(browser, mailbox)))


@pytest.mark.parametrize(
    "change", [{"username": "other@shop.example"}, {"auth": "microsoft"}, {"auth": "password"}]
)
def test_a_mailbox_that_was_changed_meanwhile_gets_no_tokens(
    change: dict[str, str],
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    Mailbox.objects.update(**change)
    assert "was changed meanwhile" in refused(browser, back)


def test_a_mailbox_that_is_removed_meanwhile_gets_no_tokens(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    browser.post(f"{LIST}{mailbox.pk}/remove/")
    assert browser.get(back).status_code == 404
    assert not Mailbox.objects.exclude(oauth_refresh_token="").exists()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>"), "Google gave no permission"),
        ((200, ["access_token"]), "Google gave no permission"),
        ((200, {"access_token": "a\r\nb", "refresh_token": "c"}), "Google gave no permission"),
        ((500, {}), "Google gave no permission: 500"),
        ((401, {"error": "invalid_client"}), "does not know us (invalid_client)"),
        ((302, b""), "Google gave no permission: 302"),
    ],
)
def test_whatever_the_service_answers_is_a_sentence(
    answer: tuple[int, Any],
    words: str,
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
) -> None:
    service.answer = answer
    browser = enter(admin)
    assert words in refused(browser, service.allow(leave(browser, mailbox)))


# --- Who may ----------------------------------------------------------------------------------


def test_only_administrators_sign_in_for_a_mailbox(
    enter: Enter,
    client: Client,
    alice: Viewer,
    bob: Viewer,
    mallory: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
) -> None:
    back = "/settings/mailboxes/signed-in/?code=c&state=s"
    for who in (alice, bob, mallory):  # of its inbox or not
        browser = enter(who)
        assert browser.post(f"{LIST}{mailbox.pk}/sign-in/").status_code == 404
        assert browser.get(back).status_code == 404
    assert client.post(f"{LIST}{mailbox.pk}/sign-in/")["Location"].startswith("/?next")
    assert client.get(back)["Location"].startswith("/?next")
    assert service.asked == []


def test_who_is_no_administrator_any_more_brings_nothing_back(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    assert admin.user
    admin.user.is_superuser = False
    admin.user.save()
    assert browser.get(back).status_code == 404
    assert service.asked == []


def test_a_session_that_has_ended_brings_nothing_back(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    browser.session.flush()
    assert browser.get(back)["Location"].startswith("/?next")
    assert service.asked == []


def test_leaving_takes_a_click_and_coming_back_changes_nothing_else(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    assert browser.get(f"{LIST}{mailbox.pk}/sign-in/").status_code == 405
    assert browser.post("/settings/mailboxes/signed-in/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    assert admin.user
    strict.force_login(admin.user)
    assert strict.post(f"{LIST}{mailbox.pk}/sign-in/").status_code == 403


def test_a_mailbox_with_a_password_has_no_such_door(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    Mailbox.objects.update(auth="password")
    assert enter(admin).post(f"{LIST}{mailbox.pk}/sign-in/").status_code == 404


def test_nothing_secret_is_shown_or_logged(
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    assert admin.user
    admin.user.is_staff = True
    admin.user.save()
    browser = enter(admin)
    back = service.allow(leave(browser, mailbox))
    answer = browser.get(back)
    expire(mailbox)
    access_token(mailbox)
    service.take_back()
    expire(mailbox)
    with pytest.raises(TemporaryFailure) as failure:
        access_token(mailbox)
    pages = [browser.get(f"{LIST}{mailbox.pk}/"), browser.get(LIST)]
    pages.append(browser.get(f"/admin/tickets/mailbox/{mailbox.pk}/change/"))
    assert [page.status_code for page in pages] == [200] * 3
    own = [record for record in caplog.records if not record.name.startswith(("httpcore", "hpack"))]
    said = "\n".join(record.getMessage() for record in own) + str(failure.value)
    said += answer["Location"] + "".join(page.content.decode() for page in pages)
    verifiers = [form["code_verifier"] for form in service.asked if "code_verifier" in form]
    for secret in (*service.codes, *service.access, *service.spent, *verifiers, CLIENT_SECRET):
        assert secret not in said


# --- Tokens -----------------------------------------------------------------------------------


def test_a_token_is_used_until_it_ends_soon(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    first = signed_in(enter(admin), mailbox, service).oauth_access_token
    assert access_token(mailbox) == access_token(mailbox) == first
    Mailbox.objects.update(oauth_expires_at=now() + timedelta(seconds=100))
    second = access_token(mailbox)
    assert second != first
    assert access_token(mailbox) == second
    assert [form["grant_type"] for form in service.asked] == ["authorization_code", "refresh_token"]


def test_a_service_that_keeps_the_refresh_token_is_understood(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    service.rotates = False
    kept = signed_in(enter(admin), mailbox, service).oauth_refresh_token
    expire(mailbox)
    access_token(mailbox)
    mailbox.refresh_from_db()
    assert mailbox.oauth_refresh_token == kept


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_asks_and_the_others_wait(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    signed_in(enter(admin), mailbox, service)
    expire(mailbox)
    service.delay_seconds = 0.3
    got: list[str] = []

    def ask() -> None:
        got.append(access_token(mailbox))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 6
    assert len(set(got)) == 1
    assert [form["grant_type"] for form in service.asked].count("refresh_token") == 1


def test_who_comes_second_with_the_same_row_asks_nothing(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    signed_in(enter(admin), mailbox, service)
    expire(mailbox)
    as_read = Mailbox.objects.get()
    access_token(mailbox)
    asked = len(service.asked)
    assert sign_in._replaced(as_read, now() + sign_in.CLAIM) == ""
    assert len(service.asked) == asked


def test_a_process_that_died_while_it_asked_is_not_waited_for_long(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    signed_in(enter(admin), mailbox, service)
    Mailbox.objects.update(
        oauth_access_token="", oauth_expires_at=now() + timedelta(seconds=0.3)
    )  # what one leaves behind
    began = time.monotonic()
    assert access_token(mailbox) in service.access
    assert 0.2 < time.monotonic() - began < 5


@pytest.mark.django_db(transaction=True)
def test_a_new_sign_in_counts_more_than_a_refusal_on_its_way(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    signed_in(enter(admin), mailbox, service)
    expire(mailbox)
    service.take_back()
    service.delay_seconds = 0.5
    failed: list[str] = []

    def ask() -> None:
        try:
            access_token(mailbox)
        except TemporaryFailure as error:
            failed.append(str(error))
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: Mailbox.objects.filter(oauth_access_token="").exists(), 5)
    new = {"oauth_access_token": "access-new", "oauth_refresh_token": "refresh-new"}
    Mailbox.objects.update(**new, oauth_expires_at=now() + timedelta(hours=1))
    thread.join(10)
    assert failed
    assert access_token(mailbox) == "access-new"


def test_a_permission_that_was_taken_back_asks_for_a_new_sign_in(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    signed_in(browser, mailbox, service)
    expire(mailbox)
    service.take_back()
    row = fetch(mailbox)
    assert "Sign in with Google again." in row.error
    asked = len(service.asked)
    row = fetch(mailbox)
    assert "Sign in with Google again." in row.error
    assert len(service.asked) == asked  # it would be refused again
    watch_mailboxes()
    alarm = MailboxAlarm.objects.get()
    assert "Sign in with Google again." in alarm.text
    assert "sign in there" in advice_on(row)
    text = browser.get(f"{LIST}{mailbox.pk}/").content.decode()
    assert "Google does not let us in any more" in text
    assert "Sign in with Google again" in text
    assert "not signed in" in browser.get(LIST).content.decode()

    signed_in(browser, mailbox, service)
    Mailbox.objects.update(last_ok_at=now())
    watch_mailboxes()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_a_service_that_is_away_costs_no_permission(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer, settings: Settings
) -> None:
    Mailbox.objects.update(auth="microsoft")
    signed_in(enter(admin), mailbox, service)
    mailbox.refresh_from_db()
    expire(mailbox)
    service.answer = (503, {})
    with pytest.raises(TemporaryFailure, match="Microsoft gave no permission: 503"):
        access_token(mailbox)
    service.answer = None
    there, settings.MAIL_MICROSOFT_LOGIN_URL = service.url, "http://127.0.0.1:1"
    with pytest.raises(TemporaryFailure, match="Microsoft cannot be reached: ConnectError"):
        access_token(mailbox)
    settings.MAIL_MICROSOFT_LOGIN_URL = there
    assert access_token(mailbox) in service.access


def test_before_anybody_has_signed_in_it_says_so(mailbox: Mailbox, service: OAuthServer) -> None:
    assert "Nobody has signed in with Google yet" in fetch(mailbox).error
    watch_mailboxes()
    assert not MailboxAlarm.objects.exists()  # somebody is setting it up
    Mailbox.objects.update(created_at=now() - timedelta(hours=1))
    watch_mailboxes()
    assert "Nobody has signed in" in MailboxAlarm.objects.get().text


# --- Servers ----------------------------------------------------------------------------------


def subjects() -> list[str]:
    rows = InboundEmail.objects.order_by("pk")
    return [bytes(row.raw).partition(b"Subject: ")[2].partition(b"\r")[0].decode() for row in rows]


@pytest.mark.parametrize("kind", ["imap", "pop3"])
def test_mail_is_fetched_with_a_token(
    kind: str, enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer, imap: Server
) -> None:
    put(imap, USER, mail(subject="First"))
    port = imap.port if kind == "imap" else imap.pop3_port
    Mailbox.objects.update(kind=kind, port=port)
    signed_in(enter(admin), mailbox, service)
    assert fetch(mailbox).error == ""
    put(imap, USER, mail(subject="Second"))
    expire(mailbox)
    assert fetch(mailbox).error == ""
    assert subjects() == ["First", "Second"]


@pytest.mark.parametrize("kind", ["imap", "pop3"])
def test_a_token_that_the_server_refuses_is_replaced(
    kind: str, enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer, imap: Server
) -> None:
    """It was taken back, long before it would have ended."""
    port = imap.port if kind == "imap" else imap.pop3_port
    Mailbox.objects.update(kind=kind, port=port)
    signed_in(enter(admin), mailbox, service)
    service.access.clear()
    row = fetch(mailbox)
    assert f"refused the login of {USER}" in row.error
    assert "access-" not in row.error
    assert fetch(mailbox).error == ""


def test_replies_leave_with_a_token(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    Mailbox.objects.update(smtp_host="127.0.0.1", smtp_port=25, smtp_security="none")
    signed_in(enter(admin), mailbox, service)
    expire(mailbox)
    route = route_of(mailbox.inbox)
    assert (route.username, route.password) == (USER, "")
    assert route.token in service.access
    assert route.token not in repr(route)


def test_each_step_of_the_check_works_with_a_token(
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
    imap: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ring(model: type[Mailbox], pk: int, wait_seconds: float = 0) -> None:
        if model is Mailbox:
            work.perform(model, pk, fetch_mailbox)

    monkeypatch.setattr(trying, "FIND_SECONDS", 5)
    monkeypatch.setattr(connection, "close", lambda: None)

    def failed() -> tuple[str, str, str]:
        run = begin_check(admin, mailbox.pk)
        perform_check(mailbox.pk, run)
        (step,) = [one for one in check_of(admin, mailbox.pk, run).steps if one.state == "failed"]
        return step.name, step.words, step.mend

    Mailbox.objects.update(port=imap.port)
    name, words, mend = failed()
    assert (name, "Nobody has signed in" in words) == ("sign_in", True)
    assert mend == "Sign in with Google on this page."
    with smtp_server() as smtp:
        Mailbox.objects.update(smtp_host="127.0.0.1", smtp_port=smtp.port, smtp_security="none")
        browser = enter(admin)
        signed_in(browser, mailbox, service)
        name, words, mend = failed()
        assert (name, "refused our login" in words) == ("smtp", True)
        assert "smtp.gmail.com" in mend

        smtp.accounts[USER] = mailbox.oauth_access_token
        smtp.on_raw = lambda recipient, raw: put(imap, recipient, raw)
        monkeypatch.setattr(work, "ring", ring)
        run = begin_check(admin, mailbox.pk)
        perform_check(mailbox.pk, run)
        steps = check_of(admin, mailbox.pk, run).steps
        assert [(step.name, step.state) for step in steps] == [(s, "ok") for s in trying.STEPS]
        assert {how for how, _ in smtp.logins} == {"XOAUTH2"}

        service.take_back()
        name, words, mend = failed()
        assert (name, "refused the login" in words) == ("sign_in", True)
        assert "sign in once more" in mend
        name, words, mend = failed()
        assert "Sign in with Google again." in words
        assert mend == "Sign in with Google on this page."


@pytest.mark.django_db(transaction=True)
def test_a_listener_signs_in_anew_once_its_token_has_ended(
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "RETRY_MIN_SECONDS", 0.1)
    need_dovecot()
    with mortal_dovecot(tokens_at=service.url) as imap:
        Mailbox.objects.update(port=imap.server.port)
        put(imap.server, USER, mail())
        signed_in(enter(admin), mailbox, service)
        bells: list[int] = []
        listener = Listener(mailbox, bells.append)
        try:
            wait_until(lambda: len(bells) == 1, 5)
            service.access.clear()  # it has ended there
            expire(mailbox)
            imap.kill()  # and the line is cut, as services do then
            imap.start()
            wait_until(lambda: len(bells) == 2, 10)
            put(imap.server, USER, mail())
            wait_until(lambda: len(bells) == 3, 5)
        finally:
            listener.end()
        wait_until(lambda: not listener.is_alive, 5)
    assert [form["grant_type"] for form in service.asked].count("refresh_token") == 1


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_rests_wakes_up_when_somebody_signs_in(
    enter: Enter,
    admin: Viewer,
    mailbox: Mailbox,
    service: OAuthServer,
    imap: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "RETRY_MIN_SECONDS", 60.0)
    Mailbox.objects.update(port=imap.port)
    put(imap, USER, mail())
    bells: list[int] = []
    listener = Listener(Mailbox.objects.get(), bells.append)
    try:
        time.sleep(0.3)
        signed_in(enter(admin), mailbox, service)
        listener.look(Mailbox.objects.get())
        wait_until(lambda: bells == [mailbox.pk], 5)
    finally:
        listener.end()
    wait_until(lambda: not listener.is_alive, 5)


def test_a_removed_mailbox_gets_no_token(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    signed_in(browser, mailbox, service)
    browser.post(f"{LIST}{mailbox.pk}/remove/")
    with pytest.raises(TemporaryFailure, match="was removed"):
        access_token(mailbox)


# --- The page ---------------------------------------------------------------------------------


def test_an_address_of_google_is_offered_a_sign_in_with_google(enter: Enter, admin: Viewer) -> None:
    text = enter(admin).get(f"{LIST}new/?address=tern@gmail.com").content.decode()
    assert '<option value="google" selected>' in text
    assert "Sign in by Google." in text
    text = enter(admin).get(f"{LIST}new/?address=tern@outlook.com").content.decode()
    assert '<option value="microsoft" selected>' in text
    assert "outlook.office365.com" in text


def test_an_address_of_ones_own_domain_may_lie_there_too(enter: Enter, admin: Viewer) -> None:
    text = enter(admin).get(f"{LIST}new/?address={USER}").content.decode()
    assert '<option value="password" selected>' in text
    assert "?address=hello%40shop.example&amp;by=google" in text
    text = enter(admin).get(f"{LIST}new/?address={USER}&by=google").content.decode()
    assert '<option value="google" selected>' in text
    assert "imap.gmail.com" in text


def test_a_new_mailbox_without_a_password_leads_to_its_button(
    enter: Enter, admin: Viewer, service: OAuthServer
) -> None:
    browser = enter(admin)
    answer = browser.post(f"{LIST}new/", FORM)
    made = Mailbox.objects.get()
    assert answer["Location"] == f"{LIST}{made.pk}/"
    text = browser.get(answer["Location"]).content.decode()
    assert "Sign in with Google</button>" in text
    assert f'action="{LIST}{made.pk}/sign-in/"' in text


def test_a_helpdesk_that_is_not_registered_says_what_to_do(
    enter: Enter, admin: Viewer, mailbox: Mailbox
) -> None:
    browser = enter(admin)
    text = browser.get(f"{LIST}{mailbox.pk}/").content.decode()
    assert "Google does not know this helpdesk yet" in text
    assert redirect_address() in text
    assert "Sign in with Google</button>" not in text
    page = browser.post(f"{LIST}{mailbox.pk}/sign-in/")
    assert page.status_code == 422
    assert "Google does not know this helpdesk yet" in page.content.decode()
    Mailbox.objects.update(oauth_refresh_token="r")
    assert "does not know this helpdesk yet" in fetch(mailbox).error


def test_a_registration_for_one_mailbox_counts_before_the_common_one(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer, settings: Settings
) -> None:
    settings.MAIL_GOOGLE_CLIENT_ID = settings.MAIL_GOOGLE_CLIENT_SECRET = ""
    browser = enter(admin)
    form = FORM | {"inbox": mailbox.inbox_id, "oauth_client_id": CLIENT_ID}
    page = browser.post(f"{LIST}{mailbox.pk}/", form)
    assert "Write the secret that Google gave" in page.content.decode()
    browser.post(f"{LIST}{mailbox.pk}/", form | {"client_secret": CLIENT_SECRET})
    signed_in(browser, mailbox, service)
    assert service.asked[-1]["client_secret"] == CLIENT_SECRET
    browser.post(f"{LIST}{mailbox.pk}/", form)  # left empty, it stays; and so does the sign-in
    mailbox.refresh_from_db()
    assert (mailbox.oauth_client_secret, mailbox.lacks_sign_in) == (CLIENT_SECRET, False)


def test_a_directory_of_microsofts_stands_in_the_address(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer, settings: Settings
) -> None:
    settings.MAIL_MICROSOFT_TENANT = "shop.example"
    Mailbox.objects.update(auth="microsoft")
    assert leave(enter(admin), mailbox).startswith(f"{service.url}/shop.example/oauth2/v2.0/")
    form = FORM | {"auth": "microsoft", "inbox": mailbox.inbox_id, "oauth_tenant": "../x"}
    page = enter(admin).post(f"{LIST}{mailbox.pk}/", form)
    assert "Write the ID of the directory" in page.content.decode()


@pytest.mark.parametrize(
    "change",
    [
        {"username": "other@shop.example"},
        {"auth": "microsoft"},
        {"oauth_client_id": "x", "client_secret": "y"},
        {"client_secret": "y"},
    ],
)
def test_whom_one_signs_in_as_is_not_changed_behind_a_token(
    change: dict[str, str], enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    browser = enter(admin)
    signed_in(browser, mailbox, service)
    form = FORM | {"inbox": mailbox.inbox_id}
    browser.post(f"{LIST}{mailbox.pk}/", form)
    mailbox.refresh_from_db()
    assert not mailbox.lacks_sign_in
    browser.post(f"{LIST}{mailbox.pk}/", form | change)
    mailbox.refresh_from_db()
    assert (mailbox.oauth_access_token, mailbox.oauth_refresh_token) == ("", "")


def test_who_signs_in_by_tokens_has_no_password_here(
    enter: Enter, admin: Viewer, mailbox: Mailbox, service: OAuthServer
) -> None:
    Mailbox.objects.update(auth="password", password="old")
    browser = enter(admin)
    browser.post(f"{LIST}{mailbox.pk}/", FORM | {"inbox": mailbox.inbox_id})
    mailbox.refresh_from_db()
    assert (mailbox.auth, mailbox.password) == ("google", "")
    page = browser.post(
        f"{LIST}{mailbox.pk}/", FORM | {"inbox": mailbox.inbox_id, "auth": "password"}
    )
    assert "Write the password of the account." in page.content.decode()


def test_a_national_cloud_has_scopes_of_its_own(settings: Settings) -> None:
    settings.MAIL_MICROSOFT_LOGIN_URL = "https://login.microsoftonline.us"
    client = oauth.Client(oauth.SERVICES["microsoft"], "id")
    assert "https://outlook.office365.us/IMAP.AccessAsUser.All" in client.scope
