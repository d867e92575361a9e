"""Mails as they looked: what honest ones show, and that hostile ones do nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, FrameLocator, Page, Route, expect

from helpdesk.lib.text import clean
from tests.browser.conftest import WIDE, NewPage
from tests.browser.test_desk import PHONE, log_in
from tests.browser.test_desk_access import violations
from tests.fakes.hostile import COLLECTED, HOSTILE, payloads
from tests.fakes.mails import html_mail
from tests.fakes.pictures import picture
from tests.stack import Stack
from tickets.mail.sanitize import sanitize

pytestmark = [pytest.mark.browser, pytest.mark.stack]

CONTENT_ID = "burr@mail.example"
NEWS = """
<body bgcolor="#eef1f5" style="margin:0">
<div style="display:none">Only for the list</div>
<table width="600" bgcolor="#ffffff" style="font-family:Arial;color:#333333"><tr>
<td style="background:#1b4d3e;color:#ffffff;padding:28px"><h1>Spring news</h1></td></tr><tr><td>
<img src="https://shop.example/kettle.png" width="80" height="40" alt="A kettle">
<img src="https://track.example/open.png" width="1" height="1">
<img src="cid:burr@mail.example" alt="The burr">
<ul><li>Brick red</li><li>Fir green</li></ul>
<a href="https://shop.example/kettles">See the kettles</a></td></tr></table></body>
"""
A_PAGE = 200  # payloads
# One message of a ticket of its own for each page of a file, shown as it is there.
SHOWN = """
import json
from django.db import transaction
from tickets.models import Conversation, Message, MessageHtml, Ticket
from tickets.operations.timeline import append_entry
with transaction.atomic():
    conversation = Conversation.objects.get(ticket__number={number})
    for page in json.load(open({path!r})):
        message = Message(kind="reply", via="email", author=conversation.ticket.requester,
                          body="Payloads", has_html=True)
        append_entry(conversation, message)
        MessageHtml.objects.create(message=message, visible=page, has_remote=True)
"""
# Whatever runs says so, wherever it runs.
TELL = """() => {
    window.ran = [];
    for (const name of ["alert", "confirm", "prompt", "print", "open"]) {
        window[name] = (...words) => window.ran.push(`${name} ${words}`);
    }
}"""
POKE = """() => {
    const happen = ["mouseover", "mouseenter", "pointerover", "focus", "click", "error", "load",
                    "toggle", "animationstart", "animationend", "transitionend", "scroll"];
    document.addEventListener("click", (event) => event.preventDefault(), true);
    for (const element of document.querySelectorAll("*")) {
        for (const name of happen) element.dispatchEvent(new Event(name, { cancelable: true }));
    }
    return window.ran;
}"""


def file(stack: Stack, markup: str, **more: object) -> int:
    """The number of the ticket that a mail opens."""
    subject = f"Looks {uuid4().hex[:6]}"
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".looks.tmp"
    temporary.write_bytes(html_mail(markup, subject=subject, **more))  # type: ignore[arg-type]
    temporary.rename(folder / f"{uuid4().hex}.eml")
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, subject))
    return int(stack.row(query, subject)[0])


@pytest.fixture(scope="module")
def news(stack: Stack) -> str:
    """The address of a ticket with a newsletter that has a picture along, and repeats something."""
    number = file(stack, NEWS, pictures={CONTENT_ID: picture(size=(300, 150))})
    stack.rows(
        "UPDATE tickets_messagehtml SET quoted = '<blockquote>As you wrote</blockquote>' "
        "FROM tickets_message m JOIN tickets_ticket USING (conversation_id) "
        "WHERE m.id = message_id AND number = %s",
        number,
    )
    return f"/tickets/{number}/"


@pytest.fixture
def elsewhere(page: Page, stack: Stack) -> list[str]:
    """What the page asked of others. Whoever asks for a picture gets one."""
    return others(page, stack)


def others(page: Page, stack: Stack) -> list[str]:
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url.startswith(stack.base_url):
            route.fallback()
            return
        referrer = route.request.headers.get("referer", "")
        asked.append(f"{route.request.url} {referrer}".strip())
        route.fulfill(body=picture(), content_type="image/png")

    page.context.route("**/*", answer)
    return asked


def mail(page: Page) -> FrameLocator:
    return page.frame_locator("[data-mail] iframe")


def frame_fits(page: Page) -> bool:
    """Neither scrolls inside nor leaves a hole."""
    return bool(
        page.locator("[data-mail] iframe").evaluate(
            """frame => {
                const mail = frame.contentDocument.querySelector("main");
                const { height } = mail.getBoundingClientRect();
                return height > 100 && Math.abs(frame.clientHeight - height) <= 1;
            }"""
        )
    )


def test_a_newsletter_is_shown_as_it_looked_and_nobody_else_is_asked(
    page: Page, news: str, elsewhere: list[str]
) -> None:
    log_in(page, to=news)
    expect(mail(page).get_by_role("heading", name="Spring news")).to_have_css(
        "color", "rgb(255, 255, 255)"
    )
    expect(mail(page).get_by_text("Fir green")).to_be_visible()
    expect(mail(page).get_by_text("Only for the list")).to_have_count(0)
    burr = mail(page).get_by_alt_text("The burr")
    expect(burr).to_have_js_property("naturalWidth", 300)
    page.wait_for_function("document.querySelector('[data-mail] iframe').style.blockSize")
    assert frame_fits(page)
    expect(page.locator("[data-timeline] a[data-file]")).to_have_count(0)
    assert elsewhere == []

    page.get_by_role("link", name="Show pictures").click()
    expect(mail(page).get_by_alt_text("A kettle")).to_have_js_property("naturalWidth", 80)
    expect(page.get_by_text("Pictures from elsewhere are not loaded.")).to_have_count(0)
    assert elsewhere == ["https://shop.example/kettle.png"]  # and not from where


def test_the_text_and_what_is_repeated_are_a_click_away(page: Page, news: str) -> None:
    log_in(page, to=news)
    expect(mail(page).get_by_role("heading", name="Spring news")).to_be_visible()
    expect(page.get_by_text("Kettle, 39 €").last).to_be_hidden()

    page.get_by_role("link", name="Show the quoted text").click()
    expect(mail(page).get_by_text("As you wrote")).to_be_visible()
    page.wait_for_timeout(200)
    assert frame_fits(page)
    page.get_by_role("link", name="Show the quoted text").click()
    expect(mail(page).get_by_text("As you wrote")).to_have_count(0)

    page.get_by_label("Text only").check()
    expect(page.locator("[data-mail] .prose")).to_have_text("Kettle, 39 €")
    expect(page.locator("[data-mail] iframe")).to_be_hidden()
    page.get_by_label("Text only").uncheck()
    expect(mail(page).get_by_role("heading", name="Spring news")).to_be_visible()


def test_a_link_in_a_mail_opens_beside_the_desk(
    page: Page, news: str, elsewhere: list[str]
) -> None:
    log_in(page, to=news)
    with page.context.expect_page() as opened:
        mail(page).get_by_role("link", name="See the kettles").click()
    opened.value.wait_for_url("https://shop.example/kettles")
    assert opened.value.evaluate("window.opener") is None
    assert elsewhere == ["https://shop.example/kettles"]
    assert page.url.endswith(news)


def test_a_mail_that_comes_while_somebody_looks_is_shown_as_it_looked(
    page: Page, stack: Stack, news: str
) -> None:
    log_in(page, to=news)
    number = int(news.split("/")[2])
    (answered,) = stack.row(
        "SELECT e.rfc_message_id FROM tickets_inboundemail e JOIN tickets_ticket t "
        "USING (conversation_id) WHERE t.number = %s ORDER BY e.id LIMIT 1",
        number,
    )
    folder = stack.data / "mail" / "in"
    raw = html_mail("<ul><li>One more thing</li></ul>", in_reply_to=answered)
    (folder / ".late.tmp").write_bytes(raw)
    (folder / ".late.tmp").rename(folder / f"{uuid4().hex}.eml")
    late = page.frame_locator("[data-seq]:last-child iframe")
    expect(late.get_by_text("One more thing")).to_be_visible(timeout=25_000)
    height = page.locator("[data-seq]:last-child iframe").evaluate("frame => frame.clientHeight")
    assert 0 < height < 100


def test_without_script_the_mail_is_there_and_its_links_open_tabs(
    new_page: NewPage, news: str
) -> None:
    page = log_in(new_page(java_script_enabled=False), to=news)
    expect(page.locator("[data-mail] iframe").first).to_be_visible()
    for name, query in (("Open in a new tab", ""), ("Show pictures", "?pictures=1")):
        with page.context.expect_page() as opened:
            page.locator("[data-mail]").get_by_role("link", name=name).first.click()
        opened.value.wait_for_load_state()
        assert opened.value.url.endswith(f"/html/{query}")
        expect(opened.value.get_by_role("heading", name="Spring news")).to_be_visible()
    page.get_by_label("Text only").first.check()
    expect(page.locator("[data-mail] .prose").first).to_have_text("Kettle, 39 €")


def test_on_a_phone_a_wide_mail_is_made_smaller(new_page: NewPage, news: str) -> None:
    page = log_in(new_page(**PHONE), to=news)
    expect(mail(page).first.get_by_role("heading", name="Spring news")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    assert page.locator("[data-mail] iframe").first.evaluate(
        "frame => { const page = frame.contentDocument.querySelector('main');"
        " return page.scrollWidth <= page.clientWidth + 1; }"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE["viewport"]], ids=["wide", "narrow"])
def test_axe_finds_nothing(new_page: NewPage, news: str, scheme: str, size: dict[str, int]) -> None:
    page = log_in(new_page(color_scheme=scheme, viewport=size), to=news)
    expect(mail(page).first.get_by_role("heading", name="Spring news")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Text only").first.check()
    assert violations(page) == []


# --- Hostile mails ---


def pages_of(source: list[str]) -> list[list[str]]:
    return [source[start : start + A_PAGE] for start in range(0, len(source), A_PAGE)]


@pytest.fixture(params=["ours", *COLLECTED], ids=lambda one: getattr(one, "stem", one))
def attack(request: pytest.FixtureRequest) -> list[list[str]]:
    """Payloads, a page at a time. Of the collected ones every twentieth, all with MAIL_PAYLOADS."""
    if request.param == "ours":
        return pages_of([clean(payload) for payload in HOSTILE])
    source = [clean(payload) for payload in payloads(request.param)]
    return pages_of(source if os.environ.get("MAIL_PAYLOADS") else source[::20])


@pytest.fixture
def watched(chromium: Browser, stack: Stack) -> Iterator[tuple[Page, list[str]]]:
    """A page, and whatever any frame or tab of it did. What a policy refuses is no fault here."""
    context = chromium.new_context(base_url=stack.base_url)
    context.set_default_timeout(20_000)
    page = context.new_page()
    did = watch(context, page, stack)
    yield page, did
    context.close()


def watch(context: BrowserContext, page: Page, stack: Stack) -> list[str]:
    did = others(page, stack)

    def refuse(dialog: Dialog) -> None:
        did.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("pageerror", lambda error: did.append(f"error {error}"))
    context.on("page", lambda opened: did.append(f"opened {opened.url}"))
    page.on("download", lambda one: did.append(f"download {one.url}"))
    return did


@pytest.mark.parametrize("is_sanitised", [True, False], ids=["sanitised", "as it came"])
def test_nothing_a_mail_holds_runs_on_the_desk(
    watched: tuple[Page, list[str]],
    attack: list[list[str]],
    stack: Stack,
    tmp_path: Path,
    is_sanitised: bool,
) -> None:
    """Even what nobody sanitised runs nothing and asks nobody: the frame alone holds it."""
    page, did = watched
    form = sanitize if is_sanitised else str
    number = file(stack, "<p>Hello</p>")
    path = tmp_path / "pages.json"
    shown = ["".join(f"<div>{form(payload)}</div>" for payload in part) for part in attack]
    path.write_text(json.dumps(shown))
    stack.manage("shell", "-c", SHOWN.format(number=number, path=str(path)))

    log_in(page, to=f"/tickets/{number}/")
    did.clear()
    frames = page.locator("[data-mail] iframe")
    expect(frames).to_have_count(len(shown))
    for frame in frames.all():
        frame.evaluate("frame => { frame.loading = 'eager'; }")
        frame.scroll_into_view_if_needed()
    page.wait_for_function(
        """() => [...document.querySelectorAll("[data-mail] iframe")].every(
            (frame) => frame.contentDocument?.readyState === "complete"
                && frame.contentWindow.location.href !== "about:blank")"""
    )
    page.wait_for_timeout(500)
    assert did == []
    assert page.url.endswith(f"/tickets/{number}/")


def test_nothing_that_was_sanitised_would_run_anywhere(
    watched: tuple[Page, list[str]], attack: list[list[str]]
) -> None:
    """Without the frame, without a policy, with everything poked at."""
    page, did = watched
    assert ran(page, "<img src=x onerror=alert(1)><p onclick=alert(2)>x</p>") != []
    for part in attack:
        assert ran(page, "".join(f"<div>{sanitize(payload)}</div>" for payload in part)) == []
    assert [one for one in did if not one.startswith(("http:", "https:"))] == []


def ran(page: Page, markup: str) -> list[str]:
    page.goto("about:blank")
    page.evaluate(TELL)
    page.evaluate("html => { document.body.innerHTML = html; }", markup)
    page.wait_for_timeout(100)
    return list(page.evaluate(POKE))
