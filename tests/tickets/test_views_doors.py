"""Every address of the desk asks who is there before it says anything."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Message, Ticket

READ = ("", "timeline/", "messages/1/", "messages/1/original/", "about/", "marks/")
WRITE = (
    *("reply/", "note/", "assign/", "hand/", "solve/", "reopen/", "seen/"),
    "messages/1/deliver/",
    "messages/1/take-back/",
    "messages/1/move/",
)
PAGES = ("/tickets/", "/tickets/new/", "/assistant/", "/chats/")
SCRIPT = {"HX-Request": "true"}


def test_every_address_of_the_desk_is_in_these_lists() -> None:
    names = {str(key) for key in get_resolver("tickets.urls").reverse_dict if isinstance(key, str)}
    tested = {"ticket", "timeline", "message", "original", "about", "marks"} | {
        "list",
        "new",
        "assistant",
        "chats",
    }
    tested |= {path.strip("/").rpartition("/")[2] for path in WRITE}
    tested |= {"file", "preview", "upload", "uploads"}  # in test_files, test_uploads_api
    tested |= {"deliver-all", "leave-out"}  # in test_views_undelivered, test_views_copies
    tested |= {"colleagues"}  # in test_views_colleagues
    tested |= {"mail_html", "move"}  # in test_mail_html, test_mail_moving
    tested |= {"me", "away", "calls"}  # in test_views_me
    tested |= {"merge", "split"}  # in test_views_merging
    tested |= {"mailboxes", "new-mailbox", "mailbox", "check-mailbox", "mailbox-check"}
    # In test_mail_oauth and test_mailbox_removed.
    tested |= {"mailbox-sign-in", "mailbox-signed-in", "remove-mailbox"}
    tested |= {"mailbox-brought", "mail-hook"}  # in test_mail_hooks
    assert names == tested | {"login", "logout"}


@pytest.mark.parametrize("path", READ)
def test_a_stranger_is_asked_to_log_in_and_comes_back(path: str, ticket: Ticket) -> None:
    address = f"/tickets/{ticket.number}/{path}"
    response = Client().get(address)
    assert (response.status_code, response["Location"]) == (302, f"/?next={address}")


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_sees_no_page(path: str, ticket: Ticket) -> None:
    assert Client().get(path).status_code == 302


@pytest.mark.parametrize("path", WRITE)
def test_a_stranger_changes_nothing(path: str, ticket: Ticket) -> None:
    before = (ticket.status, ticket.assignee_id, Message.objects.count())
    response = Client().post(f"/tickets/{ticket.number}/{path}", {"body": "Hi", "seq": 1})
    ticket.refresh_from_db()
    assert response.status_code == 302
    assert (ticket.status, ticket.assignee_id, Message.objects.count()) == before


@pytest.mark.parametrize("path", READ)
def test_a_script_of_a_stranger_is_told_so_and_gets_no_login_page(
    path: str, ticket: Ticket
) -> None:
    response = Client().get(f"/tickets/{ticket.number}/{path}", headers=SCRIPT)
    assert (response.status_code, response.content) == (401, b"")


@pytest.mark.parametrize("path", READ)
def test_another_teams_ticket_looks_like_no_ticket(
    path: str, enter: Enter, mallory: Viewer, ticket: Ticket
) -> None:
    browser = enter(mallory)
    forbidden = browser.get(f"/tickets/{ticket.number}/{path}")
    missing = browser.get(f"/tickets/{ticket.number + 1000}/{path}")
    assert (forbidden.status_code, missing.status_code) == (404, 404)
    assert forbidden.content == missing.content


@pytest.mark.parametrize("path", WRITE)
def test_another_teams_ticket_cannot_be_touched(
    path: str, enter: Enter, mallory: Viewer, ticket: Ticket
) -> None:
    before = (ticket.status, ticket.assignee_id, ticket.unread, Message.objects.count())
    form = {"body": "Hi", "client_token": "0" * 32, "assignee": "", "seq": 1}
    response = enter(mallory).post(f"/tickets/{ticket.number}/{path}", form)
    ticket.refresh_from_db()
    after = (ticket.status, ticket.assignee_id, ticket.unread, Message.objects.count())
    assert response.status_code == 404
    assert after == before


def test_another_teams_ticket_is_in_no_list_and_no_search(
    enter: Enter, mallory: Viewer, ticket: Ticket
) -> None:
    browser = enter(mallory)
    for query in ("view=open", "view=unassigned", "q=grinder", f"q=%23{ticket.number}"):
        page = browser.get(f"/tickets/?{query}")
        assert page.context["hits"] == [], query
        assert "arrived broken" not in page.content.decode(), query
    assert page.context["counts"]["open"] == 0


def test_another_teams_inbox_looks_like_no_inbox(
    enter: Enter, mallory: Viewer, ticket: Ticket
) -> None:
    browser = enter(mallory)
    assert browser.get(f"/tickets/?inbox={ticket.inbox_id}").status_code == 404
    assert browser.get("/tickets/?inbox=9999").status_code == 404
    switched = browser.post("/assistant/", {"inbox": ticket.inbox_id, "on": "on"})
    assert switched.status_code == 404
    ticket.inbox.refresh_from_db()
    assert not ticket.inbox.assistant_on


@pytest.mark.parametrize("path", WRITE)
def test_looking_never_changes_anything(
    path: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    assert enter(alice).get(f"/tickets/{ticket.number}/{path}").status_code == 405


@pytest.mark.parametrize("path", READ)
def test_pages_tell_their_headers_alone(
    path: str, enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    address = f"/tickets/{ticket.number}/{path}"
    for browser in (enter(alice), enter(mallory)):
        told = browser.head(address)
        assert (told.status_code, told.content) == (browser.get(address).status_code, b"")


@pytest.mark.parametrize("path", READ)
def test_pages_take_no_posts(path: str, enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert enter(alice).post(f"/tickets/{ticket.number}/{path}").status_code == 405


@pytest.mark.parametrize(
    "address",
    [
        "/tickets/?view=everything",
        "/tickets/?inbox=",
        "/tickets/?inbox=1 OR 1=1",
        "/tickets/?after=yesterday",
        "/tickets/?after=2024-01-01T00:00_7",
        "/tickets/99999999999999999999999/",
        "/tickets/{number}/timeline/?after=-1",
        "/tickets/{number}/timeline/?after=99999999999999",
        "/tickets/{number}/timeline/?before=x",
        "/tickets/{number}/messages/99/",
        "/tickets/{number}/messages/99999999999999999999/",
        "/tickets/{number}/messages/1/original/",
    ],
)
def test_an_address_that_makes_no_sense_is_not_here(
    address: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    assert enter(alice).get(address.format(number=ticket.number)).status_code == 404


@pytest.mark.parametrize("words", ["", " ", "\0", "':*|&!", "a" * 5000, "%E4", "٣", "😀 ça"])
def test_no_search_breaks(words: str, enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert enter(alice).get("/tickets/", {"q": words}).status_code == 200


def test_a_form_from_another_site_is_refused(alice: Viewer, ticket: Ticket) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert alice.user
    browser.force_login(alice.user)
    response = browser.post(f"/tickets/{ticket.number}/solve/")
    ticket.refresh_from_db()
    assert (response.status_code, ticket.status) == (403, "open")
    assert "This form has expired" in response.content.decode()


def test_a_login_without_a_person_sees_nothing(
    enter: Enter, mallory: Viewer, ticket: Ticket, settings: Any
) -> None:
    browser = enter(mallory)
    mallory.person.user = None
    mallory.person.save()
    assert browser.get("/tickets/").status_code == 404


def test_no_browser_keeps_a_page_of_the_desk(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    browser = enter(alice)
    for address in (*PAGES, f"/tickets/{ticket.number}/"):
        assert "no-store" in browser.get(address)["Cache-Control"]
