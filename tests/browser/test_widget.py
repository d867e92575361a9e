"""The widget as visitors use it, on the demo shop's page, with staff at the other end."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import NewPage, Shop
from tests.browser.test_desk import log_in, said, send
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

AT_ONCE_MS = 15_000  # less than ASK_MS of chat.js, on a busy machine
POLLED_MS = 20_000
BACK_MS = 40_000  # how long a killed server may take to be there again, on a busy machine


def open_chat(page: Page) -> Page:
    page.goto("/demo/")
    page.get_by_role("button", name="Open chat").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    return page


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Write a message…")


def write(page: Page, *texts: str) -> None:
    for text in texts:
        box(page).fill(text)
        box(page).press("Enter")


def mine(page: Page) -> Locator:
    return page.locator("helpdesk-widget .me .bubble")


def greeting(page: Page) -> Locator:
    return page.get_by_role("heading", name="Hello, what can we do for you?")


def unsent(page: Page) -> Locator:
    return page.locator("helpdesk-widget .unsent")


def bubble(page: Page, text: str) -> Locator:
    return page.locator("helpdesk-widget .bubble").get_by_text(text, exact=True)


def type_until(where: Locator, shown: Locator) -> None:
    """Go on typing until it shows at the other end, whose socket may have to open first."""
    for _ in range(40):
        where.press_sequentially("a ", delay=20)
        if shown.is_visible():
            return
        where.page.wait_for_timeout(200)
    expect(shown).to_be_visible()


def settled(page: Page) -> None:
    """Everything written is with the desk."""
    page.wait_for_function(
        "() => !Object.keys(localStorage).some((key) => /:queue:/.test(key))", timeout=BACK_MS
    )


def words(name: str, count: int = 1) -> list[str]:
    """Texts that no other test writes."""
    tag = uuid4().hex[:8]
    return [f"{name} {number} {tag}" for number in range(count)]


def stored(stack: Stack, texts: list[str]) -> list[str]:
    """Those of the texts that the desk has, in the order of the timeline."""
    rows = stack.rows(
        "SELECT body FROM tickets_message WHERE body = ANY(%s) ORDER BY conversation_id, seq", texts
    )
    return [body for (body,) in rows]


def ticket_with(stack: Stack, text: str) -> int:
    def find() -> list[tuple[int]]:
        return stack.rows(
            "SELECT number FROM tickets_ticket JOIN tickets_message USING (conversation_id) "
            "WHERE body = %s",
            text,
        )

    stack.wait_until(find)
    return find()[0][0]


def staff_on(new_page: NewPage, stack: Stack, text: str) -> Page:
    """Maya, with the ticket open in which `text` was said."""
    return log_in(new_page(), to=f"/tickets/{ticket_with(stack, text)}/")


def without_sockets(page: Page) -> None:
    """As behind a proxy that lets no websocket through."""
    page.route_web_socket(re.compile("/ws/"), lambda socket: socket.close())


# --- A page view ---


def test_a_page_view_costs_one_request_and_stores_nothing(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto("/demo/")
    expect(page.get_by_role("button", name="Open chat")).to_be_visible()
    page.wait_for_timeout(1_000)

    ours = [url for url in asked if "/static/" not in url and not url.endswith("/demo/")]
    assert [url.rsplit("/", 1)[1] for url in ours] == ["widget.js"]
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_who_was_here_before_hears_of_an_answer_without_opening(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    question, answer = words("closed", 2)
    open_chat(page)
    write(page, question)
    settled(page)
    page.get_by_role("button", name="Close").click()
    page.reload()
    send(staff_on(new_page, stack, question), answer)
    expect(page.get_by_role("button", name="Open chat, 1 unread")).to_be_visible()
    expect(page.locator("helpdesk-widget .peek")).to_contain_text(answer)


def test_a_second_page_hears_of_what_the_first_began(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    question, answer = words("begun", 2)
    closed = page.context.new_page()
    closed.goto("/demo/")
    expect(closed.get_by_role("button", name="Open chat")).to_be_visible()
    open_chat(page)
    write(page, question)
    settled(page)
    page.get_by_role("button", name="Close").click()  # or it is seen there, and nowhere new
    send(staff_on(new_page, stack, question), answer)
    expect(closed.locator("helpdesk-widget .peek")).to_contain_text(answer)


def test_where_the_chat_cannot_be_loaded_a_click_tries_again(page: Page) -> None:
    page.route(re.compile("/widget/chat.js"), lambda route: route.abort())
    page.goto("/demo/")
    launcher = page.get_by_role("button", name="Open chat")
    launcher.click()
    expect(launcher).to_have_attribute("title", "Offline ↻")
    page.unroute_all()
    launcher.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(greeting(page)).to_be_visible()


def test_opening_costs_one_script_and_the_config_and_begins_no_session(
    page: Page, stack: Stack
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = stack.row("SELECT count(*) FROM chat_visitorsession")
    open_chat(page)
    expect(greeting(page)).to_be_visible()
    write(page, " ", "")
    page.wait_for_timeout(500)
    ours = [re.sub(r".*/|[?].*", "", url) for url in asked if "/widget" in url]
    assert ours == ["widget.js", "chat.js", "config"]
    assert stack.row("SELECT count(*) FROM chat_visitorsession") == before


# --- Talking ---


def test_visitor_and_staff_write_and_see_each_other_type(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    (question, answer, more) = words("talk", 3)
    open_chat(page)
    write(page, question)
    staff = staff_on(new_page, stack, question)
    expect(said(staff, question)).to_be_visible()

    type_until(box(page), staff.locator(".typing"))
    type_until(
        staff.get_by_label("Message", exact=True),
        page.locator("helpdesk-widget").get_by_text("Maya Lindqvist is writing"),
    )
    send(staff, answer)
    expect(bubble(page, answer)).to_be_visible(timeout=AT_ONCE_MS)
    expect(page.get_by_role("heading", name="Maya from Tern & Kettle")).to_be_visible()
    write(page, more)
    expect(said(staff, more)).to_be_visible(timeout=AT_ONCE_MS)


def test_the_assistant_is_named_and_a_person_can_be_asked_for(page: Page) -> None:
    open_chat(page)
    write(page, "Which paper filter fits my dripper?")
    answer = page.locator("helpdesk-widget .chat", has=page.locator(".sources a")).last
    expect(answer).to_be_visible(timeout=POLLED_MS)
    expect(page.get_by_text("Assistant · not a person").first).to_be_visible()
    assert "/help/" in str(answer.locator("a").first.get_attribute("href"))

    page.get_by_role("button", name="Talk to a human").click()
    expect(page.get_by_text("A person will answer you here.")).to_be_visible()
    expect(page.get_by_role("button", name="Talk to a human")).to_be_hidden()
    expect(page.locator("helpdesk-widget .head").get_by_text("People answer here")).to_be_visible()


def test_a_reply_to_a_closed_widget_shows_beside_the_launcher(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    question, answer = words("peek", 2)
    open_chat(page)
    write(page, question)
    settled(page)
    page.get_by_role("button", name="Close").click()
    send(staff_on(new_page, stack, question), answer)

    launcher = page.get_by_role("button", name=re.compile("Open chat, . unread"))
    expect(launcher).to_be_visible()
    page.locator("helpdesk-widget .peek", has_text=answer).click()
    expect(bubble(page, answer)).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Open chat", exact=True)).to_be_visible()


def test_words_are_text_whatever_they_look_like(page: Page, stack: Stack) -> None:
    nasty = f"<img src=x onerror=alert(1)> {uuid4().hex} javascript:alert(1) https://a.example/?b."
    open_chat(page)
    write(page, nasty)
    settled(page)
    expect(mine(page)).to_have_text([nasty])
    links = page.locator("helpdesk-widget .me a")
    expect(links).to_have_text(["https://a.example/?b"])
    assert stored(stack, [nasty]) == [nasty]


def test_a_source_is_a_link_only_if_it_leads_to_a_page(page: Page) -> None:
    sources = [
        {"title": "A script", "url": "javascript:alert(1)"},
        {"title": "A page", "url": "/help/a-page/"},
    ]
    answer = {
        "seq": 2,
        "kind": "reply",
        "author": {"id": 0, "name": "Assistant", "role": "assistant"},
        "body": "See there.",
        "change": None,
        "sources": sources,
        "created_at": "2030-01-02T03:04:05+00:00",
        "client_token": None,
    }
    history = {"messages": [answer], "upto": 2, "more": False, "you": -1, "handler": "staff"}
    without_sockets(page)
    page.route(re.compile("/messages[?]after=0"), lambda route: route.fulfill(json=history))
    open_chat(page)
    write(page, "Where?")
    expect(page.locator("helpdesk-widget .sources").last).to_have_text("A scriptA page")
    links = page.locator("helpdesk-widget .sources a").all()
    assert [link.text_content() for link in links] == ["A page"]


# --- Coming back ---


def test_a_reload_keeps_history_draft_and_the_open_panel(page: Page, stack: Stack) -> None:
    first, second, draft = words("reload", 3)
    open_chat(page)
    write(page, first, second)
    settled(page)
    box(page).fill(draft)
    page.reload()

    expect(page.get_by_role("dialog")).to_be_visible()
    expect(mine(page)).to_have_text([first, second])
    expect(box(page)).to_have_value(draft)
    assert stored(stack, [first, second]) == [first, second]


def test_a_question_that_failed_is_asked_again_soon_beside_an_open_socket(page: Page) -> None:
    (text,) = words("again")
    open_chat(page)
    write(page, text)
    settled(page)
    asked: list[Route] = []

    def fail_at_first(route: Route) -> None:
        asked.append(route)
        if len(asked) < 4:
            route.fulfill(status=500, json={})
        else:
            route.fallback()

    page.route(re.compile("/messages[?]after=0"), fail_at_first)
    page.reload()
    expect(bubble(page, text)).to_be_visible()  # and not minutes later
    assert len(asked) >= 4


def test_two_tabs_are_one_visitor_and_show_each_message_once(page: Page, stack: Stack) -> None:
    texts = words("tabs", 6)
    open_chat(page)
    other = open_chat(page.context.new_page())
    for number, text in enumerate(texts):
        write((page, other)[number % 2], text)

    for tab in (page, other):
        expect(mine(tab)).to_have_count(len(texts))
        settled(tab)
        expect(mine(tab)).to_have_count(len(texts))
    assert mine(page).all_text_contents() == mine(other).all_text_contents()
    assert sorted(stored(stack, texts)) == texts
    sessions = stack.rows(
        "SELECT DISTINCT conversation_id FROM tickets_message WHERE body = ANY(%s)", texts
    )
    assert len(sessions) == 1


def test_without_web_locks_two_tabs_still_send_everything_once(
    new_page: NewPage, stack: Stack
) -> None:
    page = new_page()
    page.context.add_init_script("delete Navigator.prototype.locks")
    texts = words("leases", 6)
    open_chat(page)
    other = open_chat(page.context.new_page())
    for number, text in enumerate(texts):
        write((page, other)[number % 2], text)
    for tab in (page, other):
        expect(mine(tab)).to_have_count(len(texts), timeout=POLLED_MS)
        settled(tab)
    assert sorted(stored(stack, texts)) == texts


def test_where_storage_is_blocked_the_chat_lasts_as_long_as_the_page(
    new_page: NewPage, stack: Stack
) -> None:
    page = new_page()
    page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage'])"
        "  Object.defineProperty(window, name, { get() { throw new DOMException('no'); } });"
    )
    texts = words("blocked", 3)
    open_chat(page)
    write(page, *texts)
    stack.wait_until(lambda: stored(stack, texts) == texts)
    expect(page.locator("helpdesk-widget").get_by_text("Sent", exact=True)).to_be_visible()
    expect(mine(page)).to_have_text(texts)


# --- Lost connections ---


def test_what_is_written_offline_goes_out_once_and_in_order(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    before, *texts, answer = words("offline", 5)
    open_chat(page)
    write(page, before)
    settled(page)
    staff = staff_on(new_page, stack, before)
    page.context.set_offline(True)
    write(page, *texts)
    expect(unsent(page).first).to_be_visible()
    expect(page.get_by_text("No connection. What you write is kept here")).to_be_visible()
    send(staff, answer)
    page.wait_for_timeout(500)
    assert stored(stack, texts) == []

    page.context.set_offline(False)
    expect(bubble(page, answer)).to_be_visible(timeout=POLLED_MS)
    settled(page)
    expect(unsent(page)).to_have_count(0)
    expect(page.get_by_text("No connection.")).to_be_hidden()
    assert stored(stack, [before, *texts]) == [before, *texts]
    expect(mine(page)).to_have_text([before, *texts])
    for text in texts:
        expect(said(staff, text)).to_have_count(1)


def test_unsent_words_survive_a_reload(page: Page, stack: Stack) -> None:
    texts = words("unsent", 2)
    page.route(re.compile("/widget/.*/(sessions|messages)"), lambda route: route.abort())
    open_chat(page)
    write(page, *texts)
    expect(unsent(page)).to_have_count(2)
    page.reload()
    expect(mine(page)).to_have_text(texts)
    expect(unsent(page)).to_have_count(2)
    page.unroute_all()
    # In one step, if it is still there: the widget tries again by itself as well.
    page.evaluate(
        "document.querySelector('helpdesk-widget').shadowRoot"
        ".querySelector('.unsent button')?.click()"
    )
    settled(page)
    assert stored(stack, texts) == texts


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_server_costs_a_delay_and_no_word(
    new_page: NewPage, page: Page, stack: Stack, how: signal.Signals
) -> None:
    before, *texts, answer = words("killed", 6)
    open_chat(page)
    write(page, before)
    settled(page)
    staff = staff_on(new_page, stack, before)
    dead = stack.pid("web")
    stack.kill("web", how)
    write(page, *texts)
    stack.wait_until(lambda: stack.pid("web") != dead, BACK_MS / 1000)

    page.wait_for_function(
        "() => !Object.keys(localStorage).some((key) => /:queue:/.test(key))", timeout=BACK_MS
    )
    assert stored(stack, [before, *texts]) == [before, *texts]
    expect(mine(page)).to_have_text([before, *texts])
    expect(said(staff, texts[-1])).to_be_visible(timeout=BACK_MS)
    send(staff, answer)
    expect(bubble(page, answer)).to_be_visible(timeout=POLLED_MS)
    for text in [before, *texts]:
        expect(said(staff, text)).to_have_count(1)


def test_a_killed_worker_does_not_disturb_the_chat(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    question, answer = words("worker", 2)
    open_chat(page)
    stack.kill("worker")
    write(page, question)
    send(staff_on(new_page, stack, question), answer)
    expect(bubble(page, answer)).to_be_visible()


def test_a_bell_that_redis_lost_costs_half_a_minute_and_no_word(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    before, *texts, answer = words("redis", 5)
    page.clock.install()
    open_chat(page)
    write(page, before)
    settled(page)
    staff = staff_on(new_page, stack, before)
    stack.kill("redis")
    write(page, *texts)
    send(staff, answer)
    # Her page heard no bell of what the visitor wrote, but the server knows.
    anyway = staff.get_by_role("button", name="Send anyway")
    expect(said(staff, answer).or_(anyway)).to_be_visible(timeout=BACK_MS)
    if anyway.is_visible():
        anyway.click()
    expect(said(staff, answer)).to_be_visible(timeout=BACK_MS)
    page.clock.fast_forward(31_000)
    expect(bubble(page, answer)).to_be_visible(timeout=POLLED_MS)
    settled(page)
    assert stored(stack, [before, *texts]) == [before, *texts]
    expect(mine(page)).to_have_text([before, *texts])


def test_where_sockets_are_blocked_the_widget_polls(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    question, answer, more = words("polled", 3)
    without_sockets(page)
    open_chat(page)
    write(page, question)
    settled(page)
    staff = staff_on(new_page, stack, question)
    send(staff, answer)
    expect(bubble(page, answer)).to_be_visible(timeout=POLLED_MS)
    write(page, more)
    expect(said(staff, more)).to_be_visible()
    expect(page.get_by_text("No connection.")).to_be_hidden()
    assert stored(stack, [question, more]) == [question, more]


def relay(page: Page, hear: Callable[[str], list[str]]) -> None:
    """Let every frame from the desk through `hear`, which may drop or double it."""

    def between(socket: WebSocketRoute) -> None:
        desk = socket.connect_to_server()

        def pass_on(text: str | bytes) -> None:
            for frame in hear(str(text)):
                socket.send(frame)

        desk.on_message(pass_on)

    page.route_web_socket(re.compile("/ws/"), between)


def test_a_bell_that_is_lost_or_doubled_shows_each_message_once(
    new_page: NewPage, page: Page, stack: Stack
) -> None:
    question, lost, heard, doubled = words("bells", 4)

    def ring(text: str) -> list[str]:
        if "message.posted" not in text or lost not in text:
            return [text, text] if doubled in text else [text]
        return []

    relay(page, ring)
    open_chat(page)
    write(page, question)
    settled(page)
    staff = staff_on(new_page, stack, question)
    send(staff, lost)
    expect(said(staff, lost)).to_be_visible()
    page.wait_for_timeout(300)
    expect(bubble(page, lost)).to_have_count(0)
    send(staff, heard)
    expect(bubble(page, heard)).to_be_visible(timeout=AT_ONCE_MS)
    expect(bubble(page, lost)).to_be_visible()
    send(staff, doubled)
    expect(bubble(page, doubled)).to_have_count(1)
    theirs = page.locator("helpdesk-widget .chat:not(.me) .bubble").all_text_contents()
    assert [text for text in theirs if text in {lost, heard, doubled}] == [lost, heard, doubled]


def test_an_acknowledgement_that_is_lost_does_not_double_the_message(
    page: Page, stack: Stack
) -> None:
    (text,) = words("unheard")
    page.route_web_socket(re.compile("/ws/"), lambda socket: socket.close())
    answered = 0

    def swallow(route: Route) -> None:
        nonlocal answered
        if route.request.method != "POST" or answered:
            route.continue_()
            return
        route.fetch()  # it is stored, but the visitor never learns of it
        answered += 1
        route.abort()

    page.route(re.compile("/widget/.*/messages"), swallow)
    open_chat(page)
    write(page, text)
    settled(page)
    expect(mine(page)).to_have_text([text])
    assert answered == 1
    assert stored(stack, [text]) == [text]


# --- Limits and refusals ---


def test_a_text_that_is_too_long_stays_in_the_box_with_the_limit(page: Page, stack: Stack) -> None:
    text = words("long")[0] + "x" * 5_000
    open_chat(page)
    expect(greeting(page)).to_be_visible()
    write(page, text)
    expect(page.get_by_text(f"{len(text)} of 5000 characters")).to_be_visible()
    expect(box(page)).to_have_value(text)
    expect(mine(page)).to_have_count(0)
    write(page, text[:5_000])
    settled(page)
    assert stored(stack, [text[:5_000]]) == [text[:5_000]]


def test_a_refused_text_can_be_edited_and_blocks_nothing(page: Page, stack: Stack) -> None:
    too_long, next_one = words("refused", 2)

    def refuse(route: Route) -> None:
        if too_long in str(route.request.post_data):
            route.fulfill(status=422, json={"code": "refused", "sentence": "Much too long."})
        else:
            route.continue_()

    without_sockets(page)
    page.route(re.compile("/widget/.*/messages"), refuse)
    open_chat(page)
    write(page, too_long, next_one)
    expect(page.get_by_text("Much too long.")).to_be_visible()
    settled_one = "() => Object.keys(localStorage).filter((k) => /:queue:/.test(k)).length === 1"
    page.wait_for_function(settled_one)
    assert stored(stack, [too_long, next_one]) == [next_one]
    page.reload()
    page.get_by_role("button", name="Edit").click()
    expect(box(page)).to_have_value(too_long)
    expect(mine(page)).to_have_text([next_one])


def test_a_flood_is_sent_later_and_stays_in_sight(page: Page, stack: Stack) -> None:
    texts = words("flood", 3)
    refused = 0

    def slow_down(route: Route) -> None:
        nonlocal refused
        if route.request.method == "POST" and texts[1] in str(route.request.post_data):
            refused += 1
            if refused == 1:
                route.fulfill(
                    status=429,
                    headers={"Retry-After": "2", "Access-Control-Expose-Headers": "Retry-After"},
                    json={"code": "slow_down", "sentence": "Too many."},
                )
                return
        route.continue_()

    without_sockets(page)
    page.route(re.compile("/widget/.*/messages"), slow_down)
    open_chat(page)
    write(page, *texts)
    expect(page.get_by_text("Waiting to send").first).to_be_visible()
    expect(mine(page)).to_have_text(texts)
    page.wait_for_timeout(500)
    assert stored(stack, texts) == texts[:1]
    settled(page)
    assert refused == 2
    assert stored(stack, texts) == texts
    expect(mine(page)).to_have_text(texts)


@pytest.mark.parametrize("way", ["socket", "polls"])
def test_who_is_shut_out_keeps_their_words_and_begins_a_new_chat(
    page: Page, stack: Stack, way: str
) -> None:
    if way == "polls":
        without_sockets(page)
    before, after = words("revoked", 2)
    open_chat(page)
    write(page, before)
    settled(page)
    box(page).fill("A draft")
    stack.rows(
        "UPDATE chat_visitorsession SET revoked_at = now() WHERE conversation_id = "
        "(SELECT conversation_id FROM tickets_message WHERE body = %s)",
        before,
    )
    page.reload()
    expect(mine(page)).to_have_count(0)
    expect(box(page)).to_have_value("A draft")
    write(page, after)
    settled(page)
    expect(mine(page)).to_have_text([after])
    assert stored(stack, [before, after]) == [before, after]
    assert ticket_with(stack, before) != ticket_with(stack, after)


# --- Other sites' pages ---


def test_a_page_that_may_not_show_the_inbox_says_so(page: Page, shop: Shop, stack: Stack) -> None:
    shop.open_on(page, stack.widget_key)
    expect(page.get_by_text("This chat is not available here.")).to_be_visible()


def test_a_wrong_key_says_so(page: Page, shop: Shop) -> None:
    shop.open_on(page, "nobody")
    expect(page.get_by_text("This chat is not available here.")).to_be_visible()


def test_an_allowed_page_with_a_strict_policy_has_the_whole_chat(
    new_page: NewPage, page: Page, shop: Shop, stack: Stack
) -> None:
    question, answer = words("foreign", 2)
    stack.rows("UPDATE tickets_inbox SET allowed_origins = ARRAY[%s]", shop.origin)
    shop.open_on(page, stack.widget_key)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    write(page, question)
    settled(page)
    send(staff_on(new_page, stack, question), answer)
    expect(bubble(page, answer)).to_be_visible(timeout=AT_ONCE_MS)
    assert len(sockets) == 1
    radius = page.get_by_role("dialog").evaluate("(node) => getComputedStyle(node).borderRadius")
    assert radius == "14px"
