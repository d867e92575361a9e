"""The desk as staff use it: two people at work, a customer at the other end."""

from __future__ import annotations

import email
import itertools
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from helpdesk.demo import story
from tests.browser.conftest import NewPage
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

AT_ONCE_MS = 15_000  # less than CATCH_UP_EVERY_MS of live.js, on a busy machine
MAYA, BOB, _INES = (f"{name.split()[0].lower()}@tern-kettle.example" for name in story.STAFF)
PHONE = {"viewport": {"width": 380, "height": 800}, "has_touch": True}


sessions: dict[str, Any] = {}  # cookies by login, so that not every test waits for the form


def log_in(page: Page, who: str = MAYA, to: str = "/tickets/") -> Page:
    page.context.add_cookies(sessions.get(who, []))
    page.goto(to)
    if page.get_by_label("Password").count():
        page.get_by_label("Email address").fill(who)
        page.get_by_label("Password").fill(story.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "next=" not in url)
        sessions[who] = page.context.cookies()
    return page


def heading(page: Page) -> Any:
    return page.locator("#head h2")


def editor(page: Page) -> Any:
    return page.get_by_label("Message", exact=True)


def send(page: Page, body: str) -> None:
    editor(page).fill(body)
    page.get_by_role("button", name="Send").click()


def said(page: Page, body: str) -> Any:
    return page.locator("[data-timeline]").get_by_text(body, exact=True)


@dataclass
class Customer:
    """Someone in the widget, by its HTTP side."""

    stack: Stack
    token: str = ""

    @property
    def door(self) -> str:
        return f"{self.stack.base_url}/widget/{self.stack.widget_key}"

    def ask(self, method: str, path: str, **body: object) -> dict[str, Any]:
        headers = {"Origin": self.stack.base_url}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        answer = httpx.request(method, self.door + path, json=body, headers=headers)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}

    def says(self, body: str) -> None:
        if not self.token:
            self.token = self.ask("POST", "/sessions")["token"]
        self.ask("POST", "/messages", body=body, client_token=str(uuid4()))

    @property
    def heard(self) -> list[str]:
        answer = self.ask("GET", "/messages?after=0")
        return [message["body"] for message in answer["messages"] if message["kind"] == "reply"]


@pytest.fixture(scope="module", autouse=True)
def _no_assistant(stack: Stack) -> Iterator[None]:
    """Here people answer."""
    stack.rows("UPDATE tickets_inbox SET assistant_on = false")
    yield
    stack.rows("UPDATE tickets_inbox SET assistant_on = true WHERE widget_key IS NOT NULL")


numbers = itertools.count(1)


@pytest.fixture
def customer(stack: Stack) -> Customer:
    """A customer who has just asked something; `subject` is what the list shows."""
    made = Customer(stack)
    made.says(f"Which filter fits dripper number {next(numbers)}?")
    return made


@pytest.fixture
def address(stack: Stack, customer: Customer) -> str:
    """Where the desk shows this customer's ticket."""
    (number,) = stack.row("SELECT max(number) FROM tickets_ticket")
    return f"/tickets/{number}/"


def test_a_mail_is_answered_and_its_delivery_shown(page: Page, stack: Stack) -> None:
    log_in(page)
    page.get_by_role("link", name="Scale switches off during the bloom").click()
    expect(heading(page)).to_have_text("Scale switches off during the bloom")
    expect(page).to_have_title(re.compile("Scale switches off"))

    send(page, "We are sending you a new board.")

    expect(said(page, "We are sending you a new board.")).to_be_visible()
    expect(editor(page)).to_have_value("")
    expect(page.get_by_text("Sent to yuki.tanaka@example.jp")).to_be_visible()
    out = stack.data / "mail" / "out"
    stack.wait_until(lambda: [mail for mail in mails(out) if "new board" in mail.as_string()])
    expect(page.locator("[data-part=head]").get_by_text("Waiting", exact=True)).to_be_visible()


def test_a_mail_that_did_not_arrive_is_sent_again_with_one_click(
    page: Page, new_page: NewPage, stack: Stack
) -> None:
    (number,) = stack.row(
        "SELECT number FROM tickets_ticket WHERE subject LIKE 'Wrong colour kettle%%'"
    )
    log_in(page, to=f"/tickets/{number}/")
    send(page, "The sage one leaves today.")
    expect(page.get_by_text("Sent to priya")).to_be_visible()
    stack.rows(
        "UPDATE tickets_outgoingemail o SET state = 'failed', accepted_at = NULL, "
        "error = 'The mail server refused the mail.' FROM tickets_message m "
        "WHERE m.id = o.message_id AND m.body = 'The sage one leaves today.'"
    )
    page.reload()
    expect(page.get_by_text("Not sent to priya")).to_be_visible()
    editor(page).fill("Half a sentence")
    page.get_by_role("button", name="Try again now").click()
    expect(page.get_by_text("Sent to priya")).to_be_visible()
    expect(page.get_by_role("button", name="Try again now")).to_be_hidden()
    expect(editor(page)).to_have_value("Half a sentence")

    plain = log_in(new_page(java_script_enabled=False), to="/admin/tickets/outgoingemail/")
    plain.locator("#result_list tbody th a").first.click()
    expect(plain.get_by_text("Accepted at")).to_be_visible()
    expect(plain.get_by_role("button", name="Try again now")).to_have_count(0)  # it was accepted
    stack.rows(
        "UPDATE tickets_outgoingemail o SET state = 'failed', accepted_at = NULL "
        "FROM tickets_message m "
        "WHERE m.id = o.message_id AND m.body = 'The sage one leaves today.'"
    )
    plain.goto("/admin/tickets/outgoingemail/?state__exact=failed")
    plain.locator("#result_list tbody th a").first.click()
    plain.get_by_role("button", name="Try again now").click()
    expect(plain.get_by_text("1 is tried again.")).to_be_visible()
    query = "SELECT count(*) FROM tickets_outgoingemail WHERE state = 'failed'"
    stack.wait_until(lambda: stack.row(query) == (0,))


def mails(folder: Path) -> list[Any]:
    return [email.message_from_bytes(file.read_bytes()) for file in folder.rglob("*.eml")]


def test_a_colleagues_page_changes_by_itself(new_page: NewPage, address: str) -> None:
    maya, bob = log_in(new_page(), MAYA, address), log_in(new_page(), BOB, address)
    expect(bob.locator("[data-count=yours]")).to_be_visible()
    page_of_bob = bob.evaluate("document.body.dataset.mark = 'same'")

    editor(maya).click()
    maya.get_by_label("Note").check(force=True)
    editor(maya).fill("He asked last week already.")
    maya.get_by_role("button", name="Add note").click()
    expect(said(bob, "He asked last week already.")).to_be_visible(timeout=AT_ONCE_MS)

    before = int(bob.locator("[data-count=yours]").inner_text().split()[0])
    maya.locator("[data-menu=assign] summary").click()
    maya.get_by_role("button", name="Bob Okafor").click()
    expect(bob.locator("[data-menu=assign] summary")).to_contain_text("Bob", timeout=AT_ONCE_MS)
    expect(bob.locator("[data-count=yours]")).to_contain_text(str(before + 1), timeout=AT_ONCE_MS)
    expect(bob.get_by_text("Maya Lindqvist gave this to Bob Okafor")).to_be_visible()

    maya.get_by_label("Reply").check(force=True)
    send(maya, "The flat one.")
    expect(said(bob, "The flat one.")).to_be_visible(timeout=AT_ONCE_MS)
    maya.get_by_role("button", name="Solve").click()
    expect(maya.get_by_role("button", name="Reopen")).to_be_visible(timeout=AT_ONCE_MS)
    expect(bob.get_by_role("button", name="Reopen")).to_be_visible(timeout=AT_ONCE_MS)
    assert bob.evaluate("document.body.dataset.mark") == page_of_bob == "same"


def test_a_list_shows_a_new_ticket_at_once(page: Page, stack: Stack, customer: Customer) -> None:
    log_in(page)
    page.wait_for_timeout(300)
    newcomer = Customer(stack)
    newcomer.says("Is the kettle back in stock yet?")
    row = page.get_by_role("link", name="Is the kettle back in stock yet?")
    expect(row).to_be_visible(timeout=AT_ONCE_MS)
    expect(page.locator(".row", has=row)).to_have_class(re.compile("is-new"))


def test_a_refresh_leaves_rows_and_focus_where_they_are(
    page: Page, stack: Stack, customer: Customer
) -> None:
    log_in(page)
    first = page.locator(".row-link").first
    first.focus()
    page.evaluate("window.first = document.querySelector('.row-link')")
    Customer(stack).says("Do you ship to Norway at all?")
    expect(page.get_by_role("link", name="Do you ship to Norway at all?")).to_be_visible()
    assert page.evaluate("window.first === document.querySelector('.row-link')")
    assert page.evaluate("document.activeElement === window.first")


def test_customer_and_staff_talk_live(page: Page, customer: Customer, address: str) -> None:
    log_in(page, to=address)
    send(page, "The flat one.")
    expect(said(page, "The flat one.")).to_be_visible()
    assert customer.heard[-1] == "The flat one."
    customer.says("Thank you!")
    expect(said(page, "Thank you!")).to_be_visible(timeout=AT_ONCE_MS)


def test_typing_shows_on_the_other_side_but_never_for_a_note(
    new_page: NewPage, address: str
) -> None:
    maya, bob = log_in(new_page(), MAYA, address), log_in(new_page(), BOB, address)
    writing = bob.locator("[data-live]")
    expect(bob.locator("[data-timeline]")).to_be_visible()
    bob.wait_for_timeout(300)

    editor(maya).press_sequentially("The flat")
    expect(writing).to_contain_text("Maya Lindqvist is writing")
    send(maya, "The flat one.")
    expect(writing).to_be_empty()

    maya.get_by_label("Note").check(force=True)
    bob.wait_for_timeout(1_100)  # the server passes on one sign of it a second
    editor(maya).press_sequentially("About him")
    bob.wait_for_timeout(700)
    assert writing.inner_text() == ""  # now, and not only in the end


def test_sending_twice_in_haste_is_one_message(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    editor(page).fill("The flat one.")
    page.evaluate(
        """() => {
          const form = document.querySelector("[data-composer]");
          for (let n = 0; n < 5; n++) form.requestSubmit();
        }"""
    )
    expect(said(page, "The flat one.")).to_have_count(1)
    page.wait_for_timeout(300)
    assert customer.heard.count("The flat one.") == 1


def test_an_answer_that_got_lost_on_its_way_back_is_no_second_message(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            route.fetch()  # the server stores it
            route.abort()  # the browser never hears

    page.route("**/reply/*", lose)
    send(page, "The flat one.")
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    expect(editor(page)).to_have_value("The flat one.")
    expect(editor(page)).to_have_value("", timeout=20_000)  # it was sent again by itself
    assert customer.heard.count("The flat one.") == 1


def test_a_text_changed_after_a_lost_answer_is_a_message_of_its_own(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    page.route("**/reply/*", lambda route: (route.fetch(), route.abort()))
    send(page, "The flat one.")
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    page.unroute("**/reply/*")
    send(page, "The flat one, size 02.")
    expect(said(page, "The flat one, size 02.")).to_be_visible()
    assert customer.heard[-2:] == ["The flat one.", "The flat one, size 02."]


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (422, {}, "Something is wrong with it."),
        (429, {"Retry-After": "60"}, "Not sent yet. Your text is kept"),
        (503, {"Retry-After": "60"}, "Not sent yet. Your text is kept"),
        (500, {}, "something broke on our side. Your text is kept"),
        (404, {}, "no longer here for you. Your text is kept"),
        (401, {}, "you have been signed out. Your text is kept"),
    ],
)
def test_whatever_goes_wrong_the_text_stays(
    status: int, headers: dict[str, str], sentence: str, page: Page, address: str
) -> None:
    log_in(page, to=address)
    body = f"<p data-sentence>{'Something is wrong with it.' if status == 422 else ''}</p>"
    tries: list[str] = []

    def fail(route: Route) -> None:
        tries.append(route.request.url)
        route.fulfill(status=status, body=body, headers=headers)

    page.route("**/reply/*", fail)
    send(page, "The flat one.")
    expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    expect(editor(page)).to_have_value("The flat one.")
    page.reload()
    expect(editor(page)).to_have_value("The flat one.")
    page.wait_for_timeout(300)
    # Only what the person was promised goes out by itself.
    assert (len(tries) > 1) == (status in {429, 503})


def test_words_written_without_a_connection_go_out_when_it_is_back(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    page.context.set_offline(True)
    send(page, "The flat one.")
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    page.context.set_offline(False)
    expect(said(page, "The flat one.")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Reconnecting…")).to_be_hidden()
    assert customer.heard.count("The flat one.") == 1


def test_a_restarted_server_is_noticed_and_nothing_is_missed(
    page: Page, stack: Stack, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    expect(page.locator("[data-connection]")).to_be_hidden()
    killed = stack.pid("web")
    stack.kill("web")
    stack.wait_until(lambda: stack.pid("web") != killed)
    stack.kill("web", signal.SIGSTOP)  # or it might be back before anybody is told
    expect(page.get_by_text("Reconnecting…")).to_be_visible(timeout=20_000)
    stack.kill("web", signal.SIGCONT)
    stack.wait_until(lambda: answers(stack))
    customer.says("Are you there?")
    expect(said(page, "Are you there?")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Reconnecting…")).to_be_hidden()


def answers(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.base_url}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_text_that_is_too_long_is_kept_and_hears_the_limit(page: Page, address: str) -> None:
    log_in(page, to=address)
    editor(page).fill("a" * 100_007)
    limit = "100,007 characters: 7 too many. At most 100,000 can be sent at once."
    expect(page.get_by_text(limit)).to_be_visible()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text(limit)).to_be_visible()
    assert len(editor(page).input_value()) == 100_007
    editor(page).fill("a" * 20)
    expect(page.get_by_text("too many")).to_be_hidden()


def test_a_draft_survives_a_reload_and_a_look_at_another_ticket(page: Page, address: str) -> None:
    log_in(page, to=address)
    page.get_by_label("Note").check(force=True)
    editor(page).fill("To be finished")
    page.get_by_role("link", name="Parcel says delivered, nothing here").click()
    expect(heading(page)).to_contain_text("Parcel says delivered")
    expect(editor(page)).to_have_value("")
    page.goto(address)
    expect(editor(page)).to_have_value("To be finished")
    expect(page.get_by_label("Note")).to_be_checked()


def test_drafts_go_when_their_writer_signs_out(page: Page, address: str) -> None:
    log_in(page, to=address)
    editor(page).fill("Not for the next one at this desk")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(lambda url: "tickets" not in url)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft'))") == []


def test_whoever_is_signed_out_meanwhile_loses_no_word(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    page.context.clear_cookies(name="sessionid")
    send(page, "The flat one.")
    expect(page.get_by_role("alert").filter(has_text="signed out")).to_be_visible()
    expect(page.locator("[data-connection]")).to_contain_text("You have been signed out.")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in again").click()
    log_in(opened.value)
    send(page, "The flat one.")
    expect(editor(page)).to_have_value("")
    expect(page.locator("[data-connection]")).to_be_hidden()
    assert customer.heard[-1] == "The flat one."


def test_who_writes_hears_that_the_customer_wrote_too(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    editor(page).fill("The flat")
    customer.says("Never mind, I found it.")
    guard = page.locator("[data-guard]")
    expect(guard).to_contain_text("wrote since you began.")
    guard.get_by_role("link", name="Show").click()
    expect(guard).to_be_hidden()


def test_the_desk_works_from_the_keyboard_alone(page: Page, address: str) -> None:
    log_in(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    first = page.locator(".row-link").first
    expect(first).to_be_focused()
    subject = first.inner_text()
    page.keyboard.press("Enter")
    expect(heading(page)).to_have_text(subject)
    page.keyboard.press("n")
    expect(editor(page)).to_be_focused()
    page.keyboard.type("Written by hand, jkean?")
    page.keyboard.press("Control+Enter")
    expect(said(page, "Written by hand, jkean?")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator("[data-menu=assign] .menu button").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.locator("[data-menu=assign] summary")).to_be_focused()
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Solve")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Search tickets")).to_be_focused()


def test_one_switch_turns_single_keys_off(page: Page) -> None:
    log_in(page)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    page.get_by_label("Single-key shortcuts").click()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.reload()
    page.keyboard.press("j")
    expect(page.locator(".row-link").first).not_to_be_focused()
    page.keyboard.press("?")
    expect(sheet).to_be_hidden()
    page.get_by_role("button", name="Shortcuts").click()
    expect(page.get_by_label("Single-key shortcuts")).not_to_be_checked()
    page.get_by_label("Single-key shortcuts").click()


def test_all_of_it_works_without_a_script(
    new_page: NewPage, customer: Customer, address: str
) -> None:
    page = log_in(new_page(java_script_enabled=False))
    page.locator(f".row-link[href^='{address}']").click()
    page.get_by_role("button", name="Mark as read").click()
    expect(page.get_by_role("button", name="Mark as read")).to_have_count(0)

    send(page, "The flat one.")
    expect(said(page, "The flat one.")).to_be_visible()
    page.get_by_label("Note").check(force=True)
    editor(page).fill("He found it.")
    page.get_by_role("button", name="Add note").click()
    expect(said(page, "He found it.")).to_be_visible()
    page.locator("[data-menu=assign] summary").click()
    page.get_by_role("button", name="Bob Okafor").click()
    expect(page.get_by_text("You gave this to Bob Okafor")).to_be_visible()
    page.get_by_role("button", name="Solve").click()
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="Solve")).to_be_visible()

    page.get_by_role("link", name="Search").click()
    page.get_by_label("Search tickets").fill("which filter")
    page.get_by_label("Search tickets").press("Enter")
    expect(page.locator(f".row-link[href^='{address}']")).to_be_visible()
    assert customer.heard[-1] == "The flat one."


def test_a_phone_shows_one_pane_at_a_time(
    new_page: NewPage, customer: Customer, address: str
) -> None:
    page = log_in(new_page(**PHONE))
    lists, ticket = page.get_by_label("Tickets", exact=True), page.locator("#ticket")
    expect(lists).to_be_visible()
    expect(ticket).to_be_hidden()
    page.locator(f".row-link[href^='{address}']").click()
    expect(ticket).to_be_visible()
    expect(lists).to_be_hidden()

    editor(page).click()
    page.locator(".tabs label", has_text="Note").tap()
    expect(page.get_by_role("button", name="Add note")).to_be_visible()

    page.get_by_role("link", name="Customer").click()
    side = page.locator("#side")
    expect(side).to_be_visible()
    with page.expect_response(lambda response: "/about/" in response.url):
        customer.says("Are you still there?")
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || "
            "document.querySelector('#side').contains(document.activeElement)"
        )
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(page.get_by_role("link", name="Customer")).to_be_focused()

    page.get_by_role("link", name="Back to the list").click()
    expect(lists).to_be_visible()
    page.get_by_role("link", name="Navigation").click()
    page.get_by_role("link", name="Unassigned").click()
    expect(page.locator("#list-title")).to_contain_text("Unassigned")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["viewport"]["width"], "nothing sticks out"  # type: ignore[index]


def test_the_address_follows_and_back_goes_back(page: Page, address: str) -> None:
    log_in(page)
    page.locator(f".row-link[href^='{address}']").click()
    page.wait_for_url(f"**{address}?view=open")
    expect(page.locator(".row[aria-current=true]")).to_have_count(1)
    page.get_by_role("link", name="Parcel says delivered, nothing here").click()
    expect(heading(page)).to_contain_text("Parcel")
    page.go_back()
    expect(heading(page)).to_contain_text("Which filter")
    page.go_back()
    expect(page.get_by_text("No ticket selected")).to_be_visible()


def test_long_lists_and_long_timelines_unfold(
    page: Page, stack: Stack, customer: Customer, address: str
) -> None:
    for n in range(70):
        customer.says(f"Line {n}")
    for n in range(52):
        Customer(stack).says(f"One of many {n}")
    log_in(page, to=address)
    expect(said(page, "Line 69")).to_be_visible()
    expect(said(page, "Line 0")).to_have_count(0)
    page.get_by_role("link", name="Show earlier messages").click()
    expect(said(page, "Line 0")).to_have_count(1)
    seqs = page.eval_on_selector_all("[data-seq]", "(all) => all.map((e) => +e.dataset.seq)")
    assert seqs == list(range(1, 72))

    last = page.get_by_role("link", name="One of many 51")
    links = page.locator("[data-rows] .row-link")
    while not last.count():  # other tests have tickets in this list, too
        shown = links.count()
        page.get_by_role("link", name="Show more").click()
        expect(links).not_to_have_count(shown)
    expect(last).to_be_visible()
    Customer(stack).says("One more, while many are shown")
    for more in page.get_by_role("link", name="Show more").all():
        more.click()
    expect(page.get_by_role("link", name="One more, while many are shown")).to_be_visible()
    expect(last).to_be_visible()


def test_more_rows_stay_where_a_refresh_was_under_way_when_they_came(
    page: Page, stack: Stack
) -> None:
    for n in range(52):
        Customer(stack).says(f"Meanwhile {n}")
    log_in(page, to="/tickets/?view=open")
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route(re.compile("[?&]rows="), hold_first)
    counted = page.locator("[data-count=open]")
    before = counted.inner_text()
    with page.expect_request(re.compile("[?&]rows=")):
        Customer(stack).says("One more to be counted")
    links = page.locator("[data-rows] .row-link")
    shown = links.count()
    page.get_by_role("link", name="Show more").click()
    expect(links).not_to_have_count(shown)
    more = links.count()
    assert page.url.endswith("/tickets/?view=open")
    held[0].continue_()
    expect(counted).not_to_have_text(before)
    assert links.count() >= more > shown


def test_the_assistants_words_and_the_customers_typing_show_while_they_are_written(
    page: Page, stack: Stack, address: str
) -> None:
    log_in(page, to=address)
    expect(page.locator("[data-timeline]")).to_be_visible()
    number = int(address.strip("/").rpartition("/")[2])
    (conversation,) = stack.row(
        "SELECT conversation_id FROM tickets_ticket WHERE number = %s", number
    )

    def ring(*events: dict[str, object]) -> None:
        heard = [{"conversation": conversation, **event} for event in events]
        stack.manage(
            "shell",
            "-c",
            "from helpdesk.lib.live import ring; from tickets.events import everyone\n"
            f"for event in {heard!r}: ring(everyone({conversation}), event)",
        )

    piece = {"type": "assistant.delta", "answer": "a1"}
    ring(
        {"type": "assistant.typing"},
        {**piece, "index": 0, "text": "The glass one "},
        {**piece, "index": 1, "text": "takes <b>02</b>."},
        {"type": "typing.changed", "person": 0, "name": "", "role": "customer", "typing": True},
    )
    writing = page.locator("[data-live]")
    expect(writing.get_by_text("The glass one takes <b>02</b>.")).to_be_visible()
    expect(writing.get_by_text("The customer is writing")).to_be_visible()
    ring(
        {"type": "assistant.stopped", "answer": "a1"},
        {"type": "typing.changed", "person": 0, "name": "", "role": "customer", "typing": False},
    )
    expect(writing).to_be_empty()


def test_a_draft_open_in_two_tabs_is_sent_as_two_messages_if_it_became_two(
    new_page: NewPage, customer: Customer, address: str
) -> None:
    first = log_in(new_page(), to=address)
    editor(first).fill("The flat")
    first.wait_for_timeout(500)  # drafts are kept as soon as one pauses
    second = first.context.new_page()
    second.goto(address)
    expect(editor(second)).to_have_value("The flat")

    send(first, "The flat one.")
    expect(said(first, "The flat one.")).to_be_visible()
    send(second, "The flat two.")
    expect(second.get_by_text("Send again to send the new text.")).to_be_visible()
    second.get_by_role("button", name="Send").click()
    expect(said(second, "The flat two.")).to_be_visible()
    assert customer.heard[-2:] == ["The flat one.", "The flat two."]


def test_what_is_typed_while_a_message_is_on_its_way_stays_in_the_box(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)

    def slowly(route: Route) -> None:
        editor(page).press_sequentially(" More.")
        route.continue_()

    page.route("**/reply/*", slowly)
    send(page, "The flat one.")
    expect(said(page, "The flat one.")).to_be_visible()
    expect(editor(page)).to_have_value("More.")
    assert customer.heard[-1] == "The flat one."


def hold_the_first_reply(page: Page) -> list[Route]:
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/reply/*", hold)
    return held


def test_a_message_sent_while_another_is_on_its_way_follows_it(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    held = hold_the_first_reply(page)

    def type_and_send(body: str) -> None:
        editor(page).press_sequentially(body)
        page.keyboard.press("Control+Enter")
        page.keyboard.press("Control+Enter")  # in haste

    type_and_send("alpha")
    type_and_send("beta")
    type_and_send("gamma")
    expect(page.get_by_text("Sending…")).to_be_visible()
    expect(page.locator(".chat-me")).to_have_count(0)  # one at a time
    held[0].continue_()
    for body in ("alpha", "beta", "gamma"):
        expect(said(page, body)).to_have_count(1)
    expect(editor(page)).to_have_value("")
    expect(page.get_by_text("Sending…")).to_be_hidden()
    page.wait_for_timeout(300)
    assert customer.heard[1:] == ["alpha", "beta", "gamma"]


def test_messages_sent_one_after_the_other_survive_a_lost_answer(
    page: Page, customer: Customer, address: str
) -> None:
    log_in(page, to=address)
    held = hold_the_first_reply(page)
    for body in ("alpha", "beta"):
        editor(page).press_sequentially(body)
        page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Sending…")).to_be_visible()
    held[0].fetch()  # the server stores it
    held[0].abort()  # the browser never hears
    expect(page.get_by_text("Not sent: no connection.")).to_be_visible()
    expect(said(page, "beta")).to_be_visible(timeout=20_000)  # both were sent again by themselves
    expect(editor(page)).to_have_value("")
    assert customer.heard[1:] == ["alpha", "beta"]
