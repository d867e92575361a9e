"""Files of a reply: in its mail, or as links that last for weeks."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from attachments import storage
from attachments.models import Attachment, Blob, FileLink
from helpdesk.lib.errors import TemporaryFailure
from tests import make
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.test_files import content
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer
from tickets.mail.route import Route
from tickets.mail.send import send
from tickets.models import Inbox, Message, MessageFile, OutgoingEmail, Ticket
from tickets.operations import post_note
from tickets.operations.email import deliver_email, retry_delivery

pytestmark = pytest.mark.django_db

MB = 1024 * 1024
NAMES = [
    'größe "2" 📎.bin',
    "x" * 196 + ".pdf",
    "📎" * 196 + ".png",
    "תמונה של המטחנה.png",
    "it's; a=b (100%).tar.gz",
    "invoice.pdf.exe",
    "CON",
]


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def reply(who: Viewer, ticket: Ticket, files: Mapping[str, bytes], body: str = "See.") -> Message:
    """A reply with files that were uploaded for it."""
    uuids = [make.upload(who, name, content).uuid for name, content in files.items()]
    return make.say(who, ticket, body, files=uuids)


def sent(message: Message, server: Server) -> EmailMessage:
    """What arrives once the message's mail is delivered."""
    row = message.outgoing_emails.get()
    deliver_email(row.pk)
    row.refresh_from_db()
    assert (row.state, row.error) == ("done", "")
    return server.got[-1]


def text(arrived: EmailMessage, kind: str = "plain") -> str:
    body = arrived.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n").strip()


def parts(arrived: EmailMessage) -> list[tuple[str, str]]:
    """Name and sum of each file in a mail."""
    return [
        (str(part.get_filename()), _sum(part.get_payload(decode=True)))
        for part in arrived.iter_attachments()
    ]


def addresses(arrived: EmailMessage) -> list[str]:
    """Where the links of a mail lead, on whatever host."""
    return re.findall(r"^http://[^/]+(/files/l/\S+)$", text(arrived), re.M)


def _sum(got: Any) -> str:
    return hashlib.sha256(got).hexdigest()


def test_files_arrive_byte_for_byte_under_the_names_they_have(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    files = {name: bytes(range(256)) * 200 + name.encode() for name in NAMES}
    files["words.txt"] = "Grüße\n".encode()
    arrived = sent(reply(alice, ticket, files), server)
    assert parts(arrived) == [(name, _sum(sent)) for name, sent in files.items()]
    assert text(arrived) == "See."
    assert "<p>See.</p>" in text(arrived, "html")
    assert arrived.get_content_type() == "multipart/mixed"


def test_the_type_is_what_the_bytes_say(alice: Viewer, ticket: Ticket, server: Server) -> None:
    files = {"photo.png": b"<script>alert(1)</script>", "notes.exe": b"%PDF-1.7 and so on\0"}
    arrived = sent(reply(alice, ticket, files), server)
    one, two = arrived.iter_attachments()
    assert (one.get_content_type(), one.get_content_charset()) == ("text/plain", "utf-8")
    assert two.get_content_type() == "application/pdf"
    assert {part.get_content_disposition() for part in (one, two)} == {"attachment"}


def test_a_mail_in_a_mail_is_sent_as_a_file(alice: Viewer, ticket: Ticket, server: Server) -> None:
    """RFC 2046 forbids base64 for message/rfc822, and some servers would take it to pieces."""
    message = reply(alice, ticket, {"forwarded.eml": b"From: a@b.example\r\n\r\nHi"})
    Blob.objects.update(type="message/rfc822")
    (part,) = sent(message, server).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_payload(decode=True) == b"From: a@b.example\r\n\r\nHi"


def test_two_files_of_one_name_are_two_files(alice: Viewer, ticket: Ticket, server: Server) -> None:
    pages = [make.upload(alice, "scan.pdf", page).uuid for page in (b"page 1", b"page 2")]
    message = make.say(alice, ticket, "See.", files=pages)
    assert parts(sent(message, server)) == [
        ("scan.pdf", _sum(b"page 1")),
        ("scan.pdf", _sum(b"page 2")),
    ]


def test_a_reply_of_only_files_says_what_it_brings(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    files = {"label.pdf": b"%PDF", "how to pack.txt": b"Gently."}
    message = reply(alice, ticket, files, body="")
    arrived = sent(message, server)
    assert text(arrived) == "Attached: label.pdf, how to pack.txt"
    assert "<p>Attached: label.pdf, how to pack.txt</p>" in text(arrived, "html")


def test_what_is_too_much_goes_as_links_that_say_until_when(
    alice: Viewer, ticket: Ticket, server: Server, settings: Settings
) -> None:
    settings.MAIL_FILES_MAX_MB = 1
    files = {"film (1).mp4": b"f" * (2 * MB), "a.txt": b"a", "half.bin": b"h" * (MB // 2)}
    arrived = sent(reply(alice, ticket, files), server)
    assert parts(arrived) == [("a.txt", _sum(b"a")), ("half.bin", _sum(b"h" * (MB // 2)))]
    last_day = now() + timedelta(days=30)
    (address,) = addresses(arrived)
    assert text(arrived) == (
        "See.\n\nThis file is too large for a mail. You can open it at its address:\n\n"
        f"film (1).mp4 (2.0\xa0MB), until {last_day.day} {last_day:%B %Y}:\n"
        f"{settings.SITE_URL}{address}"
    )
    assert f'<a href="{settings.SITE_URL}{address}">' in text(arrived, "html")
    assert re.fullmatch(r"/files/l/[\w.-]+/film%20%281%29\.mp4", address)

    browser = Client()
    opened = browser.get(browser.get(address)["Location"])
    assert _sum(content(opened)) == _sum(files["film (1).mp4"])


def test_the_limit_is_counted_as_it_is_encoded(
    alice: Viewer, ticket: Ticket, server: Server, settings: Settings
) -> None:
    settings.MAIL_FILES_MAX_MB = 1
    fits = MB // 78 * 57
    arrived = sent(reply(alice, ticket, {"fits": b"1" * fits}), server)
    assert len(parts(arrived)) == 1
    assert len(arrived.as_bytes()) < MB + 5_000
    arrived = sent(reply(alice, ticket, {"larger": b"2" * (fits + 1)}), server)
    assert (parts(arrived), len(addresses(arrived))) == ([], 1)


def test_many_files_that_fit_one_by_one_stay_below_the_limit_together(
    alice: Viewer, ticket: Ticket, server: Server, settings: Settings
) -> None:
    settings.MAIL_FILES_MAX_MB = 1
    files = {f"{n}.bin": bytes([n]) * (MB // 4) for n in range(5)}
    arrived = sent(reply(alice, ticket, files), server)
    assert [name for name, _ in parts(arrived)] == ["0.bin", "1.bin"]
    assert len(addresses(arrived)) == 3
    assert "These files are too large for a mail." in text(arrived)
    assert len(arrived.as_bytes()) < MB


def test_a_mail_that_is_tried_again_has_the_same_link(
    alice: Viewer, ticket: Ticket, server: Server, settings: Settings
) -> None:
    settings.MAIL_FILES_MAX_MB = 0
    message = reply(alice, ticket, {"film.mp4": b"film"})
    server.answer_to_mail = "451 later"
    deliver_email(message.outgoing_emails.get().pk)
    first = FileLink.objects.get()
    server.answer_to_mail = "250 OK"
    assert retry_delivery(alice, ticket.number, message.seq) == 1
    (address,) = addresses(sent(message, server))
    assert FileLink.objects.get() == first
    assert Client().get(address).status_code == 302


def test_every_recipient_has_a_link_of_their_own(
    alice: Viewer, ticket: Ticket, server: Server, settings: Settings
) -> None:
    settings.MAIL_FILES_MAX_MB = 0
    message = reply(alice, ticket, {"film.mp4": b"film"})
    (hers,) = addresses(sent(message, server))
    dave = make.customer("Dave", "dave@mail.example").person
    his = OutgoingEmail.objects.create(
        message=message, person=dave, address="dave@mail.example", rfc_message_id="d@shop.example"
    )
    deliver_email(his.pk)
    assert addresses(server.got[-1]) != [hers]
    FileLink.objects.filter(given_to=f"email:{his.pk}").update(revoked_at=now())
    assert Client().get(hers).status_code == 302
    assert Client().get(addresses(server.got[-1])[0]).status_code == 410


def test_a_link_that_was_revoked_stays_so_when_its_mail_is_sent_again(
    alice: Viewer, ticket: Ticket, server: Server, settings: Settings
) -> None:
    settings.MAIL_FILES_MAX_MB = 0
    message = reply(alice, ticket, {"film.mp4": b"film"})
    server.answer_to_mail = "554 no"
    deliver_email(message.outgoing_emails.get().pk)
    FileLink.objects.update(revoked_at=now())
    server.answer_to_mail = "250 OK"
    retry_delivery(alice, ticket.number, message.seq)
    arrived = sent(message, server)
    assert addresses(arrived) == []
    assert "film.mp4 was not sent. It was taken back." in text(arrived)


@pytest.mark.parametrize(
    ("state", "virus", "said"),
    [
        ("ready", "Eicar", "A virus was found in this file: Eicar. It cannot be opened."),
        ("checking", "", "This file is being checked."),
        ("rejected", "", "Not taken here."),
    ],
)
@pytest.mark.parametrize("limit", [0, 20])
def test_what_is_infected_or_unchecked_never_leaves(
    alice: Viewer,
    ticket: Ticket,
    server: Server,
    settings: Settings,
    state: str,
    virus: str,
    said: str,
    limit: int,
) -> None:
    settings.MAIL_FILES_MAX_MB = limit
    message = reply(alice, ticket, {"tool.exe": b"X5O!P", "fine.txt": b"fine"})
    Attachment.objects.filter(name="tool.exe").update(
        state=state, refusal=said if state == "rejected" else ""
    )
    Blob.objects.filter(attachments__name="tool.exe").update(virus=virus)
    arrived = sent(message, server)
    assert "tool.exe" not in [name for name, _ in parts(arrived)]
    assert not FileLink.objects.filter(attachment__name="tool.exe").exists()
    assert f"tool.exe was not sent. {said}" in text(arrived)
    assert len(parts(arrived)) + len(addresses(arrived)) == 1


def test_bytes_that_cannot_be_read_delay_the_mail_and_it_never_leaves_without_them(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    message = reply(alice, ticket, {"label.pdf": b"%PDF-1.7"})
    blob = Blob.objects.get()
    row = message.outgoing_emails.get()
    storage.drop(blob.key)
    deliver_email(row.pk)
    row.refresh_from_db()
    assert (row.state, row.error) == (
        "queued",
        "label.pdf cannot be read: No such file or directory",
    )
    storage.put(blob.key, b"%PDF")
    retry_delivery(alice, ticket.number, message.seq)
    deliver_email(row.pk)
    row.refresh_from_db()
    assert (row.state, row.error) == ("queued", "label.pdf is not whole in the storage.")
    assert server.got == []
    storage.drop(blob.key)
    storage.put(blob.key, b"%PDF-1.7")
    retry_delivery(alice, ticket.number, message.seq)
    assert parts(sent(message, server)) == [("label.pdf", _sum(b"%PDF-1.7"))]


@pytest.mark.django_db(transaction=True)
def test_bytes_are_read_outside_any_transaction(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    message = reply(alice, ticket, {"label.pdf": b"%PDF"})
    inside: list[bool] = []
    read = storage.read

    def watched(key: str, start: int, end: int) -> Iterator[bytes]:
        inside.append(connection.in_atomic_block)
        return read(key, start, end)

    with mock.patch("attachments.storage.read", watched):
        sent(message, server)
    assert inside == [False]


def test_pictures_inside_a_mail_that_came_stay_where_they_are(
    alice: Viewer, inbox: Inbox, server: Server
) -> None:
    row = come_in(mail(files={"signature.png": ("image/png", b"a signature")}))
    ticket = Ticket.objects.get(conversation=row.conversation_id)
    message = make.say(alice, ticket, "Thank you.")
    MessageFile.objects.update(message=message, inline=True)
    Message.objects.filter(pk=message.pk).update(file_count=1)
    assert parts(sent(message, server)) == []


def test_a_note_with_a_file_has_no_way_out(alice: Viewer, ticket: Ticket) -> None:
    secret = make.upload(alice, "secret.txt", b"secret")
    post_note(alice, ticket.conversation_id, body="Look.", via="web", files=[secret.uuid])
    assert not OutgoingEmail.objects.exists()
    assert not FileLink.objects.exists()


def test_a_large_mail_is_given_the_time_that_a_slow_line_takes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickets.mail.send.DATA_SECONDS", 0.2)
    server.on_mail = lambda: time.sleep(1)

    def of(size: int) -> str:
        mail = b"Subject: Photos\r\n\r\n" + b"0123456789abcde\r\n" * (size // 17)
        return send(
            mail,
            message_id="1@shop.example",
            sender="hello@shop.example",
            recipient="carol@mail.example",
            route=Route.of(server.url),
            before_data=lambda: None,
        )

    assert of(100_000).startswith("250")
    with pytest.raises(TemporaryFailure):
        of(1_000)
