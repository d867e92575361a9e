"""Mail that no person wrote: bounces in the forms of many servers, automatic answers, lists."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.fakes.mails import CORPORA, corpus_mails, mail
from tickets.mail.bounce import Bounce
from tickets.mail.parse import ParsedEmail, parse_email
from tickets.mail.reasons import HARD, WORDS, Kind, reason

OURS = "<c0ffee.381@help.shop.example>"
RETURNED = f"""From: hello@shop.example
To: carol@mail.example
Subject: Re: Broken grinder
Message-ID: {OURS}

We send you a new one.
"""


def parsed(text: str) -> ParsedEmail:
    return parse_email(text.replace("\n", "\r\n").encode())


def bounced(text: str) -> Bounce:
    found = parsed(text)
    assert found.bounce is not None
    assert (found.nature, found.auto_submitted, found.may_be_answered) == ("report", True, False)
    assert found.returned_ids == (OURS.strip("<>"),)
    return found.bounce


def report(*blocks: str, words: str = "", returned: str = RETURNED, kind: str = "rfc822") -> str:
    """A report as RFC 3464 wants it, with the fields of each recipient."""
    fields = "\n\n".join(["Reporting-MTA: dns; mx.example", *blocks])
    return f"""Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: hello@shop.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

{words}
--b
Content-Type: message/delivery-status

{fields}

--b
Content-Type: {"text/rfc822-headers" if kind == "headers" else "message/rfc822"}

{returned}
--b--
"""


def block(address: str, status: str, diagnostic: str = "", action: str = "failed") -> str:
    told = f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}"
    return f"{told}\nDiagnostic-Code: {diagnostic}" if diagnostic else told


def prose(
    body: str, subject: str = "failure notice", sender: str = "MAILER-DAEMON@mx.example"
) -> str:
    return f"From: {sender}\nTo: hello@shop.example\nSubject: {subject}\n\n{body}\n{RETURNED}"


# --- Reports of RFC 3464 ------------------------------------------------------------------------


def test_a_standard_report_tells_who_and_why() -> None:
    told = "smtp; 550 5.1.1 <carol@mail.example>: Recipient\n address rejected: User unknown"
    found = bounced(report(block("carol@mail.example", "5.1.1", told)))
    assert (found.is_standard, found.hard) == (True, True)
    assert (found.kind, found.status) == (Kind.ADDRESS_UNKNOWN, "5.1.1")
    assert found.recipient == "carol@mail.example"
    assert (
        found.reason == "550 5.1.1 <carol@mail.example>: Recipient address rejected: User unknown"
    )
    assert str(found.words) == "There is no such address."


def test_a_report_of_several_recipients_tells_of_each_and_first_of_those_who_will_not_get_it() -> (
    None
):
    found = bounced(
        report(
            block("slow@a.example", "4.4.1", action="delayed"),
            block("read@b.example", "2.0.0", action="delivered"),
            block("full@c.example", "5.2.2", "smtp; 552 5.2.2 Over quota"),
            block("gone@d.example", "5.1.1", "smtp; 550 5.1.1 No such user"),
        )
    )
    assert [(one.recipient, one.kind, one.hard) for one in found.recipients] == [
        ("full@c.example", Kind.MAILBOX_FULL, False),
        ("gone@d.example", Kind.ADDRESS_UNKNOWN, True),
        ("slow@a.example", Kind.DELAYED, False),
    ]
    assert (found.recipient, found.hard) == ("full@c.example", False)


def test_a_report_names_the_address_that_we_wrote_to_and_not_where_it_was_forwarded() -> None:
    fields = "Original-Recipient: rfc822;carol@mail.example\n"
    found = bounced(report(fields + block("c1234@store.example", "5.2.2")))
    assert (found.recipient, found.kind) == ("carol@mail.example", Kind.MAILBOX_FULL)


def test_reports_that_all_went_well_are_reports_and_no_bounces() -> None:
    for action in ("delivered", "relayed", "expanded"):
        found = parsed(report(block("carol@mail.example", "2.0.0", action=action)))
        assert (found.nature, found.bounce, found.may_be_answered) == ("report", None, False)


def test_a_delay_is_no_failure_yet() -> None:
    assert bounced(report(block("carol@mail.example", "4.4.1", action="delayed"))).kind == "delayed"
    exim = (
        "This message was created automatically by mail delivery software.\n"
        "A message that you sent has not yet been delivered to one or more of its\n"
        "recipients after more than 24 hours on the queue on mx.example.\n\n"
        "The address to which the message has not yet been delivered is:\n\n"
        "  carol@mail.example\n    host mx.mail.example [192.0.2.1]: Connection timed out\n\n"
        "No action is required on your part. Delivery attempts will continue for\n"
        "some time. Eventually the mail delivery software will give up.\n\n"
        "--- The header of the original message is following. ---\n"
    )
    found = bounced(prose(exim, "Warning: message 1abc delayed 24 hours"))
    assert (found.kind, found.hard, found.recipient) == ("delayed", False, "carol@mail.example")


def test_fields_of_a_report_are_found_in_its_text_and_in_a_report_inside_it() -> None:
    text = "An error occurred.\n\nTechnical report:\n\n" + block(
        "carol@mail.example", "5.1.1", "smtp; 550 5.1.1 User Unknown"
    )
    found = bounced(prose(f"{text}\n\n--- Original message ---\n"))
    assert (found.is_standard, found.kind) == (True, "address_unknown")
    inner = report(block("carol@mail.example", "5.1.2"))
    outer = (
        "From: MAILER-DAEMON@gate.example\nSubject: Returned mail\n"
        "Content-Type: multipart/mixed; boundary=o\n\n--o\n\nIt could not be delivered.\n"
        f"--o\nContent-Type: message/rfc822\n\n{inner}\n--o--\n"
    )
    found = bounced(outer)
    assert (found.recipient, found.kind) == ("carol@mail.example", Kind.HOST_UNKNOWN)


def test_a_diagnostic_runs_on_where_its_lines_are_not_indented() -> None:
    told = "smtp; 550-Please turn on SMTP Authentication.\n550 relay not permitted"
    found = bounced(report(block("carol@mail.example", "5.0.0", told)))
    assert found.reason.endswith("550 relay not permitted")
    assert found.kind == "sender_refused"


# --- Why ----------------------------------------------------------------------------------------

SAID = {
    Kind.ADDRESS_UNKNOWN: (
        "550 5.1.1 <a@b.example>... User Unknown",
        "550 #5.1.0 Address rejected. No such user here",
        "554 delivery error: dd This user doesn't have a mail.example account (a@b.example)",
        "550 Requested action not taken: mailbox unavailable",
        "550-5.1.1 The email account that you tried to reach does not exist.",
        "Sorry, no mailbox here by that name. (#5.1.1)",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
        "550 5.2.1 <a@b.example>... User Unknown",  # words before the code
        "550 #5.1.0 Address rejected.",
        "X-Notes; User Carol (carol@b.example) not listed in Domino Directory",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "550 Benutzer unbekannt",
        "550 5.1.1 Adresse d au moins un destinataire invalide",
        "Пользователь не найден",
        "宛先不明",
        "554 5.1.1 <spam@policy.example>: user unknown",  # words inside an address say nothing
    ),
    Kind.HOST_UNKNOWN: (
        "Host or domain name not found. Name service error for name=b.example: Host not found",
        "550 Host unknown (Authoritative answer from name server)",
        "DNS Error: Domain name not found",
        "unknown host: b.example",
        "Sorry, I couldn't find any host named b.example. (#5.1.2)",
    ),
    Kind.ADDRESS_MOVED: ("550 5.1.6 recipient no longer on server: a@b.example",),
    Kind.ACCEPTS_NO_MAIL: (
        "The domain b.example doesn't receive email according to the administrator: Null MX",
        "556 5.1.10 Domain does not accept mail (nullMX)",
    ),
    Kind.MAILBOX_FULL: (
        "552 5.2.2 Over quota",
        "550 5.2.2 STOREDRV.Deliver: mailbox full. MapiExceptionShutoffQuotaExceeded",
        "452 4.2.2 The email account that you tried to reach is over quota",
        "Das Postfach des Empfängers ist voll",
    ),
    Kind.MAILBOX_DISABLED: (
        "550 5.2.1 The user's account has been disabled",
        "554 This account has been suspended",
    ),
    Kind.TOO_LARGE: (
        "552 5.3.4 Message size exceeds fixed limit",
        "550 Message too large: 30 MB",
        "523 the message exceeds the maximum size",
    ),
    Kind.CONTENT_REFUSED: (
        "550 5.7.1 Message content rejected, UBE",
        "554 5.7.1 This message contains a virus",
        "554 5.7.9 Message not accepted for policy reasons",
    ),
    Kind.SENDER_REFUSED: (
        "550 5.7.26 Unauthenticated email from b.example is not accepted due to DMARC policy",
        "550 5.1.0 <bounce@b.example> sender rejected",
        "553 5.1.8 Domain of sender address a@b.example does not exist",
        "550 5.1.1 <a@b.example> - 192.0.2.1 has sent to too many recipients this hour",
        "553 http://www.spamhaus.org/query/bl?ip=192.0.2.1",
        "554 5.7.1 Relay access denied",
        "The recipient does not accept mails from strangers",
    ),
    Kind.FILTERED: ("550 5.1.1 Refused due to recipient preferences",),
    Kind.NETWORK: (
        "Host or domain name not found. Name service error: Host not found, try again",
        "connect to b.example[192.0.2.1]:25: Connection timed out",
        "554 5.4.6 Hop count exceeded - possible mail loop",
        "4.4.7 delivery expired (message too old)",
    ),
    Kind.SYSTEM: (
        "451 4.3.0 Temporary failure",
        "503 Improper sequence of commands",
        'x-unix; procmail: Couldn\'t create "/var/spool/mail/carol": No such user',
        "450 4.1.1 <a@b.example>: Recipient address rejected: unverified address: user unknown",
    ),
    Kind.OTHER: ("554 5.0.0 Sorry",),
}


@pytest.mark.parametrize(("kind", "line"), [(k, one) for k, lines in SAID.items() for one in lines])
def test_servers_say_the_same_in_many_words(kind: Kind, line: str) -> None:
    assert reason(line, "", "") is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("5.1.1", Kind.ADDRESS_UNKNOWN),
        ("5.1.2", Kind.HOST_UNKNOWN),
        ("5.1.6", Kind.ADDRESS_MOVED),
        ("5.1.10", Kind.ACCEPTS_NO_MAIL),
        ("5.2.2", Kind.MAILBOX_FULL),
        ("5.3.4", Kind.TOO_LARGE),
        ("5.7.1", Kind.SENDER_REFUSED),
        ("4.4.4", Kind.NETWORK),  # a name server that did not answer may answer tomorrow
        ("4.1.1", Kind.SYSTEM),
        ("5.0.0", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_where_words_are_missing_the_code_decides(status: str, kind: Kind) -> None:
    assert reason("", "", status) is kind
    assert reason(f"550 {status}", "", "5.0.0") is kind or status.startswith("4.")


def test_a_server_that_took_the_address_and_refused_after_data_may_only_pretend() -> None:
    line = "550 Unknown user carol@mail.example"
    for stage in (
        "said: 550 Unknown user (in reply to end of DATA\n command)",
        ">>> DATA\n<<< 550 Unknown user carol@mail.example\n554 5.0.0 Service unavailable",
        "SMTP error from remote mail server after end of data:",
    ):
        assert reason(line, stage, "5.0.0") is Kind.FILTERED
    for stage in (
        "said: 550 Unknown user (in reply to RCPT TO command)",
        ">>> DATA\n<<< 550 Unknown user\n<<< 503 5.0.0 Need RCPT (recipient)",  # sent in one go
        "",
    ):
        assert reason(line, stage, "5.0.0") is Kind.ADDRESS_UNKNOWN


def test_only_what_never_passes_is_hard_and_every_kind_has_its_sentence() -> None:
    assert set(WORDS) == set(Kind)
    assert {*HARD} == {"address_unknown", "host_unknown", "address_moved", "accepts_no_mail"}


# --- Reports in prose ---------------------------------------------------------------------------

QMAIL = """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<carol@mail.example>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 User unknown
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.
"""
EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  full@mail.example
    SMTP error from remote mail server after RCPT TO:<full@mail.example>:
    host mx.mail.example [192.0.2.1]: 552 5.2.2 Mailbox full
  carol@mail.example
    host mx.mail.example [192.0.2.1]: 550 5.1.1 User unknown

------ This is a copy of the message, including all the headers. ------
"""
EXCHANGE = """Delivery has failed to these recipients or groups:

carol@mail.example<mailto:carol@mail.example>
The email address you entered couldn\u2019t be found.

Diagnostic information for administrators:
Generating server: A1.prod.example
carol@mail.example
Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found'

Original message headers:
"""
DMA = """This is the DragonFly Mail Agent v0.13 at mx.example.

There was an error delivering your mail to <carol@mail.example>.

mx.mail.example [192.0.2.1] did not like our final DATA:
550 5.7.509 Access denied, sending domain [SHOP.EXAMPLE] does not pass DMARC verification

Message headers follow.

"""
NOTES = """------- Failure Reasons  --------

User not listed in public Name & Address Book
carol@mail.example

------- Returned Message --------
"""
SENDMAIL = """   ----- Transcript of session follows -----
550 mail.example (smtp)... 550 Host unknown
554 <carol@mail.example>... 550 Host unknown (Authoritative answer from name server)

   ----- Unsent message follows -----
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (prose(QMAIL), [("carol@mail.example", "address_unknown", "5.1.1")]),
        (
            prose(EXIM, "Mail delivery failed: returning message to sender"),
            [
                ("full@mail.example", "mailbox_full", "5.2.2"),
                ("carol@mail.example", "address_unknown", "5.1.1"),
            ],
        ),
        (
            prose(EXCHANGE, "Undeliverable: Hi", "postmaster@mail.example"),
            [("carol@mail.example", "address_unknown", "5.1.10")],
        ),
        (
            prose(DMA, "Mail delivery failed", "MAILER-DAEMON <>"),
            [("carol@mail.example", "sender_refused", "5.7.509")],
        ),
        (
            prose(NOTES, "Undeliverable message", "postmaster@mail.example"),
            [("carol@mail.example", "address_unknown", "")],
        ),
        (
            prose(SENDMAIL, "Returned mail: Host unknown"),
            [("carol@mail.example", "host_unknown", "5.0.0")],
        ),
        (
            prose(
                "Error: Invalid user address\n\n550 - Requested action not taken: no such user\n"
                "RCPT TO: carol@mail.example\n\nOriginal message:\n",
                "Re: Broken grinder",
                "post_master@mail.example",
            ),
            [("carol@mail.example", "address_unknown", "5.0.0")],
        ),
    ],
)
def test_reports_in_prose_are_read(text: str, told: list[tuple[str, str, str]]) -> None:
    found = bounced(text)
    assert not found.is_standard
    assert [(one.recipient, one.kind, one.status) for one in found.recipients] == told


def test_the_returned_mail_says_nothing_about_why_it_came_back() -> None:
    words = "Could not be delivered to:\n<carol@mail.example>\nThe mailbox is full.\n\n"
    returned = "--- Original message follows.\n\nThe user unknown to us is <other@mail.example>.\n"
    found = bounced(prose(words + returned))
    assert [(one.recipient, one.kind) for one in found.recipients] == [
        ("carol@mail.example", Kind.MAILBOX_FULL)
    ]


def test_a_mailing_list_that_refuses_a_mail_reports_it() -> None:
    text = "Duplicated Message-ID in <list@mail.example>.\n\nOriginal mail as follows:\n"
    found = bounced(prose(text, "Loop Alert: Duplicated Message-ID", "list-admin@mail.example"))
    assert found.kind == "network"


@pytest.mark.parametrize(
    "text",
    [
        mail("Could not be delivered?", sender="postmaster@x.example", subject="Re: rejected"),
        mail("My parcel could not be delivered.", subject="Undelivered parcel"),
        mail("550 user unknown, says your server.", subject="Mail delivery failed?"),
        mail("Is our mail not delivered?", sender="postmaster@x.example", subject="Not delivered"),
        mail("The list is full.", sender="list-admin@x.example", subject="Loop alert"),
    ],
)
def test_people_who_write_about_failed_mail_are_people(text: bytes) -> None:
    found = parse_email(text)
    assert (found.bounce, found.nature, found.auto_submitted) == (None, "person", False)


# --- The mail that came back --------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        f"> Message-ID: {OURS}",
        f"   Message-Id:\n  {OURS}",
        f"X-Original-Message-ID: {OURS}",
        f"Original-Message-ID: {OURS}",
        f"message-id: {OURS.strip('<>')}",
    ],
)
def test_our_message_id_is_found_in_every_form(named: str) -> None:
    text = f"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\nUser unknown.\n\n{named}\n"
    assert parsed(text).returned_ids == (OURS.strip("<>"),)


def test_our_message_id_is_found_in_headers_and_where_they_became_those_of_a_part() -> None:
    assert bounced(report(block("carol@mail.example", "5.1.1"), kind="headers"))
    assert bounced(
        "From: MAILER-DAEMON@x.example\nSubject: Returned mail: user unknown\n"
        f"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nUser unknown.\n--b\n{RETURNED}\n--b--"
    )


# --- The nature of a mail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "nature", "is_automatic", "may_be_answered"),
    [
        ({}, "person", False, True),
        ({"auto_submitted": "no"}, "person", False, True),
        ({"auto_submitted": "auto-replied"}, "vacation", True, False),
        ({"precedence": "auto_reply"}, "vacation", True, False),
        ({"x_autoreply": "yes"}, "vacation", True, False),
        ({"auto_submitted": "auto-generated"}, "generated", True, False),
        ({"auto_submitted": "auto-notified"}, "generated", True, False),
        ({"precedence": "bulk"}, "generated", True, False),
        ({"return_path": "<>"}, "generated", True, False),
        # A contact form speaks for the person in Reply-To.
        (
            {"auto_submitted": "auto-generated", "reply_to": "dave@mail.example"},
            *("generated", True, True),
        ),
        ({"precedence": "bulk", "reply_to": "dave@mail.example"}, "generated", True, True),
        ({"precedence": "bulk", "reply_to": "noreply@mail.example"}, "generated", True, False),
        ({"precedence": "bulk", "reply_to": "carol@mail.example"}, "generated", True, False),
        # Services put these on what people write with them.
        ({"feedback_id": "1.eu-west-1.abc"}, "person", False, True),
        ({"x_auto_response_suppress": "None"}, "person", False, True),
        ({"x_auto_response_suppress": "DR, OOF, AutoReply"}, "person", False, False),
        ({"list_unsubscribe": "<https://mail.example/u>"}, "person", False, True),
        ({"list_id": "<users.mail.example>"}, "list", False, False),
        (
            {"list_unsubscribe": "<https://mail.example/u>", "precedence": "bulk"},
            *("list", False, False),
        ),
    ],
)
def test_the_nature_of_a_mail(
    fields: dict[str, str], nature: str, is_automatic: bool, may_be_answered: bool
) -> None:
    found = parse_email(mail(files=None, **fields))
    told = (found.nature, found.auto_submitted, found.may_be_answered)
    assert told == (nature, is_automatic, may_be_answered)
    assert found.bounce is None


@pytest.mark.parametrize(
    "sender", ["no-reply@x.example", "Shop <noreply@x.example>", "do_not_reply@x.example", ""]
)
def test_who_does_not_want_answers_gets_none_unasked(sender: str) -> None:
    assert not parse_email(mail(sender=sender)).may_be_answered
    form = parse_email(mail(sender=sender, reply_to="dave@mail.example"))
    assert (form.nature, form.may_be_answered) == ("person", True)


@pytest.mark.parametrize(
    "subject",
    [
        *("Automatic reply: Broken grinder", "Auto: Re: Hello", "[External] Autoreply: Hello"),
        *("Out of Office", "Out of the office until Monday", "OOO: Hello", "Auto-Reply"),
        *("Automatische Antwort: Hallo", "Abwesenheitsnotiz: Hallo", "Réponse automatique : Oui"),
        *("Respuesta automática: Hola", "Risposta automatica: Ciao", "Resposta automática: Olá"),
        *("Automatisch antwoord: Hoi", "Autosvar: Hej", "Automaattinen vastaus: Hei"),
        *("Automatyczna odpowiedź: Tak", "Automatická odpověď: Ano", "Automatikus válasz: Jó"),
        *("Otomatik yanıt: Evet", "Автоматический ответ: Да", "Автоматична відповідь: Так"),
        *("Αυτόματη απάντηση: Ναι", "自動応答: こんにちは", "自动回复: 你好", "자동 회신: 안녕"),
        *("תשובה אוטומטית: שלום", "رد تلقائي: مرحبا", "Răspuns automat: Da"),
    ],
)
def test_answers_of_machines_are_known_by_their_subject(subject: str) -> None:
    assert parse_email(mail(subject=subject)).nature == "vacation"
    assert parse_email(mail(subject=f"Re: {subject}")).nature == "person"  # who answers one


@pytest.mark.parametrize(
    "subject",
    [
        *("Out of office hours support?", "Automatic reply not received", "Automatic grinder"),
        *("Vacation plans and my order", "Auto parts", "Abwesenheitszeiten eintragen", "Re: OOO"),
    ],
)
def test_questions_that_begin_like_automatic_answers_are_questions(subject: str) -> None:
    assert parse_email(mail(subject=subject)).nature == "person"


def test_an_automatic_answer_about_failed_mail_is_no_bounce() -> None:
    text = mail(
        "I am away. Mail to me is not delivered.", subject="Out of Office: Hi", return_path="<>"
    )
    assert (parse_email(text).nature, parse_email(text).bounce) == ("vacation", None)


def test_a_receipt_is_a_report_and_no_bounce() -> None:
    found = parsed(
        "From: Carol <carol@mail.example>\nSubject: Read: Broken grinder\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n"
        "--b\n\nYour message was read.\n--b\nContent-Type: message/disposition-notification\n\n"
        "Final-Recipient: rfc822;carol@mail.example\n"
        f"Original-Message-ID: {OURS}\nDisposition: manual-action/MDN-sent-manually; displayed\n"
        "--b--"
    )
    assert (found.nature, found.bounce, found.may_be_answered) == ("report", None, False)
    assert found.returned_ids == (OURS.strip("<>"),)


def test_a_complaint_names_its_sort_its_recipient_and_our_mail() -> None:
    found = parsed(
        "From: feedback@mail.example\nSubject: FW: Broken grinder\n"
        'Content-Type: multipart/report; report-type="feedback-report"; boundary=b\n\n'
        "--b\n\nThis is an email abuse report.\n--b\nContent-Type: message/feedback-report\n\n"
        "Feedback-Type: Abuse\nVersion: 1\nOriginal-Rcpt-To: <carol@mail.example>\n"
        f"--b\nContent-Type: message/rfc822\n\n{RETURNED}\n--b--"
    )
    assert (found.nature, found.bounce, found.may_be_answered) == ("complaint", None, False)
    assert found.returned_ids == (OURS.strip("<>"),)
    assert found.as_dict()["complaint"] == {"type": "abuse", "recipient": "carol@mail.example"}


def test_a_report_prints_as_json() -> None:
    found = parsed(report(block("carol@mail.example", "5.2.2", "smtp; 552 Over quota")))
    told: Any = json.loads(json.dumps(found.as_dict()))
    first = {
        "recipient": "carol@mail.example",
        "kind": "mailbox_full",
        "hard": False,
        "status": "5.2.2",
        "reason": "552 Over quota",
        "words": "The mailbox is full.",
    }
    assert told["bounce"] == {**first, "is_standard": True, "recipients": [first]}
    assert (told["nature"], told["auto_submitted"]) == ("report", True)


# --- Limits -------------------------------------------------------------------------------------

PIECES = {
    "codes": "550 ",
    "addresses": "a@",
    "whole addresses": "a@b.example ",
    "lines of addresses": "<{n}@b.example>:\n550 no\n",
    "fields": "Final-Recipient:",
    "blocks": "Final-Recipient: rfc822;{n}@b.example\nAction: failed\nStatus: 5.1.1\n\n",
    "words": "user mailbox address ",
    "exceeding": "exceeds over size quota ",
    "markers": "> original message ",
    "ids": "\nMessage-ID:\n ",
    "blanks": " ",
    "dots": "5.1.",
}


@pytest.mark.parametrize("name", PIECES)
def test_no_report_takes_long_or_grows_without_end(name: str) -> None:
    piece = PIECES[name]
    body = "".join(piece.format(n=n) for n in range(1_000_000 // len(piece)))
    for text in (
        prose(body),
        report(block("a@b.example", "5.0.0"), words=body[:200_000], returned=body[:200_000]),
        report(body),
        prose("x", subject=re.sub(r"\n", " ", body[:90_000])),
        prose("x", sender=re.sub(r"\n", " ", body[:90_000])),
    ):
        began = time.process_time()
        found = parsed(text)
        assert time.process_time() - began < 2
        told = found.bounce.recipients if found.bounce else ()
        assert len(told) <= 100
        assert all(len(one.reason) <= 500 and len(one.recipient) <= 400 for one in told)


# --- Mails that nobody here wrote ---------------------------------------------------------------


@pytest.mark.skipif(not CORPORA.is_dir(), reason=f"the corpora are not in {CORPORA}")
def test_bounces_of_many_servers_are_told_from_ordinary_mail() -> None:
    expected: dict[str, dict[str, Any]] = {}
    for path in (CORPORA / "emails").glob("*/expected.json"):
        for name, claims in json.loads(path.read_text()).items():
            expected[str(path.parent / "emails" / name)] = claims.get("expected") or {}
    told = hard = false = with_id = found_id = 0
    stated: list[bool] = []
    stated_hard: list[bool] = []
    for path in corpus_mails():
        raw = path.read_bytes()
        found = parse_email(raw)
        claims = expected.get(str(path), {})
        false += found.bounce is not None and claims.get("is_bounce") is False
        if "is_bounce" in claims:
            stated.append(claims["is_bounce"])
            told += claims["is_bounce"] == (found.bounce is not None)
        claim = (claims.get("bounces") or [{}])[0].get("hard_bounce")
        if found.bounce is not None and claim is not None:
            stated_hard.append(claim)
            hard += claim == found.bounce.hard
        if found.nature in {"report", "complaint"}:
            below = re.sub(rb"\r|=\r?\n", b"", raw).partition(b"\n\n")[2]
            ids = set(re.findall(rb"(?i)message-id:?\s*<([^<>\s]+@[^<>\s]+)>", below))
            with_id += bool(ids)
            found_id += bool(ids) and bool(found.returned_ids)
    assert (len(stated), false) == (137, 0)
    assert told / len(stated) >= 0.97
    assert hard / len(stated_hard) >= 0.90
    assert found_id == with_id > 100
