"""Team chat: colleagues among themselves, each in a browser of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests import make
from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk import BOB, MAYA, editor, log_in, said
from tests.browser.test_desk_access import violations
from tests.browser.test_desk_live import STUB
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

INES = "ines@tern-kettle.example"
WAIT_MS = 20_000


@pytest.fixture(scope="module", autouse=True)
def _hushed(stack: Stack) -> Iterator[None]:
    """What is left unread here calls nobody in the tests of others."""
    yield
    stack.rows(
        "UPDATE tickets_participant SET muted = true WHERE conversation_id IN "
        "(SELECT id FROM tickets_conversation WHERE channel = 'internal')"
    )


def some(words: str) -> str:
    return f"{words} {uuid4().hex[:6]}"


def say(page: Page, body: str) -> None:
    editor(page).fill(body)
    editor(page).press("Control+Enter")
    expect(said(page, body)).to_have_count(1)


def counter(page: Page) -> Any:
    return page.locator('[data-count="team"]')


def row(page: Page, name: str) -> Any:
    return page.locator("[data-rows]").get_by_role("link", name=name, exact=True)


def direct(page: Page, name: str) -> Page:
    page.goto("/team/new/")
    page.get_by_role("button", name=name).click()
    expect(page.locator("#head h2")).to_have_text(name)
    return page


def group(page: Page, *names: str) -> str:
    """A new group with these people; its title."""
    title = some("Roasters")
    page.goto("/team/new/")
    page.get_by_label("Name").fill(title)
    for name in names:
        page.get_by_label(name).check()
    page.get_by_role("button", name="Start the group").click()
    expect(page.locator("#head h2")).to_have_text(title)
    return title


def panel(page: Page, name: str) -> Any:
    return page.locator(f'[data-panel="{name}"]')


def choices(page: Page) -> Any:
    """Who may be named, while the list is open."""
    return page.get_by_role("listbox", name="Colleagues").get_by_role("option")


def all_read(stack: Stack) -> None:
    """Nobody has anything unread of tests before."""
    stack.rows(
        "UPDATE tickets_participant p SET last_read_seq = c.last_seq FROM tickets_conversation c "
        "WHERE c.id = p.conversation_id AND c.channel = 'internal' AND sees_after_seq < last_seq"
    )


def ticket_number(stack: Stack) -> int:
    query = "SELECT number FROM tickets_ticket WHERE subject LIKE 'Grinder arrived%'"
    return int(stack.row(query)[0])


def test_two_write_to_each_other_live(new_page: NewPage, stack: Stack) -> None:
    all_read(stack)
    maya, bob = log_in(new_page()), log_in(new_page(), BOB)
    expect(counter(bob)).to_have_count(0)
    direct(maya, "Bob Okafor")
    hello = some("Lunch at one?")
    say(maya, hello)
    expect(counter(bob)).to_contain_text("1", timeout=WAIT_MS)

    bob.get_by_role("link", name="Team chat").click()
    row(bob, "Maya Lindqvist").click()
    expect(said(bob, hello)).to_be_visible()
    expect(counter(bob)).to_have_count(0)
    mark = maya.locator("[data-seq]", has_text=hello).locator("[data-mark]")
    expect(mark).to_have_text("Read", timeout=WAIT_MS)
    expect(maya.locator("[data-viewing]")).to_contain_text("Bob Okafor is viewing")

    editor(bob).press_sequentially("Yes, o")
    writing = maya.locator("[data-live]").get_by_text("Bob Okafor is writing")
    expect(writing).to_be_visible(timeout=WAIT_MS)
    answer = some("Yes, one it is")
    say(bob, answer)
    expect(said(maya, answer)).to_have_count(1, timeout=WAIT_MS)
    expect(counter(maya)).to_have_count(0)

    editor(maya).fill("Begun and not sent")
    maya.wait_for_timeout(400)
    maya.reload()
    expect(editor(maya)).to_have_value("Begun and not sent")
    editor(maya).fill("")
    direct(bob, "Maya Lindqvist")
    expect(said(bob, answer)).to_be_visible()  # there is one


def test_a_group_with_a_file_and_a_name(new_page: NewPage, stack: Stack) -> None:
    maya, bob = log_in(new_page()), log_in(new_page(), BOB)
    title = group(maya, "Bob Okafor", "Ines Carvalho")
    row(bob, title).or_(bob.get_by_role("link", name="Team chat")).first.click()
    expect(row(bob, title)).to_be_visible(timeout=WAIT_MS)

    maya.locator("[data-file-input]").set_input_files(
        {"name": "beans.png", "mimeType": "image/png", "buffer": make.PNG}
    )
    editor(maya).press_sequentially("Look, @bo")
    expect(choices(maya)).to_have_text("BOBob Okafor")
    editor(maya).press("Enter")
    expect(editor(maya)).to_have_value("Look, @Bob Okafor ")
    expect(choices(maya)).to_have_count(0)
    expect(maya.locator(".up[data-state=ready]")).to_have_count(1)
    editor(maya).press("Control+Enter")
    expect(said(maya, "Look, @Bob Okafor")).to_be_visible()

    named = bob.locator("[data-rows] li", has_text=title).get_by_text("Names you")
    expect(named).to_have_count(1, timeout=WAIT_MS)
    row(bob, title).click()
    file = bob.locator("[data-timeline]").get_by_role("link", name="beans.png")
    expect(file).to_be_visible()
    address = file.get_attribute("href")
    assert address
    assert bob.request.get(address).body() == make.PNG
    expect(named).to_have_count(0)

    # Who is removed sees and hears nothing from that moment.
    people = panel(maya, "people")
    people.get_by_label("What to do about Bob Okafor").click()
    people.get_by_role("button", name="Remove").click()
    expect(bob.get_by_text("no longer yours to see")).to_be_visible(timeout=WAIT_MS)
    secret = some("Without Bob")
    say(maya, secret)
    expect(row(bob, title)).to_have_count(0, timeout=WAIT_MS)
    assert said(bob, secret).count() == 0
    assert bob.request.get(address).status == 404


def test_a_name_of_ones_own_and_leaving(new_page: NewPage, stack: Stack) -> None:
    maya, ines = log_in(new_page()), log_in(new_page(), INES)
    title = group(maya, "Ines Carvalho")
    ines.goto("/team/")
    row(ines, title).click()
    people = panel(maya, "people")
    people.get_by_text("Name it…").click()
    people.get_by_label("Name", exact=True).fill(f"{title}, new")
    people.get_by_role("button", name="Save").click()
    expect(ines.locator("#head h2")).to_have_text(f"{title}, new", timeout=WAIT_MS)
    expect(row(ines, f"{title}, new")).to_be_visible(timeout=WAIT_MS)
    panel(ines, "people").get_by_role("button", name="Leave").click()
    ines.wait_for_url("**/team/")
    expect(row(ines, f"{title}, new")).to_have_count(0)
    expect(maya.get_by_text("Ines Carvalho left")).to_be_visible(timeout=WAIT_MS)


def test_who_wants_it_is_notified_unless_it_is_muted(new_page: NewPage, stack: Stack) -> None:
    all_read(stack)
    maya = direct(log_in(new_page()), "Ines Carvalho")
    ines = new_page()
    ines.add_init_script(STUB)
    log_in(ines, INES)
    ines.locator("[data-menu=me] summary").click()
    ines.get_by_role("switch", name="Browser notifications").click()
    ines.keyboard.press("Escape")
    ines.wait_for_timeout(700)
    ines.evaluate("window.notices.length = 0")
    say(maya, some("Psst"))
    ines.wait_for_function("() => window.notices.length === 1")
    name, tag = ines.evaluate("window.notices[0]")
    (pk,) = stack.row("SELECT max(conversation_id) FROM tickets_message")
    assert (name, tag) == ("Maya Lindqvist", f"/team/{pk}/")

    direct(ines, "Maya Lindqvist")
    panel(ines, "people").get_by_role("button", name="Mute").click()
    expect(panel(ines, "people")).to_contain_text("muted")
    ines.goto("/tickets/")
    ines.wait_for_timeout(700)
    say(maya, some("Psst again"))
    ines.wait_for_timeout(1_500)
    assert ines.evaluate("window.notices.length") == 0
    expect(counter(ines)).to_have_count(0)
    direct(ines, "Maya Lindqvist")
    panel(ines, "people").get_by_role("button", name="Hear it again").click()
    expect(panel(ines, "people").get_by_role("button", name="Mute")).to_be_visible()


def test_colleagues_are_asked_beside_a_ticket_and_the_outcome_is_quoted(
    new_page: NewPage, stack: Stack
) -> None:
    number = ticket_number(stack)
    maya = log_in(new_page(), to=f"/tickets/{number}/")
    beside = panel(maya, "beside")
    beside.get_by_text("Ask colleagues…").click()
    question = some("Was the burr set paid for?")
    beside.get_by_label("Question").fill(question)
    beside.get_by_label("Ines Carvalho").check()
    beside.get_by_role("button", name="Ask", exact=True).click()
    mine = beside.locator("li", has_text=question)
    expect(mine).to_contain_text("no answer yet")
    expect(maya.get_by_text("You asked Ines Carvalho among colleagues").first).to_be_visible()
    assert violations(maya) == []

    ines = log_in(new_page(), INES, "/team/")
    ines.locator("[data-rows] li", has_text=question).get_by_role("link").click()
    expect(ines.get_by_text(f"Beside ticket #{number}")).to_be_visible()
    answer = some("Yes, on Monday")
    say(ines, answer)
    mine = beside.locator("li", has_text=answer)
    expect(mine).to_contain_text("answered", timeout=WAIT_MS)

    bob = log_in(new_page(), BOB, f"/tickets/{number}/")  # he has no seat, and sees no word
    (pk,) = stack.row("SELECT conversation_id FROM tickets_message WHERE body = %s", answer)
    his = panel(bob, "beside").locator(f"#side-{pk}")
    expect(his).to_contain_text("Maya Lindqvist asked")
    assert answer not in bob.content()

    mine.get_by_role("link").click()
    quote = maya.locator("#quote")
    expect(quote.get_by_role("radio").last).to_be_checked()
    quote.get_by_label("Below it, if you like").fill("I tell her.")
    press = quote.get_by_role("button", name="Put it on the ticket")
    press.dblclick()
    expect(quote).to_contain_text("quoted")
    assert violations(maya) == []
    expect(said(bob, answer)).to_have_count(1, timeout=WAIT_MS)
    expect(said(bob, "I tell her.")).to_have_count(1)
    note = bob.locator(".msg-note", has_text=answer)
    expect(note).to_contain_text("Ines Carvalho said:")
    expect(his).to_contain_text("quoted", timeout=WAIT_MS)

    his.get_by_role("link").click()
    bob.get_by_role("button", name="Join").click()
    expect(said(bob, answer)).to_be_visible()
    expect(ines.get_by_text("Bob Okafor joined")).to_be_visible(timeout=WAIT_MS)
    bob.goto("/tickets/?q=" + answer.rpartition(" ")[2])
    hits = bob.get_by_role("list", name="In team chat")
    expect(hits.get_by_role("link")).to_have_count(1)


def test_a_list_opens_at_an_at_and_stays_out_of_the_way(page: Page, stack: Stack) -> None:
    log_in(page, to=f"/tickets/{ticket_number(stack)}/")
    page.get_by_role("radiogroup").get_by_text("Note").click()
    box, options = editor(page), choices(page)
    box.press_sequentially("hannah@b")  # an address is no name
    expect(options).to_have_count(0)
    box.fill("")
    box.press_sequentially("@")
    expect(options).to_have_count(2)
    assert violations(page) == []
    first = options.first
    expect(first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", str(first.get_attribute("id")))
    box.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")  # round
    expect(first).to_have_attribute("aria-selected", "true")
    box.press("ArrowUp")
    box.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_be_focused()
    assert box.get_attribute("aria-activedescendant") is None
    box.press_sequentially("carv")  # by the second name, too
    expect(options).to_have_text(["ICInes Carvalho"])
    box.press("Tab")
    expect(box).to_have_value("@Ines Carvalho ")
    box.press_sequentially("and @zz")
    expect(options).to_have_count(0)
    box.press("Enter")  # a line like any other
    expect(box).to_have_value("@Ines Carvalho and @zz\n")
    box.fill("")
    box.press_sequentially("@bob")
    options.click()
    expect(box).to_have_value("@Bob Okafor ")
    expect(box).to_be_focused()
    box.fill("")


def test_team_chat_works_from_the_keyboard_alone(page: Page, stack: Stack) -> None:
    log_in(page, to="/team/new/")

    def until(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            script = "document.activeElement.textContent.trim() || document.activeElement.name"
            if page.evaluate(script) == name:
                return
        raise AssertionError(f"{name} is not in reach of the keyboard")

    title = some("By hand")
    until("title")
    page.keyboard.type(title)
    until("users")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#head h2")).to_have_text(title)
    page.keyboard.press("n")  # there are no notes: it is a message
    expect(editor(page)).to_be_focused()
    page.keyboard.type("Written by hand, @b")
    expect(choices(page)).to_have_count(1)
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    expect(said(page, "Written by hand, @Bob Okafor")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(row(page, title)).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("#ticket")).to_be_focused()


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", WIDE), ("dark", WIDE), ("light", {"width": 380, "height": 800})],
    ids=["light", "dark", "narrow"],
)
def test_axe_finds_nothing_and_nothing_sticks_out(
    scheme: str, size: dict[str, int], new_page: NewPage, stack: Stack
) -> None:
    page = log_in(new_page(color_scheme=scheme, viewport=size))
    title = group(page, "Bob Okafor")
    say(page, some("Is the kettle with the very long name on the shelf behind the roaster?"))
    found = {"conversation": violations(page)}
    number = ticket_number(stack)
    for address in ("/team/", "/team/new/", f"/tickets/{number}/beside/"):
        page.goto(address)
        page.wait_for_timeout(100)
        found[address] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], address
    page.goto("/team/")
    row(page, title).click()
    expect(page.locator("#head h2")).to_have_text(title)
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_it_works_without_script(new_page: NewPage, stack: Stack) -> None:
    log_in(page := new_page(java_script_enabled=False), MAYA)
    direct(page, "Bob Okafor")
    body = some("No script here")
    editor(page).fill(body)
    page.get_by_role("button", name="Send").click()
    expect(said(page, body)).to_have_count(1)
    page.get_by_role("link", name="People", exact=True).click()
    page.get_by_role("link", name="Back to the conversation").click()
    expect(said(page, body)).to_have_count(1)
