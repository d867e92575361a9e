"""Answers that a customer may give with one tap."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pytest_django import Settings

from helpdesk.lib.errors import Refused
from tests import make
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.conftest import Enter
from tests.tickets.test_mail_copies import sent
from tickets.access import Viewer
from tickets.events import as_json
from tickets.models import Message, Ticket
from tickets.operations.seats import Guests, add_people

SCRIPT = {"HX-Request": "true"}


def test_they_come_with_the_reply(alice: Viewer, chat: Ticket) -> None:
    message = make.say(alice, chat, "Which one?", choices=[" The small\n one", "The large one", ""])
    assert as_json(message)["choices"] == ["The small one", "The large one"]
    assert Message.objects.get(pk=message.pk).choices == ["The small one", "The large one"]


def test_one_that_is_named_twice_is_offered_once(alice: Viewer, chat: Ticket) -> None:
    assert make.say(alice, chat, "Sure?", choices=["Yes", "Yes ", "No"]).choices == ["Yes", "No"]


@pytest.mark.parametrize(
    ("choices", "words"),
    [([str(n) for n in range(7)], "At most 6"), (["x" * 81], "at most 80")],
    ids=["many", "long"],
)
def test_too_many_or_too_much_is_refused(
    choices: list[str], words: str, alice: Viewer, chat: Ticket
) -> None:
    with pytest.raises(Refused, match=words):
        make.say(alice, chat, "Which one?", choices=choices)
    assert Message.objects.filter(kind="reply").count() == 1


def test_they_are_for_chats_and_of_staff(
    alice: Viewer, carol: Viewer, chat: Ticket, ticket: Ticket
) -> None:
    for who, where in ((alice, ticket), (carol, chat)):
        with pytest.raises(Refused, match="customers in a chat"):
            make.say(who, where, "Sure?", choices=["Yes"])


def test_the_composer_of_a_chat_takes_them(
    enter: Enter, alice: Viewer, chat: Ticket, ticket: Ticket
) -> None:
    browser = enter(alice)
    assert 'name="choices"' in browser.get(f"/tickets/{chat.number}/").content.decode()
    assert 'name="choices"' not in browser.get(f"/tickets/{ticket.number}/").content.decode()
    form = {"body": "Sure?", "client_token": str(uuid4()), "choices": "Yes, No ,"}
    assert browser.post(f"/tickets/{chat.number}/reply/", form, headers=SCRIPT).status_code == 204
    assert Message.objects.latest("pk").choices == ["Yes", "No"]
    page = browser.get(f"/tickets/{chat.number}/").content.decode()
    assert page.index("Sure?") < page.index('<bdi class="chip">Yes</bdi>')


def test_what_is_too_much_stays_in_the_form(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    many = "1,2,3,4,5,6,7"
    form = {"body": "Which one?", "client_token": str(uuid4()), "choices": many}
    page = enter(alice).post(f"/tickets/{chat.number}/reply/", form)
    assert page.status_code == 422
    assert "At most 6 answers" in page.content.decode()
    assert f'value="{many}"' in page.content.decode()


def test_a_note_has_none(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    form = {"body": "She is kind.", "client_token": str(uuid4()), "choices": "Yes"}
    answer = enter(alice).post(f"/tickets/{chat.number}/note/", form, headers=SCRIPT)
    assert (answer.status_code, Message.objects.latest("pk").choices) == (204, [])


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


def test_by_mail_they_are_a_list(alice: Viewer, chat: Ticket, server: Server) -> None:
    add_people(alice, chat.conversation_id, Guests(addresses=["julie@mail.example"]))
    sent(make.say(alice, chat, "Sure?", choices=["Yes", "No"]), server)
    plain = server.got[-1].get_body(("plain",))
    assert plain is not None
    assert str(plain.get_content()).split() == ["Sure?", "-", "Yes", "-", "No"]
