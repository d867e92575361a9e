"""What leaves: one mail for each recipient, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from unittest import mock
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.utils.timezone import now
from pytest_django import Settings

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound
from tests import make
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tickets.access import Viewer
from tickets.mail.addresses import conversations_named
from tickets.models import InboundEmail, Inbox, Message, OutgoingEmail, Person, Ticket
from tickets.operations.email import deliver, deliver_email, retry_delivery
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound

pytestmark = pytest.mark.django_db
DSN = {"dbname", "user", "password", "host", "port"}


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def write(who: Viewer, ticket: Ticket, body: str = "It ships on Monday.") -> OutgoingEmail:
    return make.say(who, ticket, body).outgoing_emails.get()


def attempt(row: OutgoingEmail) -> OutgoingEmail:
    """One run of the row's work, now."""
    OutgoingEmail.objects.filter(pk=row.pk, state="queued").update(due_at=row.created_at)
    work.perform(OutgoingEmail, row.pk, deliver)
    row.refresh_from_db()
    return row


def test_a_reply_leaves_with_all_that_brings_the_answer_home(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    row = attempt(write(alice, ticket))
    (sent,) = server.got
    assert (row.state, row.smtp_reply) == ("done", "250 OK queued as 7F3A")
    assert row.accepted_at is not None
    assert sent["From"] == "Alice from The Shop <hello@shop.example>"
    assert sent["To"] == "Carol <carol@mail.example>"
    assert sent["Subject"] == "Re: My grinder arrived broken."
    assert sent["Message-ID"] == f"<{row.rfc_message_id}>"
    token = sent["Reply-To"].addresses[0].addr_spec
    assert conversations_named([token]) == [ticket.conversation_id]
    assert server.envelopes == [(token, ["carol@mail.example"])]
    text, html = sent.iter_parts()
    assert text.get_content().strip() == "It ships on Monday."
    assert "<p>It ships on Monday.</p>" in html.get_content()


def test_the_chain_of_references_holds_what_both_sides_wrote(
    alice: Viewer, inbox: Inbox, server: Server
) -> None:
    row = record_inbound(mail(message_id="<first@mail.example>"))
    assert row is not None
    work.perform(InboundEmail, row.pk, file_inbound)
    ticket = Ticket.objects.get()
    one = attempt(write(alice, ticket, "One."))
    two = attempt(write(alice, ticket, "Two."))
    assert server.got[0]["In-Reply-To"] == "<first@mail.example>"
    assert server.got[1]["In-Reply-To"] == f"<{one.rfc_message_id}>"
    assert server.got[1]["References"] == f"<first@mail.example> <{one.rfc_message_id}>"
    assert two.rfc_message_id != one.rfc_message_id


def test_a_mail_that_was_accepted_is_never_sent_again(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    row = write(alice, ticket)
    attempt(row)
    attempt(row)
    assert len(server.got) == 1


@pytest.mark.parametrize("where", ["answer_to_recipient", "answer_to_mail"])
def test_a_final_refusal_stops_at_once(
    alice: Viewer, ticket: Ticket, server: Server, where: str
) -> None:
    setattr(server, where, "550 5.1.1 no such user")
    row = attempt(write(alice, ticket))
    assert (row.state, row.attempts) == ("failed", 1)
    assert "550 5.1.1 no such user" in row.error


@pytest.mark.parametrize("where", ["answer_to_recipient", "answer_to_mail"])
def test_a_passing_refusal_is_tried_again(
    alice: Viewer, ticket: Ticket, server: Server, where: str
) -> None:
    row = write(alice, ticket)
    setattr(server, where, "451 4.7.1 greylisted")
    attempt(row)
    assert (row.state, row.attempts) == ("queued", 1)
    assert "451 4.7.1 greylisted" in row.error
    setattr(server, where, "250 OK")
    assert attempt(row).state == "done"
    assert len(server.got) == 1


def test_a_server_that_is_away_is_tried_again(
    alice: Viewer, ticket: Ticket, settings: Settings
) -> None:
    settings.SMTP_URL = "smtp://127.0.0.1:1"
    row = attempt(write(alice, ticket))
    assert row.state == "queued"
    assert "cannot be reached" in row.error


def test_a_failed_mail_leaves_when_it_is_retried(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    server.answer_to_mail = "554 not today"
    row = attempt(write(alice, ticket))
    server.answer_to_mail = "250 OK"
    assert work.retry(OutgoingEmail.objects.filter(pk=row.pk)) == 1
    assert attempt(row).state == "done"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_at_that_moment_costs_no_second_mail(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    row = write(alice, ticket)
    pid = connection.connection.info.backend_pid
    parameters = connection.get_connection_params()

    def cut_off() -> None:
        with psycopg.connect(**{k: v for k, v in parameters.items() if k in DSN}) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])

    server.on_mail = cut_off
    assert attempt(row).state == "done"
    assert row.attempts == len(server.got) == 1


def test_a_worker_that_lost_its_lease_sends_nothing(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    row = write(alice, ticket)

    def slow(mine: OutgoingEmail) -> None:
        OutgoingEmail.objects.filter(pk=mine.pk).update(lease=uuid4())  # another worker's
        deliver(mine)

    work.perform(OutgoingEmail, row.pk, slow)
    assert server.got == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_one_mail(alice: Viewer, ticket: Ticket, server: Server) -> None:
    row = write(alice, ticket)
    start = threading.Barrier(4)

    def worker() -> None:
        start.wait()
        work.perform(OutgoingEmail, row.pk, deliver)
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.got) == 1


def test_a_folder_gets_one_file_for_each_mail(
    alice: Viewer, ticket: Ticket, settings: Settings, tmp_path: Path
) -> None:
    settings.SMTP_URL = f"folder:{tmp_path / 'out'}"
    row = attempt(write(alice, ticket))
    (file,) = (tmp_path / "out").iterdir()
    sent = message_from_bytes(file.read_bytes(), EmailMessage, policy=default)
    assert file.name == f"{row.rfc_message_id}.eml"
    assert sent["Message-ID"] == f"<{row.rfc_message_id}>"
    assert row.smtp_reply == f"Written to {file.name}"


def test_a_note_never_leaves_the_desk(alice: Viewer, ticket: Ticket) -> None:
    from tickets.operations import post_note

    post_note(alice, ticket.conversation_id, body="Careful.", via="web")
    assert OutgoingEmail.objects.count() == 0


def test_an_inbox_without_an_address_fails_with_a_reason(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    Inbox.objects.update(address=None)
    row = attempt(write(alice, ticket))
    assert (row.state, row.error) == ("failed", "The inbox has no address to send from.")


@pytest.mark.parametrize("address", ["not an address", "jörg@mail.example", "a@b@c.example"])
def test_an_address_that_cannot_be_written_to_fails_alone(
    alice: Viewer, ticket: Ticket, server: Server, address: str
) -> None:
    row = write(alice, ticket)
    OutgoingEmail.objects.filter(pk=row.pk).update(address=address)
    assert attempt(row).state == "failed"
    assert row.attempts == 1


def test_the_assistant_says_that_no_person_wrote(ticket: Ticket, server: Server) -> None:
    assistant = Person.objects.get_or_create(is_assistant=True, defaults={"name": "Assistant"})[0]
    message = Message.objects.create(
        conversation=ticket.conversation,
        seq=9,
        kind="reply",
        audience="everyone",
        via="system",
        author=assistant,
        body="See the article.",
        sources=[{"title": "Returns", "url": "https://shop.example/help/returns"}],
    )
    row = OutgoingEmail.objects.create(
        message=message,
        person=ticket.requester,
        address="carol@mail.example",
        rfc_message_id="9@shop.example",
    )
    attempt(row)
    (sent,) = server.got
    assert sent["Auto-Submitted"] == "auto-replied"
    body = sent.get_body(("plain",))
    assert body is not None
    assert "Returns: https://shop.example/help/returns" in body.get_content()


@pytest.fixture
def undelivered(alice: Viewer, ticket: Ticket) -> OutgoingEmail:
    """A mail that can never leave, because its inbox has no address (any more)."""
    row = write(alice, ticket)
    Inbox.objects.update(address=None)
    with mock.patch("tickets.events.ring_on_commit") as ring:
        deliver_email(row.pk)
    row.refresh_from_db()
    assert row.state == "failed"
    assert "delivery.changed" in [call.args[1]["type"] for call in ring.call_args_list]
    assert "ticket.changed" in [call.args[1]["type"] for call in ring.call_args_list]
    return row


def test_a_reply_that_did_not_arrive_makes_it_our_turn_again(
    undelivered: OutgoingEmail, ticket: Ticket
) -> None:
    ticket.refresh_from_db()
    assert (ticket.status, ticket.unread) == ("open", True)
    assert ticket.waiting_since is not None
    line = ticket.conversation.messages.latest("seq")
    assert (line.author, line.audience) == (None, "staff")
    assert line.change == {
        "field": "status",
        "old": "waiting",
        "new": "open",
        "reason": "undelivered",
    }
    deliver_email(undelivered.pk)
    assert ticket.conversation.messages.filter(kind="change", change__field="status").count() == 1


def test_what_did_not_arrive_is_sent_again_from_the_ticket(
    alice: Viewer, mallory: Viewer, undelivered: OutgoingEmail, ticket: Ticket, server: Server
) -> None:
    Inbox.objects.filter(pk=ticket.inbox_id).update(address="hello@shop.example")
    seq = undelivered.message.seq
    with pytest.raises(NotFound):
        retry_delivery(mallory, ticket.number, seq)
    assert retry_delivery(alice, ticket.number, seq) == 1
    deliver_email(undelivered.pk)
    assert retry_delivery(alice, ticket.number, seq) == 0
    deliver_email(undelivered.pk)
    assert len(server.got) == 1


def test_what_waits_for_its_next_attempt_can_be_sent_at_once(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    row = write(alice, ticket)
    OutgoingEmail.objects.update(due_at=now() + timedelta(hours=6), attempts=4, error="451")
    assert retry_delivery(alice, ticket.number, row.message.seq) == 1
    deliver_email(row.pk)
    assert len(server.got) == 1


def test_a_fault_in_what_follows_does_not_send_it_again(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    row = write(alice, ticket)
    server.answer_to_mail = "554 no"
    with mock.patch("tickets.operations.email.ticket_of", side_effect=RuntimeError("broken")):
        deliver_email(row.pk)
    row.refresh_from_db()
    assert row.state == "failed"
