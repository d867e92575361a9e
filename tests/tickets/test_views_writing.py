"""What staff do on a ticket page: write, assign, solve, reopen; without a script and with one."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from tests.tickets.conftest import Enter
from tickets.access import Viewer, visible_messages
from tickets.models import Message, Ticket

SCRIPT = {"HX-Request": "true"}


def write(browser: Client, ticket: Ticket, body: str, kind: str = "reply", **more: Any) -> Any:
    form = {"body": body, "client_token": str(more.pop("token", uuid4()))}
    return browser.post(f"/tickets/{ticket.number}/{kind}/?view=yours", form, **more)


def spoken(ticket: Ticket) -> list[tuple[str, str]]:
    rows = Message.objects.filter(conversation=ticket.conversation_id).exclude(kind="change")
    return list(rows.order_by("seq").values_list("kind", "body"))


def test_a_reply_is_sent_and_one_is_back_at_the_ticket(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    response = write(enter(alice), ticket, "It ships on Monday.\r\n\r\nAlice ")
    assert response["Location"] == f"/tickets/{ticket.number}/?view=yours"
    assert spoken(ticket)[-1] == ("reply", "It ships on Monday.\n\nAlice")
    assert visible_messages(carol, ticket.conversation).last() == Message.objects.last()


def test_a_note_stays_among_staff(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    write(enter(alice), ticket, "She has written three times.", "note")
    assert spoken(ticket)[-1] == ("note", "She has written three times.")
    seen = visible_messages(carol, ticket.conversation).values_list("body", flat=True)
    assert list(seen) == ["My grinder arrived broken."]


def test_a_form_sent_twice_is_one_message(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    browser, token = enter(alice), uuid4()
    for _ in range(2):
        assert write(browser, ticket, "Hello.", token=token).status_code == 302
    assert [body for _, body in spoken(ticket)].count("Hello.") == 1


@pytest.mark.parametrize(("kind", "body"), [("reply", "Hello again."), ("note", "Hello.")])
def test_going_back_and_writing_anew_loses_nothing(
    kind: str, body: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    browser, token = enter(alice), uuid4()
    write(browser, ticket, "Hello.", token=token)
    page = write(browser, ticket, body, kind, token=token)
    assert page.status_code == 422
    assert f">{body}</textarea>" in page.content.decode()

    fresh = page.context["form"]["client_token"].value()
    assert write(browser, ticket, body, kind, token=fresh).status_code == 302
    assert spoken(ticket)[-2:] == [("reply", "Hello."), (kind, body)]


def test_a_text_that_is_too_long_stays_in_the_box_and_hears_the_limit(
    enter: Enter, alice: Viewer, ticket: Ticket, settings: Any
) -> None:
    settings.MESSAGE_MAX_CHARS = 50
    text = "Many words. " * 5
    page = write(enter(alice), ticket, text, "note")
    assert page.status_code == 422
    html = page.content.decode()
    assert f">{text}</textarea>" in html
    assert "59 characters" in html
    assert "At most 50" in html
    assert 'value="note" checked' in html
    assert len(spoken(ticket)) == 1


@pytest.mark.parametrize("body", ["", "   \n ", "\0\0"])
def test_nothing_is_not_sent(body: str, enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert write(enter(alice), ticket, body).status_code == 422
    assert len(spoken(ticket)) == 1


@pytest.mark.parametrize("token", ["", "none", "0" * 5000])
def test_a_broken_token_keeps_the_text(
    token: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    page = write(enter(alice), ticket, "Hello.", token=token)
    assert page.status_code == 422
    assert ">Hello.</textarea>" in page.content.decode()


def test_a_form_of_megabytes_is_refused(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    page = write(enter(alice), ticket, "a" * 3_000_000)
    assert page.status_code == 400
    assert "We could not read that request" in page.content.decode()


def test_a_script_gets_a_short_answer(
    enter: Enter, alice: Viewer, ticket: Ticket, settings: Any
) -> None:
    settings.MESSAGE_MAX_CHARS = 50
    browser = enter(alice)
    sent = write(browser, ticket, "Hello.", headers=SCRIPT)
    assert (sent.status_code, sent.content) == (204, b"")
    refused = write(browser, ticket, "a" * 51, headers=SCRIPT)
    assert refused.status_code == 422
    assert b"data-sentence" in refused.content
    assert b"<html" not in refused.content


def test_a_ticket_goes_to_a_colleague_and_to_nobody(
    enter: Enter, alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    browser = enter(alice)
    assert bob.user
    browser.post(f"/tickets/{ticket.number}/assign/", {"assignee": bob.user.pk})
    ticket.refresh_from_db()
    assert ticket.assignee == bob.user
    browser.post(f"/tickets/{ticket.number}/assign/", {"assignee": ""})
    ticket.refresh_from_db()
    assert ticket.assignee is None


def test_a_ticket_goes_to_no_one_who_may_not_see_it(
    enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    assert mallory.user
    browser = enter(alice)
    for who in (mallory.user.pk, 10**30, "bob"):
        page = browser.post(f"/tickets/{ticket.number}/assign/", {"assignee": who})
        assert page.status_code == 422
    ticket.refresh_from_db()
    assert ticket.assignee == alice.user
    menu = browser.get(f"/tickets/{ticket.number}/").content.decode()
    assert "Mallory" not in menu


def test_solving_and_reopening(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    browser = enter(alice)
    address = f"/tickets/{ticket.number}/"
    assert browser.post(f"{address}solve/?view=yours")["Location"] == f"{address}?view=yours"
    ticket.refresh_from_db()
    assert ticket.status == "solved"
    assert "Reopen" in browser.get(address).content.decode()
    browser.post(f"{address}reopen/")
    ticket.refresh_from_db()
    assert ticket.status == "open"


def test_a_script_gets_the_head_as_it_is_now(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    response = enter(alice).post(f"/tickets/{ticket.number}/solve/", headers=SCRIPT)
    html = response.content.decode()
    assert response.status_code == 200
    assert 'data-part="head"' in html
    assert "Reopen" in html
    assert "<html" not in html


def test_what_came_after_one_looked_stays_unread(
    enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    browser = enter(alice)
    address = f"/tickets/{ticket.number}/seen/"
    assert browser.post(address, {"seq": 0}).status_code == 302
    ticket.refresh_from_db()
    assert ticket.unread
    assert browser.post(address, {"seq": 1}, headers=SCRIPT).status_code == 204
    ticket.refresh_from_db()
    assert not ticket.unread


@pytest.mark.parametrize("seq", ["", "-1", "x", "99999999999"])
def test_a_place_that_makes_no_sense_is_refused(
    seq: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    response = enter(alice).post(f"/tickets/{ticket.number}/seen/", {"seq": seq})
    assert response.status_code == 422


def test_no_redirect_leaves_the_desk(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    response = enter(alice).post(f"/tickets/{ticket.number}/solve/?next=//evil.example&q=a%26b")
    assert response["Location"] == f"/tickets/{ticket.number}/?q=a%26b"
