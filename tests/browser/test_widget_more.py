"""The widget beyond talking: languages, looks, forms, endings, and what its page may ask of it."""

from __future__ import annotations

import json
import re
from typing import Any

import jwt
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import NewPage, Shop
from tests.browser.test_desk import send
from tests.browser.test_desk_access import violations
from tests.browser.test_widget import (
    AT_ONCE_MS,
    POLLED_MS,
    box,
    bubble,
    greeting,
    mine,
    open_chat,
    settled,
    staff_on,
    ticket_with,
    without_sockets,
    words,
    write,
)
from tests.browser.test_widget_access import PHONE
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

FOCUSED = "() => document.querySelector('helpdesk-widget').shadowRoot.activeElement"


def widget(page: Page) -> Locator:
    return page.locator("helpdesk-widget")


def panel(page: Page) -> Locator:
    return widget(page).locator("dialog").first


@pytest.fixture
def inbox(stack: Stack, shop: Shop) -> Any:
    """Change the inbox of the demo's chat; it is put back afterwards."""
    columns = (
        *("allowed_origins", "accent", "widget_position", "widget_theme", "starters", "hours"),
        *("asks_name", "asks_email", "asks_question", "question", "question_choices"),
        *("sees_pages", "assistant_on", "greeting"),
    )
    table = "tickets_inbox WHERE widget_key IS NOT NULL"
    before = stack.row(f"SELECT {', '.join(columns)} FROM {table}")

    def change(**values: object) -> None:
        for name, value in values.items():
            stored = json.dumps(value) if isinstance(value, dict) else value
            stack.rows(f"UPDATE tickets_inbox SET {name} = %s WHERE widget_key IS NOT NULL", stored)

    change(allowed_origins=[shop.origin])
    yield change
    change(**dict(zip(columns, before, strict=True)))


def menu(page: Page, name: str) -> None:
    widget(page).get_by_role("button", name="More").click()
    widget(page).get_by_role("menuitem", name=name).click()


# --- Languages ---


@pytest.mark.parametrize(
    ("html", "script", "locale", "human"),
    [
        ("lang=de-AT", "", "en-GB", "Mit einem Menschen sprechen"),
        ("lang=de", "data-lang=fr", "en-GB", "Parler à une personne"),
        ("", "", "pl-PL", "Porozmawiaj z człowiekiem"),
        ("lang=sv", "", "de-DE", "Talk to a human"),
        ("lang=he", "", "en-GB", "לדבר עם אדם"),
    ],
)
def test_it_speaks_the_language_of_its_page(
    html: str,
    script: str,
    locale: str,
    human: str,
    new_page: NewPage,
    shop: Shop,
    stack: Stack,
    inbox: Any,
) -> None:
    page = new_page(locale=locale)
    page.goto(shop.address(stack.widget_key, html=html, script=script))
    widget(page).locator(".launch").click()
    widget(page).locator("textarea").fill("Which filter?")
    widget(page).locator("textarea").press("Enter")
    expect(widget(page).get_by_role("button", name=human)).to_be_visible(timeout=POLLED_MS)


def test_right_to_left_is_a_mirror(new_page: NewPage, shop: Shop, stack: Stack, inbox: Any) -> None:
    page = new_page()
    page.goto(shop.address(stack.widget_key, html='lang=ar dir="rtl"'))
    launch = widget(page).locator(".launch")
    place = launch.bounding_box()
    assert place
    assert place["x"] < 30
    launch.click()
    box_ = widget(page).locator("textarea")
    box_.fill("ما هي الفلاتر المناسبة؟")
    box_.press("Enter")
    said = widget(page).locator(".me .bubble")
    expect(said).to_be_visible()
    inner, outer = said.bounding_box(), panel(page).bounding_box()
    assert inner
    assert outer
    assert outer["x"] < 30
    assert inner["x"] - outer["x"] < 30  # what I say stands at the end of the line
    assert page.evaluate("document.querySelector('helpdesk-widget').lang") == "ar"
    assert violations(page) == []


def test_refusals_come_in_the_language_of_the_page(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    page = new_page()
    page.route(re.compile("/config"), lambda route: route.abort())  # or it counts by itself
    page.goto(shop.address(stack.widget_key, html="lang=de"))
    widget(page).locator(".launch").click()
    for way in ("socket", "post"):
        if way == "post":
            without_sockets(page)
            page.reload()
        widget(page).locator("textarea").fill("x" * 5_001)
        widget(page).locator("textarea").press("Enter")
        refusal = widget(page).get_by_text("Dieser Text hat 5,001 Zeichen.")
        expect(refusal.last).to_be_visible()
        widget(page).get_by_role("button", name="Bearbeiten").click()


# --- Looks ---


def test_it_looks_as_its_inbox_says(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    inbox(accent="#ffd400", widget_position="left", widget_theme="dark")
    page = new_page()
    page.goto(shop.address(stack.widget_key))
    widget(page).locator(".launch").click()
    expect(greeting(page)).to_be_visible()  # what the inbox says is here
    write(page, words("looks")[0])
    expect(mine(page)).to_be_visible()
    style = "(node) => [getComputedStyle(node).backgroundColor, getComputedStyle(node).color]"
    assert mine(page).evaluate(style) == ["rgb(255, 212, 0)", "rgb(0, 0, 0)"]
    place = panel(page).bounding_box()
    assert place
    assert place["x"] == 20
    assert violations(page) == []
    # The next page shows the launcher so at once.
    page.get_by_role("button", name="Close").click()
    page.reload()
    launch = widget(page).locator(".launch")
    expect(launch).to_have_css("background-color", "rgb(255, 212, 0)")


def test_the_page_has_the_last_word_about_looks(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    inbox(widget_position="left", widget_theme="dark")
    page = new_page()
    more = 'data-position=right data-theme=light data-style="--accent:#0a7d33"'
    page.goto(shop.address(stack.widget_key, script=more))
    launch = widget(page).locator(".launch")
    expect(launch).to_have_css("background-color", "rgb(10, 125, 51)")
    launch.click()
    expect(greeting(page)).to_be_visible()
    place = panel(page).bounding_box()
    assert place
    assert place["x"] > 1_000
    assert panel(page).evaluate("(node) => getComputedStyle(node).backgroundColor") == (
        "rgb(255, 255, 255)"
    )


def test_outside_of_hours_it_says_so_and_asks_for_an_address(
    page: Page, stack: Stack, inbox: Any
) -> None:
    inbox(hours={"0": ["00:00", "00:01"]}, assistant_on=False)
    open_chat(page)
    expect(page.get_by_text("Nobody is here right now")).to_be_visible()
    expect(page.get_by_text(re.compile("Back .*Monday")).first).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Leave your email address").click()
    page.get_by_label("Email address").fill("nobody")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("This is no email address.")).to_be_visible()
    address = f"{words('away')[0].replace(' ', '-')}@mail.example"
    page.get_by_label("Email address").fill(address)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Thank you. We answer here, or by email")).to_be_visible()
    assert stack.rows(
        "SELECT is_verified FROM tickets_emailaddress WHERE address = %s", address
    ) == [(False,)]


# --- Before a chat ---


def test_what_the_inbox_asks_for_comes_before_the_first_message(
    page: Page, new_page: NewPage, stack: Stack, inbox: Any
) -> None:
    (text,) = words("form")
    inbox(
        asks_name="required",
        asks_email="optional",
        asks_question="optional",
        question="What is it about?",
        question_choices=["An order", "A repair"],
    )
    open_chat(page)
    expect(greeting(page)).to_be_visible()
    write(page, text)
    name = page.get_by_label("Name")
    expect(name).to_be_focused()
    assert violations(page) == []
    page.get_by_role("button", name="Start chat").click()
    expect(page.get_by_text("Fill this in.")).to_be_visible()
    expect(name).to_be_focused()
    name.fill("Julie Moreau")
    page.get_by_label("What is it about?").select_option("A repair")
    page.get_by_role("button", name="Start chat").click()
    expect(mine(page)).to_have_text([text])
    expect(box(page)).to_be_focused()
    settled(page)
    staff = staff_on(new_page, stack, text)
    expect(staff.get_by_text("answered before the chat")).to_contain_text("A repair")
    write(page, "Asked once only")
    expect(mine(page)).to_have_count(2)


def test_a_first_question_is_asked_with_one_click(page: Page, stack: Stack, inbox: Any) -> None:
    inbox(starters=["Which paper filter fits my dripper?"])
    open_chat(page)
    page.get_by_role("button", name="Which paper filter fits my dripper?").click()
    expect(mine(page)).to_have_text(["Which paper filter fits my dripper?"])
    expect(box(page)).to_be_focused()


# --- Messages ---


def say(stack: Stack, text: str, body: str, choices: str = "[]") -> None:
    """An answer in the chat in which `text` was said."""
    code = (
        "from tickets.models import *\n"
        "from tickets.operations.timeline import append_entry, locked\n"
        f"chat = Message.objects.get(body={text!r}).conversation_id\n"
        "from django.db import transaction\n"
        "person = Person.objects.filter(user__isnull=False).earliest('pk')\n"
        "with transaction.atomic():\n"
        f"    append_entry(locked(chat), Message(kind='reply', via='web', author=person,"
        f" body={body!r}, choices={choices}))\n"
    )
    stack.manage("shell", "--no-imports", "-c", code)


def test_markdown_is_built_as_elements(page: Page, stack: Stack) -> None:
    (text,) = words("markdown")
    open_chat(page)
    write(page, text)
    settled(page)
    body = (
        "Take **size 01**, *not* `02`:\n\n1. Rinse\n2. Pour\n\n- [Guide](https://a.example/g)\n"
        "- [Evil](javascript:alert(1))\n- <img src=x onerror=alert(1)>\n\n```\na  b\n```\n"
        "More at https://b.example/?q=1. snake_case_name 2*3*4"
    )
    say(stack, text, body)
    answer = widget(page).locator(".chat:not(.me) .bubble").last
    expect(answer.locator("b")).to_have_text("size 01", timeout=POLLED_MS)
    expect(answer.locator("em")).to_have_text("not")
    expect(answer.locator("ol li")).to_have_text(["Rinse", "Pour"])
    expect(answer.locator("pre")).to_have_text("a  b")
    hrefs = [link.get_attribute("href") for link in answer.locator("a").all()]
    assert hrefs == ["https://a.example/g", "https://b.example/?q=1"]
    expect(answer.locator("img")).to_have_count(0)
    expect(answer).to_contain_text("snake_case_name")
    assert violations(page) == []


def test_quick_answers_are_sent_with_one_click(page: Page, stack: Stack) -> None:
    (text,) = words("choices")
    open_chat(page)
    write(page, text)
    settled(page)
    say(stack, text, "Which one?", '["The small one", "The large one"]')
    page.get_by_role("button", name="The small one").click(timeout=POLLED_MS)
    expect(mine(page).last).to_have_text("The small one")
    expect(page.get_by_role("button", name="The large one")).to_have_count(0)


def test_what_staff_have_read_says_so(page: Page, new_page: NewPage, stack: Stack) -> None:
    (text,) = words("read")
    open_chat(page)
    write(page, text)
    expect(widget(page).get_by_text("Sent", exact=True)).to_be_visible()
    staff_on(new_page, stack, text)
    expect(widget(page).get_by_text("Read", exact=True)).to_be_visible()


def test_earlier_messages_come_as_one_scrolls(page: Page, stack: Stack) -> None:
    (text,) = words("many")
    open_chat(page)
    write(page, text)
    settled(page)
    code = (
        "from tickets.models import *\n"
        "from tickets.operations.timeline import append_entry, locked\n"
        "from django.db import transaction\n"
        f"first = Message.objects.get(body={text!r})\n"
        "with transaction.atomic():\n"
        "    for n in range(120):\n"
        "        append_entry(locked(first.conversation_id), Message(kind='reply', via='widget',"
        " author=first.author, body=f'word {n}'))\n"
    )
    stack.manage("shell", "--no-imports", "-c", code)
    page.reload()
    expect(mine(page).last).to_have_text("word 119")
    assert mine(page).count() == 50
    log = page.get_by_role("log")
    for _ in range(60):
        log.evaluate("(node) => node.scrollTo(0, -node.scrollHeight)")
        page.wait_for_timeout(300)
        if mine(page).count() > 120:
            break
    expect(mine(page)).to_have_count(121)
    expect(mine(page).first).to_have_text(text)
    expect(widget(page).get_by_text("today")).to_have_count(1)


def test_the_title_counts_what_is_unread(page: Page, new_page: NewPage, stack: Stack) -> None:
    question, answer = words("title", 2)
    open_chat(page)
    title = page.title()
    write(page, question)
    settled(page)
    page.get_by_role("button", name="Close").click()
    send(staff_on(new_page, stack, question), answer)
    expect(page).to_have_title(f"(1) {title}")
    page.get_by_role("button", name="Open chat, 1 unread").click()
    expect(page).to_have_title(title)


# --- The end ---


def test_a_chat_is_ended_rated_and_followed_by_another(
    page: Page, new_page: NewPage, stack: Stack
) -> None:
    text, next_text = words("end", 2)
    open_chat(page)
    write(page, text)
    settled(page)
    menu(page, "End chat")
    expect(page.get_by_text("This chat has ended.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Send rating").click()
    expect(widget(page).get_by_text("Fill this in.")).to_be_visible()
    widget(page).get_by_text("Good", exact=True).click()
    page.get_by_label("Anything to add?").fill("Quick.")
    page.get_by_role("button", name="Send rating").click()
    expect(page.get_by_text("Thank you for your rating.")).to_be_visible()
    staff = staff_on(new_page, stack, text)
    expect(staff.get_by_text("rated this")).to_contain_text("4 of 5: Quick.")

    other = open_chat(page.context.new_page())
    expect(mine(other)).to_have_text([text])
    page.get_by_role("button", name="Start another chat").click()
    expect(greeting(page)).to_be_visible()
    write(page, next_text)
    expect(mine(page)).to_have_text([next_text])
    settled(page)
    assert ticket_with(stack, text) != ticket_with(stack, next_text)
    expect(mine(other)).to_have_text([next_text])  # the other tab is in it, too
    page.get_by_role("button", name="Back").click()
    page.get_by_role("button", name="Earlier chats").click()
    assert violations(page) == []
    widget(page).locator(".page .row").click()
    expect(mine(page).filter(visible=True)).to_have_text([text])
    page.get_by_role("button", name="Back").click()
    expect(mine(page).filter(visible=True)).to_have_text([next_text])


def test_solving_at_the_desk_asks_the_visitor_how_it_was(
    page: Page, new_page: NewPage, stack: Stack
) -> None:
    (text,) = words("solved")
    open_chat(page)
    write(page, text)
    settled(page)
    staff_on(new_page, stack, text).get_by_role("button", name="Solve").first.click()
    expect(page.get_by_text("How was it?")).to_be_visible()
    write(page, "One more thing")
    expect(page.get_by_text("How was it?")).to_have_count(0, timeout=POLLED_MS)


def test_a_transcript_is_mailed(page: Page, stack: Stack) -> None:
    (text,) = words("transcript")
    address = f"{text.replace(' ', '-')}@mail.example"
    open_chat(page)
    write(page, text)
    settled(page)
    menu(page, "Email this chat")
    page.get_by_label("Email address").fill(address)
    panel(page).locator(".page").get_by_role("button", name="Send").click()
    expect(page.get_by_text("it is there in a few minutes")).to_be_visible()

    def arrived() -> bool:
        mails = (stack.data / "mail" / "out").glob("transcript-*.eml")
        return any(f"To: {address}" in mail.read_text() for mail in mails)

    stack.wait_until(arrived)


def test_the_menu_is_worked_by_keyboard(page: Page) -> None:
    open_chat(page)
    write(page, words("menu")[0])
    settled(page)
    more = widget(page).get_by_role("button", name="More")
    more.focus()
    page.keyboard.press("Enter")
    expect(widget(page).get_by_role("menu")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"({FOCUSED})().textContent") == "Email this chat"
    page.keyboard.press("Escape")
    expect(more).to_be_focused()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


# --- What its page may ask of it ---


def test_the_page_opens_closes_hides_and_listens(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    page = new_page()
    page.add_init_script(
        "window.heard = [];"
        "window.helpdesk = function () { (helpdesk.q = helpdesk.q || []).push(arguments); };"
        "for (const name of ['open', 'close', 'message'])"
        "  helpdesk('on', name, () => heard.push(name));"
        "helpdesk('open');"
    )
    page.goto(shop.address(stack.widget_key))
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate("helpdesk('close')")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.evaluate("helpdesk('hide')")
    expect(widget(page).locator(".launch")).to_be_hidden()
    page.evaluate("helpdesk('show')")
    expect(widget(page).locator(".launch")).to_be_visible()
    page.evaluate("helpdesk('open')")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("heard") == ["open", "close", "open"]


def test_who_only_listens_loads_nothing(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shop.address(stack.widget_key))
    expect(widget(page).locator(".launch")).to_be_visible()
    page.evaluate("helpdesk('on', 'message', () => {}); helpdesk('setAttributes', {plan: 'pro'})")
    page.wait_for_timeout(500)
    assert not [url for url in asked if "chat.js" in url]


def secret_of(stack: Stack) -> str:
    code = (
        "from chat.identify import new_identity_secret\n"
        "from tickets.models import Inbox\n"
        "print(new_identity_secret(Inbox.objects.exclude(widget_key=None).get()).secret)"
    )
    return stack.manage("shell", "--no-imports", "-c", code).split()[-1]


def test_whom_the_shop_vouches_for_has_one_chat_on_every_device(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    inbox(sees_pages=True)
    (text,) = words("identity")
    token = jwt.encode({"sub": text, "exp": 9_999_999_999, "name": "Julie"}, secret_of(stack))
    laptop, phone = new_page(), new_page(viewport=PHONE)
    laptop.goto(shop.address(stack.widget_key))
    expect(widget(laptop).locator(".launch")).to_be_visible()
    laptop.evaluate("(jwt) => helpdesk('identify', {jwt})", token)
    laptop.evaluate("helpdesk('setAttributes', {plan: 'pro'})")
    laptop.evaluate("helpdesk('open')")
    write(laptop, text)
    settled(laptop)

    phone.goto(shop.address(stack.widget_key))
    expect(widget(phone).locator(".launch")).to_be_visible()
    held: list[Route] = []
    phone.route("**/identify", lambda route: held.append(route))
    with phone.expect_request("**/identify"):
        phone.evaluate("(jwt) => helpdesk('identify', {jwt})", token)
    phone.evaluate("helpdesk('open')")
    expect(greeting(phone)).to_be_visible()
    held[0].continue_()  # whose chat it is comes after it was opened
    expect(bubble(phone, text)).to_be_visible(timeout=POLLED_MS)

    staff = staff_on(new_page, stack, text)
    card = staff.locator("#side .card", has_text="Visitor").first
    expect(card).to_contain_text("verified")
    expect(card).to_contain_text(text)
    expect(card).to_contain_text("Looking at")
    expect(card).to_contain_text("Shop")

    phone.evaluate("helpdesk('identify', null)")
    expect(bubble(phone, text)).to_have_count(0, timeout=AT_ONCE_MS)
    phone.wait_for_timeout(4_000)
    expect(widget(phone).locator(".away")).to_be_hidden()  # nobody is away: we left


def test_a_wrong_signature_changes_nothing(
    new_page: NewPage, shop: Shop, stack: Stack, inbox: Any
) -> None:
    page = new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(shop.address(stack.widget_key))
    expect(widget(page).locator(".launch")).to_be_visible()
    token = jwt.encode({"sub": "7", "exp": 9_999_999_999}, "0" * 64)
    page.evaluate("(jwt) => helpdesk('identify', {jwt})", token)
    page.wait_for_timeout(800)
    assert page.evaluate("Object.keys(localStorage)") == []
    assert any("identify" in line for line in said)
