"""One Markdown source: what the text of a mail says, what its HTML shows, and the desk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from pytest_django import Settings

from tests import make
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.mail.parse import parse_email
from tickets.models import Conversation, Inbox, Message, Participant, Ticket
from tickets.operations.email import deliver_email

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def sent(message: Message, server: Server) -> EmailMessage:
    """What arrives at its first recipient once the message is delivered."""
    row = message.outgoing_emails.order_by("pk")[0]
    deliver_email(row.pk)
    row.refresh_from_db()
    assert (row.state, row.error) == ("done", "")
    return server.got[-1]


def part(arrived: EmailMessage, kind: str) -> str:
    body = arrived.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_one_source_is_readable_as_text_and_rendered_as_html(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    body = "**Sorry**, Carol.\nIt ships on:\n\n- Monday\n- or Tuesday"
    arrived = sent(make.say(alice, ticket, body), server)
    assert part(arrived, "plain").strip() == body
    html = part(arrived, "html")
    assert "<p><strong>Sorry</strong>, Carol.<br>\nIt ships on:</p>" in html
    assert "<li>Monday</li>" in html
    assert 'dir="auto"' in html
    assert '<meta name="color-scheme" content="light dark">' in html


def test_no_html_that_is_written_in_a_reply_arrives_as_such(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    body = '<img src="https://evil.example/x.gif"> [x](javascript:alert(1))'
    html = part(sent(make.say(alice, ticket, body), server), "html")
    assert "<img" not in html
    assert 'href="javascript' not in html


def test_pictures_in_the_words_travel_inside_the_mail(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    lid, other = make.upload(alice, "lid.png"), make.upload(alice, "terms.txt", b"Terms")
    body = f"Turn it:\n\n![the lid](/files/{lid.uuid}/lid.png)"
    arrived = sent(make.say(alice, ticket, body, files=[lid.uuid, other.uuid]), server)
    html = arrived.get_body(("html",))
    related = arrived.get_body(("related",))
    assert html is not None
    assert related is not None
    (picture,) = related.iter_attachments()
    content_id = picture["Content-ID"].strip("<>")
    assert f'src="cid:{content_id}"' in part(arrived, "html")
    assert picture.get_content() == make.PNG
    assert picture.get_content_disposition() == "inline"
    assert [one.get_filename() for one in arrived.iter_attachments()] == ["terms.txt"]
    assert part(arrived, "plain").strip() == "Turn it:\n\n[the lid]"
    parsed = parse_email(arrived.as_bytes())
    assert [(one.name, one.inline) for one in parsed.attachments] == [
        ("lid.png", True),
        ("terms.txt", False),
    ]


def test_a_picture_of_another_message_is_only_named(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    theirs = make.upload(alice, "lid.png")
    make.say(alice, ticket, "One.", files=[theirs.uuid])
    arrived = sent(make.say(alice, ticket, f"![lid](/files/{theirs.uuid}/lid.png)"), server)
    assert "[lid]" in part(arrived, "html")
    assert "<img" not in part(arrived, "html")


def sign(alice: Viewer, inbox: Inbox) -> None:
    assert alice.user
    alice.user.signature = "{name}\n*Coffee engineer*"
    alice.user.save()
    inbox.signature = "The Shop, Harbour Road 3\nhttps://shop.example"
    inbox.save()


def test_the_persons_signature_and_then_the_inboxs_stand_below_the_line(
    alice: Viewer, ticket: Ticket, inbox: Inbox, server: Server
) -> None:
    sign(alice, inbox)
    arrived = sent(make.say(alice, ticket, "It ships."), server)
    assert part(arrived, "plain").rstrip("\n") == (
        "It ships.\n\n-- \nAlice\n*Coffee engineer*\n\n"
        "The Shop, Harbour Road 3\nhttps://shop.example"
    )
    html = part(arrived, "html")
    assert "<em>Coffee engineer</em>" in html
    assert html.index("It ships.") < html.index("-- <") < html.index("Coffee engineer")


def test_nobody_signs_where_there_is_no_signature(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    arrived = sent(make.say(alice, ticket, "It ships."), server)
    assert "--" not in part(arrived, "plain")
    assert "signature" not in part(arrived, "html")


def quoting(inbox: Inbox) -> None:
    inbox.quotes_history = True
    inbox.time_zone = "Europe/Lisbon"
    inbox.save()


def test_what_was_said_before_is_quoted_on_a_switch(
    alice: Viewer, carol: Viewer, ticket: Ticket, inbox: Inbox, server: Server
) -> None:
    assert "wrote:" not in part(sent(make.say(alice, ticket, "**One.**"), server), "plain")
    quoting(inbox)
    Message.objects.filter(conversation=ticket.conversation_id, seq=1).update(
        created_at=datetime(2025, 7, 1, 9, 5, tzinfo=UTC)
    )
    arrived = sent(make.say(alice, ticket, "Two."), server)
    text = part(arrived, "plain")
    assert text.startswith("Two.\n\nOn ")
    assert "Alice from The Shop wrote:\n> **One.**\n" in text
    assert "On 1 July 2025 at 10:05, Carol wrote:\n> My grinder arrived broken." in text
    html = part(arrived, "html")
    assert '<blockquote class="gmail_quote"' in html
    assert "<strong>One.</strong>" in html


def test_notes_are_never_quoted(
    alice: Viewer, ticket: Ticket, inbox: Inbox, server: Server
) -> None:
    from tickets.operations import post_note

    quoting(inbox)
    post_note(alice, ticket.conversation_id, body="She is difficult.", via="web")
    arrived = sent(make.say(alice, ticket, "Hello."), server)
    assert "difficult" not in arrived.as_string()


def test_who_came_later_is_quoted_only_what_they_may_read(
    alice: Viewer, carol: Viewer, ticket: Ticket, inbox: Inbox, server: Server
) -> None:
    quoting(inbox)
    make.say(alice, ticket, "For Carol only.")
    dave = make.customer("Dave", "dave@mail.example")
    Participant.objects.create(
        conversation_id=ticket.conversation_id,
        person=dave.person,
        role="customer",
        reach="email",
        sees_after_seq=Conversation.objects.get(pk=ticket.conversation_id).last_seq,
    )
    make.say(alice, ticket, "For both.")
    message = make.say(alice, ticket, "And this.")
    for row in message.outgoing_emails.all():
        deliver_email(row.pk)
    by_address = {
        envelope[1][0]: part(mail, "plain")
        for envelope, mail in zip(server.envelopes, server.got, strict=True)
    }
    assert "For Carol only." in by_address["carol@mail.example"]
    assert "For Carol only." not in by_address["dave@mail.example"]
    assert "grinder" not in by_address["dave@mail.example"]
    assert "For both." in by_address["dave@mail.example"]


def test_a_quote_has_an_end(alice: Viewer, ticket: Ticket, inbox: Inbox, server: Server) -> None:
    quoting(inbox)
    for _ in range(3):
        make.say(alice, ticket, "x" * 9_000)
    text = part(sent(make.say(alice, ticket, "Short."), server), "plain")
    assert 18_000 < len(text) < 21_000
    for n in range(12):
        make.say(alice, ticket, f"No. {n}.")
    text = part(sent(make.say(alice, ticket, "Short."), server), "plain")
    assert text.count(" wrote:") == 10
    assert "> No. 2.\n" in text
    assert "> No. 1.\n" not in text


def answered(arrived: EmailMessage, how: str) -> bytes:
    """Our mail as a customer's program gives it back below an answer."""
    ours = part(arrived, "plain")
    quoted = "\n".join(f"> {line}" for line in ours.splitlines())
    shop, rule = "Alice from The Shop <hello@shop.example>", "_" * 32
    below = {
        "gmail": f"On Tue, 1 Jul 2025 at 10:00, {shop[:21]}\n{shop[21:]} wrote:\n\n{quoted}",
        "outlook": f"{rule}\nFrom: {shop}\nSent: Tuesday, July 1, 2025 10:00 AM\n"
        f"To: Carol <carol@mail.example>\nSubject: Re: Broken\n\n{ours}",
        "bare": quoted,
    }[how]
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = "Carol <carol@mail.example>", "hello@shop.example"
    mail.set_content(f"Thank you, Monday is fine.\n\n{below}\n")
    return mail.as_bytes()


@pytest.mark.parametrize("how", ["gmail", "outlook", "bare"])
def test_our_own_signature_and_quotes_are_cut_out_of_the_answer(
    alice: Viewer, ticket: Ticket, inbox: Inbox, server: Server, how: str
) -> None:
    sign(alice, inbox)
    quoting(inbox)
    make.say(alice, ticket, "One.")
    arrived = sent(make.say(alice, ticket, "It ships on **Monday**."), server)
    assert parse_email(answered(arrived, how)).visible_reply == "Thank you, Monday is fine."
    assert parse_email(arrived.as_bytes()).visible_reply == "It ships on **Monday**."


def test_the_desk_shows_what_staff_wrote_as_the_mail_does(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "**Sorry.** [Terms](https://shop.example/terms)")
    make.say(carol, ticket, "**Hm.**\n[x](https://x.example)")
    page = enter(alice).get(f"/tickets/{ticket.number}/").content.decode()
    assert "<strong>Sorry.</strong>" in page
    assert 'href="https://shop.example/terms"' in page
    assert "<p>**Hm.**<br>" in page
    assert "[x](" in page


def test_a_chat_shows_what_its_other_side_sees(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    make.say(alice, chat, "**Sorry.**")
    assert "<p>**Sorry.**</p>" in enter(alice).get(f"/tickets/{chat.number}/").content.decode()


def test_the_desk_shows_pictures_in_the_words_from_behind_its_door(
    enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    lid = make.upload(alice, "lid.png")
    make.say(alice, ticket, f"![lid](/files/{lid.uuid}/lid.png)", files=[lid.uuid])
    page = enter(alice).get(f"/tickets/{ticket.number}/").content.decode()
    assert f'<img src="/files/{lid.uuid}/lid.png" alt="lid">' in page
