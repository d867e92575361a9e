"""The panel of who takes part, and the page behind a join link."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import get_resolver

from chat.links import create_link
from chat.models import JoinLink, VisitorSession
from chat.tokens import link_token_for, session_id_in
from tests import make
from tests.tickets.conftest import Enter
from tests.tickets.conftest import enter as enter
from tickets.access import Viewer
from tickets.models import Inbox, Message, Participant, Ticket
from tickets.operations.seats import Guests, add_people

pytestmark = pytest.mark.django_db

JULIE = "julie@mail.example"
SCRIPT = {"HX-Request": "true"}
READ = ("",)
WRITE = ("add/", "1/remove/", "1/rank/", "rename/", "mute/", "leave/", "links/")
FORM = {"addresses": JULIE, "rank": "reader", "title": "x", "uses_max": "1", "days": "1"}


def at(ticket: Ticket, path: str = "") -> str:
    return f"/conversations/{ticket.conversation_id}/people/{path}"


def state() -> tuple[Any, ...]:
    seats = Participant.objects.order_by("pk").values_list("person", "rank", "left_at", "muted")
    return (*seats, Message.objects.count(), JoinLink.objects.count())


def test_every_address_is_in_these_lists() -> None:
    names = {str(key) for key in get_resolver("chat.urls").reverse_dict if isinstance(key, str)}
    people = {"people", "add-people", "remove-person", "rank", "rename", "mute", "leave"}
    assert people | {"new-link", "end-link", "join"} <= names


@pytest.mark.parametrize("path", [*READ, *WRITE])
def test_a_stranger_is_asked_to_log_in(path: str, chat: Ticket) -> None:
    before = state()
    client = Client()
    response = client.post(at(chat, path), FORM) if path in WRITE else client.get(at(chat, path))
    assert response.status_code == 302
    assert state() == before


@pytest.mark.parametrize("path", [*READ, *WRITE, "links/00000000-0000-4000-8000-000000000000/end/"])
def test_another_teams_conversation_looks_like_none(
    path: str, enter: Enter, mallory: Viewer, chat: Ticket
) -> None:
    before = state()
    browser = enter(mallory)
    missing = at(chat, path).replace(str(chat.conversation_id), "999999", 1)
    ask = browser.get if path in READ else browser.post
    answers = [ask(address, FORM) for address in (at(chat, path), missing)]
    assert [one.status_code for one in answers] == [404, 404]
    assert state() == before


def test_staff_add_name_rank_and_remove_people(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    browser = enter(alice)
    panel = browser.post(
        at(chat, "add/"), {"addresses": f"Julie <{JULIE}>", "sees_all": "yes"}, headers=SCRIPT
    )
    assert JULIE in panel.content.decode()
    seat = Participant.objects.get(person__addresses__address=JULIE)
    assert seat.sees_after_seq == 0
    browser.post(at(chat, f"{seat.person_id}/rank/"), {"rank": "reader"})
    browser.post(at(chat, "rename/"), {"title": "Which filter"})
    chat.conversation.refresh_from_db()
    seat.refresh_from_db()
    assert (seat.rank, chat.conversation.title) == ("reader", "Which filter")
    page = browser.post(at(chat, f"{seat.person_id}/remove/"), follow=True)
    seat.refresh_from_db()
    assert seat.barred
    assert JULIE not in page.content.decode()


def test_a_wrong_address_is_a_sentence(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    answer = enter(alice).post(at(chat, "add/"), {"addresses": "julie"}, headers=SCRIPT)
    assert answer.status_code == 422
    assert "name@example.org" in answer.content.decode()


def test_a_guest_colleague_leaves_and_is_led_away(
    enter: Enter, alice: Viewer, mallory: Viewer, chat: Ticket
) -> None:
    assert mallory.user
    add_people(alice, chat.conversation_id, Guests(user_ids=[mallory.user.pk]))
    browser = enter(mallory)
    assert browser.get(at(chat)).status_code == 200
    answer = browser.post(at(chat, "leave/"), headers=SCRIPT)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/tickets/")
    assert browser.get(at(chat)).status_code == 404


def test_a_link_is_made_shown_and_revoked(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    browser = enter(alice)
    panel = browser.post(at(chat, "links/"), {"uses_max": "2", "days": "3"}, headers=SCRIPT)
    (link,) = JoinLink.objects.all()
    assert link_token_for(link.pk) in panel.content.decode()
    panel = browser.post(at(chat, f"links/{link.pk}/end/"), headers=SCRIPT)
    link.refresh_from_db()
    assert link.revoked_at is not None
    assert link_token_for(link.pk) not in panel.content.decode()


# --- The page behind a link ---


@pytest.fixture
def address(alice: Viewer, chat: Ticket) -> str:
    link = create_link(alice, chat.conversation_id, days=1, uses_max=1, sees_all=False)
    return f"/join/{link_token_for(link.pk)}/"


def form_in(page: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found
    return found[1]


def test_who_gives_a_name_gets_a_key_and_sending_it_again_the_same(address: str) -> None:
    browser = Client()
    page = browser.get(address)
    assert (page["Referrer-Policy"], page["X-Robots-Tag"]) == ("same-origin", "noindex")
    sent = {"name": "Ana", "form": form_in(page.content.decode())}
    tokens = []
    for _ in range(2):
        inside = browser.post(address, sent)
        assert inside.status_code == 200
        (token,) = re.findall(r'data-token="([^"]+)"', inside.content.decode())
        tokens.append(token)
    assert tokens[0] == tokens[1]
    session = VisitorSession.objects.get(pk=session_id_in(tokens[0]))
    assert session.person.name == "Ana"
    assert Client().get(address).status_code == 410  # it was good for one


def test_without_a_name_nobody_comes_in_and_the_form_stays(address: str) -> None:
    form = form_in(Client().get(address).content.decode())
    answer = Client().post(address, {"name": " ", "form": form})
    assert answer.status_code == 422
    assert form_in(answer.content.decode()) == form
    assert not VisitorSession.objects.exists()


def test_a_forged_form_or_address_is_refused(address: str) -> None:
    assert Client().post(address, {"name": "Ana", "form": uuid4().hex}).status_code == 410
    assert Client().get(f"{address[:-2]}/").status_code == 404
    assert not VisitorSession.objects.exists()


def test_a_form_needs_the_token_of_its_page(address: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    form = form_in(browser.get(address).content.decode())
    assert browser.post(address, {"name": "Ana", "form": form}).status_code == 403


def test_an_inbox_without_a_widget_has_no_links(
    alice: Viewer, chat: Ticket, address: str, enter: Enter
) -> None:
    Inbox.objects.update(widget_key=None)
    assert Client().get(address).status_code == 404
    answer = enter(alice).post(at(chat, "links/"), {"uses_max": "2", "days": "3"}, headers=SCRIPT)
    assert answer.status_code == 422
    make.say(alice, chat, "Still here")
