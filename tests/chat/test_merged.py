"""A chat whose ticket was merged: its widget goes on where the ticket goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client

from chat.access import access_session, visit_of
from chat.links import create_link, join
from chat.models import UnreadMail, VisitorSession
from chat.operations import send_from_visitor
from chat.queries import earlier_chats, page_after, page_before, visit_card
from chat.tokens import link_token_for
from helpdesk.lib.errors import NotFound
from tests import make
from tests.chat.conftest import Visitor, new_visitor
from tickets.access import Viewer
from tickets.models import (
    Conversation,
    EmailAddress,
    Inbox,
    Message,
    OutgoingEmail,
    Participant,
    Ticket,
)
from tickets.operations import merge_tickets
from tickets.operations.seats import remove_person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _invariants_hold(db: None) -> Iterator[None]:
    yield
    call_command("check_invariants", verbosity=0)


def says(visitor: Visitor, body: str, token: Any = None) -> Message:
    visit = visit_of(VisitorSession.objects.select_related("person").get(pk=visitor.session.pk))
    return send_from_visitor(visit, body=body, client_token=token or uuid4(), address="192.0.2.1")


def chat_of(visitor: Visitor) -> Conversation:
    return visitor.session.conversation


def asks(visitor: Visitor, path: str = "messages") -> Any:
    address = f"/widget/{visitor.key}/{path}"
    return Client().get(address, headers={"Authorization": f"Bearer {visitor.token}"})


@pytest.fixture
def chat(visitor: Visitor) -> Ticket:
    says(visitor, "Is anybody there?")
    return Ticket.objects.get(conversation=visitor.session.conversation)


def test_the_widget_goes_on_in_the_other_ticket_and_keeps_what_was_said(
    alice: Viewer, visitor: Visitor, chat: Ticket, ticket: Ticket, inbox: Inbox
) -> None:
    merge_tickets(alice, chat.number, ticket.number)
    session = access_session(inbox, visitor.token)
    assert session.conversation_id == ticket.conversation_id
    assert session.earlier == [chat.conversation_id]
    assert access_session(inbox, visitor.token).earlier == [chat.conversation_id]
    visit = visit_of(session)
    make.say(alice, ticket, "Now I am.")
    page = page_after(visit, 0)
    assert (page["chat"], page["merged"]) == (ticket.conversation_id, [chat.conversation_id])
    assert [one["body"] for one in page["messages"] if one["kind"] == "reply"] == ["Now I am."]
    assert [one["chat"] for one in earlier_chats(visit)] == [chat.conversation_id]
    old = page_before(visit, 99, last=10, conversation_id=chat.conversation_id)
    assert [one["body"] for one in old["messages"]] == ["Is anybody there?"]
    card = visit_card(Ticket.objects.get(pk=ticket.pk))
    assert card is not None


def test_a_widget_that_has_not_noticed_says_it_in_the_other_ticket(
    alice: Viewer, visitor: Visitor, chat: Ticket, ticket: Ticket
) -> None:
    merge_tickets(alice, chat.number, ticket.number)
    said = says(visitor, "Hello?")
    assert said.conversation_id == ticket.conversation_id
    ticket.refresh_from_db()
    assert (ticket.status, ticket.unread, ticket.live) == ("open", True, True)


def test_what_was_acknowledged_to_nobody_is_not_said_twice(
    alice: Viewer, visitor: Visitor, chat: Ticket, ticket: Ticket, inbox: Inbox
) -> None:
    token = uuid4()
    first = says(visitor, "Hello?", token)
    merge_tickets(alice, chat.number, ticket.number)
    answer = Client().post(
        f"/widget/{visitor.key}/messages",
        {"client_token": str(token), "body": "Hello?"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {visitor.token}"},
    )
    message = answer.json()["message"]
    assert (message["seq"], message["chat"]) == (first.seq, chat.conversation_id)
    assert Message.objects.filter(body="Hello?").count() == 1


def test_a_widget_never_shows_mails_of_an_address_that_was_only_claimed(
    alice: Viewer, visitor: Visitor, chat: Ticket, inbox: Inbox
) -> None:
    """Whoever wrote the mails has the person, and so a seat there; the widget proved nothing."""
    person = visitor.session.person
    EmailAddress.objects.create(person=person, address="carol@mail.example", is_verified=False)
    mails = make.ticket(Viewer(person), inbox, "My address is Secret Street.")
    dave = make.customer("Dave", "dave@mail.example")
    Participant.objects.create(conversation=chat_of(visitor), person=dave.person, role="customer")
    # What whoever comes there may read is not what the widget of who is there already may show.
    merge_tickets(alice, chat.number, mails.number, sees_all=True)
    page = asks(visitor).json()
    assert page["chat"] == mails.conversation_id
    assert "Secret Street" not in str(page)
    older = asks(visitor, "messages?before=99").json()
    assert "Secret Street" not in str(older)
    make.say(alice, mails, "Here.")
    assert "Here." in str(asks(visitor).json())


def test_two_chats_of_one_browser_are_read_as_before(
    alice: Viewer, visitor: Visitor, chat: Ticket, inbox: Inbox
) -> None:
    headers = {"Authorization": f"Bearer {visitor.token}"}
    Client().post(f"/widget/{visitor.key}/another", headers=headers)
    says(visitor, "Another thing.")
    second = Ticket.objects.latest("number")
    assert second != chat
    merge_tickets(alice, second.number, chat.number)
    page = asks(visitor).json()
    assert page["chat"] == chat.conversation_id
    assert "Is anybody there?" in str(page["messages"])
    session = VisitorSession.objects.get(pk=visitor.session.pk)
    assert session.earlier == [second.conversation_id]


def test_a_stranger_who_was_brought_together_reads_nothing_of_before(
    alice: Viewer, visitor: Visitor, stranger: Visitor, chat: Ticket
) -> None:
    says(stranger, "Me too.")
    theirs = Ticket.objects.latest("number")
    merge_tickets(alice, theirs.number, chat.number)
    page = asks(stranger).json()
    assert [one["change"]["field"] for one in page["messages"] if one["change"]] == ["member"]
    assert "Is anybody there?" not in str(page)
    mine = asks(visitor).json()
    assert "Me too." not in str(mine)
    assert asks(visitor, f"messages?before=99&chat={theirs.conversation_id}").status_code == 404
    assert asks(stranger, f"messages?before=99&chat={theirs.conversation_id}").status_code == 200


def test_who_is_removed_after_it_hears_nothing_more(
    alice: Viewer, stranger: Visitor, chat: Ticket, inbox: Inbox
) -> None:
    says(stranger, "Me too.")
    theirs = Ticket.objects.latest("number")
    merge_tickets(alice, theirs.number, chat.number)
    remove_person(alice, chat.conversation_id, stranger.session.person_id)
    with pytest.raises(NotFound):
        access_session(inbox, stranger.token)


def test_who_is_gone_from_the_widget_hears_by_mail(
    alice: Viewer, visitor: Visitor, chat: Ticket, ticket: Ticket
) -> None:
    person = visitor.session.person
    EmailAddress.objects.create(person=person, address="v@mail.example", is_verified=False)
    merge_tickets(alice, chat.number, ticket.number)
    make.say(alice, ticket, "It is on its way.")
    row = UnreadMail.objects.get(conversation=ticket.conversation)
    from chat.unread import mail_unread
    from helpdesk.lib import work

    UnreadMail.objects.update(due_at=ticket.opened_at)
    work.perform(UnreadMail, row.pk, mail_unread)
    assert OutgoingEmail.objects.filter(address="v@mail.example").count() == 1


def test_a_link_into_the_old_one_leads_on_and_shows_nothing_of_before(
    alice: Viewer, chat: Ticket, ticket: Ticket
) -> None:
    link = create_link(alice, chat.conversation_id, days=1, uses_max=2, sees_all=True)
    merge_tickets(alice, chat.number, ticket.number)
    session = join(link_token_for(link.pk), uuid4(), name="Erin", address="192.0.2.9", origin="")
    assert session.conversation_id == ticket.conversation_id
    seat = Participant.objects.get(conversation=ticket.conversation, person=session.person)
    assert seat.sees_after_seq > 0


def test_another_visitor_hears_nothing_of_a_merging(
    alice: Viewer, visitor: Visitor, chat: Ticket, ticket: Ticket, inbox: Inbox
) -> None:
    other = new_visitor(inbox, "Other")
    merge_tickets(alice, chat.number, ticket.number)
    assert asks(other).json()["messages"] == []
    with pytest.raises(NotFound):
        access_session(make.inbox("Third"), visitor.token)
