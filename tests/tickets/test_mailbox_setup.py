"""Trying a mailbox step by step, and who may set one up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound
from tests.fakes.imap import PASSWORD, Server, black_hole, dovecot_or_skip, free_port, put
from tests.fakes.smtp import Inbox as Smtp
from tests.fakes.smtp import failing_smtp, smtp_server
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.mail import fetch_imap
from tickets.mail.providers import advice_for, provider_of
from tickets.models import InboundEmail, Inbox, Mailbox, Ticket
from tickets.operations import trying
from tickets.operations.fetching import fetch_mailbox
from tickets.operations.trying import Run, begin_check, check_of, perform_check

pytestmark = pytest.mark.django_db

LIST, NEW = "/settings/mailboxes/", "/settings/mailboxes/new/"


@pytest.fixture(scope="module")
def imap() -> Iterator[Server]:
    with dovecot_or_skip() as server:
        yield server


@pytest.fixture
def smtp(imap: Server) -> Iterator[Smtp]:
    with smtp_server() as server:
        server.accounts["hello"] = PASSWORD
        server.on_raw = lambda recipient, raw: put(imap, recipient.partition("@")[0], raw)
        yield server


@pytest.fixture
def mailbox(imap: Server, smtp: Smtp, inbox: Inbox) -> Mailbox:
    put(imap, "hello")
    return Mailbox.objects.create(
        name="hello@shop.example",
        inbox=inbox,
        kind="imap",
        host=imap.host,
        port=imap.port,
        tls=False,
        username="hello",
        password=PASSWORD,
        smtp_host="127.0.0.1",
        smtp_port=smtp.port,
        smtp_security="none",
    )


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that fetches as soon as it is rung for."""

    def ring(model: type[Mailbox], pk: int) -> None:
        work.perform(model, pk, fetch_mailbox)

    monkeypatch.setattr(work, "ring", ring)
    monkeypatch.setattr(trying, "FIND_SECONDS", 5)
    monkeypatch.setattr(connection, "close", lambda: None)


def checked(who: Viewer, mailbox: Mailbox, **changed: Any) -> Run:
    Mailbox.objects.filter(pk=mailbox.pk).update(**changed)
    run = begin_check(who, mailbox.pk)
    perform_check(mailbox.pk, run)
    return check_of(who, mailbox.pk, run)


def failed(run: Run) -> tuple[str, str, str]:
    (step,) = [step for step in run.steps if step.state == "failed"]
    assert run.is_over
    assert not run.is_good
    return step.name, step.words, step.mend


@pytest.mark.usefixtures("_at_once")
def test_a_good_mailbox_passes_every_step(admin: Viewer, mailbox: Mailbox, smtp: Smtp) -> None:
    run = checked(admin, mailbox)
    assert [(step.name, step.state) for step in run.steps] == [(s, "ok") for s in trying.STEPS]
    assert run.is_good
    assert smtp.got[-1]["Subject"] == "Test mail of your helpdesk"
    row = InboundEmail.objects.get()
    assert (row.decision, row.reason) == ("ignored", "It is the test mail of the set-up.")
    assert not Ticket.objects.exists()


@pytest.mark.usefixtures("_at_once")
def test_each_step_says_what_failed_and_what_to_do(
    admin: Viewer, mailbox: Mailbox, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, words, mend = failed(checked(admin, mailbox, port=free_port()))
    assert (name, "refused" in words) == ("reach", True)
    assert "Check the port" in mend
    with black_hole() as silent, monkeypatch.context() as short:
        short.setattr(fetch_imap, "CONNECT_SECONDS", 0.2)
        name, words, mend = failed(checked(admin, mailbox, port=silent.port))
    assert (name, "firewall" in mend) == ("reach", True)
    back = {"port": mailbox.port, "password": "wrong"}
    name, words, mend = failed(checked(admin, mailbox, **back))
    assert (name, "refused the login of hello" in words) == ("sign_in", True)
    assert "wrong" not in words + mend
    back = {"password": PASSWORD, "folder": "Nothing"}
    name, words, mend = failed(checked(admin, mailbox, **back))
    assert (name, "INBOX" in mend) == ("folder", True)
    smtp.accounts["hello"] = "another"
    name, words, mend = failed(checked(admin, mailbox, folder="INBOX"))
    assert (name, "refused our login" in words) == ("smtp", True)
    smtp.accounts["hello"] = PASSWORD
    smtp.answer_to_sender = lambda _: "553 5.7.1 not owned by user"
    name, words, mend = failed(checked(admin, mailbox))
    assert (name, "may not send under this address" in mend) == ("send", True)
    smtp.answer_to_sender = lambda _: "250 OK"
    smtp.on_raw = lambda *_: None
    monkeypatch.setattr(trying, "FIND_SECONDS", 1)
    name, words, mend = failed(checked(admin, mailbox))
    assert (name, "spam folder" in mend) == ("find", True)


WAIT, PROVIDER = "Check again in a few minutes", "what your provider names"


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(
    ("step", "answer", "fails", "said", "mend"),
    [
        ("greeting", "421 too busy", "smtp", "421 too busy", WAIT),
        ("greeting", "554 not for you", "smtp", "554 not for you", PROVIDER),
        ("greeting", "", "smtp", "broke off", PROVIDER),
        ("EHLO", "451 not now", "smtp", "451 not now", WAIT),
        ("EHLO", "550 go away", "smtp", "550 go away", PROVIDER),
        ("EHLO", "", "smtp", "broke off", PROVIDER),
        ("MAIL", "451 grey listed", "send", "our address: 451 grey listed", WAIT),
        ("MAIL", "550 never heard of", "send", "550 never heard of", "may not send under"),
        ("RCPT", "450 later", "send", "hello@shop.example: 450 later", WAIT),
        ("RCPT", "550 unknown", "send", "hello@shop.example: 550 unknown", "no such address"),
        ("DATA", "451 later", "send", "the mail: 451 later", WAIT),
        ("DATA", "554 no", "send", "the mail: 554 no", "does not take this mail"),
        ("end", "452 full", "send", "the mail: 452 full", WAIT),
        ("end", "552 too large", "send", "552 too large", "does not take this mail"),
        ("end", "", "send", "broke off", PROVIDER),
    ],
)
def test_wherever_the_way_out_ends_it_is_said_and_what_helps(
    step: str,
    answer: str,
    fails: str,
    said: str,
    mend: str,
    admin: Viewer,
    mailbox: Mailbox,
) -> None:
    with failing_smtp(step, answer) as port:
        plain = {"smtp_port": port, "username": "hello", "password": PASSWORD}
        name, words, advice = failed(checked(admin, mailbox, **plain))
    assert (name, said in words, mend in advice) == (fails, True, True), (name, words, advice)


def test_a_check_without_a_worker_says_so(
    admin: Viewer, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin_check(admin, mailbox.pk)
    assert not check_of(admin, mailbox.pk, run).is_over
    kept = cache.get(f"mailbox-check:{run}")
    kept["at"] = "2026-01-01T00:00:00+00:00"
    cache.set(f"mailbox-check:{run}", kept)
    found = check_of(admin, mailbox.pk, run)
    assert (found.is_over, found.is_silent, found.is_good) == (True, True, False)


def test_nobody_sees_somebody_elses_check(admin: Viewer, bob: Viewer, mailbox: Mailbox) -> None:
    run = begin_check(admin, mailbox.pk)
    assert bob.user
    bob.user.is_superuser = True
    bob.user.save()
    with pytest.raises(NotFound):
        check_of(bob, mailbox.pk, run)


# --- The pages --------------------------------------------------------------------------------


def form(**more: Any) -> dict[str, Any]:
    return {
        "address": "sales@shop.example",
        "name": "Sales",
        "kind": "imap",
        "folder": "INBOX",
        "host": "imap.shop.example",
        "port": 993,
        "tls": "on",
        "username": "sales",
        "auth": "password",
        "password": "geheim",
        "smtp_host": "smtp.shop.example",
        "smtp_port": 587,
        "smtp_security": "starttls",
        "inbox": "",
        "new_inbox": "Sales",
        "from_now": "yes",
        **more,
    }


def test_only_administrators_set_mailboxes_up(
    enter: Enter, client: Client, alice: Viewer, mallory: Viewer, mailbox: Mailbox
) -> None:
    pages = [LIST, NEW, f"{LIST}{mailbox.pk}/", f"{LIST}{mailbox.pk}/check/abc/"]
    for browser in (enter(alice), enter(mallory)):
        assert [browser.get(page).status_code for page in pages] == [404] * 4
        assert browser.post(NEW, form()).status_code == 404
        assert browser.post(f"{LIST}{mailbox.pk}/", form()).status_code == 404
        assert browser.post(f"{LIST}{mailbox.pk}/check/").status_code == 404
        assert "Mailboxes" not in browser.get("/tickets/").content.decode()
    for page in pages:
        assert client.get(page)["Location"].startswith("/?next")
    assert client.post(NEW, form()).status_code == 302
    assert Mailbox.objects.count() == 1
    mailbox.refresh_from_db()
    assert mailbox.password == PASSWORD


def test_a_new_mailbox_comes_with_its_inbox(enter: Enter, admin: Viewer) -> None:
    answer = enter(admin).post(NEW, form())
    made = Mailbox.objects.get()
    assert answer["Location"].startswith(f"{LIST}{made.pk}/?check=")
    assert (made.inbox.name, made.inbox.address) == ("Sales", "sales@shop.example")
    assert (made.password, made.smtp_host, made.began_at is not None) == (
        "geheim",
        "smtp.shop.example",
        True,
    )


def test_all_that_is_there_is_brought_in_on_wish(enter: Enter, admin: Viewer) -> None:
    enter(admin).post(NEW, form(from_now="no"))
    assert Mailbox.objects.get().began_at is None


def test_an_address_that_has_an_inbox_keeps_it(enter: Enter, admin: Viewer, inbox: Inbox) -> None:
    enter(admin).post(NEW, form(address="Hello@Shop.example", new_inbox="Another"))
    assert Mailbox.objects.get().inbox == inbox
    assert not Inbox.objects.filter(name="Another").exists()


def test_what_is_wrong_is_said_and_the_form_stays(enter: Enter, admin: Viewer) -> None:
    page = enter(admin).post(NEW, form(new_inbox="", host=""))
    assert page.status_code == 422
    text = page.content.decode()
    assert "Name the new inbox." in text
    assert "sales@shop.example" in text
    assert "geheim" not in text
    assert not Mailbox.objects.exists()


def test_a_password_is_kept_when_left_empty_and_never_shown(
    enter: Enter, admin: Viewer, mailbox: Mailbox
) -> None:
    page = enter(admin).get(f"{LIST}{mailbox.pk}/").content.decode()
    assert f'"{PASSWORD}"' not in page
    assert page.count("Empty: it stays as it is.") == 1  # there is no client secret to keep
    enter(admin).post(
        f"{LIST}{mailbox.pk}/", form(name=mailbox.name, password="", inbox=mailbox.inbox_id)
    )
    mailbox.refresh_from_db()
    assert (mailbox.password, mailbox.host) == (PASSWORD, "imap.shop.example")


def test_the_list_says_how_each_fares(enter: Enter, admin: Viewer, mailbox: Mailbox) -> None:
    Mailbox.objects.update(error="imap.shop.example:993 refused the login of hello: no.")
    text = enter(admin).get(LIST).content.decode()
    assert "refused the login of hello" in text
    assert "never read" in text


def test_known_services_are_known() -> None:
    assert provider_of("tern@GMAIL.com").host == "imap.gmail.com"
    assert provider_of("tern@web.de").smtp_host == "smtp.web.de"
    assert provider_of("a@tern.example").host == "imap.tern.example"
    assert "app password" in advice_for("imap.gmail.com")
    assert advice_for("imap.tern.example") == ""
