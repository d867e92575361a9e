"""Handing a ticket to a colleague or a team."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from helpdesk.lib.errors import NotFound, Refused
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Message, Team, Ticket
from tickets.operations import hand_ticket_to


def last(ticket: Ticket, count: int) -> list[tuple[str, str]]:
    entries = Message.objects.filter(conversation=ticket.conversation_id).order_by("seq")
    return [(m.kind, m.body or str((m.change or {})["new"])) for m in entries][-count:]


def test_a_team_gets_it_with_a_note_and_nobody_of_it_has_it_yet(
    alice: Viewer, team: Team, ticket: Ticket
) -> None:
    hand_ticket_to(alice, ticket.number, team_id=team.pk, note="Please look at the burr.")
    ticket.refresh_from_db()
    assert (ticket.team, ticket.assignee) == (team, None)
    assert last(ticket, 2) == [("change", "Orders"), ("note", "Please look at the burr.")]
    assert Message.objects.filter(kind="note", audience="staff").count() == 1


def test_a_colleague_gets_it_without_one(alice: Viewer, bob: Viewer, ticket: Ticket) -> None:
    assert bob.user
    hand_ticket_to(alice, ticket.number, user_id=bob.user.pk)
    ticket.refresh_from_db()
    assert ticket.assignee == bob.user
    assert last(ticket, 1) == [("change", "Bob")]


def test_a_team_that_does_not_see_the_inbox_is_refused_in_plain_words(
    alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    elsewhere = Team.objects.get(name="Elsewhere")
    with pytest.raises(Refused, match="The team Elsewhere does not see the inbox Hello"):
        hand_ticket_to(alice, ticket.number, team_id=elsewhere.pk, note="Yours?")
    ticket.refresh_from_db()
    assert (ticket.team, ticket.assignee) == (None, alice.user)
    assert not Message.objects.filter(kind="note").exists()


def test_an_inbox_of_everyones_goes_to_every_team(
    alice: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    ticket.inbox.teams.clear()
    elsewhere = Team.objects.get(name="Elsewhere")
    assert hand_ticket_to(alice, ticket.number, team_id=elsewhere.pk).team == elsewhere


def test_a_form_sent_twice_hands_over_once(alice: Viewer, team: Team, ticket: Ticket) -> None:
    token = uuid4()
    for _ in range(2):
        hand_ticket_to(
            alice, ticket.number, team_id=team.pk, note="Please look.", client_token=token
        )
    assert Message.objects.filter(kind="note").count() == 1
    assert len(last(ticket, 9)) == 3


def test_who_may_not_see_it_hands_nothing_over(
    alice: Viewer, mallory: Viewer, carol: Viewer, team: Team, ticket: Ticket
) -> None:
    assert mallory.user
    for who in (mallory, carol):
        with pytest.raises(NotFound):
            hand_ticket_to(who, ticket.number, team_id=team.pk)
    with pytest.raises(Refused):
        hand_ticket_to(alice, ticket.number, user_id=mallory.user.pk)


def test_the_page_offers_who_may_see_it_and_says_what_was_done(
    enter: Enter, alice: Viewer, mallory: Viewer, team: Team, ticket: Ticket
) -> None:
    browser = enter(alice)
    html = browser.get(f"/tickets/{ticket.number}/").content.decode()
    assert f'value="team-{team.pk}"' in html
    assert "Elsewhere" not in html
    form = {"to": f"team-{team.pk}", "note": "Please look.", "client_token": str(uuid4())}
    answer = browser.post(f"/tickets/{ticket.number}/hand/?view=open", form)
    assert answer["Location"] == f"/tickets/{ticket.number}/?view=open"
    html = browser.get(f"/tickets/{ticket.number}/").content.decode()
    assert "handed this to the team" in html
    assert "Please look." in html


@pytest.mark.parametrize("to", ["", "team-", "user-x", "team-99999999999", "team-0", "inbox-1"])
def test_nobody_in_particular_is_refused(
    to: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    answer = enter(alice).post(f"/tickets/{ticket.number}/hand/", {"to": to})
    assert answer.status_code == 422
    assert "Choose a colleague or a team." in answer.content.decode()


def test_strangers_hand_nothing_over(ticket: Ticket, team: Team) -> None:
    form = {"to": f"team-{team.pk}"}
    assert Client().post(f"/tickets/{ticket.number}/hand/", form).status_code == 302
    ticket.refresh_from_db()
    assert ticket.team is None
