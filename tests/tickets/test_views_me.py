"""What people on staff set for themselves, and inboxes in the admin."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Inbox, Ticket
from tickets.operations.seats import Guests, add_people, mute

pytestmark = pytest.mark.django_db

ME = "/settings/me/"


def test_a_signature_is_saved_for_whoever_writes_it(
    enter: Enter, alice: Viewer, bob: Viewer
) -> None:
    browser = enter(alice)
    assert browser.post(ME, {"signature": " **Alice**\r\nOrders "})["Location"] == ME
    assert "Saved." in browser.get(ME).content.decode()
    assert alice.user
    assert bob.user
    alice.user.refresh_from_db()
    bob.user.refresh_from_db()
    assert (alice.user.signature, bob.user.signature) == ("**Alice**\nOrders", "")


def test_one_that_is_too_long_stays_in_the_form(enter: Enter, alice: Viewer) -> None:
    page = enter(alice).post(ME, {"signature": "x" * 2_001})
    assert page.status_code == 422
    assert "may have 2000 characters; this has 2001." in page.content.decode()
    assert "x" * 2_001 in page.content.decode()


def test_a_stranger_has_none(client: Client) -> None:
    assert client.get(ME)["Location"].startswith("/?next")
    assert client.post(ME, {"signature": "x"}).status_code == 302


def form(inbox: Inbox, **more: str) -> dict[str, str]:
    return {
        "name": inbox.name,
        "address": inbox.address or "",
        "from_name": "Shop",
        "new_ticket_after_days": "14",
        "language": "de",
        "time_zone": "Europe/Vienna",
        "file_max_mb": "25",
        "files_max": "15",
        "asks_name": "never",
        "asks_email": "never",
        "asks_question": "never",
        "acknowledges": "on",
        **more,
    }


def test_hours_of_an_inbox_are_written_by_day(enter: Enter, admin: Viewer, inbox: Inbox) -> None:
    browser, page = enter(admin), f"/admin/tickets/inbox/{inbox.pk}/change/"
    answer = browser.post(page, form(inbox, monday="9-17", friday="9:00 – 12:30"))
    assert answer.status_code == 302, answer.content.decode()
    inbox.refresh_from_db()
    assert inbox.hours == {"0": ["09:00", "17:00"], "4": ["09:00", "12:30"]}
    assert (inbox.language, inbox.time_zone, inbox.acknowledges) == ("de", "Europe/Vienna", True)
    text = browser.get(page).content.decode()
    assert 'value="09:00-17:00"' in text
    refused = browser.post(page, form(inbox, monday="always"))
    assert "Write hours such as 9:00-17:30" in refused.content.decode()


def test_the_admin_offers_no_kind_of_mailbox_that_does_nothing(enter: Enter, admin: Viewer) -> None:
    page = enter(admin).get("/admin/tickets/mailbox/add/").content.decode()
    assert 'value="pop3"' in page
    assert 'value="hook"' not in page


def test_who_is_away_is_back_by_the_same_button(enter: Enter, alice: Viewer, bob: Viewer) -> None:
    browser = enter(alice)
    assert "Available" in browser.get("/tickets/").content.decode()
    assert browser.post("/settings/away/", {"away": "on"})["Location"] == ME
    assert alice.user
    assert bob.user
    alice.user.refresh_from_db()
    bob.user.refresh_from_db()
    assert (alice.user.away, bob.user.away) == (True, False)
    assert "I am back" in browser.get("/tickets/").content.decode()
    script = {"HX-Request": "true"}
    part = browser.post("/settings/away/", {"away": ""}, headers=script).content.decode()
    assert 'data-part="me"' in part
    assert "Available" in part
    assert "<html" not in part


def test_no_stranger_goes_away_or_is_called(client: Client) -> None:
    assert client.post("/settings/away/", {"away": "on"}).status_code == 302
    assert client.get("/tickets/calls/").status_code == 302
    assert client.get("/tickets/calls/", headers={"HX-Request": "true"}).status_code == 401


def test_what_is_unread_of_ones_own_and_chats_of_nobody_call(
    enter: Enter, alice: Viewer, bob: Viewer, mallory: Viewer, ticket: Ticket, chat: Ticket
) -> None:
    def called(who: Viewer) -> list[int]:
        return [call["number"] for call in enter(who).get("/tickets/calls/").json()["calls"]]

    assert called(alice) == [ticket.number, chat.number]
    assert called(bob) == [chat.number]
    assert called(mallory) == []
    enter(alice).post(f"/tickets/{ticket.number}/seen/", {"seq": 1})
    assert called(alice) == [chat.number]


def test_a_conversation_that_somebody_muted_does_not_call_them(
    enter: Enter, alice: Viewer, bob: Viewer, chat: Ticket
) -> None:
    assert alice.user
    assert bob.user
    guests = Guests(user_ids=[alice.user.pk, bob.user.pk])
    add_people(alice, chat.conversation_id, guests)
    mute(alice, chat.conversation_id, muted=True)

    def calls(who: Viewer) -> int:
        return len(enter(who).get("/tickets/calls/").json()["calls"])

    assert (calls(alice), calls(bob)) == (0, 1)
    mute(alice, chat.conversation_id, muted=False)
    assert calls(alice) == 1
