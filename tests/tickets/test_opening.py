"""Staff write first: one mail, one ticket, one person, however often it is sent."""

from __future__ import annotations

import threading
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as configured
from django.core.management import call_command
from django.db import transaction
from pytest_django import Settings

from attachments.models import Attachment
from helpdesk.lib import work
from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tests.fakes.mails import mail
from tests.together import at_once
from tickets.access import Viewer
from tickets.mail.addresses import reply_address
from tickets.models import (
    Conversation,
    EmailAddress,
    InboundEmail,
    Inbox,
    Message,
    OutgoingEmail,
    Person,
    Ticket,
)
from tickets.operations import open_ticket_by_mail, post_reply
from tickets.operations.email import deliver
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound
from tickets.operations.people import new_person
from tickets.operations.related import hold_address
from tickets.queries import search_tickets

pytestmark = pytest.mark.django_db


def open_one(who: Viewer, inbox: Inbox, *files: Attachment, **other: Any) -> Ticket:
    words: dict[str, Any] = {
        "inbox_id": inbox.pk,
        "address": "dave@mail.example",
        "name": "Dave Miller",
        "subject": "Your parcel came back",
        "body": "Where shall we send it?",
        "client_token": uuid4(),
        "files": [file.uuid for file in files],
    }
    return open_ticket_by_mail(who, **words | other)


def come_in(raw: bytes) -> InboundEmail:
    row = record_inbound(raw)
    assert row is not None
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    return row


def sent(ticket: Ticket) -> OutgoingEmail:
    return OutgoingEmail.objects.filter(message__conversation=ticket.conversation_id).latest("pk")


def leaving(ticket: Ticket, settings: Settings, tmp_path: Path) -> EmailMessage:
    """The latest mail of a ticket, as it leaves."""
    row = sent(ticket)
    settings.SMTP_URL = f"folder:{tmp_path / str(row.pk)}"
    OutgoingEmail.objects.filter(pk=row.pk).update(due_at=row.created_at)
    work.perform(OutgoingEmail, row.pk, deliver)
    (file,) = (tmp_path / str(row.pk)).rglob("*.eml")
    return message_from_bytes(file.read_bytes(), EmailMessage, policy=default)


def test_a_mail_to_someone_new_is_a_ticket_that_waits_for_the_answer(
    alice: Viewer, inbox: Inbox
) -> None:
    ticket = open_one(alice, inbox)
    ticket.refresh_from_db()
    assert (ticket.subject, ticket.inbox, ticket.assignee) == (
        "Your parcel came back",
        inbox,
        alice.user,
    )
    assert (ticket.status, ticket.handler, ticket.unread) == ("waiting", "staff", False)
    assert ticket.first_reply_at == ticket.opened_at == ticket.last_message_at
    assert (ticket.last_preview, ticket.last_author_name) == ("Where shall we send it?", "Alice")
    assert ticket.requester.name == "Dave Miller"
    assert [one.address for one in ticket.requester.addresses.all()] == ["dave@mail.example"]
    (seat,) = ticket.conversation.participants.all()
    assert (seat.person, seat.role, seat.reach) == (ticket.requester, "customer", "email")
    (message,) = ticket.conversation.messages.all()
    assert (message.seq, message.kind, message.author) == (1, "reply", alice.person)
    assert ticket.conversation.channel == "email"
    call_command("check_invariants")


def test_the_mail_leaves_under_the_subject_as_it_was_written(
    alice: Viewer, inbox: Inbox, settings: Settings, tmp_path: Path
) -> None:
    ticket = open_one(alice, inbox, subject="Re: your call about  the kettle")
    row = sent(ticket)
    assert (row.address, row.state) == ("dave@mail.example", "queued")
    first = leaving(ticket, settings, tmp_path)
    assert first["Subject"] == "Re: your call about the kettle"
    assert (first["In-Reply-To"], first["References"]) == (None, None)
    assert first["To"] == "Dave Miller <dave@mail.example>"
    assert first["From"] == "Alice from The Shop <hello@shop.example>"
    post_reply(alice, ticket.conversation_id, body="And the lid?", via="web")
    second = leaving(ticket, settings, tmp_path)
    assert second["Subject"] == "Re: your call about the kettle"
    assert second["In-Reply-To"] == first["Message-ID"]


def test_the_first_mail_begins_with_no_re(
    alice: Viewer, inbox: Inbox, settings: Settings, tmp_path: Path
) -> None:
    ticket = open_one(alice, inbox)
    assert leaving(ticket, settings, tmp_path)["Subject"] == "Your parcel came back"
    post_reply(alice, ticket.conversation_id, body="Hello?", via="web")
    assert leaving(ticket, settings, tmp_path)["Subject"] == "Re: Your parcel came back"


@pytest.mark.parametrize("by", ["message id", "reply address"])
def test_the_answer_joins_the_conversation(by: str, alice: Viewer, inbox: Inbox) -> None:
    ticket = open_one(alice, inbox)
    answer = partial(mail, "To my mother.", sender="Dave <DAVE@mail.example>")
    if by == "message id":
        row = come_in(answer(in_reply_to=f"<{sent(ticket).rfc_message_id}>"))
    else:
        row = come_in(answer(to=reply_address(str(inbox.address), ticket.conversation_id)))
    ticket.refresh_from_db()
    assert (row.decision, row.conversation_id) == ("filed", ticket.conversation_id)
    assert (ticket.status, ticket.unread, ticket.last_preview) == ("open", True, "To my mother.")
    assert [one.body for one in ticket.conversation.messages.all()] == [
        "Where shall we send it?",
        "To my mother.",
    ]
    assert Ticket.objects.count() == 1
    assert ticket.conversation.participants.count() == 1
    call_command("check_invariants")


def test_whoever_has_the_address_is_written_to(
    alice: Viewer, carol: Viewer, inbox: Inbox, ticket: Ticket
) -> None:
    EmailAddress.objects.create(
        person=carol.person, address="Carol.At.Work@mail.example", is_primary=False
    )
    opened = open_one(alice, inbox, address=" carol.at.work@MAIL.example ", name="Somebody else")
    assert opened.requester == carol.person
    carol.person.refresh_from_db()
    assert carol.person.name == "Carol"
    assert sent(opened).address == "carol.at.work@mail.example"


def test_someone_on_staff_is_known_by_their_login(alice: Viewer, bob: Viewer, inbox: Inbox) -> None:
    ticket = open_one(alice, inbox, address="BOB@desk.example", name="")
    assert ticket.requester == bob.person
    assert sent(ticket).address == "bob@desk.example"
    assert open_one(alice, inbox, address="bob@desk.example").requester == bob.person


def test_people_may_write_to_themselves(alice: Viewer, inbox: Inbox) -> None:
    """As everyone does who tries a helpdesk out."""
    ticket = open_one(alice, inbox, address="alice@desk.example")
    assert (ticket.requester, sent(ticket).address) == (alice.person, "alice@desk.example")


def test_who_has_no_name_is_called_by_the_address(alice: Viewer, inbox: Inbox) -> None:
    assert open_one(alice, inbox, name=" \n").requester.name == "dave"


def test_a_host_of_any_script_is_written_as_mail_programs_do(
    alice: Viewer, inbox: Inbox, settings: Settings, tmp_path: Path
) -> None:
    ticket = open_one(alice, inbox, address="dave@bücher.example")
    assert sent(ticket).address == "dave@xn--bcher-kva.example"
    written = leaving(ticket, settings, tmp_path)["To"].addresses[0]
    assert written.addr_spec == "dave@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"address": ""}, "Write an email address"),
        ({"address": "dave"}, "Write an email address"),
        ({"address": "dave@mail"}, "Write an email address"),
        ({"address": "dave@mail.example, eve@mail.example"}, "Write an email address"),
        ({"address": "dave@mail.example\r\nBcc: eve@mail.example"}, "Write an email address"),
        ({"address": f"dave@{'ü' * 63}.example"}, "Write an email address"),
        ({"address": f"{'d' * 250}@mail.example"}, "Write an email address"),
        ({"address": "Hello@Shop.example"}, "address of your own desk"),
        ({"address": "hello+7.abc@shop.example"}, "address of your own desk"),
        ({"address": "elsewhere@shop.example"}, "address of your own desk"),
        ({"address": "else+where@shop.example"}, "address of your own desk"),
        ({"subject": ""}, "Write a subject"),
        ({"subject": " \u200b\n"}, "Write a subject"),
        ({"subject": "x" * 161}, "161 characters. At most 160"),
        ({"body": " \u200b "}, "Write something first"),
        ({"body": "x" * (configured.MESSAGE_MAX_CHARS + 1)}, "can be sent at once"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence(
    wrong: dict[str, str], sentence: str, alice: Viewer, inbox: Inbox
) -> None:
    elsewhere = make.inbox("Elsewhere", address="elsewhere@shop.example")
    elsewhere.teams.set([])
    make.inbox("Tagged", address="else+where@shop.example")
    with pytest.raises(Refused, match=sentence):
        open_one(alice, inbox, **wrong)
    assert not Conversation.objects.exists()
    assert not Person.objects.filter(user=None, is_assistant=False).exists()


@pytest.mark.parametrize("address", [None, ""])
def test_an_inbox_without_an_address_sends_nothing(address: str | None, alice: Viewer) -> None:
    chat = make.inbox("Chat", address=address)
    with pytest.raises(Refused, match="Chat has no address to write from"):
        open_one(alice, chat)


def test_another_teams_inbox_looks_like_none(
    alice: Viewer, carol: Viewer, mallory: Viewer, inbox: Inbox
) -> None:
    for who in (mallory, carol):
        with pytest.raises(NotFound):
            open_one(who, inbox)
    with pytest.raises(NotFound):
        open_one(alice, inbox, inbox_id=inbox.pk + 1000)
    assert not Conversation.objects.exists()


def test_files_go_along_and_words_may_be_none(alice: Viewer, inbox: Inbox) -> None:
    photo, words = make.upload(alice, "burr.png"), make.upload(alice, "Größe.txt", b"2")
    ticket = open_one(alice, inbox, photo, words, body="")
    (message,) = ticket.conversation.messages.all()
    assert [file.attachment for file in message.files.all()] == [photo, words]
    assert ticket.last_preview == "burr.png, Größe.txt"
    assert [hit.ticket for hit in search_tickets(alice, "grosse", [inbox.pk])] == [ticket]
    assert [hit.ticket for hit in search_tickets(alice, "parcel", [inbox.pk])] == [ticket]


def test_files_are_checked_again_against_the_inbox(
    alice: Viewer, bob: Viewer, inbox: Inbox
) -> None:
    inbox.files_max = 1
    inbox.save()
    one, two, of_bob = make.upload(alice), make.upload(alice), make.upload(bob)
    with pytest.raises(Refused, match="At most 1 file"):
        open_one(alice, inbox, one, two)
    with pytest.raises(Refused, match="no longer here"):
        open_one(alice, inbox, of_bob)
    open_one(alice, inbox, one)
    with pytest.raises(Refused, match="no longer here"):
        open_one(alice, inbox, one)
    two.refresh_from_db()
    assert (two.claimed_at, Ticket.objects.count()) == (None, 1)


def test_a_form_that_is_sent_again_is_one_ticket(alice: Viewer, inbox: Inbox) -> None:
    token, photo = uuid4(), make.upload(alice)
    first = open_one(alice, inbox, photo, client_token=token)
    assert open_one(alice, inbox, photo, client_token=token) == first
    assert (Message.objects.count(), OutgoingEmail.objects.count()) == (1, 1)


def test_a_refused_form_is_sent_again_with_its_token(alice: Viewer, inbox: Inbox) -> None:
    token = uuid4()
    with pytest.raises(Refused):
        open_one(alice, inbox, client_token=token, files=[uuid4()])
    assert open_one(alice, inbox, client_token=token).conversation.opened_with == token


def test_somebody_elses_token_opens_nothing_and_tells_nothing(
    alice: Viewer, bob: Viewer, mallory: Viewer, inbox: Inbox
) -> None:
    token = uuid4()
    open_one(alice, inbox, client_token=token)
    with pytest.raises(Refused, match="was sent already"):
        open_one(bob, inbox, client_token=token)
    elsewhere = make.inbox("Mallory's", address="mallory@shop.example")
    with pytest.raises(Refused, match="was sent already"):
        open_one(mallory, elsewhere, client_token=token)
    assert Ticket.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_double_click_is_one_ticket(alice: Viewer, inbox: Inbox) -> None:
    for n in range(5):
        photo = make.upload(alice, f"{n}.txt", str(n).encode())
        words = {"client_token": uuid4(), "address": f"dave-{n}@mail.example"}
        came = at_once(*[partial(open_one, alice, inbox, photo, **words)] * 4)
        assert all(isinstance(one, Ticket) for one in came), came
        assert len(set(came)) == 1
    assert Ticket.objects.count() == Conversation.objects.count() == 5
    assert OutgoingEmail.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_two_who_write_to_someone_new_at_once_write_to_one_person(
    alice: Viewer, bob: Viewer, inbox: Inbox
) -> None:
    for n in range(5):
        to = f"dave-{n}@mail.example"
        came = at_once(*(partial(open_one, who, inbox, address=to) for who in (alice, bob)))
        assert all(isinstance(one, Ticket) for one in came), came
        assert EmailAddress.objects.filter(address=to).count() == 1
    assert Person.objects.filter(name="Dave Miller").count() == 5
    assert Ticket.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_a_customer_who_writes_just_now_is_the_one_who_is_written_to(
    alice: Viewer, inbox: Inbox
) -> None:
    for n in range(5):
        to = f"dave-{n}@mail.example"
        row = record_inbound(mail(sender=to))
        assert row is not None
        came = at_once(
            partial(work.perform, InboundEmail, row.pk, file_inbound),
            partial(open_one, alice, inbox, address=to),
        )
        assert isinstance(came[1], Ticket), came
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("done", 1)
        assert Person.objects.filter(addresses__address=to).count() == 1
    assert Ticket.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_who_writes_first_waits_for_mail_from_there_that_is_being_filed(
    alice: Viewer, inbox: Inbox
) -> None:
    came: list[object] = []
    worker = threading.Thread(target=lambda: came.extend(at_once(lambda: open_one(alice, inbox))))
    with transaction.atomic():
        hold_address("Dave@mail.example")
        worker.start()
        worker.join(0.5)
        assert worker.is_alive()
        known = new_person("Dave by mail", "dave@mail.example")
    worker.join()
    (ticket,) = came
    assert isinstance(ticket, Ticket)
    assert ticket.requester == known
