"""Team chat as a browser without script sees it, and who may not."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import get_resolver

from tests import make
from tests.tickets.conftest import Enter
from tests.tickets.conftest import enter as enter
from tickets.access import Viewer
from tickets.models import Conversation, Message, Participant, Team, Ticket
from tickets.operations import ask_colleagues, start_direct, start_group
from tickets.operations.seats import Guests, add_people, mute, remove_person

pytestmark = pytest.mark.django_db

SCRIPT = {"HX-Request": "true"}
PANE = {**SCRIPT, "HX-Target": "ticket"}
READ = ("", "timeline/", "messages/1/", "about/", "marks/")
WRITE = ("reply/", "seen/", "join/", "quote/")
START = ("direct/", "group/")
PAGES = ("/team/", "/team/new/")


def pk(who: Viewer) -> int:
    assert who.user
    return who.user.pk


def state() -> tuple[Any, ...]:
    seats = Participant.objects.order_by("pk").values_list("person", "last_read_seq", "left_at")
    return (*seats, Message.objects.count(), Conversation.objects.count())


@pytest.fixture
def group(alice: Viewer, bob: Viewer) -> Conversation:
    """Alice's, with Bob in it, who has been asked something."""
    made = start_group(alice, Guests(user_ids=[pk(bob)]), title="Roasters")
    make.say(alice, made, "Who is in, @Bob?")
    return made


@pytest.fixture
def side(alice: Viewer, mallory: Viewer, ticket: Ticket) -> Conversation:
    return ask_colleagues(
        alice, ticket.number, Guests(user_ids=[pk(mallory)]), question="Was it refunded?"
    )


def form(**more: Any) -> dict[str, Any]:
    return {"body": "Hi", "client_token": uuid4(), "seq": 2, "title": "", "question": "?", **more}


def test_every_address_is_in_these_lists() -> None:
    patterns = get_resolver("chat.urls").reverse_dict
    names = {
        str(key).rstrip("s")
        for key in patterns
        if str(key).startswith(("team", "start-", "beside"))
    }
    tested = {f"team-{path.strip('/').split('/')[0].rstrip('s')}" for path in (*READ[2:], *WRITE)}
    assert names == tested | {
        *("team", "team-list", "team-new", "team-timeline", "start-direct", "start-group", "beside")
    }


@pytest.mark.parametrize("path", [*READ, *WRITE])
def test_a_stranger_is_asked_to_log_in(path: str, group: Conversation) -> None:
    before = state()
    address = f"/team/{group.pk}/{path}"
    answer = Client().post(address, form()) if path in WRITE else Client().get(address)
    assert answer.status_code == 302
    assert state() == before


@pytest.mark.parametrize("address", [*PAGES, *(f"/team/{path}" for path in START)])
def test_a_stranger_sees_and_starts_nothing(address: str, alice: Viewer) -> None:
    ask = Client().get if address in PAGES else Client().post
    assert ask(address, form(user=pk(alice), users=[pk(alice)])).status_code == 302
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("path", [*READ, *WRITE])
def test_a_group_without_a_seat_looks_like_none(
    path: str, enter: Enter, mallory: Viewer, group: Conversation
) -> None:
    before = state()
    browser = enter(mallory)
    ask = browser.post if path in WRITE else browser.get
    answers = [ask(f"/team/{number}/{path}", form()) for number in (group.pk, 999_999)]
    assert [one.status_code for one in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert state() == before


@pytest.mark.parametrize("path", [*READ, "reply/", "seen/"])
def test_a_group_one_was_removed_from_looks_like_none(
    path: str, enter: Enter, alice: Viewer, bob: Viewer, group: Conversation
) -> None:
    remove_person(alice, group.pk, bob.person.pk)
    before = state()
    browser = enter(bob)
    ask = browser.post if path in WRITE else browser.get
    assert ask(f"/team/{group.pk}/{path}", form()).status_code == 404
    assert state() == before


@pytest.mark.parametrize("path", READ)
def test_a_ticket_is_no_part_of_it(path: str, enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert enter(alice).get(f"/team/{ticket.conversation_id}/{path}").status_code == 404


@pytest.mark.parametrize("path", WRITE)
def test_looking_changes_nothing(
    path: str, enter: Enter, alice: Viewer, group: Conversation
) -> None:
    assert enter(alice).get(f"/team/{group.pk}/{path}").status_code == 405


def test_the_list_shows_what_is_new_and_the_navigation_counts_it(
    enter: Enter, alice: Viewer, bob: Viewer, group: Conversation
) -> None:
    page = enter(bob).get("/team/")
    text = page.content.decode()
    assert [row.title for row in page.context["rows"]] == ["Roasters"]
    assert page.context["counts"]["team"] == 1
    assert 'data-count="team">1' in text
    assert "Who is in, @Bob?" in text
    assert 'data-count="team"' not in enter(alice).get("/team/").content.decode()
    assert 'data-count="team">1' in enter(bob).get("/tickets/").content.decode()
    mute(bob, group.pk, muted=True)
    assert 'data-count="team"' not in enter(bob).get("/team/").content.decode()


def test_the_mentions_of_tickets_are_counted_apart(
    enter: Enter, bob: Viewer, group: Conversation, ticket: Ticket
) -> None:
    page = enter(bob).get("/tickets/")
    assert page.context["counts"]["mentions"] == 0
    assert 'data-count="mentions"' not in page.content.decode()


def test_everything_works_without_script(
    enter: Enter, alice: Viewer, bob: Viewer, mallory: Viewer
) -> None:
    browser = enter(alice)
    assert "Mallory" in browser.get("/team/new/").content.decode()
    page = browser.post("/team/direct/", {"user": pk(bob)}, follow=True)
    direct = Conversation.objects.get()
    assert page.redirect_chain == [(f"/team/{direct.pk}/", 302)]
    page = browser.post(f"/team/{direct.pk}/reply/", form(body="**Lunch?**"), follow=True)
    assert "<strong>Lunch?</strong>" in page.content.decode()
    his = enter(bob)
    assert "Mark as read" in his.get(f"/team/{direct.pk}/").content.decode()
    his.post(f"/team/{direct.pk}/seen/", {"seq": 1})
    assert direct.participants.get(person=bob.person).last_read_seq == 1
    token = uuid4()
    sent = {"title": "Roasters", "users": [pk(bob), pk(mallory)], "token": token}
    for _ in range(2):
        page = browser.post("/team/group/", sent, follow=True)
    assert "Roasters" in page.content.decode()
    assert Conversation.objects.count() == 2


def test_what_is_wrong_is_a_sentence_and_the_text_stays(
    enter: Enter, alice: Viewer, group: Conversation
) -> None:
    browser = enter(alice)
    page = browser.post(f"/team/{group.pk}/reply/", form(body=" "))
    assert (page.status_code, "Write something first." in page.content.decode()) == (422, True)
    part = browser.post(f"/team/{group.pk}/reply/", form(body=" "), headers=SCRIPT)
    assert (part.status_code, "<html" in part.content.decode()) == (422, False)
    sent = form(body="First")
    browser.post(f"/team/{group.pk}/reply/", sent)
    page = browser.post(f"/team/{group.pk}/reply/", {**sent, "body": "Second"})
    assert page.status_code == 422
    assert "Second" in page.content.decode()
    assert browser.post("/team/group/", {"title": "Alone"}).status_code == 422
    assert browser.post("/team/direct/", {"user": "x"}).status_code == 422


def test_a_form_sent_twice_is_one_message(enter: Enter, alice: Viewer, group: Conversation) -> None:
    browser, sent = enter(alice), form(body="Once")
    for _ in range(2):
        assert browser.post(f"/team/{group.pk}/reply/", sent, headers=SCRIPT).status_code == 204
    assert Message.objects.filter(body="Once").count() == 1


def test_who_may_only_read_has_no_box(
    enter: Enter, alice: Viewer, mallory: Viewer, group: Conversation
) -> None:
    add_people(alice, group.pk, Guests(user_ids=[pk(mallory)]), rank="reader", sees_all=True)
    browser = enter(mallory)
    page = browser.get(f"/team/{group.pk}/").content.decode()
    assert ("Who is in" in page, "data-composer " in page) == (True, False)
    assert browser.post(f"/team/{group.pk}/reply/", form()).status_code == 422


def test_a_script_gets_the_pane_the_list_and_what_came_since(
    enter: Enter, alice: Viewer, bob: Viewer, group: Conversation
) -> None:
    browser = enter(bob)
    pane = browser.get(f"/team/{group.pk}/", headers=PANE).content.decode()
    assert ("<html" in pane, "data-timeline" in pane, "day-new" in pane) == (False, True, True)
    again = browser.get(f"/team/?open={group.pk}&rows=25", headers=SCRIPT).content.decode()
    assert ("<html" in again, 'aria-current="true"' in again) == (False, True)
    make.say(alice, group, "One more")
    fresh = browser.get(f"/team/{group.pk}/timeline/?after=2", headers=SCRIPT).content.decode()
    assert ("One more" in fresh, "Who is in" in fresh) == (True, False)
    assert "Who is in" in browser.get(f"/team/{group.pk}/timeline/?before=3").content.decode()
    assert "Who is in" in browser.get(f"/team/{group.pk}/messages/2/").content.decode()
    about = browser.get(f"/team/{group.pk}/about/", headers=SCRIPT).content.decode()
    assert 'data-part="head"' in about
    for query in ("after=-1", "before=x"):
        assert browser.get(f"/team/{group.pk}/timeline/?{query}").status_code == 404
    assert browser.get(f"/team/{group.pk}/messages/99/").status_code == 404


def test_a_page_costs_few_queries_whatever_its_size(
    enter: Enter,
    alice: Viewer,
    bob: Viewer,
    group: Conversation,
    django_assert_max_num_queries: Any,
) -> None:
    for n in range(12):
        other = make.staff(f"Colleague {n}")
        start_group(alice, Guests(user_ids=[pk(other), pk(bob)]))
        make.say(other, start_direct(other, pk(alice)), f"Question {n}")
        make.say(bob, group, f"Detail {n}")
    browser = enter(alice)
    with django_assert_max_num_queries(10):
        assert len(browser.get("/team/").context["rows"]) == 25
    with django_assert_max_num_queries(20):
        assert browser.get(f"/team/{group.pk}/").status_code == 200


def test_who_is_called_is_told_where(
    enter: Enter, alice: Viewer, bob: Viewer, mallory: Viewer, group: Conversation
) -> None:
    def calls(who: Viewer) -> list[dict[str, str]]:
        found: list[dict[str, str]] = enter(who).get("/tickets/calls/").json()["calls"]
        return found

    make.say(bob, start_direct(bob, pk(alice)), "Psst")
    direct = Conversation.objects.exclude(pair=None).get()
    (hers,), (his,) = calls(alice), calls(bob)
    assert (hers["name"], hers["text"], hers["address"]) == ("Bob", "Psst", f"/team/{direct.pk}/")
    assert (his["name"], his["address"]) == ("Alice · Roasters", f"/team/{group.pk}/")
    assert calls(mallory) == []


# --- The panel of people ---


def test_the_panel_fits_a_direct_message_and_a_group(
    enter: Enter, alice: Viewer, bob: Viewer, group: Conversation
) -> None:
    direct = start_direct(alice, pk(bob))
    browser = enter(alice)
    panel = browser.get(f"/conversations/{direct.pk}/people/", headers=SCRIPT).content.decode()
    assert ("Mute" in panel, "Leave" in panel, "Add people" in panel) == (True, False, False)
    panel = browser.get(f"/conversations/{group.pk}/people/", headers=SCRIPT).content.decode()
    assert ("Leave" in panel, "Add people" in panel, "Customers" in panel) == (True, True, False)
    gone = browser.post(f"/conversations/{group.pk}/people/leave/", headers=SCRIPT)
    assert (gone.status_code, gone["HX-Redirect"]) == (204, "/team/")


# --- Beside a ticket ---


def test_a_ticket_asks_and_shows_how_it_stands(
    enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    browser, address = enter(alice), f"/tickets/{ticket.number}/beside/"
    sent = {"question": "Was it refunded?", "users": [pk(mallory)], "token": uuid4()}
    for _ in range(2):
        panel = browser.post(address, sent, headers=SCRIPT).content.decode()
    assert ("no answer yet" in panel, "Was it refunded?" in panel) == (True, True)
    side = Conversation.objects.get(side_of=ticket.conversation_id)
    answer = make.say(mallory, side, "On Monday.")
    assert "answered" in browser.get(address).content.decode()
    page = browser.get(f"/team/{side.pk}/").content.decode()
    assert f'href="/tickets/{ticket.number}/"' in page
    for _ in range(2):
        done = browser.post(f"/team/{side.pk}/quote/", {"seq": answer.seq, "words": "Good."})
        assert done["Location"] == f"/tickets/{ticket.number}/"
    assert Message.objects.filter(kind="note").count() == 1
    page = browser.get(f"/tickets/{ticket.number}/").content.decode()
    assert ("<strong>Mallory</strong> said:" in page, "On Monday." in page) == (True, True)
    assert "You</bdi></b> asked <b><bdi>Mallory" in page
    assert "quoted" in browser.get(address).content.decode()


def test_teams_are_asked_too(enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket) -> None:
    elsewhere = Team.objects.get(name="Elsewhere")
    sent = {"question": "Paid?", "teams": [elsewhere.pk]}
    page = enter(alice).post(f"/tickets/{ticket.number}/beside/", sent, follow=True)
    assert "Mallory" in page.content.decode()
    assert Participant.objects.filter(person=mallory.person).exists()


def test_who_is_asked_sees_the_conversation_and_nothing_of_the_ticket(
    enter: Enter, mallory: Viewer, side: Conversation, ticket: Ticket
) -> None:
    browser = enter(mallory)
    page = browser.get(f"/team/{side.pk}/").content.decode()
    assert "Was it refunded?" in page
    assert f"Beside ticket #{ticket.number}" in page
    assert f'href="/tickets/{ticket.number}/"' not in page
    assert ticket.subject not in page
    assert browser.post(f"/team/{side.pk}/quote/", {"seq": 2}).status_code == 404
    assert browser.get(f"/tickets/{ticket.number}/").status_code == 404
    assert browser.get(f"/tickets/{ticket.number}/beside/").status_code == 404
    asked = {"question": "?", "users": [pk(mallory)]}
    assert browser.post(f"/tickets/{ticket.number}/beside/", asked).status_code == 404
    assert not Message.objects.filter(kind="note").exists()


def test_a_colleague_of_the_inbox_finds_a_door_and_no_word(
    enter: Enter, bob: Viewer, side: Conversation, ticket: Ticket
) -> None:
    browser = enter(bob)
    panel = browser.get(f"/tickets/{ticket.number}/beside/").content.decode()
    assert ("Mallory" in panel, "refunded" in panel) == (True, False)
    door = browser.get(f"/team/{side.pk}/").content.decode()
    assert ("Join" in door, "refunded" in door) == (True, False)
    for path in ("timeline/", "messages/2/", "about/"):
        assert browser.get(f"/team/{side.pk}/{path}").status_code == 404
    page = browser.post(f"/team/{side.pk}/join/", follow=True).content.decode()
    assert ("refunded" in page, "You</bdi></b> joined" in page) == (True, True)


def test_who_was_removed_beside_a_ticket_finds_no_door(
    enter: Enter, alice: Viewer, bob: Viewer, side: Conversation, ticket: Ticket
) -> None:
    link, browser = f'href="/team/{side.pk}/"', enter(bob)
    assert link in browser.get(f"/tickets/{ticket.number}/beside/").content.decode()
    browser.post(f"/team/{side.pk}/join/")
    remove_person(alice, side.pk, bob.person.pk)
    assert link not in browser.get(f"/tickets/{ticket.number}/beside/").content.decode()
    assert browser.get(f"/team/{side.pk}/").status_code == 404


def test_strangers_see_nothing_beside_a_ticket(
    enter: Enter, side: Conversation, ticket: Ticket
) -> None:
    assert Client().get(f"/tickets/{ticket.number}/beside/").status_code == 302
    assert Client().post(f"/team/{side.pk}/join/").status_code == 302
    eve = enter(make.staff("Eve", Team.objects.create(name="Far away")))
    assert eve.get(f"/tickets/{ticket.number}/beside/").status_code == 404
    assert eve.get(f"/team/{side.pk}/").status_code == 404
    assert eve.post(f"/team/{side.pk}/join/").status_code == 404


# --- Search ---


def test_search_shows_it_apart_from_tickets(
    enter: Enter, alice: Viewer, mallory: Viewer, group: Conversation, ticket: Ticket
) -> None:
    make.say(alice, group, "The grinder, too")
    page = enter(alice).get("/tickets/?q=grinder")
    text = page.content.decode()
    assert text.index("My grinder arrived") < text.index("In team chat") < text.index("too")
    only = enter(alice).get("/tickets/?q=roasters%20in").content.decode()
    assert "Nothing found" in only  # a name of a group is no word of it
    only = enter(alice).get("/tickets/?q=who").content.decode()
    assert ("No ticket has all" in only, "In team chat" in only) == (True, True)
    assert "In team chat" not in enter(mallory).get("/tickets/?q=grinder").content.decode()


def test_administrators_look_into_no_group(
    enter: Enter, mallory: Viewer, group: Conversation
) -> None:
    assert mallory.user
    mallory.user.is_superuser = True
    mallory.user.save()
    browser = enter(mallory)
    assert browser.get(f"/admin/tickets/conversation/{group.pk}/change/").status_code == 302
    said = Message.objects.get(kind="reply")
    assert browser.get(f"/admin/tickets/message/{said.pk}/change/").status_code == 302
    assert "Who is in" not in browser.get("/admin/tickets/message/").content.decode()
    assert browser.get(f"/team/{group.pk}/").status_code == 404
