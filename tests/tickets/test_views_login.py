"""Coming in and going out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.make import PASSWORD
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Desk


def log_in(browser: Client, email: str, password: str = PASSWORD, **more: str) -> Any:
    return browser.post("/", {"username": email, "password": password, **more})


def test_the_login_page_greets_with_the_name_of_the_desk(db: None) -> None:
    Desk.objects.update_or_create(pk=1, defaults={"name": "Tern & Kettle"})
    page = Client().get("/")
    assert page.status_code == 200
    assert "Sign in to Tern &amp; Kettle" in page.content.decode()


@pytest.mark.parametrize("email", ["alice@desk.example", "Alice@Desk.Example"])
def test_staff_come_in_with_their_address(email: str, alice: Viewer) -> None:
    response = log_in(Client(), email)
    assert (response.status_code, response["Location"]) == (302, "/tickets/")


def test_after_the_login_one_is_where_one_wanted_to_be(alice: Viewer) -> None:
    response = log_in(Client(), "alice@desk.example", next="/tickets/7/")
    assert response["Location"] == "/tickets/7/"


def test_a_login_leads_to_no_other_site(alice: Viewer) -> None:
    response = log_in(Client(), "alice@desk.example", next="https://evil.example/")
    assert response["Location"] == "/tickets/"


def test_a_wrong_password_and_an_unknown_address_look_alike(alice: Viewer) -> None:
    pages = [log_in(Client(), email, "wrong") for email in ("alice@desk.example", "x@y.example")]
    for page in pages:
        assert page.status_code == 200
        assert "Address and password do not match." in page.content.decode()


def test_someone_who_left_cannot_come_in(alice: Viewer) -> None:
    assert alice.user
    alice.user.is_active = False
    alice.user.save()
    assert log_in(Client(), "alice@desk.example").status_code == 200


def test_guessing_is_slowed_down(alice: Viewer, settings: Any) -> None:
    settings.LOGIN_TRIES_PER_MINUTE = 3
    browser = Client()
    answers = [log_in(browser, "alice@desk.example", "wrong").status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    right = log_in(Client(REMOTE_ADDR="192.0.2.1"), "alice@desk.example")
    assert right.status_code == 429, "a guesser with many addresses is slowed down as well"
    assert int(right["Retry-After"]) > 0
    page = right.content.decode()
    assert "Too many requests. Try again in" in page
    assert 'value="alice@desk.example"' in page


def test_the_admin_has_no_way_in_of_its_own(alice: Viewer) -> None:
    browser = Client()
    sent = browser.get("/admin/tickets/ticket/", follow=True)
    assert sent.redirect_chain[-1][0].startswith("/?next=")
    tried = browser.post("/admin/login/", {"username": "alice@desk.example", "password": PASSWORD})
    assert (tried.status_code, tried["Location"]) == (302, "/")
    assert browser.get("/tickets/").status_code == 302


def test_behind_a_proxy_each_address_is_counted_by_itself(alice: Viewer, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    settings.LOGIN_TRIES_PER_MINUTE = 2
    browser = Client()
    for n in range(3):
        from_a = browser.post("/", {"username": f"{n}"}, headers={"X-Forwarded-For": "192.0.2.1"})
    from_b = browser.post("/", {"username": "x"}, headers={"X-Forwarded-For": "192.0.2.2"})
    assert (from_a.status_code, from_b.status_code) == (429, 200)


def test_who_is_logged_in_goes_straight_to_the_tickets(enter: Enter, alice: Viewer) -> None:
    response = enter(alice).get("/")
    assert (response.status_code, response["Location"]) == (302, "/tickets/")


def test_logging_out_takes_a_post(enter: Enter, alice: Viewer) -> None:
    browser = enter(alice)
    assert browser.get("/logout/").status_code == 405
    assert browser.get("/tickets/").status_code == 200
    assert browser.post("/logout/")["Location"] == "/"
    assert browser.get("/tickets/").status_code == 302
