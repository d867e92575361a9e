"""Fetching from a real POP3 server, which keeps everything."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from django.utils.timezone import now

from helpdesk.lib import work
from tests.fakes.certificates import Certificate, certificate
from tests.fakes.imap import (
    PASSWORD,
    Server,
    cutting,
    dovecot_or_skip,
    flags,
    free_port,
    put,
    trickling,
)
from tests.fakes.mails import mail
from tests.tickets.fetching import fetch, file_all
from tickets.mail import fetch_pop3
from tickets.models import InboundEmail, Inbox, Mailbox, Message, Ticket
from tickets.operations import fetching

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def cert() -> Iterator[Certificate]:
    with certificate("localhost", "127.0.0.1") as made:
        yield made


@pytest.fixture(scope="module")
def server(cert: Certificate) -> Iterator[Server]:
    with dovecot_or_skip(pop3=True, encrypts=cert) as running:
        yield running


def mailbox_on(server: Server, inbox: Inbox, user: str, **more: object) -> Mailbox:
    given = {"port": server.pop3_port, "tls": False, "password": PASSWORD} | more
    return Mailbox.objects.create(
        name=user, inbox=inbox, kind="pop3", host=server.host, username=user, **given
    )


def test_new_mails_are_recorded_once_and_stay_on_the_server(server: Server, inbox: Inbox) -> None:
    mailbox = mailbox_on(server, inbox, "pop")
    put(server, "pop", mail("One."), mail("Two."))
    fetch(mailbox)
    put(server, "pop", mail("Three."))
    fetch(mailbox)
    fetch(mailbox)
    file_all()
    assert [m.body for m in Message.objects.order_by("pk")] == ["One.", "Two.", "Three."]
    assert (mailbox.state, mailbox.error) == ("queued", "")
    assert mailbox.last_ok_at is not None
    assert len(flags(server, "pop")) == 3


def test_a_mail_is_kept_byte_for_byte(server: Server, inbox: Inbox) -> None:
    raw = mail(".\n..leading dots\n" + "x" * 9_000 + "\n.end")
    put(server, "bytes", raw)
    fetch(mailbox_on(server, inbox, "bytes"))
    assert bytes(InboundEmail.objects.get().raw).rstrip() == raw.rstrip()


def test_only_what_is_new_is_asked_for(
    server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, "asked", mail("One."))
    mailbox = fetch(mailbox_on(server, inbox, "asked"))
    put(server, "asked", mail("Two."))
    asked: list[int] = []
    honest = fetch_pop3.Maildrop.raw

    def counted(maildrop: fetch_pop3.Maildrop, number: int, **more: bool) -> bytes:
        asked.append(number)
        return honest(maildrop, number, **more)

    monkeypatch.setattr(fetch_pop3.Maildrop, "raw", counted)
    fetch(mailbox)
    assert asked == [2]


def test_a_run_that_is_killed_between_two_mails_goes_on_where_it_was(
    server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, "killed", mail("One."), mail("Two."), mail("Three."))
    mailbox = mailbox_on(server, inbox, "killed")
    honest = fetching.record_inbound
    with monkeypatch.context() as broken:

        def dies(*given: bytes, **more: object) -> InboundEmail | None:
            if InboundEmail.objects.exists():
                raise KeyboardInterrupt
            return honest(*given, **more)  # type: ignore[arg-type]

        broken.setattr(fetching, "record_inbound", dies)
        with pytest.raises(KeyboardInterrupt):
            fetch(mailbox)
    Mailbox.objects.filter(pk=mailbox.pk).update(state="queued", lease=None, leased_until=None)
    fetch(mailbox)
    file_all()
    assert InboundEmail.objects.count() == 3
    assert [m.body for m in Message.objects.order_by("pk")] == ["One.", "Two.", "Three."]


def test_the_same_mail_under_the_same_name_is_one_row(inbox: Inbox, server: Server) -> None:
    mailbox = mailbox_on(server, inbox, "same")
    assert fetching.record_inbound(mail(), mailbox=mailbox, uidl="a1")
    assert fetching.record_inbound(mail(), mailbox=mailbox, uidl="a1") is None


def test_a_mailbox_may_begin_with_what_comes_from_now_on(server: Server, inbox: Inbox) -> None:
    put(server, "now", mail("Old."))
    mailbox = fetch(mailbox_on(server, inbox, "now", began_at=now()))
    put(server, "now", mail("New."))
    fetch(mailbox)
    file_all()
    assert [m.body for m in Message.objects.all()] == ["New."]
    assert InboundEmail.objects.filter(reason=fetching.PASSED_OVER, state="done").count() == 1


@pytest.mark.parametrize("port", ["pop3_port", "pop3_tls_port"])
def test_it_is_encrypted_with_a_certificate_we_trust(
    port: str, server: Server, cert: Certificate, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_pop3, "STLS_PORT", server.pop3_port)
    user = f"tls-{port}"
    put(server, user, mail())
    mailbox = mailbox_on(server, inbox, user, tls=True, port=getattr(server, port))
    assert "certificate verify failed" in fetch(mailbox).error
    monkeypatch.setattr(fetch_pop3, "tls_context", cert.client_context)
    assert fetch(mailbox).error == ""
    assert InboundEmail.objects.count() == 1


def test_a_mail_the_server_keeps_back_is_a_row_and_can_be_retried(
    server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, "keeps", mail("One."), mail("Two."))
    honest = fetch_pop3.Maildrop.raw

    def refuses(maildrop: fetch_pop3.Maildrop, number: int, **more: bool) -> bytes:
        return honest(maildrop, number + 90 if number == 2 else number, **more)

    with monkeypatch.context() as broken:
        broken.setattr(fetch_pop3.Maildrop, "raw", refuses)
        fetch(mailbox_on(server, inbox, "keeps"))
    file_all()
    failed = InboundEmail.objects.get(state="failed")
    assert "did not hand over mail 92" in failed.error
    work.retry(InboundEmail.objects.filter(pk=failed.pk))
    file_all()
    assert sorted(m.body for m in Message.objects.all()) == ["One.", "Two."]


@pytest.mark.parametrize(("tls", "said"), [(False, b"+OK I am "), (True, b"\x16\x03\x03\x40\x00")])
def test_a_server_that_trickles_is_given_up(
    tls: bool, said: bytes, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_pop3, "SESSION_SECONDS", 0.5)
    with trickling(said) as server:
        began = time.monotonic()
        mailbox = mailbox_on(server, inbox, "carol", tls=tls, port=server.port)
        assert f":{server.port} " in fetch(mailbox).error
        assert time.monotonic() - began < 5


def test_a_mail_that_breaks_the_line_is_a_row_and_the_rest_comes(
    server: Server, inbox: Inbox
) -> None:
    put(server, "breaks", mail("One."), mail("A poison word."), mail("Three."))
    with cutting(server._replace(port=server.pop3_port), b"poison") as way:
        mailbox = fetch(mailbox_on(server, inbox, "breaks", port=way.port))
    file_all()
    assert mailbox.error == ""
    assert [m.body for m in Message.objects.order_by("pk")] == ["One.", "Three."]
    failed = InboundEmail.objects.get(state="failed")
    assert "the line broke" in failed.error
    Mailbox.objects.filter(pk=mailbox.pk).update(port=server.pop3_port)
    work.retry(InboundEmail.objects.filter(pk=failed.pk))
    file_all()
    assert sorted(m.body for m in Message.objects.all()) == ["A poison word.", "One.", "Three."]


def test_a_mail_beyond_all_measure_is_a_ticket_that_says_so(
    server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RAW_MAX_BYTES", 2_000)
    put(server, "large", mail("x" * 5_000, subject="All my pictures"))
    fetch(mailbox_on(server, inbox, "large"))
    file_all()
    assert Ticket.objects.get().subject == "All my pictures"
    assert "Larger than 2,000 bytes" in InboundEmail.objects.get().problems[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "no"}, "refused the login of wrong"),
        ({"port": free_port()}, "cannot be reached"),
    ],
)
def test_each_wrong_setting_is_named(
    server: Server, inbox: Inbox, wrong: dict[str, object], said: str
) -> None:
    assert said in fetch(mailbox_on(server, inbox, "wrong", **wrong)).error


def test_a_server_that_falls_silent_is_given_up(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_pop3, "SOCKET_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        mailbox = mailbox_on(Server(host, 0, pop3_port=port), inbox, "silent")
        assert "cannot be reached" in fetch(mailbox).error
