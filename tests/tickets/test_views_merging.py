"""The pages that bring tickets together and take them apart."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Inbox, Message, Team, Ticket
from tickets.operations import merge_tickets, solve_ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(carol: Viewer, inbox: Inbox) -> Ticket:
    return make.ticket(carol, inbox, "Is anybody there?")


@pytest.mark.parametrize("path", ["merge/", "split/"])
def test_these_pages_ask_who_is_there(
    path: str, enter: Enter, mallory: Viewer, ticket: Ticket, other: Ticket
) -> None:
    address = f"/tickets/{ticket.number}/{path}"
    missing = f"/tickets/{ticket.number + 1_000}/{path}"
    form = {
        "into": str(other.number),
        "message": f"{ticket.number}-1",
        "client_token": str(uuid4()),
    }
    assert Client().get(address)["Location"] == f"/?next={address}"
    assert Client().post(address, form).status_code == 302
    assert Client().get(address, headers={"HX-Request": "true"}).status_code == 401
    browser = enter(mallory)
    for ask in (browser.get, browser.post):
        answers = [ask(one, form) for one in (address, missing)]
        assert [one.status_code for one in answers] == [404, 404]
        assert answers[0].content == answers[1].content
    assert Ticket.objects.count() == 2
    assert not Message.objects.filter(kind="change").exists()
    strict = Client(enforce_csrf_checks=True)
    assert mallory.user
    strict.force_login(mallory.user)
    assert strict.post(address, form).status_code == 403


def test_a_ticket_is_chosen_looked_at_and_merged(
    enter: Enter, alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    browser = enter(alice)
    address = f"/tickets/{other.number}/merge/"
    page = browser.get(address)
    assert page.context["others"] == [ticket]
    assert f"{address}?into={ticket.number}" in page.content.decode()
    for into in (str(ticket.number), f" #{ticket.number} "):
        shown = browser.get(address, {"into": into}).content.decode()
        assert "My grinder arrived broken." in shown
        assert "This cannot be undone." in shown
        assert "sees_all" not in shown
    assert not Message.objects.filter(kind="change").exists()
    done = browser.post(address, {"into": ticket.number}, follow=True)
    assert done.redirect_chain[-1][0] == f"/tickets/{ticket.number}/"
    text = done.content.decode()
    assert "Is anybody there?" in text
    assert f'id="entry-{other.number}-1"' in text


def test_the_page_says_plainly_who_comes_together(
    enter: Enter, alice: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    dave = make.customer("Dave", "dave@mail.example")
    daves = make.ticket(dave, inbox, "We share a grinder.")
    address = f"/tickets/{daves.number}/merge/"
    text = enter(alice).get(address, {"into": ticket.number}).content.decode()
    assert "This brings together customers" in text
    assert "Carol</bdi> will not see what was said" in text
    assert 'name="sees_all"' in text
    enter(alice).post(address, {"into": ticket.number, "sees_all": "on"})
    seat = ticket.conversation.participants.get(person=dave.person)
    assert seat.sees_after_seq == 0


@pytest.mark.parametrize(
    ("into", "sentence"),
    [
        ("", "Write the number of a ticket"),
        ("abc", "Write the number of a ticket"),
        ("99999", "There is no ticket #99999."),
        ("self", "cannot be merged with itself"),
    ],
    ids=["nothing", "words", "missing", "itself"],
)
def test_what_is_wrong_is_said_beside_the_number(
    enter: Enter, alice: Viewer, ticket: Ticket, into: str, sentence: str
) -> None:
    typed = str(ticket.number) if into == "self" else into
    for ask in (enter(alice).get, enter(alice).post):
        page = ask(f"/tickets/{ticket.number}/merge/", {"into": typed})
        assert page.status_code == 422
        assert sentence in page.content.decode()


def test_the_old_address_leads_to_the_one_that_goes_on(
    enter: Enter, alice: Viewer, ticket: Ticket, other: Ticket
) -> None:
    merge_tickets(alice, other.number, ticket.number)
    browser = enter(alice)
    for path in ("", "split/", "merge/"):
        response = browser.get(f"/tickets/{other.number}/{path}")
        assert response.status_code == 302, path
        assert response["Location"].startswith(f"/tickets/{ticket.number}/")
    there = browser.get(f"/tickets/{other.number}/?view=open")
    assert there["Location"] == f"/tickets/{ticket.number}/?view=open"
    refused = browser.post(
        f"/tickets/{other.number}/reply/", {"body": "Hi", "client_token": uuid4()}
    )
    assert refused.status_code == 422
    assert "was merged into another one" in refused.content.decode()
    side = browser.get(f"/tickets/{ticket.number}/").content.decode()
    assert "Merged from" in side
    # What was said in it keeps its own addresses.
    assert browser.get(f"/tickets/{other.number}/messages/1/").status_code == 200
    theirs = f'id="entry-{other.number}-1"'
    assert theirs in browser.get(f"/tickets/{ticket.number}/timeline/").content.decode()
    later = browser.get(f"/tickets/{ticket.number}/timeline/?after=0").content.decode()
    assert theirs not in later


def test_who_does_not_see_where_it_goes_on_reads_the_old_one_and_cannot_write(
    enter: Enter, mallory: Viewer, carol: Viewer, team: Team, ticket: Ticket
) -> None:
    both = make.staff("Grace", team, Team.objects.get(name="Elsewhere"))
    theirs = make.ticket(carol, Inbox.objects.get(name="Elsewhere"), "Elsewhere")
    merge_tickets(both, theirs.number, ticket.number)
    browser = enter(mallory)
    page = browser.get(f"/tickets/{theirs.number}/")
    text = page.content.decode()
    assert page.status_code == 200
    assert "Elsewhere" in text
    assert "data-composer" not in text
    assert "data-solve" not in text
    assert browser.get(f"/tickets/{ticket.number}/").status_code == 404


def test_messages_are_chosen_and_become_a_ticket(
    enter: Enter, alice: Viewer, carol: Viewer, chat: Ticket
) -> None:
    make.say(carol, chat, "And where is my order?")
    browser = enter(alice)
    address = f"/tickets/{chat.number}/split/"
    page = browser.get(address, {"message": f"{chat.number}-2"}).content.decode()
    assert f'value="{chat.number}-2" checked' in page
    assert f'value="{chat.number}-1">' in page
    form = {"message": [f"{chat.number}-2"], "client_token": uuid4(), "subject": "Order"}
    done = browser.post(address, form, follow=True)
    new = Ticket.objects.latest("number")
    assert done.redirect_chain[-1][0] == f"/tickets/{new.number}/"
    assert (new.subject, new.last_preview) == ("Order", "And where is my order?")
    assert "split this from <a" in done.content.decode()
    wrong = browser.post(address, {"client_token": uuid4(), "subject": "Order"})
    assert wrong.status_code == 422
    assert "Choose a message." in wrong.content.decode()
    assert 'value="Order"' in wrong.content.decode()


def test_a_solved_ticket_offers_to_be_continued(
    enter: Enter, alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    browser = enter(alice)
    link = f"/tickets/new/?continues={ticket.number}"
    assert link not in browser.get(f"/tickets/{ticket.number}/").content.decode()
    solve_ticket(alice, ticket.number)
    assert link in browser.get(f"/tickets/{ticket.number}/").content.decode()
    form = browser.get(link).context["form"]
    assert form["address"].value() == "carol@mail.example"
    assert form["subject"].value() == "My grinder arrived broken."
    assert form["continues"].value() == ticket.number
    for address in (link.replace(str(ticket.number), "x"), "/tickets/new/?continues=999999"):
        assert browser.get(address).status_code == 404
    assert enter(mallory).get(link).status_code == 200  # no inbox of theirs can write: no form
    Inbox.objects.filter(name="Elsewhere").update(address="elsewhere@shop.example")
    assert enter(mallory).get(link).status_code == 404
    sent = browser.post(
        "/tickets/new/",
        {
            "inbox": ticket.inbox_id,
            "address": "carol@mail.example",
            "subject": "Your grinder",
            "body": "Does it still work?",
            "client_token": uuid4(),
            "continues": ticket.number,
        },
        follow=True,
    )
    new = Ticket.objects.latest("number")
    assert new.continues == ticket
    assert "This continues <a href" in sent.content.decode()
    old = browser.get(f"/tickets/{ticket.number}/").content.decode()
    assert "Continued in" in old
