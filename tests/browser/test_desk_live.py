"""Live chat at the desk: Maya and Bob at work, a visitor in the widget, each in a browser."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.browser.conftest import NewPage
from tests.browser.test_desk import AT_ONCE_MS, BOB, MAYA, Customer, editor, log_in, said, send
from tests.browser.test_desk_access import violations
from tests.browser.test_widget import box, open_chat, ticket_with, words, write
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]


@pytest.fixture(scope="module", autouse=True)
def _no_assistant(stack: Stack) -> Iterator[None]:
    """Here people answer."""
    stack.rows("UPDATE tickets_inbox SET assistant_on = false")
    yield
    stack.rows("UPDATE tickets_inbox SET assistant_on = true WHERE widget_key IS NOT NULL")


def asked_in_widget(new_page: NewPage, stack: Stack) -> tuple[Page, str]:
    """A visitor who has asked something, and where the desk shows it."""
    (text,) = words("Which filter fits dripper")
    visitor = open_chat(new_page())
    write(visitor, text)
    return visitor, f"/tickets/{ticket_with(stack, text)}/"


def viewing(page: Page) -> Any:
    return page.locator("[data-viewing]")


def here(page: Page) -> Any:
    return page.locator("[data-here]")


def test_colleagues_see_each_other_at_a_ticket(new_page: NewPage, stack: Stack) -> None:
    _visitor, address = asked_in_widget(new_page, stack)
    maya, bob = log_in(new_page(), MAYA, address), log_in(new_page(), BOB, address)
    expect(viewing(maya)).to_have_text("Bob Okafor is viewingBob", timeout=AT_ONCE_MS)
    expect(viewing(bob)).to_contain_text("Maya Lindqvist is viewing", timeout=AT_ONCE_MS)

    editor(bob).press_sequentially("The flat")
    expect(viewing(maya)).to_contain_text("Bob Okafor is typing", timeout=AT_ONCE_MS)
    maya.get_by_role("button", name="Solve").click()  # the head comes anew
    expect(maya.get_by_role("button", name="Reopen")).to_be_visible()
    expect(viewing(maya)).to_contain_text("Bob Okafor is")

    bob.get_by_role("link", name="Parcel says delivered, nothing here").click()
    expect(viewing(maya)).to_be_hidden(timeout=AT_ONCE_MS)
    bob.go_back()
    expect(viewing(maya)).to_be_visible(timeout=AT_ONCE_MS)
    bob.context.close()
    expect(viewing(maya)).to_be_hidden(timeout=AT_ONCE_MS)


def test_staff_see_whether_the_visitor_is_here(new_page: NewPage, stack: Stack) -> None:
    visitor, address = asked_in_widget(new_page, stack)
    maya = log_in(new_page(), MAYA, address)
    expect(here(maya)).to_have_text("Here now", timeout=AT_ONCE_MS)
    visitor.context.close()
    expect(here(maya)).to_have_text("Left this minute", timeout=AT_ONCE_MS)


def test_presence_is_back_after_redis_lost_everything(new_page: NewPage, stack: Stack) -> None:
    _visitor, address = asked_in_widget(new_page, stack)
    maya, bob = log_in(new_page(), MAYA, address), log_in(new_page(), BOB, address)
    expect(viewing(maya)).to_be_visible(timeout=AT_ONCE_MS)
    before = stack.pid("redis")
    stack.kill("redis")
    stack.wait_until(lambda: stack.pid("redis") != before)
    expect(viewing(maya)).to_be_visible(timeout=45_000)
    expect(here(maya)).to_have_text("Here now", timeout=45_000)
    expect(viewing(bob)).to_be_visible(timeout=45_000)
    expect(box(_visitor)).to_be_visible()
    assert said(maya, "nothing").count() == 0


def guard(page: Page) -> Any:
    return page.locator("[data-guard]")


def test_a_reply_is_held_back_when_the_customer_spoke_meanwhile(
    new_page: NewPage, stack: Stack
) -> None:
    visitor, address = asked_in_widget(new_page, stack)
    maya = log_in(new_page(), MAYA, address)
    editor(maya).press_sequentially("The flat one.")
    write(visitor, *words("Never mind", 2))
    expect(guard(maya)).to_contain_text("wrote 2 messages since you began.", timeout=AT_ONCE_MS)
    expect(maya.get_by_role("button", name="Send anyway")).to_be_hidden()

    editor(maya).press("Control+Enter")
    expect(maya.get_by_role("button", name="Send anyway")).to_be_visible()
    expect(guard(maya).get_by_role("link", name="Show")).to_be_focused()
    expect(editor(maya)).to_have_value("The flat one.")
    assert said(maya, "The flat one.").count() == 0
    maya.get_by_role("button", name="Send anyway").click()
    expect(said(maya, "The flat one.")).to_have_count(1)
    expect(guard(maya)).to_be_hidden()
    expect(editor(maya)).to_have_value("")

    editor(maya).press_sequentially("Another thing.")
    write(visitor, *words("One more"))
    expect(guard(maya)).to_contain_text("wrote since you began.", timeout=AT_ONCE_MS)
    guard(maya).get_by_role("link", name="Show").press("Enter")
    expect(guard(maya)).to_be_hidden()
    expect(editor(maya)).to_be_focused()
    editor(maya).press("Control+Enter")
    expect(said(maya, "Another thing.")).to_have_count(1)


def test_of_two_colleagues_who_answer_one_hears_of_the_other_first(
    new_page: NewPage, stack: Stack
) -> None:
    _visitor, address = asked_in_widget(new_page, stack)
    maya, bob = log_in(new_page(), MAYA, address), log_in(new_page(), BOB, address)
    editor(bob).fill("Size 02.")
    # Bob's page hears of nothing: only the server can know.
    bob.route("**/timeline/*", lambda route: route.abort())
    editor(maya).fill("Size 01.")
    editor(maya).press("Control+Enter")
    expect(said(maya, "Size 01.")).to_be_visible()
    editor(bob).press("Control+Enter")
    expect(guard(bob)).to_contain_text("Maya Lindqvist wrote since you began.")
    bob.unroute("**/timeline/*")
    guard(bob).get_by_role("link", name="Show").click()
    expect(said(bob, "Size 01.")).to_be_visible()
    expect(editor(bob)).to_have_value("Size 02.")


def test_the_guard_stands_without_a_script_too(new_page: NewPage, stack: Stack) -> None:
    visitor, address = asked_in_widget(new_page, stack)
    plain = log_in(new_page(java_script_enabled=False), MAYA, address)
    (text,) = words("Never mind")
    write(visitor, text)
    expect(visitor.locator("helpdesk-widget .unsent")).to_have_count(0)
    stack.wait_until(lambda: stack.rows("SELECT 1 FROM tickets_message WHERE body = %s", text))
    editor(plain).fill("The flat one.")
    plain.get_by_role("button", name="Send", exact=True).click()
    expect(guard(plain)).to_contain_text("wrote since you began.")
    expect(said(plain, text)).to_be_visible()
    expect(editor(plain)).to_have_value("The flat one.")
    plain.get_by_role("button", name="Send anyway").click()
    expect(said(plain, "The flat one.")).to_have_count(1)
    expect(guard(plain)).to_be_hidden()


def test_a_live_chat_comes_first_is_taken_and_handed_over_with_a_note(
    new_page: NewPage, stack: Stack
) -> None:
    maya = log_in(new_page(), MAYA)
    before = maya.locator("[data-count=live]")
    expect(before).to_be_visible()
    count = int(before.inner_text().split()[0])
    _visitor, address = asked_in_widget(new_page, stack)
    expect(before).to_contain_text(str(count + 1), timeout=AT_ONCE_MS)
    first = maya.locator(".row").filter(has_text="Live ·")
    expect(first).to_have_count(count + 1)
    assert maya.locator(".row").first.inner_text().count("Live") == 1

    maya.locator(f".row-link[href^='{address}']").click()
    maya.get_by_role("button", name="Take").click()
    expect(maya.get_by_text("You took this")).to_be_visible()
    expect(maya.get_by_role("button", name="Take")).to_have_count(0)
    maya.locator("[data-menu=hand] summary").click()
    maya.get_by_label("Hand over to").select_option(label="Bob Okafor")
    maya.get_by_label("What they should know (staff only)").fill("He wants ten of them.")
    maya.get_by_role("button", name="Hand over").click()
    expect(maya.get_by_text("You gave this to Bob Okafor")).to_be_visible()
    expect(said(maya, "He wants ten of them.")).to_be_visible()
    expect(maya.locator("[data-menu=hand]")).not_to_have_attribute("open", "")


def test_staff_see_what_a_visitor_types_where_the_inbox_wants_it(
    new_page: NewPage, stack: Stack
) -> None:
    stack.rows("UPDATE tickets_inbox SET previews_typing = true")
    customer = Customer(stack)
    customer.says(*words("Which filter fits dripper"))
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    maya = log_in(new_page(), MAYA, f"/tickets/{number}/")
    path = f"{stack.base_url.replace('http', 'ws', 1)}/ws/widget/{stack.widget_key}/"
    with connect(path, origin=Origin(stack.base_url)) as socket:
        socket.send(json.dumps({"type": "hello", "token": customer.token}))
        while json.loads(socket.recv(5))["type"] != "ready":
            pass
        expect(here(maya)).to_have_text("Here now")
        typed = {"type": "typing", "typing": True, "text": "The <b>one"}
        socket.send(json.dumps(typed))
        shown = maya.locator("[data-live] .bubble-preview")
        expect(shown).to_have_text("The <b>one", timeout=AT_ONCE_MS)
        socket.send(json.dumps({"type": "typing", "typing": False}))
        expect(shown).to_have_count(0, timeout=AT_ONCE_MS)
    stack.rows("UPDATE tickets_inbox SET previews_typing = false")


@pytest.fixture
def several(stack: Stack) -> tuple[list[Customer], list[int]]:
    """Four customers who wait, and the numbers of their tickets."""
    customers, numbers = [], []
    for text in words("Which filter fits dripper", 4):
        customers.append(Customer(stack))
        customers[-1].says(text)
        numbers.append(ticket_with(stack, text))
    return customers, numbers


def column(page: Page, number: int) -> Any:
    return page.locator(f"#chat-{number}")


def test_several_chats_are_answered_side_by_side(
    new_page: NewPage, stack: Stack, several: tuple[list[Customer], list[int]]
) -> None:
    customers, numbers = several
    maya = log_in(new_page(), MAYA, f"/chats/?open={','.join(map(str, numbers[:3]))}")
    expect(maya.locator("[data-column]")).to_have_count(3)
    maya.keyboard.press("j")
    expect(column(maya, numbers[0]).locator("[data-body]")).to_be_focused()
    maya.keyboard.type("First: size 01.")
    maya.keyboard.press("Control+3")
    maya.keyboard.type("Third: size 03.")
    maya.keyboard.press("Control+Enter")
    third = column(maya, numbers[2])
    expect(third.locator("[data-timeline]").get_by_text("Third: size 03.")).to_be_visible()
    maya.keyboard.press("Escape")
    maya.keyboard.press("k")
    expect(column(maya, numbers[1]).locator("[data-body]")).to_be_focused()
    assert column(maya, numbers[0]).locator("[data-body]").input_value() == "First: size 01."
    assert customers[2].heard[-1] == "Third: size 03."

    customers[1].says("Anybody?")
    second = column(maya, numbers[1])
    expect(second.locator("[data-timeline]").get_by_text("Anybody?")).to_be_visible(
        timeout=AT_ONCE_MS
    )
    customers[0].says("Wait, it is glass.")
    first = column(maya, numbers[0])
    expect(guard(first)).to_contain_text("wrote since you began.", timeout=AT_ONCE_MS)
    expect(guard(second)).to_be_hidden()

    second.get_by_role("button", name="Take").click()
    expect(second.get_by_text("You took this")).to_be_visible()
    expect(second.get_by_role("button", name="Take")).to_have_count(0)
    expect(first.get_by_role("button", name="Take")).to_be_visible()

    maya.locator(f"#tab-{numbers[3]} a").click()
    expect(column(maya, numbers[3])).to_be_visible()
    expect(first.locator("[data-body]")).to_have_value("First: size 01.")
    column(maya, numbers[2]).get_by_role("link", name="Close").click()
    expect(column(maya, numbers[2])).to_have_count(0)
    expect(maya.locator("[data-column]")).to_have_count(3)


@pytest.mark.parametrize("width", [1440, 1024, 380])
def test_side_by_side_nothing_sticks_out_and_axe_finds_nothing(
    width: int, new_page: NewPage, stack: Stack, several: tuple[list[Customer], list[int]]
) -> None:
    _customers, numbers = several
    maya = new_page(viewport={"width": width, "height": 800})
    log_in(maya, MAYA, f"/chats/?open={','.join(map(str, numbers))}")
    expect(maya.locator("[data-column]")).to_have_count(4)
    column(maya, numbers[0]).locator("[data-body]").fill("The flat")
    shown = [each.bounding_box() for each in maya.locator("[data-column]").all()]
    inside = [box for box in shown if box and box["x"] + box["width"] <= width + 1]
    assert len(inside) == {1440: 4, 1024: 3, 380: 1}[width]
    assert maya.evaluate("document.documentElement.scrollWidth") <= width
    maya.wait_for_timeout(300)
    if folder := os.environ.get("SHOTS"):
        maya.screenshot(path=f"{folder}/chats-{width}.png")
    assert violations(maya) == []


STUB = """
window.notices = []; window.askedFor = 0;
window.Notification = class {
  static permission = "default";
  static async requestPermission() {
    window.askedFor += 1; return (this.permission = "granted");
  }
  constructor(title, options) { window.notices.push([title, options.tag]); }
};
document.hasFocus = () => false;
"""


def test_who_wants_it_is_notified_and_nobody_is_asked_unprompted(
    new_page: NewPage, stack: Stack
) -> None:
    maya = new_page()
    maya.add_init_script(STUB)
    log_in(maya, MAYA)
    expect(maya.locator("[data-count=live]")).to_be_visible()
    maya.wait_for_timeout(700)
    (unheard,) = words("Unheard")
    Customer(stack).says(unheard)
    expect(maya.get_by_role("link", name=unheard)).to_be_visible()
    maya.wait_for_timeout(1_500)  # whatever is to be said of it is said by now
    expect(maya).to_have_title(re.compile(r"^\(\d+\) "))
    assert maya.evaluate("[window.askedFor, window.notices.length]") == [0, 0]

    maya.locator("[data-menu=me] summary").click()
    switch = maya.get_by_role("switch", name="Browser notifications")
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(maya.get_by_role("switch", name="Sound")).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert maya.evaluate("window.askedFor") == 1
    if folder := os.environ.get("SHOTS"):
        maya.screenshot(path=f"{folder}/me-menu.png")
    assert violations(maya) == []
    maya.keyboard.press("Escape")
    maya.wait_for_timeout(700)
    Customer(stack).says(*words("Heard"))
    maya.wait_for_function("() => window.notices.length === 1")
    tag = maya.evaluate("window.notices[0][1]")
    assert tag == f"/tickets/{stack.row('SELECT max(number) FROM tickets_ticket')[0]}/"


def test_away_shows_to_oneself_and_to_colleagues(new_page: NewPage, stack: Stack) -> None:
    _visitor, address = asked_in_widget(new_page, stack)
    bob, maya = log_in(new_page(), BOB, address), log_in(new_page(), MAYA, address)
    bob.get_by_role("button", name="Take").click()
    expect(bob.get_by_text("You took this")).to_be_visible()
    bob.locator("[data-menu=me] summary").click()
    bob.get_by_role("button", name="Away: no new chats").click()
    expect(bob.locator("[data-menu=me] summary")).to_contain_text("Away")
    maya.reload()
    expect(maya.locator("#head").get_by_text("Away", exact=True)).to_be_visible()
    expect(maya.get_by_role("button", name="Take")).to_be_visible()
    if folder := os.environ.get("SHOTS"):
        editor(maya).fill("I can put ten samples in")
        write(_visitor, *words("Ah! It is the glass one", 2))
        expect(guard(maya)).to_be_visible()
        maya.screenshot(path=f"{folder}/ticket-1440.png")
        maya.set_viewport_size({"width": 380, "height": 800})
        maya.wait_for_timeout(500)
        maya.screenshot(path=f"{folder}/ticket-380.png")
    bob.locator("[data-menu=me] summary").click()
    bob.get_by_role("button", name="I am back").click()
    expect(bob.locator("[data-menu=me] summary")).to_contain_text("Available")


def test_answers_to_choose_from_are_given_and_one_is_tapped(
    new_page: NewPage, stack: Stack
) -> None:
    visitor, address = asked_in_widget(new_page, stack)
    maya = log_in(new_page(), MAYA, address)
    (question,) = words("Which size")
    maya.get_by_text("Add answers").click()
    answers = maya.get_by_label("Answers to choose from")
    answers.fill("The small one, The large one")
    editor(maya).fill(question)
    assert violations(maya) == []
    maya.wait_for_timeout(400)  # until the draft is kept
    maya.reload()
    expect(answers).to_have_value("The small one, The large one")
    editor(maya).press("Control+Enter")
    entry = maya.locator("[data-seq]", has_text=question)
    expect(entry.locator(".chip")).to_have_text(["The small one", "The large one"])
    expect(answers).to_be_hidden()

    box(visitor).fill("I am not sure")
    visitor.get_by_role("button", name="The small one").click()
    expect(visitor.locator("helpdesk-widget .me .bubble").last).to_have_text("The small one")
    expect(visitor.get_by_role("button", name="The large one")).to_have_count(0)
    expect(box(visitor)).to_have_value("I am not sure")
    expect(maya.locator("[data-timeline] .bubble").last).to_have_text("The small one")
    send(maya, "Thank you")
    expect(said(maya, "Thank you")).to_be_visible()
    visitor.wait_for_timeout(500)
    expect(visitor.get_by_role("button", name="The large one")).to_have_count(0)
