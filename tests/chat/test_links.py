"""Join links: whom they let in, and when they end."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils.timezone import now
from pytest_django import Settings

from chat import links
from chat.access import access_session, visit_of
from chat.links import access_link, create_link, join, remove_member, revoke_link
from chat.models import JoinLink, VisitorSession
from chat.tokens import WrongToken, form_id_in, form_token_for, link_token_for, token_for
from helpdesk.lib.errors import NotFound, Refused, SlowDown
from tests import make
from tests.chat.conftest import Visitor
from tests.together import at_once
from tickets.access import Viewer, visible_messages
from tickets.models import Conversation, Message, Participant, Ticket
from tickets.operations.seats import Guests, add_people

pytestmark = pytest.mark.django_db


def link_to(
    ticket: Ticket, viewer: Viewer, *, days: int = 7, uses_max: int = 3, sees_all: bool = False
) -> JoinLink:
    where = ticket.conversation_id
    return create_link(viewer, where, days=days, uses_max=uses_max, sees_all=sees_all)


def come(link: JoinLink, name: str = "Ana", session_id: UUID | None = None) -> VisitorSession:
    token = link_token_for(link.pk)
    return join(token, session_id or uuid4(), name=name, address="192.0.2.7", origin="")


def read(session: VisitorSession) -> list[str]:
    viewer = visit_of(session).viewer
    found = visible_messages(viewer, session.conversation)
    return [one.body for one in found if one.kind == Message.Kind.REPLY]


def test_a_link_gives_a_seat_a_key_and_a_line(alice: Viewer, chat: Ticket) -> None:
    session = come(link_to(chat, alice), "  Ana\n Lima ")
    make.say(alice, chat, "Welcome")
    assert access_session(chat.inbox, token_for(session.pk)).person.name == "Ana Lima"
    assert read(session) == ["Welcome"]
    line = Message.objects.filter(kind="change", change__field="joined").get()
    assert (line.audience, line.author, (line.change or {})["new"]) == (
        "everyone",
        session.person,
        "Ana Lima",
    )
    assert Conversation.objects.get().is_group


def test_a_link_may_show_what_was_said_before(alice: Viewer, chat: Ticket) -> None:
    assert read(come(link_to(chat, alice, sees_all=True))) == ["Which filter fits?"]


def test_sending_the_form_twice_begins_one_session(alice: Viewer, chat: Ticket) -> None:
    link, session_id = link_to(chat, alice), uuid4()
    assert come(link, session_id=session_id) == come(link, session_id=session_id)
    link.refresh_from_db()
    assert (link.uses, Participant.objects.filter(person__name="Ana").count()) == (1, 1)


def test_a_link_is_used_up(alice: Viewer, chat: Ticket) -> None:
    link = link_to(chat, alice, uses_max=1)
    come(link)
    with pytest.raises(WrongToken):
        come(link)


@pytest.mark.parametrize("ended", [{"revoked_at": now()}, {"expires_at": now() - timedelta(1)}])
def test_a_link_that_has_ended_lets_nobody_in(
    ended: dict[str, object], alice: Viewer, chat: Ticket
) -> None:
    link = link_to(chat, alice)
    JoinLink.objects.update(**ended)
    with pytest.raises(WrongToken):
        come(link)
    assert chat.conversation.participants.count() == 1


def test_a_forged_address_leads_nowhere(alice: Viewer, chat: Ticket) -> None:
    link = link_to(chat, alice)
    for token in (link.pk.hex, token_for(link.pk), f"{link_token_for(link.pk)}x", ""):
        with pytest.raises(NotFound):
            access_link(token)
    with pytest.raises(NotFound):
        access_link(link_token_for(uuid4()))


def test_a_forged_form_begins_nothing() -> None:
    made = uuid4()
    assert form_id_in(form_token_for(made)) == made
    for token in (made.hex, token_for(made), link_token_for(made)):
        with pytest.raises(WrongToken):
            form_id_in(token)


def test_a_form_opens_no_session_of_another_way(
    alice: Viewer, chat: Ticket, visitor: Visitor
) -> None:
    with pytest.raises(WrongToken):
        come(link_to(chat, alice), session_id=visitor.session.pk)


def test_nobody_comes_without_a_name(alice: Viewer, chat: Ticket) -> None:
    with pytest.raises(Refused, match="name that the others see"):
        come(link_to(chat, alice), " \n ")


def test_one_network_address_comes_so_often(
    alice: Viewer, chat: Ticket, settings: Settings
) -> None:
    settings.ADDRESS_SESSIONS_PER_MINUTE = 1
    link = link_to(chat, alice)
    come(link)
    with pytest.raises(SlowDown):
        come(link)


def test_revoking_is_for_staff_who_see_it_and_twice_is_once(
    alice: Viewer, mallory: Viewer, carol: Viewer, chat: Ticket
) -> None:
    link = link_to(chat, alice)
    for stranger in (mallory, carol):
        with pytest.raises(NotFound):
            revoke_link(stranger, chat.conversation_id, link.pk)
        with pytest.raises(NotFound):
            link_to(chat, stranger)
    revoke_link(alice, chat.conversation_id, link.pk)
    first = JoinLink.objects.get().revoked_at
    revoke_link(alice, chat.conversation_id, link.pk)
    assert JoinLink.objects.get().revoked_at == first
    assert links.open_links(chat.conversation) == []


def test_a_link_of_another_conversation_is_not_there(
    alice: Viewer, chat: Ticket, ticket: Ticket
) -> None:
    link = link_to(chat, alice)
    with pytest.raises(NotFound):
        revoke_link(alice, ticket.conversation_id, link.pk)


@pytest.mark.parametrize(("days", "uses_max"), [(0, 1), (91, 1), (1, 0), (1, 201)])
def test_numbers_out_of_range_are_a_sentence(
    days: int, uses_max: int, alice: Viewer, chat: Ticket
) -> None:
    with pytest.raises(Refused, match="1 to"):
        link_to(chat, alice, days=days, uses_max=uses_max)


def test_a_removed_member_has_no_key_and_no_link(alice: Viewer, chat: Ticket) -> None:
    link = link_to(chat, alice)
    session = come(link)
    remove_member(alice, chat.conversation_id, session.person_id)
    with pytest.raises(WrongToken):
        access_session(chat.inbox, token_for(session.pk))
    for session_id in (session.pk, uuid4()):
        with pytest.raises(WrongToken):
            come(link, session_id=session_id)


def test_other_links_outlast_a_removal(alice: Viewer, chat: Ticket) -> None:
    link = link_to(chat, alice)
    (seat,) = add_people(alice, chat.conversation_id, Guests(addresses=["julie@mail.example"]))
    remove_member(alice, chat.conversation_id, seat.person_id)
    assert come(link)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_only_as_many_come_in_as_may(alice: Viewer, chat: Ticket) -> None:
    link = link_to(chat, alice, uses_max=2)
    came = at_once(*[lambda: _try(link)] * 6)
    link.refresh_from_db()
    assert (came.count(True), came.count(False), link.uses) == (2, 4, 2)
    assert Participant.objects.filter(person__name="Ana").count() == 2


def _try(link: JoinLink) -> bool:
    try:
        come(link)
    except WrongToken:
        return False
    return True
