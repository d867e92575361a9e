"""A reply can be taken back as long as none of its mails has begun to leave."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import connection
from pytest_django import Settings

from attachments.models import Attachment
from helpdesk.lib import work
from helpdesk.lib.errors import NotFound, Refused
from tests import make
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer, visible_messages
from tickets.models import Conversation, Message, OutgoingEmail, Participant, Ticket
from tickets.operations import (
    Draft,
    open_ticket_by_mail,
    reopen_ticket,
    solve_ticket,
    take_back,
)
from tickets.operations.email import deliver_email
from tickets.queries import count_tickets, search_tickets

pytestmark = pytest.mark.django_db

DAVE, ERIN = "dave@mail.example", "erin@mail.example"


@pytest.fixture(autouse=True)
def _time_to_think(settings: Settings) -> None:
    settings.OUTGOING_UNDO_SECONDS = 10


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def now_due(message: Message) -> None:
    message.outgoing_emails.update(due_at=message.created_at)


def shown(ticket: Ticket) -> dict[str, object]:
    """What the lists know of a ticket."""
    names = "status waiting_since first_reply_at last_message_at last_preview last_author_name"
    return dict(Ticket.objects.filter(pk=ticket.pk).values(*names.split())[0])


def test_nothing_leaves_before_its_time(alice: Viewer, ticket: Ticket, server: Server) -> None:
    message = make.say(alice, ticket, "It ships.")
    deliver_email(message.outgoing_emails.get().pk)
    assert server.got == []
    now_due(message)
    deliver_email(message.outgoing_emails.get().pk)
    assert len(server.got) == 1


def test_what_is_taken_back_never_leaves_and_leaves_a_line(
    alice: Viewer, carol: Viewer, ticket: Ticket, enter: Enter
) -> None:
    first = Message.objects.get(conversation=ticket.conversation_id)
    Ticket.objects.update(waiting_since=first.created_at)
    before = shown(ticket)
    message = make.say(alice, ticket, "It **ships**.")
    draft = take_back(alice, ticket.number, message.seq)
    assert draft == Draft("It **ships**.", [], [], [])
    assert not OutgoingEmail.objects.exists()
    assert shown(ticket) == before
    line = Message.objects.get(pk=message.pk)
    assert (line.kind, line.audience, line.body, line.seq) == ("change", "staff", "", message.seq)
    assert Conversation.objects.get(pk=ticket.conversation_id).last_public_seq == 1
    assert visible_messages(carol, ticket.conversation).count() == 1
    assert search_tickets(alice, "ships") == []
    page = enter(alice).get(f"/tickets/{ticket.number}/").content.decode()
    assert "<b><bdi>You</bdi></b> took back a reply before it left" in page
    assert count_tickets(alice).open == 1


def test_what_was_said_before_and_after_stays(alice: Viewer, carol: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "One.")
    before = shown(ticket)
    message = make.say(alice, ticket, "Two.")
    take_back(alice, ticket.number, message.seq)
    assert shown(ticket) == before
    assert (before["status"], before["last_preview"]) == ("waiting", "One.")
    message = make.say(alice, ticket, "Three.")
    asked = make.say(carol, ticket, "And now?")
    take_back(alice, ticket.number, message.seq)
    after = shown(ticket)
    assert (after["status"], after["waiting_since"]) == ("open", asked.created_at)
    assert after["last_preview"] == "And now?"
    assert after["first_reply_at"] == before["first_reply_at"]


def test_a_ticket_that_was_opened_by_hand_is_open_again(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "One.")
    reopen_ticket(alice, ticket.number)
    before = shown(ticket)
    message = make.say(alice, ticket, "Two.")
    assert shown(ticket)["status"] == "waiting"
    take_back(alice, ticket.number, message.seq)
    after = shown(ticket)
    assert (after["status"], after["last_preview"]) == ("open", before["last_preview"])


def test_a_ticket_that_was_solved_meanwhile_stays_solved(alice: Viewer, ticket: Ticket) -> None:
    message = make.say(alice, ticket, "Done.")
    solve_ticket(alice, ticket.number)
    take_back(alice, ticket.number, message.seq)
    assert shown(ticket)["status"] == "solved"


def test_the_first_words_of_a_ticket_can_be_taken_back(alice: Viewer, ticket: Ticket) -> None:
    ours = open_ticket_by_mail(
        alice,
        inbox_id=ticket.inbox_id,
        address=DAVE,
        name="Dave",
        subject="Your order",
        body="It ships on Monday.",
        client_token=uuid4(),
    )
    assert take_back(alice, ours.number, 1).body == "It ships on Monday."
    after = shown(ours)
    assert (after["status"], after["last_preview"], after["first_reply_at"]) == ("open", "", None)
    assert search_tickets(alice, "Monday") == []
    assert [hit.ticket.number for hit in search_tickets(alice, "order")] == [ours.number]


def test_files_are_uploads_of_the_writer_again(alice: Viewer, ticket: Ticket) -> None:
    one, two = make.upload(alice, "one.png"), make.upload(alice, "two.txt", b"two")
    message = make.say(alice, ticket, "", files=[one.uuid, two.uuid])
    Attachment.objects.update(created_at=ticket.opened_at.replace(year=2020))
    draft = take_back(alice, ticket.number, message.seq)
    assert [file.name for file in draft.files] == ["one.png", "two.txt"]
    assert all(file.created_at.year > 2020 for file in Attachment.objects.all())
    again = make.say(alice, ticket, "Once more.", files=[file.uuid for file in draft.files])
    assert len(again.files.all()) == 2


def test_who_was_put_in_copy_is_so_no_more(alice: Viewer, ticket: Ticket) -> None:
    message = make.say(alice, ticket, "It ships.", cc=[DAVE], bcc=[ERIN])
    draft = take_back(alice, ticket.number, message.seq)
    assert (draft.cc, draft.bcc) == ([DAVE], [ERIN])
    assert Participant.objects.filter(conversation=ticket.conversation_id).count() == 1
    again = make.say(alice, ticket, "It ships.", cc=draft.cc, bcc=draft.bcc)
    assert again.outgoing_emails.count() == 3


def test_who_was_in_copy_before_stays(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "One.", cc=[DAVE])
    message = make.say(alice, ticket, "Two.", cc=[DAVE])
    assert take_back(alice, ticket.number, message.seq).cc == []
    assert Participant.objects.filter(conversation=ticket.conversation_id).count() == 2


def test_who_was_in_copy_and_has_heard_more_since_stays(
    alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    message = make.say(alice, ticket, "One.", cc=[DAVE])
    make.say(bob, ticket, "Two.")
    assert take_back(alice, ticket.number, message.seq).cc == [DAVE]
    assert Participant.objects.filter(conversation=ticket.conversation_id, copied=True).exists()


@pytest.mark.parametrize("answer", ["250 OK", "451 later", "550 no"])
def test_what_has_begun_to_leave_is_not_taken_back(
    alice: Viewer, ticket: Ticket, server: Server, answer: str
) -> None:
    message = make.say(alice, ticket, "It ships.", cc=[DAVE])
    carols = message.outgoing_emails.order_by("pk")[0]
    now_due(message)
    server.answer_to_mail = answer
    deliver_email(carols.pk)
    with pytest.raises(Refused, match="It has left already"):
        take_back(alice, ticket.number, message.seq)
    work.retry(OutgoingEmail.objects.all())
    with pytest.raises(Refused, match="It has left already"):
        take_back(alice, ticket.number, message.seq)
    message.refresh_from_db()
    assert (message.kind, message.outgoing_emails.count()) == ("reply", 2)


def test_what_nobody_gets_by_mail_was_said(alice: Viewer, ticket: Ticket) -> None:
    Participant.objects.update(left_at=ticket.opened_at)
    message = make.say(alice, ticket, "Anybody?")
    with pytest.raises(Refused):
        take_back(alice, ticket.number, message.seq)


def test_only_who_wrote_it_takes_it_back(
    alice: Viewer, bob: Viewer, carol: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    message = make.say(alice, ticket, "It ships.")
    with pytest.raises(Refused, match="Only who wrote it"):
        take_back(bob, ticket.number, message.seq)
    with pytest.raises(Refused):
        take_back(alice, ticket.number, 1)  # a customer's
    for who in (mallory, carol):
        with pytest.raises(NotFound):
            take_back(who, ticket.number, message.seq)
    with pytest.raises(NotFound):
        take_back(alice, ticket.number, 99)
    assert message.outgoing_emails.exists()


@pytest.mark.parametrize("where", ["chat", "live"])
def test_what_may_have_been_read_stays(
    alice: Viewer, carol: Viewer, ticket: Ticket, chat: Ticket, where: str
) -> None:
    here = chat if where == "chat" else ticket
    Participant.objects.filter(conversation=chat.conversation_id).update(reach="email")
    if where == "live":
        dave = make.customer("Dave")
        Participant.objects.create(
            conversation=ticket.conversation, person=dave.person, role="customer"
        )
    message = make.say(alice, here, "It fits.")
    assert message.outgoing_emails.exists()
    with pytest.raises(Refused, match="read in the chat"):
        take_back(alice, here.number, message.seq)


def test_a_request_that_arrives_once_more_sends_nothing(alice: Viewer, ticket: Ticket) -> None:
    token = uuid4()
    message = make.say(alice, ticket, "It ships.", client_token=token)
    take_back(alice, ticket.number, message.seq)
    late = make.say(alice, ticket, "It ships.", client_token=token)
    assert (late.pk, late.kind) == (message.pk, "change")
    assert not OutgoingEmail.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_gets_the_draft(alice: Viewer, ticket: Ticket) -> None:
    message = make.say(alice, ticket, "It ships.")
    start, got = threading.Barrier(2), []

    def click() -> None:
        start.wait()
        try:
            got.append(take_back(alice, ticket.number, message.seq).body)
        except Refused as error:
            got.append(str(error))
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["It ships.", "It was taken back already."]
    assert Message.objects.filter(change__field="reply").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_and_a_change_of_mind_never_both_win(
    alice: Viewer, ticket: Ticket, server: Server
) -> None:
    for _ in range(10):
        message = make.say(alice, ticket, "It ships.")
        row = message.outgoing_emails.get()
        now_due(message)
        server.got.clear()
        start, got = threading.Barrier(2), []

        def send(pk: int = row.pk, start: threading.Barrier = start) -> None:
            start.wait()
            deliver_email(pk)
            connection.close()

        thread = threading.Thread(target=send)
        thread.start()
        start.wait()
        with contextlib.suppress(Refused):
            got.append(take_back(alice, ticket.number, message.seq))
        thread.join()
        assert len(server.got) + len(got) == 1


def test_a_script_gets_the_draft_as_json(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    file = make.upload(alice, "photo.png")
    message = make.say(alice, ticket, "It ships.", cc=[DAVE], bcc=[ERIN], files=[file.uuid])
    address = f"/tickets/{ticket.number}/messages/{message.seq}/take-back/"
    browser = enter(alice)
    answer = browser.post(address, headers={"HX-Request": "true"})
    told = answer.json()
    assert (told["body"], told["cc"], told["bcc"]) == ("It ships.", [DAVE], [ERIN])
    assert [(one["id"], one["state"]) for one in told["files"]] == [(str(file.uuid), "ready")]
    again = browser.post(address, headers={"HX-Request": "true"})
    assert again.status_code == 422
    assert "taken back already" in again.content.decode()


def test_without_a_script_the_words_are_in_the_box_again(
    enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    message = make.say(alice, ticket, "It ships & all.")
    address = f"/tickets/{ticket.number}/messages/{message.seq}/take-back/?view=yours"
    page = enter(alice).post(address).content.decode()
    assert ">It ships &amp; all.</textarea>" in page
    assert "took back a reply" in page


def test_a_colleague_is_told_why_not(
    enter: Enter, alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    message = make.say(alice, ticket, "It ships.")
    address = f"/tickets/{ticket.number}/messages/{message.seq}/take-back/"
    answer = enter(bob).post(address, headers={"HX-Request": "true"})
    assert (answer.status_code, message.outgoing_emails.count()) == (422, 1)


def test_an_answer_to_what_was_never_sent_still_finds_its_ticket(
    alice: Viewer, ticket: Ticket
) -> None:
    """Its id is gone with the mail, the conversation's own address is not."""
    from tickets.mail.addresses import reply_address

    message = make.say(alice, ticket, "It ships.")
    take_back(alice, ticket.number, message.seq)
    token = reply_address("hello@shop.example", ticket.conversation_id)
    row = come_in(mail("Hello?", sender="carol@mail.example", to=token))
    assert row.conversation_id == ticket.conversation_id
