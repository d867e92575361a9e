"""Whoever writes hears, before a reply is sent, that others spoke since they looked."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from tests import make
from tests.tickets.conftest import Enter
from tests.together import at_once
from tickets.access import Viewer
from tickets.models import Message, Ticket
from tickets.operations import MovedOn, post_note, post_reply

SCRIPT = {"HX-Request": "true"}


def reply(who: Viewer, ticket: Ticket, seen: int | None, token: UUID | None = None) -> Message:
    return post_reply(
        who,
        ticket.conversation_id,
        body="The flat one.",
        via="web",
        seen_seq=seen,
        client_token=token,
    )


def test_a_customer_who_wrote_since_holds_the_reply_back(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Never mind.")
    with pytest.raises(MovedOn, match="Carol wrote since you began") as held:
        reply(alice, ticket, 1)
    assert (held.value.upto, held.value.first_seq) == (2, 2)
    assert Message.objects.filter(body="The flat one.").count() == 0
    assert reply(alice, ticket, 2).kind == "reply"


def test_a_colleague_who_answered_holds_it_back_and_several_are_counted(
    alice: Viewer, bob: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(bob, ticket, "Answered.")
    make.say(carol, ticket, "Thank you!")
    with pytest.raises(MovedOn, match="Bob and others wrote 2 messages since you began"):
        reply(alice, ticket, 1)


def test_what_one_said_oneself_and_what_is_not_said_hold_nothing_back(
    alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "From another tab.")
    post_note(bob, ticket.conversation_id, body="A note.", via="web")
    assert reply(alice, ticket, 1)


def test_who_does_not_say_what_they_saw_is_not_asked(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Never mind.")
    assert reply(alice, ticket, None)


def test_what_was_stored_already_is_no_news_to_its_writer(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    token = uuid4()
    stored = reply(alice, ticket, 1, token)  # the answer got lost on its way back
    make.say(carol, ticket, "Thank you!")
    assert reply(alice, ticket, 1, token) == stored


@pytest.mark.django_db(transaction=True)
def test_of_two_who_answer_at_once_one_hears_of_the_other(
    alice: Viewer, bob: Viewer, ticket: Ticket
) -> None:
    came = at_once(lambda: reply(alice, ticket, 1), lambda: reply(bob, ticket, 1))
    assert sorted(type(one).__name__ for one in came) == ["Message", "MovedOn"]
    assert Message.objects.filter(body="The flat one.").count() == 1


def write(browser: Client, ticket: Ticket, seen: object, **more: Any) -> Any:
    form = {"body": "The flat one.", "client_token": str(uuid4()), "seen_seq": seen}
    return browser.post(f"/tickets/{ticket.number}/reply/?view=yours", form, **more)


def test_without_a_script_the_page_comes_again_with_text_and_guard(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Never mind.")
    browser = enter(alice)
    page = write(browser, ticket, 1)
    html = page.content.decode()
    assert page.status_code == 409
    assert ">The flat one.</textarea>" in html
    assert "Carol wrote since you began." in html
    assert "Never mind." in html
    assert 'name="seen_seq" value="2"' in html
    assert f'form="write-{ticket.number}"' in html
    assert write(browser, ticket, 2).status_code == 302
    assert Message.objects.filter(body="The flat one.").count() == 1


def test_a_script_gets_the_guard_alone(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Never mind.")
    answer = write(enter(alice), ticket, 1, headers=SCRIPT)
    html = answer.content.decode()
    assert answer.status_code == 409
    assert 'data-upto="2"' in html
    assert "Send anyway" in html
    assert "<html" not in html


@pytest.mark.parametrize("seen", ["-1", "x", "99999999999"])
def test_a_place_that_makes_no_sense_keeps_the_text(
    seen: str, enter: Enter, alice: Viewer, ticket: Ticket
) -> None:
    page = write(enter(alice), ticket, seen)
    assert page.status_code == 422
    assert ">The flat one.</textarea>" in page.content.decode()


def test_a_note_is_never_held_back(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Never mind.")
    form = {"body": "A note.", "client_token": str(uuid4()), "seen_seq": 1}
    answer = enter(alice).post(f"/tickets/{ticket.number}/note/", form, headers=SCRIPT)
    assert answer.status_code == 204


def test_a_stranger_and_another_team_learn_nothing_by_it(
    enter: Enter, mallory: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "Never mind.")
    assert write(Client(), ticket, 1).status_code == 302
    assert write(enter(mallory), ticket, 1, headers=SCRIPT).status_code == 404
