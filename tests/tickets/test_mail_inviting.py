"""Who is added by their address is told so by mail, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests import make
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_copies import sent
from tests.tickets.test_mail_in import come_in
from tickets.access import Viewer
from tickets.models import Inbox, Message, OutgoingEmail, Participant, Ticket
from tickets.operations.inviting import TEXTS
from tickets.operations.seats import Guests, add_people, mute, remove_person, rename

pytestmark = pytest.mark.django_db

JULIE = "julie@mail.example"


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def add(who: Viewer, ticket: Ticket, *, sees_all: bool = False, rank: str = "member") -> Message:
    """Julie, and the line that says that she was added."""
    add_people(who, ticket.conversation_id, Guests(addresses=[JULIE]), sees_all=sees_all, rank=rank)
    return Message.objects.filter(change__field="member").latest("seq")


def invitations() -> int:
    return OutgoingEmail.objects.filter(message__kind="change").count()


def words_of(server: Server) -> str:
    plain = server.got[-1].get_body(("plain",))
    assert plain is not None
    return str(plain.get_content())


def test_it_says_who_added_them_what_it_is_about_and_how_to_answer(
    alice: Viewer, chat: Ticket, server: Server
) -> None:
    make.say(alice, chat, "Size 02.")
    line = add(alice, chat)
    assert list(sent(line, server)) == [JULIE]
    text = words_of(server)
    assert "Alice from The Shop added you to a conversation: Which filter fits?" in text
    assert "from now on" in text
    assert "just answer this mail" in text
    assert "Size 02." not in text
    arrived = server.got[-1]
    assert arrived["Subject"] == "Which filter fits?"
    assert "Auto-Submitted" not in arrived


def test_who_sees_all_finds_below_it_what_was_said(
    alice: Viewer, chat: Ticket, server: Server
) -> None:
    make.say(alice, chat, "Size 02.")
    sent(add(alice, chat, sees_all=True), server)
    text = words_of(server)
    assert "What was said before is below." in text
    assert text.index("> Size 02.") < text.index("> Which filter fits?")


def test_who_may_only_read_is_not_asked_to_answer(
    alice: Viewer, chat: Ticket, server: Server
) -> None:
    sent(add(alice, chat, rank="reader"), server)
    assert "You can read along." in words_of(server)
    assert "just answer" not in words_of(server)


def test_an_answer_to_it_lands_in_the_conversation(
    alice: Viewer, chat: Ticket, server: Server
) -> None:
    sent(add(alice, chat), server)
    message_id = str(server.got[-1]["Message-ID"])
    row = come_in(mail("Hello all.", sender=JULIE, subject="Re: x", in_reply_to=message_id))
    assert row.message is not None
    assert row.message.conversation_id == chat.conversation_id


def test_what_is_said_later_stands_below_it(alice: Viewer, chat: Ticket, server: Server) -> None:
    sent(add(alice, chat), server)
    first = server.got[-1]["Message-ID"]
    sent(make.say(alice, chat, "Size 02."), server)
    assert server.got[-1]["In-Reply-To"] == first


def test_it_is_sent_once(alice: Viewer, chat: Ticket) -> None:
    add(alice, chat)
    add(alice, chat)
    assert invitations() == 1


def test_colleagues_are_told_by_no_mail(alice: Viewer, bob: Viewer, chat: Ticket) -> None:
    assert bob.user
    add_people(alice, chat.conversation_id, Guests(user_ids=[bob.user.pk]))
    assert invitations() == 0


def test_who_is_removed_before_it_leaves_never_gets_it(alice: Viewer, chat: Ticket) -> None:
    add(alice, chat)
    julie = Participant.objects.get(person__addresses__address=JULIE)
    remove_person(alice, chat.conversation_id, julie.person_id)
    assert invitations() == 0


def test_who_had_muted_the_conversation_is_told_nothing(
    alice: Viewer, chat: Ticket, server: Server
) -> None:
    sent(add(alice, chat), server)
    julie = Participant.objects.select_related("person").get(person__addresses__address=JULIE)
    mute(Viewer(julie.person), chat.conversation_id, muted=True)
    remove_person(alice, chat.conversation_id, julie.person_id)
    add(alice, chat)
    assert invitations() == 1


@pytest.mark.parametrize("what", [{"bounce_hard": True}, {"bounce_kind": "complaint"}], ids=str)
def test_an_address_that_gave_mail_back_or_called_it_spam_gets_none(
    what: dict[str, object], alice: Viewer, carol: Viewer, inbox: Inbox, chat: Ticket
) -> None:
    other = make.ticket(carol, inbox, "Something else", channel="chat")
    add(alice, other)
    OutgoingEmail.objects.update(**what)
    add(alice, chat)
    assert invitations() == 1


def test_a_strangers_words_in_it_are_no_link(
    alice: Viewer, carol: Viewer, inbox: Inbox, server: Server
) -> None:
    chat = make.ticket(carol, inbox, "See https://evil.example/now", channel="chat")
    sent(add(alice, chat), server)
    assert "evil.example" not in words_of(server)


def test_a_group_is_called_by_its_name(alice: Viewer, chat: Ticket, server: Server) -> None:
    rename(alice, chat.conversation_id, "Filters for two")
    sent(add(alice, chat), server)
    assert "added you to a conversation: Filters for two" in words_of(server)


def test_it_speaks_the_language_of_the_inbox(
    alice: Viewer, inbox: Inbox, chat: Ticket, server: Server
) -> None:
    Inbox.objects.update(language="de")
    sent(add(alice, chat), server)
    assert "Alice from The Shop hat Sie zu einer Unterhaltung hinzugefügt" in words_of(server)


def test_every_language_has_the_same_places() -> None:
    for said in TEXTS.values():
        assert "{name}" in said.hello
        assert said.begins.index("{by}") < said.begins.index("{subject}")


def test_the_desk_shows_what_became_of_it(
    enter: Enter, alice: Viewer, chat: Ticket, server: Server
) -> None:
    line = add(alice, chat)
    address = f"/tickets/{chat.number}/messages/{line.seq}/"
    page = enter(alice).get(address).content.decode()
    assert f"Sending to {JULIE}" in page
    assert "Undo" not in page
    sent(line, server)
    assert f"Sent to {JULIE}" in enter(alice).get(address).content.decode()
