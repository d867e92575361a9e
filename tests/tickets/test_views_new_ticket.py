"""The form that begins a conversation, with a script and without one."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Conversation, Inbox, Message, Person, Ticket

pytestmark = pytest.mark.django_db
SCRIPT = {"HX-Request": "true"}
NEW = "/tickets/new/"


def send(browser: Client, inbox: Inbox, script: bool = False, **other: Any) -> Any:
    words: dict[str, Any] = {
        "inbox": inbox.pk,
        "address": "dave@mail.example",
        "name": "Dave Miller",
        "subject": "Your parcel came back",
        "body": "Where shall we send it?",
        "client_token": uuid4(),
    }
    return browser.post(NEW, words | other, headers=SCRIPT if script else {})


def shown(response: Any) -> str:
    return str(response.content.decode())


def test_the_form_sends_a_mail_and_leads_to_the_ticket(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    browser = enter(alice)
    response = send(browser, inbox)
    ticket = Ticket.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/tickets/{ticket.number}/")
    page = shown(browser.get(response["Location"]))
    assert "Your parcel came back" in page
    assert "Where shall we send it?" in page
    assert "Dave Miller" in page


def test_a_script_is_told_where_the_ticket_is(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    file = make.upload(alice)
    response = send(enter(alice), inbox, script=True, file=[file.uuid], body="")
    address = f"/tickets/{Ticket.objects.get().number}/"
    assert (response.status_code, response["HX-Redirect"]) == (200, address)
    assert Message.objects.get().files.get().attachment == file


def test_the_only_inbox_needs_no_choice(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    make.inbox("Chat only")
    page = shown(enter(alice).get(NEW))
    assert f'<input type="hidden" name="inbox" value="{inbox.pk}" data-most="15">' in page
    assert "<select" not in page


def test_one_chooses_among_the_inboxes_one_sees(
    enter: Enter, alice: Viewer, mallory: Viewer, inbox: Inbox
) -> None:
    repairs = make.inbox("Repairs", address="repairs@shop.example")
    page = shown(enter(alice).get(NEW))
    assert re.findall(r'<option value="(\d+)"', page) == [str(inbox.pk), str(repairs.pk)]
    of_mallory = shown(enter(mallory).get(NEW))
    assert re.findall(r'name="inbox" value="(\d+)"', of_mallory) == [str(repairs.pk)]
    assert "hello@shop.example" not in of_mallory


def test_another_teams_inbox_is_no_choice(
    enter: Enter, alice: Viewer, mallory: Viewer, inbox: Inbox
) -> None:
    make.inbox("Repairs", address="repairs@shop.example")
    browser = enter(mallory)
    forbidden = send(browser, inbox, client_token="0" * 32)
    missing = send(browser, Inbox(pk=inbox.pk + 1000), client_token="0" * 32)
    assert (forbidden.status_code, missing.status_code) == (422, 422)
    csrf = re.compile(r'name="csrfmiddlewaretoken" value="\w+"|csrf\w*&quot;: &quot;\w+')
    assert csrf.sub("", shown(forbidden)) == csrf.sub("", shown(missing))
    assert "Choose an inbox." in shown(forbidden)
    assert not Conversation.objects.exists()


def test_who_has_no_address_to_write_from_is_told_so(enter: Enter, mallory: Viewer) -> None:
    browser = enter(mallory)
    assert "No address to write from" in shown(browser.get(NEW))
    assert browser.post(NEW, {"address": "dave@mail.example"}).status_code == 200
    assert not Conversation.objects.exists()


def test_a_stranger_sends_nothing(inbox: Inbox) -> None:
    assert Client().get(NEW)["Location"] == "/?next=/tickets/new/"
    assert send(Client(), inbox).status_code == 302
    assert send(Client(), inbox, script=True).status_code == 401
    assert not Conversation.objects.exists()


def test_a_form_from_another_site_sends_nothing(alice: Viewer, inbox: Inbox) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert alice.user
    browser.force_login(alice.user)
    assert send(browser, inbox).status_code == 403
    assert not Conversation.objects.exists()


WRONG = [
    ("address", "dave", "Write an email address"),
    ("address", "HELLO@shop.example", "address of your own desk"),
    ("subject", " ", "Write a subject."),
    ("subject", "x" * 200, "200 characters"),
    ("body", " ", "Write something first."),
    ("name", "x" * 200, "at most 150 characters"),
]


@pytest.mark.parametrize(("name", "text", "sentence"), WRONG)
def test_a_refused_form_says_what_is_wrong_where_and_keeps_everything(
    name: str, text: str, sentence: str, enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    token = uuid4()
    wrong: Any = {name: text}
    response = send(enter(alice), inbox, client_token=token, **wrong)
    page = shown(response)
    assert response.status_code == 422
    (place,) = re.findall(rf'<div data-error="{name}">(.*?)</div>', page, re.DOTALL)
    assert sentence in place
    assert f'id="id_{name}_error"' in place
    (field,) = re.findall(rf"<(?:input|textarea)[^>]*? name=.{name}.[^>]*>", page)
    assert 'aria-invalid="true"' in field
    assert f"id_{name}_error" in field
    typed = {
        "address": "dave@mail.example",
        "name": "Dave Miller",
        "subject": "Your parcel came back",
        "body": "Where shall we send it?",
    }
    for kept in (typed | wrong).values():
        assert kept in page
    assert str(token) in page
    assert not Conversation.objects.exists()


def test_what_a_script_gets_back_is_the_form_alone(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    response = send(enter(alice), inbox, script=True, address="dave")
    assert response.status_code == 422
    assert shown(response).lstrip().startswith("<form")


def test_a_file_that_cannot_be_had_is_refused_with_its_sentence(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    response = send(enter(alice), inbox, script=True, file=[uuid4()])
    assert response.status_code == 422
    assert "no longer here" in shown(response)
    assert not Person.objects.filter(name="Dave Miller").exists()


def test_a_form_sent_twice_leads_to_the_one_ticket(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    browser, file = enter(alice), make.upload(alice)
    again: Any = {"client_token": uuid4(), "file": [file.uuid]}
    first, second = (send(browser, inbox, **again) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert Ticket.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [("body", "Another text."), ("subject", "Another"), ("address", "eve@mail.example")],
)
def test_other_words_under_a_used_token_are_neither_lost_nor_taken_for_sent(
    name: str, text: str, enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    other: Any = {name: text}
    browser, token = enter(alice), uuid4()
    send(browser, inbox, client_token=token)
    response = send(browser, inbox, client_token=token, **other)
    page = shown(response)
    assert response.status_code == 422
    assert "This form was sent already." in page
    assert text in page
    (fresh,) = re.findall(r'name="client_token" value="([\w-]+)"', page)
    assert fresh != str(token)
    assert send(browser, inbox, client_token=fresh, **other).status_code == 302
    assert Ticket.objects.count() == 2


def test_the_page_is_in_the_navigation(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    browser = enter(alice)
    assert 'href="/tickets/new/"' in shown(browser.get("/tickets/"))
    current = re.findall(r'<a class="nav-item"[^>]*aria-current="page"', shown(browser.get(NEW)))
    assert [NEW in link for link in current] == [True], current
