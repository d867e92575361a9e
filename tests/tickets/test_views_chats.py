"""Several chats side by side."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Inbox, Ticket
from tickets.operations import assign_ticket, solve_ticket

SCRIPT = {"HX-Request": "true"}


def chats(carol: Viewer, inbox: Inbox, count: int) -> list[Ticket]:
    return [make.ticket(carol, inbox, f"Hello {n}?", channel="chat") for n in range(count)]


def shown(page: Any) -> list[int]:
    return [column.ticket.number for column in page.context["columns"]]


def test_the_viewers_own_chats_stand_open_and_those_that_wait_are_a_click_away(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox, ticket: Ticket
) -> None:
    made = [each.number for each in chats(carol, inbox, 7)]
    assert alice.user
    for number in made[:6]:
        assign_ticket(alice, number, alice.user.pk)
    solve_ticket(alice, made[5])
    page = enter(alice).get("/chats/")
    assert shown(page) == made[:4]
    tabs = {tab.ticket.number: tab for tab in page.context["tabs"]}
    assert set(tabs) == {*made[:5], made[6]}
    wanted = ",".join(str(n) for n in [*made[1:4], made[6]])
    assert tabs[made[6]].address == f"?open={wanted}#chat-{made[6]}"


def test_the_address_says_which_are_open_and_in_which_order(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    one, two, three = (each.number for each in chats(carol, inbox, 3))
    page = enter(alice).get(f"/chats/?open={three},{one}")
    assert shown(page) == [three, one]
    assert page.context["columns"][0].without == f"?open={one}"
    html = page.content.decode()
    assert html.count("data-composer ") == 2
    assert f'id="write-{three}"' in html
    assert shown(enter(alice).get("/chats/?open=")) == []
    assert shown(enter(alice).get(f"/chats/?open={one},{one},{two},{three}")) == [one, two, three]


@pytest.mark.parametrize("text", ["x", "-1", "9" * 30, "1,,2 OR 1=1", "٣", "999999"])
def test_what_is_no_chat_is_left_out(text: str, enter: Enter, alice: Viewer, chat: Ticket) -> None:
    page = enter(alice).get("/chats/", {"open": f"{text},{chat.number}"})
    assert page.status_code == 200
    assert shown(page) == [chat.number]


def test_a_mail_is_no_chat(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    assert shown(enter(alice).get(f"/chats/?open={ticket.number}")) == []


def test_another_teams_chat_is_not_there(enter: Enter, mallory: Viewer, chat: Ticket) -> None:
    page = enter(mallory).get(f"/chats/?open={chat.number}")
    assert shown(page) == []
    assert page.context["tabs"] == []
    assert "Which filter" not in page.content.decode()


def test_strangers_see_nothing(chat: Ticket) -> None:
    address = f"/chats/?open={chat.number}"
    assert Client().get(address).status_code == 302
    assert Client().get(address, headers=SCRIPT).status_code == 401


def test_a_script_gets_tabs_and_navigation_again(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    html = enter(alice).get(f"/chats/?open={chat.number}", headers=SCRIPT).content.decode()
    assert 'data-part="chat-tabs"' in html
    assert 'data-part="nav"' in html
    assert "data-composer" not in html


def test_a_columns_head_comes_alone(
    enter: Enter, alice: Viewer, mallory: Viewer, chat: Ticket
) -> None:
    address = f"/tickets/{chat.number}/about/?column=1"
    html = enter(alice).get(address).content.decode()
    assert f'data-part="head-{chat.number}"' in html
    assert 'data-part="side"' not in html
    assert enter(mallory).get(address).status_code == 404


def test_columns_cost_few_queries_each(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox, django_assert_max_num_queries: Any
) -> None:
    numbers = [str(each.number) for each in chats(carol, inbox, 4)]
    browser = enter(alice)
    with django_assert_max_num_queries(14):
        browser.get(f"/chats/?open={','.join(numbers)}")
