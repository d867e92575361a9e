"""What could not be delivered, in one place, and all of it tried again with one click."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils.timezone import now

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Inbox, OutgoingEmail, Ticket
from tickets.operations import solve_ticket

pytestmark = pytest.mark.django_db

LIST, ALL = "/tickets/?view=undelivered", "/tickets/deliver/"


def fail(by: Viewer, where: Ticket, words: str = "Here you are.") -> OutgoingEmail:
    """A reply whose mail failed for good."""
    message = make.say(by, where, words)
    mails = OutgoingEmail.objects.filter(message=message)
    mails.update(state="failed", attempts=9, error="No such host.", finished_at=now())
    return mails.get()


@pytest.fixture
def hidden(mallory: Viewer) -> OutgoingEmail:
    """A failed mail of an inbox that only others see."""
    others = mallory.user.teams.get() if mallory.user else None
    assert others
    theirs = make.inbox("Theirs", others, address="o@o.example")
    dave = make.customer("Dave", "dave@mail.example")
    return fail(mallory, make.ticket(dave, theirs, "Psst"), "Psst!")


def test_what_failed_has_a_view_of_its_own_while_there_is_any(
    enter: Enter, alice: Viewer, ticket: Ticket, hidden: OutgoingEmail
) -> None:
    browser = enter(alice)
    assert "Not delivered" not in browser.get("/tickets/").content.decode()
    mail = fail(alice, ticket)

    page = browser.get(LIST)

    assert [hit.ticket for hit in page.context["hits"]] == [ticket]
    assert page.context["counts"]["undelivered"] == 1
    assert re.search(r'data-count="undelivered">1<', page.content.decode())
    OutgoingEmail.objects.filter(pk=mail.pk).update(state="queued", finished_at=None)
    assert browser.get(LIST).context["hits"] == []


def test_a_solved_ticket_is_set_aside(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    fail(alice, ticket)
    solve_ticket(alice, ticket.number)
    assert enter(alice).get(LIST).context["hits"] == []


def test_all_are_tried_again_with_one_click(
    enter: Enter, alice: Viewer, bob: Viewer, ticket: Ticket, inbox: Inbox, hidden: OutgoingEmail
) -> None:
    dave = make.customer("Dan", "dan@mail.example")
    mine = [fail(alice, ticket), fail(bob, make.ticket(dave, inbox, "And I?"))]

    answer = enter(alice).post(ALL)

    assert (answer.status_code, answer["Location"]) == (302, LIST)
    states = dict(OutgoingEmail.objects.values_list("pk", "state"))
    assert states == {mine[0].pk: "queued", mine[1].pk: "queued", hidden.pk: "failed"}
    assert not OutgoingEmail.objects.filter(pk__in=states, state="queued", attempts__gt=0).exists()


def test_who_is_not_logged_in_tries_nothing(client: Client, alice: Viewer, ticket: Ticket) -> None:
    mail = fail(alice, ticket)
    assert client.post(ALL).status_code == 302
    mail.refresh_from_db()
    assert mail.state == "failed"
