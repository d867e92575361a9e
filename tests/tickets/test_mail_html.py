"""A mail as it looked: who may see it, what its page may do, and what filing keeps of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.fakes.mails import html_mail
from tests.fakes.pictures import picture
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer
from tickets.mail.invite import Invite
from tickets.mail.parse import parse_email
from tickets.models import Inbox, Message, MessageFile, MessageHtml, Ticket
from tickets.operations.looks import LOOK_MAX_BYTES, html_of, without_marks, words_of_invite

pytestmark = pytest.mark.django_db

TABLE = "<table><tr><td bgcolor='#ffeecc'>Kettle</td><td>39 €</td></tr></table>"
REMOTE = '<img src="https://shop.example/kettle.jpg" alt="A kettle">'
REPORT = """\
From: Mail Delivery System <mailer-daemon@mail.example>
To: hello@shop.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <report@mail.example>
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/html

{table}
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example

Final-Recipient: rfc822; carol@mail.example
Action: failed
Status: 5.1.1

--b
Content-Type: text/rfc822-headers

Message-ID: <{returned}>

--b--
"""


def filed(raw: bytes) -> Message:
    row = come_in(raw)
    assert row.message is not None
    return row.message


def address(message: Message, query: str = "") -> str:
    return f"/tickets/{message.conversation.ticket.number}/messages/{message.seq}/html/{query}"


def policy(header: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for part in header.split(";") if (words := part.split())}


# --- What is kept ---


@pytest.mark.parametrize(
    "markup",
    [
        "<p>Hello</p><p>It <b>broke</b> again.</p>",
        '<div dir="ltr">Hello<div><br></div><div>Bye</div></div>',
        '<p class="MsoNormal"><span style="color:#1F497D;font-family:Calibri">Hello<o:p></o:p></p>',
        '<p style="color:#222;background-color:rgb(255, 255, 255)">Hello</p>',
        '<body bgcolor="white" text="black"><p>Hello</p></body>',
        '<p><a href="https://shop.example/">https://shop.example</a></p>',
        '<p><a href="mailto:carol@mail.example">carol@mail.example</a></p>',
        '<p>Hello</p><img src="https://track.example/" width="1" height="1">',
        '<p>Hello</p><div style="display:none"><table><tr><td>x</td></tr></table></div>',
        "<style>p { color: red }</style><p>Hello</p>",
    ],
)
def test_html_that_says_no_more_than_its_text_is_not_kept(markup: str) -> None:
    assert html_of(parse_email(html_mail(markup)), []) is None


@pytest.mark.parametrize(
    "markup",
    [
        TABLE,
        REMOTE,
        "<ul><li>One</li></ul>",
        "<h2>News</h2>",
        '<p style="color:#c00">Urgent</p>',
        '<p style="background:yellow">Marked</p>',
        '<font color="red">Urgent</font>',
        "<p>I want <s>two</s> three.</p>",
        '<a href="https://shop.example/order/1">my order</a>',
        '<a href="https://evil.example/">https://bank.example/</a>',
    ],
)
def test_html_that_says_more_than_its_text_is_kept(markup: str) -> None:
    look = html_of(parse_email(html_mail(markup)), [])
    assert look is not None
    assert look.has_remote is ("kettle.jpg" in markup)


def test_a_mail_is_filed_with_its_look_and_no_statement_more(inbox: Inbox) -> None:
    come_in(html_mail("<p>Hello</p>"))
    with CaptureQueriesContext(connection) as plain:
        assert filed(html_mail("<p>Hello</p>")).has_html is False
    with CaptureQueriesContext(connection) as rich:
        message = filed(html_mail(f"{TABLE}<script>alert(1)</script>"))
    assert message.has_html is True
    assert "Kettle</td>" in message.html.visible
    assert "script" not in message.html.visible
    assert message.body == "Kettle, 39 €"
    assert len(rich) == len(plain)


def test_of_html_that_is_too_large_only_the_text_is_kept_and_it_says_so(inbox: Inbox) -> None:
    row = come_in(html_mail(TABLE * (LOOK_MAX_BYTES // 40)))
    assert row.message is not None
    assert row.message.has_html is False
    assert not MessageHtml.objects.exists()
    assert any("only its text is kept" in problem for problem in row.problems)


def test_a_delivery_report_is_a_note_in_our_words_and_has_no_look(inbox: Inbox) -> None:
    returned = filed(html_mail("<p>Hello</p>")).inbound_email.rfc_message_id
    row = come_in(REPORT.format(table=TABLE, returned=returned).replace("\n", "\r\n").encode())
    assert row.message is not None
    assert (row.message.kind, row.message.has_html) == (Message.Kind.NOTE, False)


def test_the_marks_of_pictures_in_a_text_become_their_names() -> None:
    mail = parse_email(html_mail("<p>x</p>", pictures={"burr@x": picture()}))
    text = "See [cid:burr@x] and [cid:gone@x]."
    assert without_marks(text, mail.attachments) == "See [burr.png] and ."


BERLIN = Invite(
    method="REQUEST",
    summary="Repair <b>together</b>",
    starts_at=datetime(2025, 3, 4, 9, tzinfo=UTC),
    ends_at=datetime(2025, 3, 4, 10, 30, tzinfo=UTC),
    time_zone="Europe/Berlin",
    location="Workshop,\nfirst floor",
    organizer="Carol <carol@mail.example>",
)


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({}, "Invitation: Repair <b>together</b>|When: Tue 4 March 2025, 10:00–11:30 "
             "(Europe/Berlin)|Where: Workshop, first floor|By: Carol <carol@mail.example>"),
        ({"method": "CANCEL", "location": "", "organizer": "", "time_zone": "Somewhere/Else"},
         "Cancelled: Repair <b>together</b>|When: Tue 4 March 2025, 9:00–10:30 (UTC)"),
        ({"summary": "", "starts_at": None, "location": "", "organizer": ""},
         "Invitation: (without a title)"),
        ({"summary": "Fair", "starts_at": date(2025, 3, 4), "ends_at": date(2025, 3, 6),
          "location": "", "organizer": ""},
         "Invitation: Fair|When: Tue 4 March 2025 – Thu 6 March 2025"),
        ({"summary": "Fair", "starts_at": date(2025, 3, 4), "ends_at": date(2025, 3, 4),
          "location": "", "organizer": ""}, "Invitation: Fair|When: Tue 4 March 2025"),
        ({"summary": "Night", "ends_at": datetime(2025, 3, 5, 1, tzinfo=UTC), "location": "",
          "organizer": "", "time_zone": ""},
         "Invitation: Night|When: Tue 4 March 2025, 9:00 – Wed 5 March 2025, 1:00 (UTC)"),
    ],
)  # fmt: skip
def test_an_invitation_says_what_when_where_and_by_whom(
    changed: dict[str, Any], lines: str
) -> None:
    assert words_of_invite(replace(BERLIN, **changed)).split("\n") == lines.split("|")


def test_an_invitation_stands_above_the_mail_in_both_its_forms(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tickets.operations.filing.parse_email",
        lambda raw: replace(parse_email(raw), invite=BERLIN),
    )
    message = filed(html_mail(TABLE, text="Will you come?"))
    assert message.body.startswith("Invitation: Repair <b>together</b>\nWhen: Tue 4 March 2025")
    assert message.body.endswith("\n\nWill you come?")
    assert message.html.visible.startswith("<p>Invitation: Repair &lt;b&gt;together&lt;/b&gt;<br>")


# --- Who may see it ---


def test_only_who_may_see_the_message_sees_how_it_looked(
    enter: Enter, alice: Viewer, carol: Viewer, mallory: Viewer, inbox: Inbox
) -> None:
    message = filed(html_mail(TABLE))
    assert enter(alice).get(address(message)).status_code == 200
    assert enter(mallory).get(address(message)).status_code == 404
    stranger = Client().get(address(message))
    assert (stranger.status_code, stranger["Location"].split("?")[0]) == (302, "/")
    assert not carol.is_staff  # a customer has no login, hence no way in but the stranger's
    assert enter(alice).post(address(message)).status_code == 405


def test_a_message_without_a_look_has_no_such_page(
    enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    message = ticket.conversation.messages.first()
    assert message is not None
    assert enter(alice).get(address(message)).status_code == 404
    assert enter(alice).get(f"/tickets/{ticket.number}/messages/99/html/").status_code == 404


# --- What its page may do ---


def test_nothing_runs_in_a_mail_and_nothing_is_asked_of_others(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    page = enter(alice).get(address(filed(html_mail(TABLE + REMOTE))))
    assert policy(page["Content-Security-Policy"]) == {
        "default-src": ["'none'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'self'"],
        "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox", "allow-same-origin"],
    }
    assert page["X-Frame-Options"] == "SAMEORIGIN"
    assert page["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page["Cache-Control"]
    assert "shop.example" not in page.content.decode()
    assert 'alt="A kettle"' in page.content.decode()


def test_pictures_from_elsewhere_come_when_asked_for(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    page = enter(alice).get(address(filed(html_mail(REMOTE)), "?pictures=1"))
    assert policy(page["Content-Security-Policy"])["img-src"] == [
        "'self'",
        "data:",
        "https:",
        "http:",
    ]
    assert policy(page["Content-Security-Policy"])["default-src"] == ["'none'"]
    assert "allow-scripts" not in page["Content-Security-Policy"]
    assert "https://shop.example/kettle.jpg" in page.content.decode()


def test_the_desk_frames_only_its_own_pages_and_is_framed_by_none(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    message = filed(html_mail(TABLE))
    page = enter(alice).get(f"/tickets/{message.conversation.ticket.number}/")
    assert policy(page["Content-Security-Policy"])["frame-src"] == ["'self'"]
    assert policy(page["Content-Security-Policy"])["frame-ancestors"] == ["'none'"]
    assert page["X-Frame-Options"] == "DENY"
    html = page.content.decode()
    assert 'sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"' in html
    assert "Kettle</td>" not in html
    assert "Kettle, 39 €" in html


def test_what_a_mail_repeats_comes_when_asked_for(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    message = filed(html_mail(TABLE))
    MessageHtml.objects.update(quoted="<blockquote>Earlier</blockquote>")
    assert b"Earlier" not in enter(alice).get(address(message)).content
    assert b"Earlier" in enter(alice).get(address(message, "?quoted=1")).content
    page = enter(alice).get(f"/tickets/{message.conversation.ticket.number}/").content.decode()
    assert 'data-adds="quoted"' in page


def test_a_picture_that_came_along_stands_in_its_place_and_nowhere_else(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    inside = f'{TABLE}<img src="cid:burr@mail.example" alt="Burr">'
    pictures = {"burr@mail.example": picture(), "loose@mail.example": picture(size=(9, 9))}
    message = filed(html_mail(inside, pictures=pictures))
    burr, loose = MessageFile.objects.order_by("pk")
    assert (burr.inline, loose.inline) == (True, False)
    look = enter(alice).get(address(message)).content.decode()
    assert f'src="/files/{burr.attachment.uuid}/burr.png"' in look
    assert "cid:" not in look
    page = enter(alice).get(f"/tickets/{message.conversation.ticket.number}/").content.decode()
    assert f"/files/{burr.attachment.uuid}/" not in page
    assert f"/files/{loose.attachment.uuid}/" in page


def test_a_picture_that_may_not_be_opened_is_only_named(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    inside = f'{TABLE}<img src="cid:burr@mail.example" alt="Burr">'
    message = filed(html_mail(inside, pictures={"burr@mail.example": picture()}))
    file = MessageFile.objects.get()
    file.attachment.stored.virus = "Eicar"
    file.attachment.stored.save()
    look = enter(alice).get(address(message)).content.decode()
    assert '<img alt="Burr">' in look
    page = enter(alice).get(f"/tickets/{message.conversation.ticket.number}/").content.decode()
    assert "burr.png" in page


def test_a_mail_without_colours_is_shown_in_those_of_the_desk(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    plain = enter(alice).get(address(filed(html_mail("<ul><li>One</li></ul>"))))
    assert "is-paper" not in plain.content.decode()
    coloured = enter(alice).get(address(filed(html_mail(TABLE))))
    assert "is-paper" in coloured.content.decode()


def test_a_page_of_mails_needs_no_query_for_each_look(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    message = filed(html_mail(TABLE))
    browser = enter(alice)
    page = f"/tickets/{message.conversation.ticket.number}/"
    browser.get(page)
    with CaptureQueriesContext(connection) as one:
        browser.get(page)
    for _ in range(3):
        filed(html_mail(TABLE, in_reply_to=message.inbound_email.rfc_message_id))
    with CaptureQueriesContext(connection) as more:
        assert browser.get(page).content.count(b"<iframe") == 4
    assert len(more) == len(one)
