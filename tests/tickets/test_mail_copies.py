"""To, Cc and Bcc: a mail for each, and whom it names."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from unittest import mock
from uuid import uuid4

import pytest
from pytest_django import Settings

from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer
from tickets.mail.addresses import conversations_named
from tickets.models import Inbox, Message, OutgoingEmail, Participant, Person, Ticket
from tickets.operations.email import deliver_email

pytestmark = pytest.mark.django_db

CAROL, DAVE, ERIN = "carol@mail.example", "dave@mail.example", "erin@mail.example"


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def sent(message: Message, server: Server) -> dict[str, EmailMessage]:
    """What each recipient of a message gets."""
    before = len(server.got)
    for row in message.outgoing_emails.order_by("pk"):
        deliver_email(row.pk)
    pairs = zip(server.envelopes[before:], server.got[before:], strict=True)
    return {envelope[1][0]: arrived for envelope, arrived in pairs}


def named(arrived: EmailMessage, field: str) -> list[str]:
    return [one.addr_spec for one in arrived[field].addresses] if arrived[field] else []


def fields(message: Message) -> dict[str, str]:
    return dict(message.outgoing_emails.values_list("address", "field"))


def test_each_has_a_mail_of_their_own_that_names_the_same_people(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    message = make.say(alice, ticket, "It ships.", cc=[DAVE], bcc=[ERIN])
    assert fields(message) == {CAROL: "to", DAVE: "cc", ERIN: "bcc"}
    arrived = sent(message, server)
    assert list(arrived) == [CAROL, DAVE, ERIN]
    for one in arrived.values():
        assert (named(one, "To"), named(one, "Cc")) == ([CAROL], [DAVE])
        assert one["Bcc"] is None
        assert ERIN not in one.as_string()
        token = one["Reply-To"].addresses[0].addr_spec
        assert conversations_named([token]) == [ticket.conversation_id]
    assert len({one["Message-ID"] for one in arrived.values()}) == 3


def test_who_is_in_copy_hears_from_then_on_and_reads_nothing_earlier(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Before.")
    message = make.say(alice, ticket, "It ships.", cc=[DAVE], bcc=[ERIN])
    seat = Participant.objects.get(person__addresses__address=DAVE)
    assert (seat.copied, seat.reach, seat.sees_after_seq) == (True, "email", message.seq - 1)
    line = Message.objects.get(conversation=ticket.conversation_id, seq=message.seq - 1)
    assert line.change == {"field": "copied", "old": None, "new": DAVE, "seats": [seat.pk]}
    assert fields(make.say(alice, ticket, "More.")) == {CAROL: "to", DAVE: "cc"}
    assert not Participant.objects.filter(person__addresses__address=ERIN).exists()


def test_who_hears_already_is_seated_once(alice: Viewer, ticket: Ticket) -> None:
    again = ["Carol@Mail.example", DAVE, f" {DAVE} "]
    message = make.say(alice, ticket, "It ships.", cc=again, bcc=[DAVE, CAROL])
    assert fields(message) == {CAROL: "to", DAVE: "cc"}
    message = make.say(alice, ticket, "More.", cc=[DAVE], bcc=[DAVE])
    assert fields(message) == {CAROL: "to", DAVE: "cc"}
    assert Message.objects.filter(change__field="copied").count() == 1


def test_who_had_left_comes_back_and_reads_nothing_they_missed(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "One.", cc=[DAVE])
    Participant.objects.filter(copied=True).update(left_at=ticket.opened_at)
    make.say(alice, ticket, "Behind his back.")
    message = make.say(alice, ticket, "Two.", cc=[DAVE])
    seat = Participant.objects.get(copied=True)
    assert (seat.left_at, seat.sees_after_seq) == (None, message.seq - 1)


def test_a_mail_goes_to_the_address_that_was_typed(alice: Viewer, ticket: Ticket) -> None:
    dave = make.customer("Dave", DAVE).person
    dave.addresses.create(address="dave@work.example", is_primary=False)
    message = make.say(alice, ticket, "It ships.", cc=["dave@work.example"])
    assert fields(message) == {CAROL: "to", "dave@work.example": "cc"}


def test_a_reply_that_is_sent_twice_copies_once(alice: Viewer, ticket: Ticket) -> None:
    token = uuid4()
    one = make.say(alice, ticket, "It ships.", cc=[DAVE], bcc=[ERIN], client_token=token)
    two = make.say(alice, ticket, "It ships.", cc=[DAVE], bcc=[ERIN], client_token=token)
    assert one == two
    assert OutgoingEmail.objects.count() == 3
    assert Message.objects.filter(change__field="copied").count() == 1


def test_one_bad_address_never_blocks_the_others(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    message = make.say(alice, ticket, "It ships.", cc=[DAVE, ERIN])
    message.outgoing_emails.filter(address=DAVE).update(address="dävé@mail.example")
    arrived = sent(message, server)
    assert list(arrived) == [CAROL, ERIN]
    assert named(arrived[CAROL], "Cc") == [ERIN]
    states = message.outgoing_emails.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["done", "failed", "done"]


def test_a_server_that_refuses_one_recipient_gets_the_others(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    message = make.say(alice, ticket, "It ships.", cc=[DAVE])
    carols, daves = list(message.outgoing_emails.order_by("pk"))
    server.answer_to_recipient = "550 5.1.1 no such user"
    deliver_email(carols.pk)
    server.answer_to_recipient = "250 OK"
    deliver_email(daves.pk)
    carols.refresh_from_db()
    daves.refresh_from_db()
    assert (carols.state, daves.state) == ("failed", "done")


def test_a_visitor_of_a_chat_is_alone_on_their_mail(
    alice: Viewer, carol: Viewer, chat: Ticket, server: Server
) -> None:
    """They gave their address to us alone."""
    Participant.objects.filter(person=carol.person).update(reach="email")
    arrived = sent(make.say(alice, chat, "It fits.", cc=[DAVE], bcc=[ERIN]), server)
    for address, one in arrived.items():
        assert (named(one, "To"), named(one, "Cc")) == ([address], [])
    assert len(arrived) == 3


def test_an_answer_of_who_was_in_copy_reaches_the_ticket(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    arrived = sent(make.say(alice, ticket, "It ships.", cc=[DAVE]), server)[DAVE]
    row = come_in(mail("Good.", sender=DAVE, to=str(arrived["Reply-To"])))
    assert row.conversation_id == ticket.conversation_id
    dave = Person.objects.get(addresses__address=DAVE)
    assert Message.objects.get(inbound_email=row).author == dave
    assert Participant.objects.filter(person=dave).count() == 1


def test_many_people_are_not_all_named(alice: Viewer, ticket: Ticket, server: Server) -> None:
    for n in range(4):
        many = [f"p{n}.{i}@mail.example" for i in range(20)]
        message = make.say(alice, ticket, "Hello all.", cc=many)
    row = message.outgoing_emails.order_by("pk").last()
    assert row is not None
    deliver_email(row.pk)
    (arrived,) = server.got
    people = named(arrived, "To") + named(arrived, "Cc")
    assert (len(people), people[-1]) == (50, row.address)


@pytest.mark.parametrize("field", ["cc", "bcc"])
@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (["nobody"], "nobody: Write an email address such as"),
        (["a@b.example, c@d.example"], "Write an email address"),
        (["a@x.example\r\nBcc: b@x.example"], "Write an email address"),
        (["hello@shop.example"], "an address of your own desk"),
        (["Hello+tag@shop.example"], "an address of your own desk"),
        ([f"p{n}@mail.example" for n in range(21)], "At most 20 addresses"),
    ],
)
def test_who_cannot_be_written_to_is_named_in_the_refusal(
    alice: Viewer, ticket: Ticket, field: str, addresses: list[str], said: str
) -> None:
    before = Message.objects.count()
    with pytest.raises(Refused, match=said):
        make.say(alice, ticket, "It ships.", **{field: addresses})
    assert Message.objects.count() == before


def test_an_inbox_without_an_address_copies_to_nobody(
    alice: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    Inbox.objects.filter(pk=inbox.pk).update(address=None)
    with pytest.raises(Refused, match="has no address to write from"):
        make.say(alice, ticket, "It ships.", cc=[DAVE])


def test_customers_copy_nobody_in(carol: Viewer, ticket: Ticket) -> None:
    with pytest.raises(Refused, match="Nobody can be put in copy here"):
        make.say(carol, ticket, "Hello.", bcc=[DAVE])
    assert not Person.objects.filter(addresses__address=DAVE).exists()


def test_staff_of_another_inbox_copy_nobody_in(mallory: Viewer, ticket: Ticket) -> None:
    with pytest.raises(NotFound):
        make.say(mallory, ticket, "Hello.", bcc=[DAVE])
    assert not OutgoingEmail.objects.exists()


def test_the_ticket_says_who_was_put_in_copy(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "It ships.", cc=[DAVE, ERIN])
    page = enter(alice).get(f"/tickets/{ticket.number}/").content.decode()
    assert (
        "<b><bdi>You</bdi></b> put <b><bdi>dave@mail.example, erin@mail.example</bdi></b>" in page
    )


@pytest.mark.parametrize(("seconds", "rings"), [(0, None), (10, 10)])
def test_a_reply_by_staff_is_rung_for_when_it_can_no_longer_be_taken_back(
    alice: Viewer, ticket: Ticket, settings: Settings, seconds: int, rings: int | None
) -> None:
    settings.OUTGOING_UNDO_SECONDS = seconds
    with (
        mock.patch("helpdesk.lib.work.current_app.send_task") as send,
        mock.patch("helpdesk.lib.work.toll") as toll,
        mock.patch("django.db.transaction.on_commit", lambda call, robust=False: call()),
    ):
        row = make.say(alice, ticket, "It ships.").outgoing_emails.get()
    countdowns = [
        *(call.kwargs["countdown"] for call in send.call_args_list if call.args[0] == row.TASK),
        *(None for call in toll.call_args_list if call.args[0] == row.TASK),
    ]
    assert countdowns == [rings and pytest.approx(rings, abs=1)]
    assert (row.due_at - row.created_at).total_seconds() == pytest.approx(seconds, abs=1)
