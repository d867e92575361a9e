"""What comes back about a mail that we sent, and what staff see of it."""

from __future__ import annotations

import pytest
from django.utils.timezone import now

from tests import make
from tests.fakes.mails import mail
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in, file_at_once, recorded, sent_to
from tickets.access import Viewer
from tickets.mail.addresses import reply_address
from tickets.models import InboundEmail, Inbox, Message, OutgoingEmail, Ticket
from tickets.operations import solve_ticket

pytestmark = pytest.mark.django_db

GONE = ("failed", "5.1.1", "smtp; 550 5.1.1 <carol@mail.example>: No such user here")
FULL = ("failed", "4.2.2", "smtp; 452 4.2.2 The mailbox is full")
LATE = ("delayed", "4.4.1", "smtp; 421 4.4.1 Connection timed out")

REPORT = """\
Return-Path: <>
From: MAILER-DAEMON@mx.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <report-{key}@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

This is the mail system at mx.example. Your message could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: {words}
--b
Content-Type: text/rfc822-headers

{returned}
--b--
"""


def report(
    told: tuple[str, str, str],
    *,
    of: OutgoingEmail | None = None,
    to: str = "hello@shop.example",
    recipient: str = "carol@mail.example",
    key: str = "1",
) -> bytes:
    action, status, words = told
    returned = f"Message-ID: <{of.rfc_message_id}>" if of else "Subject: Hello"
    values = {"to": to, "recipient": recipient, "key": key, "returned": returned}
    return REPORT.format(action=action, status=status, words=words, **values).encode()


def sent(ticket: Ticket) -> OutgoingEmail:
    """The last mail of a ticket, as a server accepted it."""
    outgoing = sent_to(ticket)
    OutgoingEmail.objects.filter(pk=outgoing.pk).update(state="done", accepted_at=now())
    return outgoing


@pytest.fixture
def outgoing(alice: Viewer, ticket: Ticket) -> OutgoingEmail:
    make.say(alice, ticket, "Please send a photo.")
    return sent(ticket)


def lines(ticket: Ticket) -> list[tuple[str, str]]:
    changes = ticket.conversation.messages.filter(kind="change").order_by("seq")
    return [(m.change["field"], m.change["new"]) for m in changes if m.change]


def test_a_hard_bounce_is_noted_on_the_mail_and_opens_the_ticket(
    outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    row = come_in(report(GONE, of=outgoing))
    outgoing.refresh_from_db()
    ticket.refresh_from_db()
    assert outgoing.bounced_at is not None
    assert (outgoing.bounce_hard, outgoing.bounce_kind) == (True, "address_unknown")
    assert "No such user here" in outgoing.bounce_reason
    assert (ticket.status, ticket.unread) == ("open", True)
    assert lines(ticket) == [("delivery", "bounced"), ("status", "open")]
    assert not Message.objects.filter(kind="note").exists()
    assert row.message is not None
    assert row.message.change is not None
    assert row.message.change["address"] == "carol@mail.example"
    assert (row.decision, row.nature) == ("filed", "report")
    assert (
        row.reason
        == f"It is a delivery report about message 2 of #{ticket.number}, and noted there."
    )


def test_a_soft_bounce_is_unread_and_opens_nothing(outgoing: OutgoingEmail, ticket: Ticket) -> None:
    come_in(report(FULL, of=outgoing))
    outgoing.refresh_from_db()
    ticket.refresh_from_db()
    assert (outgoing.bounce_hard, outgoing.bounce_kind) == (False, "mailbox_full")
    assert (ticket.status, ticket.unread) == ("waiting", True)
    assert lines(ticket) == [("delivery", "bounced")]


def test_a_delay_is_only_noted_while_nothing_worse_is_known(
    outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    row = come_in(report(LATE, of=outgoing))
    outgoing.refresh_from_db()
    assert (outgoing.bounced_at, outgoing.bounce_kind) == (None, "delayed")
    assert (row.decision, row.conversation_id) == ("filed", ticket.conversation_id)
    assert lines(ticket) == []
    come_in(report(GONE, of=outgoing, key="2"))
    late = come_in(report(LATE, of=outgoing, key="3"))
    outgoing.refresh_from_db()
    assert (outgoing.bounce_hard, outgoing.bounce_kind) == (True, "address_unknown")
    assert late.decision == "ignored"


def test_a_second_report_adds_nothing_unless_it_is_worse(
    outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    come_in(report(FULL, of=outgoing))
    again = come_in(report(FULL, of=outgoing, key="2"))
    assert (again.decision, lines(ticket)) == ("ignored", [("delivery", "bounced")])
    assert again.reason == f"It says nothing new about message 2 of #{ticket.number}."
    come_in(report(GONE, of=outgoing, key="3"))
    assert lines(ticket) == [("delivery", "bounced")] * 2 + [("status", "open")]


@pytest.mark.django_db(transaction=True)
def test_reports_of_one_mail_that_come_at_once_are_one_line(
    outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    file_at_once(*(recorded(report(GONE, of=outgoing, key=str(n))) for n in range(4)))
    assert lines(ticket) == [("delivery", "bounced"), ("status", "open")]


def test_a_report_without_the_mail_is_matched_by_reply_address_and_recipient(
    alice: Viewer, outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Anything?")
    last = sent(ticket)
    to = reply_address("hello@shop.example", ticket.conversation_id)
    come_in(report(GONE, to=to, recipient="Carol@Mail.example"))
    last.refresh_from_db()
    outgoing.refresh_from_db()
    assert (last.bounce_hard, outgoing.bounce_hard) == (True, False)


def test_a_report_about_where_the_mail_was_forwarded_is_about_our_mail(
    outgoing: OutgoingEmail,
) -> None:
    come_in(report(GONE, of=outgoing, recipient="carol@elsewhere.example"))
    outgoing.refresh_from_db()
    assert outgoing.bounce_hard


def test_a_report_of_what_we_do_not_know_is_a_note_in_the_conversation_it_names(
    outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    to = reply_address("hello@shop.example", ticket.conversation_id)
    row = come_in(report(GONE, to=to, recipient="dave@mail.example"))
    assert row.message is not None
    assert (row.message.kind, row.decision) == ("note", "filed")
    assert "dave@mail.example" in row.message.body


def test_a_report_of_a_mail_that_has_not_left_is_a_note(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Hello.")
    row = come_in(report(GONE, of=sent_to(ticket)))
    assert row.message is not None
    assert row.message.kind == "note"
    assert sent_to(ticket).bounced_at is None


def test_a_report_of_nothing_we_know_is_ignored_with_a_reason(inbox: Inbox) -> None:
    row = come_in(report(GONE))
    assert (row.decision, Ticket.objects.count()) == ("ignored", 0)
    assert row.reason == "It is a delivery report that belongs to no conversation."


def test_that_an_automatic_mail_bounced_makes_it_nobodys_turn(
    alice: Viewer, outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    solve_ticket(alice, ticket.number)
    OutgoingEmail.objects.update(is_automatic=True)
    come_in(report(GONE, of=outgoing))
    ticket.refresh_from_db()
    assert (ticket.status, ticket.unread) == ("solved", False)


COMPLAINT = """\
From: fbl@isp.example
To: abuse@shop.example
Subject: FW: Hello
Message-ID: <complaint-{key}@isp.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1

--b
Content-Type: message/rfc822

From: hello@shop.example
Message-ID: <{of}>
Subject: Hello

Hello
--b--
"""


def test_a_complaint_is_a_line_in_the_ticket_once_and_nobodys_turn(
    outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    row = come_in(COMPLAINT.format(of=outgoing.rfc_message_id, key=1).encode())
    again = come_in(COMPLAINT.format(of=outgoing.rfc_message_id, key=2).encode())
    outgoing.refresh_from_db()
    ticket.refresh_from_db()
    assert (row.nature, row.decision, again.decision) == ("complaint", "filed", "ignored")
    assert (outgoing.bounce_kind, outgoing.bounced_at) == ("complaint", None)
    assert lines(ticket) == [("delivery", "complaint")]
    assert (ticket.status, ticket.unread) == ("waiting", False)


def test_a_complaint_about_nothing_of_ours_is_ignored_with_a_reason(inbox: Inbox) -> None:
    row = come_in(COMPLAINT.format(of="x@y.example", key=1).encode())
    assert row.decision == "ignored"
    assert row.reason == "It is a complaint about a mail that we did not send."


# --- What staff see ---------------------------------------------------------------------------


def page_of(enter: Enter, who: Viewer, ticket: Ticket) -> str:
    return enter(who).get(f"/tickets/{ticket.number}/").content.decode()


def test_the_message_says_what_came_back_in_plain_words(
    enter: Enter, alice: Viewer, outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    row = come_in(report(GONE, of=outgoing))
    page = page_of(enter, alice, ticket)
    assert "Bounced: carol@mail.example – There is no such address." in page
    assert "No such user here" in page
    assert "Sent to carol@mail.example" not in page
    assert "A mail to <b><bdi>carol@mail.example</bdi></b> bounced" in page
    assert row.message is not None
    address = f"/tickets/{ticket.number}/messages/{row.message.seq}/original/"
    assert f'href="{address}"' in page
    downloaded = enter(alice).get(address)
    assert downloaded.content == bytes(InboundEmail.objects.get(pk=row.pk).raw)


def test_a_soft_bounce_a_delay_and_a_complaint_are_told_apart(
    enter: Enter, alice: Viewer, outgoing: OutgoingEmail, ticket: Ticket
) -> None:
    come_in(report(LATE, of=outgoing))
    assert "Delayed: carol@mail.example – Not delivered yet." in page_of(enter, alice, ticket)
    come_in(report(FULL, of=outgoing, key="2"))
    assert "Bounced: carol@mail.example – The mailbox is full." in page_of(enter, alice, ticket)
    make.say(alice, ticket, "Hello?")
    come_in(COMPLAINT.format(of=sent(ticket).rfc_message_id, key=1).encode())
    page = page_of(enter, alice, ticket)
    assert "<b><bdi>carol@mail.example</bdi></b> marked a mail as spam" in page
    assert "Marked as spam: carol@mail.example" in page


@pytest.mark.parametrize(
    ("field", "chip"),
    [
        ("Auto-Submitted: auto-replied", "Automatic reply"),
        ("Auto-Submitted: auto-generated", "Sent by a program"),
        ("List-Id: <x.example>", "Mailing list"),
    ],
)
def test_a_chip_says_what_no_person_wrote_to_us(
    enter: Enter, alice: Viewer, ticket: Ticket, field: str, chip: str
) -> None:
    to = reply_address("hello@shop.example", ticket.conversation_id)
    come_in(mail("A mail.", to=to))
    assert chip not in page_of(enter, alice, ticket)
    come_in(f"{field}\r\n".encode() + mail("Another.", to=to))
    assert chip in page_of(enter, alice, ticket)
