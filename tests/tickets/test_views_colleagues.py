"""Who may be named, for the list that opens at an @."""

from __future__ import annotations

import pytest
from django.test import Client

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Ticket
from tickets.operations import start_group
from tickets.operations.seats import Guests

pytestmark = pytest.mark.django_db


def names(client: Client, conversation_id: int) -> list[str]:
    answer = client.get(f"/conversations/{conversation_id}/colleagues/")
    return [one["name"] for one in answer.json()["colleagues"]]


def test_on_a_ticket_it_is_who_sees_its_inbox_and_not_oneself(
    enter: Enter, alice: Viewer, bob: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    make.say(bob, ticket, "Hello")
    assert names(enter(alice), ticket.conversation_id) == ["Bob"]


def test_among_colleagues_it_is_who_has_a_seat(
    enter: Enter, alice: Viewer, bob: Viewer, mallory: Viewer
) -> None:
    assert mallory.user
    group = start_group(alice, Guests(user_ids=[mallory.user.pk]))
    assert names(enter(alice), group.pk) == ["Mallory"]
    assert enter(bob).get(f"/conversations/{group.pk}/colleagues/").status_code == 404


def test_who_may_not_see_it_learns_no_name(
    enter: Enter, mallory: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    address = f"/conversations/{ticket.conversation_id}/colleagues/"
    assert enter(mallory).get(address).status_code == 404
    assert enter(mallory).get("/conversations/999999/colleagues/").status_code == 404
    assert Client().get(address).status_code == 302
    assert Client().get(address, headers={"HX-Request": "true"}).status_code == 401
    assert enter(bob).post(address).status_code == 405
