"""What a widget learns of its inbox, and what staff see beside a chat."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils.timezone import now

from chat.identify import new_identity_secret
from chat.models import VisitorSession
from chat.pages import PAGES_KEPT, note_page, pages_of
from chat.queries import recent_answers
from helpdesk.lib.colours import CONTRAST_MIN, DARK, LIGHT, contrast, palette
from tests import make
from tests.chat.conftest import Visitor, new_visitor
from tests.chat.test_http import post, send
from tests.tickets.conftest import Enter
from tests.tickets.conftest import enter as enter
from tickets.access import Viewer
from tickets.models import Inbox, Ticket
from tickets.operations.hours import next_opening

pytestmark = pytest.mark.django_db


def config(inbox: Inbox) -> dict[str, Any]:
    answer: dict[str, Any] = Client().get(f"/widget/{inbox.widget_key}/config").json()
    return answer


# --- Colours ---


@pytest.mark.parametrize(
    "accent",
    ["#3a50d5", "#ffd400", "#ffffff", "#000000", "#808080", "#ff0000", "#00ff00", "#767676"],
)
def test_every_accent_is_legible(accent: str) -> None:
    given = palette(accent)
    assert contrast(given["--accent"], given["--on"]) >= CONTRAST_MIN
    light, dark = given["--accent-text"].removeprefix("light-dark(").rstrip(")").split(",")
    assert contrast(light, LIGHT) >= CONTRAST_MIN
    assert contrast(dark, DARK) >= CONTRAST_MIN


def test_contrast_is_as_wcag_has_it() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_without_an_accent_ours_stays(inbox: Inbox) -> None:
    assert config(inbox)["looks"] == {"theme": "", "position": "", "colors": {}}


# --- Who answers, and when ---


def answered(inbox: Inbox, alice: Viewer, seconds: int, *, days_ago: float = 1) -> None:
    who = new_visitor(inbox)
    send(who, "Hello?")
    ticket = Ticket.objects.get(conversation=who.session.conversation)
    make.say(alice, ticket, "Hi.")
    opened = now() - timedelta(days=days_ago)
    Ticket.objects.filter(pk=ticket.pk).update(
        opened_at=opened, first_reply_at=opened + timedelta(seconds=seconds)
    )


def test_how_soon_is_the_median_of_the_last_days_or_nothing(
    inbox: Inbox, alice: Viewer, carol: Viewer
) -> None:
    for seconds in (10, 20, 240, 9_000):
        answered(inbox, alice, seconds)
    answered(inbox, alice, 1, days_ago=9)
    answered(make.inbox("Other"), alice, 1)
    make.say(alice, make.ticket(carol, inbox, "By mail"), "Hi.")
    assert recent_answers(inbox)["seconds"] is None  # four are not enough
    answered(inbox, alice, 300)
    assert recent_answers(inbox)["seconds"] is None  # for a while
    cache.clear()
    assert config(inbox)["answers_within_seconds"] == 240


def test_who_answers_is_shown_by_first_name_only(inbox: Inbox, alice: Viewer) -> None:
    assert config(inbox)["faces"] == []
    cache.clear()
    alice.person.name = "Alice Archer"
    alice.person.save()
    answered(inbox, alice, 10)
    face = {"id": alice.person.pk, "name": "Alice", "role": "staff"}
    assert config(inbox)["faces"] == [face]
    Inbox.objects.update(shows_faces=False)
    assert config(inbox)["faces"] == []


def test_when_nobody_is_there_it_says_when_somebody_will_be(inbox: Inbox) -> None:
    assert config(inbox)["opens_at"] is None
    monday = now() - timedelta(days=now().weekday())
    nine = monday.replace(hour=9, minute=0, second=0, microsecond=0)
    inbox.hours, inbox.time_zone = {"0": ["09:00", "17:00"], "2": ["10:00", "12:00"]}, "UTC"
    assert next_opening(inbox, nine - timedelta(minutes=1)) == nine
    wednesday = nine + timedelta(days=2, hours=1)
    assert next_opening(inbox, nine + timedelta(hours=9)) == wednesday
    assert next_opening(inbox, wednesday) == nine + timedelta(days=7)
    inbox.time_zone = "Europe/Rotterdam"  # no such zone: UTC
    assert next_opening(inbox, nine - timedelta(minutes=1)) == nine
    inbox.hours = {"0": ["00:00", "00:00"]}
    inbox.save()
    assert config(inbox)["opens_at"]


def test_the_form_is_what_the_inbox_asks_for(inbox: Inbox) -> None:
    assert config(inbox)["form"] == []
    Inbox.objects.update(
        asks_name="optional",
        asks_email="required",
        asks_question="required",
        question="What about?",
        question_choices=["Orders", "Repairs"],
    )
    form = config(inbox)["form"]
    assert [(field["name"], field["required"]) for field in form] == [
        ("name", False),
        ("email", True),
        ("answer", True),
    ]
    assert (form[2]["label"], form[2]["choices"]) == ("What about?", ["Orders", "Repairs"])
    Inbox.objects.update(question="")
    assert len(config(inbox)["form"]) == 2


# --- Pages ---


def test_only_pages_of_the_site_are_kept_without_what_they_carry(visitor: Visitor) -> None:
    origin, pk = "https://shop.example", visitor.session.pk
    good = "https://shop.example/kettle?token=secret&mail=c@mail.example#part"
    assert note_page(pk, title=" Kettle ", url=good, origin=origin)
    for url in (
        *("javascript:alert(1)", "https://evil.example/", "https://a:b@shop.example/", "kettle"),
        *("http://shop.example/", "data:text/html,x", ""),
    ):
        assert not note_page(pk, title="Bad", url=url, origin=origin), url
    (page,) = pages_of(pk)
    assert (page.title, page.url) == ("Kettle", "https://shop.example/kettle")


def test_the_last_pages_are_kept(visitor: Visitor) -> None:
    for number in range(PAGES_KEPT + 5):
        note_page(visitor.session.pk, title=f"{number}", url="https://a.example/", origin="")
    pages = pages_of(visitor.session.pk)
    assert (len(pages), pages[0].title) == (PAGES_KEPT, str(PAGES_KEPT + 4))


def test_an_inbox_that_does_not_show_pages_keeps_none(visitor: Visitor, inbox: Inbox) -> None:
    looked = {"title": "Kettle", "url": "https://shop.example/kettle"}
    assert post(visitor, "pages", looked).status_code == 200
    assert pages_of(visitor.session.pk) == []
    Inbox.objects.filter(pk=inbox.pk).update(sees_pages=True)
    assert post(visitor, "pages", looked).status_code == 200
    assert len(pages_of(visitor.session.pk)) == 1


# --- Beside the ticket ---


@pytest.fixture
def shown(visitor: Visitor, inbox: Inbox) -> Ticket:
    Inbox.objects.filter(pk=inbox.pk).update(sees_pages=True)
    send(visitor, "Which filter fits?")
    post(visitor, "attributes", {"attributes": {"plan": "<b>pro</b>"}})
    post(visitor, "pages", {"title": "Kettle", "url": "https://shop.example/kettle"})
    VisitorSession.objects.update(claimed_email="victim@mail.example")
    return Ticket.objects.get()


def test_staff_see_what_the_visitor_looks_at_and_says(
    shown: Ticket, alice: Viewer, enter: Enter
) -> None:
    page = enter(alice).get(f"/tickets/{shown.number}/visit/").content.decode()
    for words in ("Looking at", "Kettle", "&lt;b&gt;pro&lt;/b&gt;", "victim@mail.example"):
        assert words in page
    assert page.count("unverified") == 2
    assert "chip-good" not in page


def test_nobody_else_does(shown: Ticket, mallory: Viewer, enter: Enter) -> None:
    address = f"/tickets/{shown.number}/visit/"
    assert Client().get(address).status_code == 302
    assert Client().get(address, headers={"HX-Request": "true"}).status_code == 401
    forbidden = enter(mallory).get(address)
    missing = enter(mallory).get("/tickets/987654/visit/")
    assert (forbidden.status_code, missing.status_code) == (404, 404)


def test_a_mail_has_no_visitor(ticket: Ticket, alice: Viewer, enter: Enter) -> None:
    assert enter(alice).get(f"/tickets/{ticket.number}/visit/").content.strip() == b""


def test_an_address_that_was_only_said_is_marked_in_the_ticket(
    visitor: Visitor, alice: Viewer, enter: Enter
) -> None:
    send(visitor, "Which filter fits?")
    post(visitor, "about", {"email": "julie@mail.example"})
    page = enter(alice).get(f"/tickets/{Ticket.objects.get().number}/").content.decode()
    assert "Nobody has proved that it is theirs." in page


def test_a_secret_is_made_in_the_admin_and_shown(inbox: Inbox, alice: Viewer, enter: Enter) -> None:
    assert alice.user
    alice.user.is_superuser = True
    alice.user.save()
    browser = enter(alice)
    assert browser.post("/admin/chat/identitysecret/add/", {"inbox": inbox.pk}).status_code == 302
    listed = browser.get("/admin/chat/identitysecret/").content.decode()
    assert inbox.identity_secrets.get().secret in listed
    assert len(new_identity_secret(inbox).secret) == 64
