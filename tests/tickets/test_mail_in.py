"""What becomes of a mail that came in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from helpdesk.lib import work
from tests import make
from tests.fakes.mails import CORPORA, corpus_mails, mail
from tests.together import at_once
from tickets import events
from tickets.access import Viewer, visible_messages
from tickets.mail.addresses import reply_address
from tickets.models import (
    EmailAddress,
    InboundEmail,
    Inbox,
    Mailbox,
    Message,
    OutgoingEmail,
    Person,
    Ticket,
)
from tickets.operations import solve_ticket
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound

pytestmark = pytest.mark.django_db


def come_in(raw: bytes, **more: Any) -> InboundEmail:
    """Record a mail and file it, as a worker would."""
    row = record_inbound(raw, **more)
    assert row is not None
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    return row


@contextmanager
def counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield statements


def sent_to(ticket: Ticket) -> OutgoingEmail:
    return OutgoingEmail.objects.filter(message__conversation=ticket.conversation_id).latest("pk")


def test_a_mail_opens_a_ticket_in_the_inbox_it_is_to(inbox: Inbox) -> None:
    make.inbox("Other", address="other@shop.example")
    row = come_in(mail(subject="=?utf-8?q?Gro=C3=9Fe?= Frage", to="Other <OTHER@shop.example>"))
    ticket = Ticket.objects.get()
    assert (row.state, row.decision) == ("done", "filed")
    assert row.reason == f"Opened #{ticket.number}: it answers no mail."
    assert (ticket.inbox.name, ticket.subject, ticket.status) == ("Other", "Große Frage", "open")
    assert ticket.last_preview == "My grinder arrived broken."
    assert ticket.requester.name == ticket.last_author_name == "Carol"
    message = Message.objects.get()
    assert (message.seq, message.kind, message.via) == (1, "reply", "email")
    assert row.message == message


def test_mail_to_none_of_our_addresses_goes_where_its_mailbox_says(inbox: Inbox) -> None:
    other = make.inbox("Other", address="other@shop.example")
    mailbox = Mailbox.objects.create(name="m", inbox=other, kind="folder", folder="x")
    come_in(mail(to="list@elsewhere.example"), mailbox=mailbox)
    assert Ticket.objects.get().inbox == other


def test_the_same_mail_twice_is_one_message(inbox: Inbox) -> None:
    raw = mail()
    come_in(raw)
    again = come_in(b"Received: from elsewhere\r\n" + raw)
    assert Message.objects.count() == 1
    assert again.decision == "duplicate"
    assert again.reason.endswith(f"which is in #{Ticket.objects.get().number}.")


def test_two_mails_under_one_message_id_are_two_messages(inbox: Inbox) -> None:
    come_in(mail("One.", message_id="<always@same.example>"))
    come_in(mail("Two.", message_id="<always@same.example>", sender="dave@mail.example"))
    assert Ticket.objects.count() == 2


def test_a_reply_by_its_address_token_joins(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Please send a photo.")
    to = reply_address("hello@shop.example", ticket.conversation_id)
    row = come_in(mail("Here it is.", subject="Something else", to=to))
    assert row.reason == f"The reply address named #{ticket.number}."
    assert Message.objects.filter(body="Here it is.", author__name="Carol").get().seq == 3


def test_a_token_that_was_tampered_with_opens_a_new_ticket(ticket: Ticket) -> None:
    right = reply_address("hello@shop.example", ticket.conversation_id)
    come_in(mail(to=right.replace("@", "a@")))
    assert Ticket.objects.count() == 2


def test_a_reply_by_in_reply_to_joins_and_reopens(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Done.")
    solve_ticket(alice, ticket.number)
    ours = sent_to(ticket)
    row = come_in(mail("It broke again.", in_reply_to=f"<{ours.rfc_message_id}>"))
    assert row.reason == f"In-Reply-To matched message {ours.message.seq} of #{ticket.number}."
    ticket.refresh_from_db()
    assert ticket.status == "open"


def test_references_are_read_from_the_last_to_the_first(inbox: Inbox) -> None:
    one, two = "<one@mail.example>", "<two@mail.example>"
    come_in(mail(message_id=one))
    come_in(mail(message_id=two))
    row = come_in(mail("And?", references=f"{one} {two} <unknown@mail.example>"))
    assert (
        row.conversation == InboundEmail.objects.get(rfc_message_id="two@mail.example").conversation
    )
    assert row.reason.startswith("References matched message 1")


def test_a_subject_alone_joins_nothing(inbox: Inbox) -> None:
    come_in(mail(subject="Order 7"))
    come_in(mail(subject="Re: Order 7"))
    assert Ticket.objects.count() == 2


def test_an_answer_may_be_filed_before_what_it_answers(inbox: Inbox) -> None:
    come_in(mail("Second.", message_id="<b@x.example>", in_reply_to="<a@x.example>"))
    row = come_in(mail("First.", message_id="<a@x.example>"))
    assert Ticket.objects.count() == 1
    assert row.reason == f"Message 1 of #{Ticket.objects.get().number} answers it."


def test_strangers_who_answer_one_unknown_mail_stay_apart(inbox: Inbox) -> None:
    come_in(mail(in_reply_to="<newsletter@shop.example>"))
    come_in(mail(in_reply_to="<newsletter@shop.example>", sender="dave@mail.example"))
    come_in(mail("The newsletter.", message_id="<newsletter@shop.example>"))
    assert Ticket.objects.count() == 3


def test_a_stranger_who_replies_is_seated_and_sees_nothing_earlier(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Between us.")
    come_in(mail("I forward this.", sender="dave@mail.example", in_reply_to=_id(ticket)))
    dave = Person.objects.get(name="dave")
    bodies = [m.body for m in visible_messages(Viewer(dave), ticket.conversation)]
    assert bodies == ["I forward this."]
    line = ticket.conversation.messages.get(change__field="participant")
    assert line.change == {"field": "participant", "old": None, "new": "dave@mail.example"}
    assert line.audience == "staff"
    make.say(alice, ticket, "Hello Dave.")
    assert set(
        OutgoingEmail.objects.filter(message__body="Hello Dave.").values_list("address", flat=True)
    ) == {"carol@mail.example", "dave@mail.example"}


def _id(ticket: Ticket) -> str:
    return f"<{sent_to(ticket).rfc_message_id}>"


def test_a_forged_staff_address_speaks_to_staff_only(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Hello.")
    EmailAddress.objects.create(person=alice.person, address="alice@shop.example")
    come_in(mail("Pay here.", sender="alice@shop.example", in_reply_to=_id(ticket)))
    assert Message.objects.get(body="Pay here.").kind == "note"
    assert not visible_messages(carol, ticket.conversation).filter(body="Pay here.").exists()


def test_mail_from_a_login_is_a_note_and_seats_nobody(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Hello.")
    come_in(mail("From my phone.", sender="Alice <ALICE@desk.example>", in_reply_to=_id(ticket)))
    said = Message.objects.get(body="From my phone.")
    assert (said.kind, said.author) == ("note", alice.person)
    assert not ticket.conversation.participants.filter(person=alice.person).exists()
    assert Person.objects.filter(name="Alice").count() == 1


@pytest.mark.parametrize("known", [False, True])
def test_who_works_here_may_ask_as_anyone(
    alice: Viewer, bob: Viewer, inbox: Inbox, known: bool
) -> None:
    if known:
        EmailAddress.objects.create(person=bob.person, address="bob@home.example")
    row = come_in(mail("My own kettle leaks.", sender="bob@desk.example"))
    asked = Ticket.objects.get(conversation=row.conversation)
    assert asked.requester == bob.person
    make.say(alice, asked, "Bring it in.")
    assert sent_to(asked).address == ("bob@home.example" if known else "bob@desk.example")
    again = come_in(mail("Another one.", sender="bob@desk.example"))
    assert again.decision == "filed"


def test_a_machine_that_answers_is_written_to_by_nobody(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Done.")
    for _ in range(2):
        come_in(
            mail(
                "Your mail has arrived.",
                sender="robot@mail.example",
                in_reply_to=_id(ticket),
                auto_submitted="auto-replied",
            )
        )
    assert ticket.conversation.messages.filter(body="Your mail has arrived.").count() == 2
    make.say(alice, ticket, "Anything else?")
    written = OutgoingEmail.objects.filter(message__body="Anything else?")
    assert [mail.address for mail in written] == ["carol@mail.example"]
    come_in(mail("I am a person.", sender="robot@mail.example", in_reply_to=_id(ticket)))
    make.say(alice, ticket, "Hello person.")
    assert OutgoingEmail.objects.filter(message__body="Hello person.").count() == 2


def test_our_own_mail_that_comes_back_is_ignored_with_a_reason(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Hello.")
    row = come_in(mail(message_id=_id(ticket), sender="hello@shop.example"))
    assert row.decision == "ignored"
    assert row.reason == f"It is our own mail, message 2 of #{ticket.number}."


def test_an_automatic_answer_is_filed_and_reopens_nothing(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Done.")
    solve_ticket(alice, ticket.number)
    row = come_in(mail("I am away.", in_reply_to=_id(ticket), auto_submitted="auto-replied"))
    ticket.refresh_from_db()
    assert (row.decision, ticket.status) == ("filed", "solved")
    assert row.reason.startswith("It is an automatic reply.")


REPORT = """\
From: MAILER-DAEMON@mx.example
To: hello@shop.example
Subject: Undelivered
Message-ID: <report@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Your mail did not arrive.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; carol@mail.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 No such user
--b
Content-Type: text/rfc822-headers

Message-ID: %s
--b--
"""


def test_a_delivery_report_is_a_note_where_the_mail_was_written(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Hello.")
    row = come_in((REPORT % _id(ticket)).encode())
    assert row.decision == "filed"
    assert row.message is not None
    assert (row.message.kind, row.message.conversation_id) == ("note", ticket.conversation_id)
    assert "550 5.1.1 No such user" in row.message.body


def test_a_delivery_report_of_nothing_we_sent_is_ignored_with_a_reason(inbox: Inbox) -> None:
    row = come_in((REPORT % "<unknown@x.example>").encode())
    assert (row.state, row.decision, Ticket.objects.count()) == ("done", "ignored", 0)
    assert "delivery report" in row.reason


def test_a_mail_without_a_sender_is_kept_and_can_be_retried(inbox: Inbox) -> None:
    row = come_in(mail(sender="", subject="Who am I?"))
    assert (row.state, row.subject) == ("failed", "Who am I?")
    assert "no sender" in row.error
    assert bytes(row.raw).startswith(b"To: hello@shop.example")
    assert work.retry(InboundEmail.objects.filter(pk=row.pk)) == 1


def test_a_mail_without_text_says_so(inbox: Inbox) -> None:
    come_in(mail(""))
    assert Message.objects.get().body == "(This mail has no text.)"


def test_any_bytes_are_stored_and_have_an_end(inbox: Inbox) -> None:
    for raw in (b"", b"\x00\xff" * 500, b"From: a@b.example\n\n\x00\x00", b"From: <>\n\nx"):
        row = come_in(raw)
        assert row.state in {"done", "failed"}
        assert bytes(row.raw) == raw


@pytest.mark.skipif(not CORPORA.is_dir(), reason=f"the corpora are not in {CORPORA}")
def test_every_mail_of_the_corpora_is_filed_or_says_why_not(inbox: Inbox) -> None:
    for path in corpus_mails():
        row = come_in(path.read_bytes(), source=path.name)
        if row.state == "done":
            assert row.decision, path
            assert row.reason, path
            assert (row.decision == "filed") == (row.message is not None), path
        else:
            assert (row.state, "no sender" in row.error) == ("failed", True), (path, row.error)
    assert InboundEmail.objects.filter(decision="filed").count() > 300


def test_a_quote_is_folded_away_and_nothing_of_it_is_lost(inbox: Inbox) -> None:
    come_in(mail("Yes.\n\nOn 1 March 2025, Maya <hello@shop.example> wrote:\n> Really?\n"))
    message = Message.objects.get()
    assert (message.body, "> Really?" in message.quoted) == ("Yes.", True)


def test_a_uid_is_recorded_once(inbox: Inbox) -> None:
    mailbox = Mailbox.objects.create(name="m", inbox=inbox, kind="folder", folder="x")
    assert record_inbound(mail(), mailbox=mailbox, uidvalidity=1, uid=7) is not None
    assert record_inbound(mail(), mailbox=mailbox, uidvalidity=1, uid=7) is None
    assert record_inbound(mail(), mailbox=mailbox, uidvalidity=2, uid=7) is not None


def test_a_mail_costs_six_queries_and_eight_with_files(ticket: Ticket, alice: Viewer) -> None:
    make.say(alice, ticket, "Hello.")
    in_reply_to = _id(ticket)
    costs = []
    for raw in (
        mail(sender="dave@mail.example"),
        mail(cc="erin@mail.example, frank@mail.example"),
        mail(in_reply_to=in_reply_to),
        mail(files={"a.txt": ("text/plain", b"one"), "b.txt": ("text/plain", b"two")}),
    ):
        with counted() as statements:
            come_in(raw)
        costs.append(len([sql for sql in statements if "SAVEPOINT" not in sql]) - 1)  # our refresh
    assert costs == [6, 6, 6, 8]


def file_at_once(*rows: InboundEmail) -> None:
    """Every row by a worker of its own, started together."""
    at_once(*(partial(work.perform, InboundEmail, row.pk, file_inbound) for row in rows))


def recorded(raw: bytes) -> InboundEmail:
    row = record_inbound(raw)
    assert row is not None
    return row


@pytest.mark.django_db(transaction=True)
def test_copies_filed_at_the_same_time_are_one_message(inbox: Inbox) -> None:
    raw = mail()
    file_at_once(*(recorded(raw) for _ in range(6)))
    assert Message.objects.count() == Person.objects.filter(name="Carol").count() == 1
    decisions = sorted(InboundEmail.objects.values_list("decision", flat=True))
    assert decisions == ["duplicate"] * 5 + ["filed"]


@pytest.mark.django_db(transaction=True)
def test_an_answer_filed_together_with_what_it_answers_is_one_conversation(inbox: Inbox) -> None:
    for n in range(5):
        first, second = f"<first-{n}@x.example>", f"<second-{n}@x.example>"
        file_at_once(
            recorded(mail("First.", message_id=first)),
            recorded(mail("Second.", message_id=second, in_reply_to=first)),
        )
    assert Ticket.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_mails_of_one_new_sender_at_the_same_time_are_one_person(inbox: Inbox) -> None:
    file_at_once(*(recorded(mail(sender="dave@mail.example")) for _ in range(5)))
    assert Person.objects.filter(name="dave").count() == 1
    assert InboundEmail.objects.filter(state="done", attempts=1).count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_mail_stands_in_line_behind_who_holds_the_conversation(
    alice: Viewer, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.say(alice, ticket, "Hello.")
    posted: dict[int, int] = {}

    def note(_: object, message: Message, *, after: int) -> None:
        posted[message.seq] = after

    monkeypatch.setattr(events, "message_posted", note)
    row = recorded(mail(in_reply_to=_id(ticket)))
    worker = threading.Thread(target=file_at_once, args=[row])
    with transaction.atomic():
        make.say(alice, ticket, "While a mail comes in.")
        worker.start()
        _wait_for_someone_who_waits()
    worker.join()
    assert posted == {3: 2, 4: 3}


def _wait_for_someone_who_waits() -> None:
    stop_at = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < stop_at:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            time.sleep(0.02)
    pytest.fail("nobody waits for the conversation")
