"""The way out: each inbox by its own account, signed in, encrypted, under its own address."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from helpdesk.lib import work
from helpdesk.lib.errors import TemporaryFailure
from tests import make
from tests.fakes.certificates import Certificate, certificate
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tickets.access import Viewer
from tickets.mail import send as sending
from tickets.mail.addresses import conversations_named
from tickets.mail.handover import hang_up
from tickets.mail.route import Route
from tickets.models import Inbox, Mailbox, OutgoingEmail, Ticket
from tickets.operations.email import deliver
from tickets.operations.sign_in import route_of

pytestmark = pytest.mark.django_db

USER, PASSWORD = "hello@shop.example", "app word 1234"


@pytest.fixture(scope="module")
def cert() -> Iterator[Certificate]:
    with certificate("localhost", "127.0.0.1") as made:
        yield made


@pytest.fixture(autouse=True)
def _process_of_its_own() -> Iterator[None]:
    """It knows nothing of earlier tests, and later ones nothing of the certificate."""
    hang_up()
    yield
    hang_up()


@pytest.fixture
def trusted(cert: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(cert.path))


@pytest.fixture
def server(cert: Certificate) -> Iterator[Server]:
    with smtp_server(accounts={USER: PASSWORD}, tls=cert.server_context()) as running:
        yield running


@pytest.fixture
def mailbox(server: Server, inbox: Inbox) -> Mailbox:
    return Mailbox.objects.create(
        name="Shop",
        inbox=inbox,
        kind="imap",
        host="imap.shop.example",
        username=USER,
        password=PASSWORD,
        smtp_host="localhost",
        smtp_port=server.port,
        smtp_security="starttls",
    )


def attempt(who: Viewer, ticket: Ticket) -> OutgoingEmail:
    """A reply, and one run of its mail's work."""
    row = make.say(who, ticket, "It ships on Monday.").outgoing_emails.get()
    OutgoingEmail.objects.filter(pk=row.pk).update(due_at=now())
    work.perform(OutgoingEmail, row.pk, deliver)
    row.refresh_from_db()
    return row


@pytest.mark.usefixtures("trusted")
def test_a_reply_leaves_through_the_account_of_its_inbox(
    alice: Viewer, ticket: Ticket, mailbox: Mailbox, server: Server
) -> None:
    row = attempt(alice, ticket)
    assert (row.state, row.error) == ("done", "")
    assert server.logins[0][1] == USER
    ((sender, recipients),) = server.envelopes
    assert conversations_named([sender]) == [ticket.conversation_id]
    assert recipients == ["carol@mail.example"]


@pytest.mark.usefixtures("trusted")
def test_an_inbox_without_such_a_mailbox_leaves_by_the_common_server(
    alice: Viewer, carol: Viewer, mailbox: Mailbox, server: Server, settings: Settings
) -> None:
    other = make.inbox("Other", address="other@shop.example")
    with smtp_server() as common:
        settings.SMTP_URL = common.url
        attempt(make.staff("Erin"), make.ticket(carol, other))
    assert (len(common.got), server.got) == (1, [])


def test_the_first_mailbox_with_a_server_is_taken(inbox: Inbox, mailbox: Mailbox) -> None:
    Mailbox.objects.create(name="No way out", inbox=inbox, kind="folder", folder="x")
    mailbox.pk, mailbox.name, mailbox.smtp_host = None, "Later", "later.example"
    mailbox.save(force_insert=True)
    assert route_of(inbox).host == "localhost"


def test_a_certificate_nobody_signed_keeps_the_password_home(
    alice: Viewer, ticket: Ticket, mailbox: Mailbox, server: Server
) -> None:
    row = attempt(alice, ticket)
    assert row.state == "queued"
    assert "certificate verify failed" in row.error
    assert server.logins == []


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_said_and_tried_again_later(
    alice: Viewer, ticket: Ticket, mailbox: Mailbox, server: Server
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(password="wrong")
    row = attempt(alice, ticket)
    assert row.state == "queued"
    assert "refused our login: 535" in row.error
    assert "wrong" not in row.error


@pytest.mark.usefixtures("trusted")
def test_a_server_that_refuses_our_tag_gets_the_plain_address_instead(
    alice: Viewer, ticket: Ticket, mailbox: Mailbox, server: Server
) -> None:
    server.answer_to_sender = lambda address: (
        "553 5.7.1 not owned by user" if "+" in address else "250 OK"
    )
    assert attempt(alice, ticket).state == "done"
    assert attempt(alice, ticket).state == "done"
    assert [sender for sender, _ in server.envelopes] == [USER, USER]
    assert len(server.logins) == 3  # the second mail does not try the tag again


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "words",
    [
        "554 5.2.252 SendAsDenied; hello@shop.example not allowed to send as hello+7",
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    ],
)
def test_a_server_that_refuses_our_tag_after_the_mail_gets_it_again(
    words: str, alice: Viewer, ticket: Ticket, mailbox: Mailbox, server: Server
) -> None:
    server.answer_to_mail_from = lambda sender: words if "+" in sender else None
    assert attempt(alice, ticket).state == "done"
    assert [sender for sender, _ in server.envelopes] == [USER]


@pytest.mark.usefixtures("trusted")
def test_a_recipient_who_does_not_exist_is_asked_for_once(
    alice: Viewer, ticket: Ticket, mailbox: Mailbox, server: Server
) -> None:
    server.answer_to_recipient = "550 5.1.1 No such user here"
    row = attempt(alice, ticket)
    assert (row.state, len(server.logins)) == ("failed", 1)
    server.answer_to_recipient = "250 OK"
    assert attempt(alice, ticket).state == "done"
    assert "+" in server.envelopes[0][0]  # our tag was not what they minded


@pytest.mark.usefixtures("trusted")
def test_a_token_stands_in_place_of_a_password(cert: Certificate) -> None:
    with smtp_server(accounts={USER: "token-1"}, tls=cert.server_context()) as server:
        route = Route("localhost", server.port, "starttls", USER, token="token-1")
        assert sending.reach(route) == "localhost answers."
        with pytest.raises(TemporaryFailure, match="refused our login: 535") as refused:
            sending.reach(Route("localhost", server.port, "starttls", USER, token="token-2"))
    assert server.logins == [("XOAUTH2", USER)] * 2
    assert "token-2" not in str(refused.value)


def test_nothing_secret_is_in_what_a_route_says_of_itself() -> None:
    route = Route.of("smtp+starttls://me%40x.example:hunter2@mail.example")
    assert (route.username, route.password, route.where) == (
        "me@x.example",
        "hunter2",
        "mail.example:587",
    )
    assert "hunter2" not in repr(route)


def test_our_own_context_checks_names_and_signatures() -> None:
    context = sending.tls_context()
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
