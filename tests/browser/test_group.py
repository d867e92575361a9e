"""A group of two on staff and three customers, one of whom is reached by mail only: everyone hears
everything once, in order, by their own way; who is removed hears nothing; who joins late sees only
what they may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from uuid import uuid4

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.browser.conftest import NewPage
from tests.browser.test_desk import BOB, log_in, said, send
from tests.browser.test_desk_access import violations
from tests.browser.test_widget import (
    bubble,
    open_chat,
    settled,
    staff_on,
    ticket_with,
    words,
    write,
)
from tests.fakes.imap import PASSWORD, Dovecot, mortal_dovecot, put
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox, smtp_server
from tests.stack import Stack, data_folder, running
from tests.tickets.conftest import need_dovecot

pytestmark = [pytest.mark.browser, pytest.mark.stack]

WAIT_MS = 20_000  # servers of its own answer, and take their time on a busy machine
BOX = "group"


@pytest.fixture(scope="module")
def smtp() -> Iterator[Inbox]:
    with smtp_server() as server:
        yield server


@pytest.fixture(scope="module")
def imap() -> Iterator[Dovecot]:
    need_dovecot()
    with mortal_dovecot() as running_server:
        yield running_server


@pytest.fixture(scope="module")
def stack(smtp: Inbox, imap: Dovecot) -> Iterator[Stack]:
    settings = {"SMTP_URL": smtp.url, "CHAT_MAIL_AFTER_SECONDS": "3"}
    with data_folder() as folder, running(Stack(folder, settings=settings)) as up:
        up.rows("UPDATE tickets_inbox SET assistant_on = false")
        up.rows(
            "UPDATE tickets_inbox SET address = 'chat@tern-kettle.example' "
            "WHERE widget_key IS NOT NULL AND address IS NULL"
        )
        up.add_mailbox(
            imap.server.host, imap.server.port, BOX, PASSWORD, fetch_every_seconds=1, idle=False
        )
        yield up


def panel(page: Page) -> Locator:
    return page.locator('[data-panel="people"]')


def add_by_address(page: Page, address: str) -> None:
    panel(page).get_by_text("Add people…").click()
    panel(page).get_by_label("Customers").fill(address)
    panel(page).get_by_role("button", name="Add", exact=True).click()
    expect(panel(page)).to_contain_text(address)


def link_of(page: Page) -> str:
    panel(page).get_by_text("Invite by link…").click()
    panel(page).get_by_role("button", name="Make a link").click()
    field = panel(page).get_by_label("Link")
    expect(field).to_be_visible()
    return str(field.input_value())


def remove(page: Page, name: str) -> None:
    panel(page).get_by_label(f"What to do about {name}").click()
    panel(page).get_by_role("button", name="Remove").click()
    expect(panel(page).get_by_text(name, exact=True)).to_have_count(0)


def join(page: Page, address: str, name: str) -> Page:
    page.goto(address)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("textbox", name="Write a message…")).to_be_visible()
    return page


def heard_in(page: Page, texts: list[str]) -> list[str]:
    """Those of the texts that a widget shows, in its order."""
    shown = page.locator("helpdesk-widget .bubble").all_text_contents()
    return [one for one in shown if one in texts]


def mailed_to(smtp: Inbox, address: str) -> list[EmailMessage]:
    pairs = zip(smtp.envelopes, smtp.got, strict=True)
    return [arrived for (_sender, recipients), arrived in pairs if address in recipients]


def words_of(arrived: EmailMessage) -> str:
    plain = arrived.get_body(("plain",))
    assert plain is not None
    return str(plain.get_content()).split("\n-- ")[0].strip()


@dataclass
class Group:
    vera: Page  # in the widget on the shop's page, who began it
    ken: Page  # by a join link
    julie: str  # by mail only
    maya: Page
    bob: Page
    link: str
    before: str  # said before anybody else came
    number: int


@pytest.fixture
def group(new_page: NewPage, stack: Stack) -> Group:
    tag = uuid4().hex[:6]
    (before,) = words("before")
    vera = open_chat(new_page())
    write(vera, before)
    settled(vera)
    number = ticket_with(stack, before)
    maya = staff_on(new_page, stack, before)
    maya.set_default_timeout(WAIT_MS)
    julie = f"julie-{tag}@mail.example"
    add_by_address(maya, julie)
    link = link_of(maya)
    ken = join(new_page(), link, f"Ken {tag}")
    bob = log_in(new_page(), BOB, to=f"/tickets/{number}/")
    return Group(vera, ken, julie, maya, bob, link, before, number)


def test_everyone_hears_everything_once_in_order_by_their_own_way(
    group: Group, stack: Stack, smtp: Inbox, imap: Dovecot
) -> None:
    by_vera, by_maya, by_ken, by_bob, by_julie, last = words("said", 6)
    for speak, page, text in (
        (write, group.vera, by_vera),
        (send, group.maya, by_maya),
        (write, group.ken, by_ken),
        (send, group.bob, by_bob),
    ):
        speak(page, text)
        expect(bubble(group.vera, text)).to_be_visible(timeout=WAIT_MS)
        for desk in (group.maya, group.bob):  # or what they send next is held back
            expect(said(desk, text)).to_be_visible(timeout=WAIT_MS)
    expect(bubble(group.vera, by_bob)).to_be_visible(timeout=WAIT_MS)
    stack.wait_until(lambda: len(mailed_to(smtp, group.julie)) >= 5)
    invitation, first, *_more = mailed_to(smtp, group.julie)
    assert "added you to a conversation" in words_of(invitation)
    put(
        imap.server,
        BOX,
        mail(by_julie, sender=group.julie, to=str(first["Reply-To"]), subject="Re: chat"),
    )
    for page in (group.vera, group.ken):
        expect(bubble(page, by_julie)).to_be_visible(timeout=WAIT_MS)
    expect(said(group.maya, by_julie)).to_be_visible(timeout=WAIT_MS)
    send(group.maya, last)
    for page in (group.vera, group.ken):
        expect(bubble(page, last)).to_be_visible(timeout=WAIT_MS)
    for page in (group.maya, group.bob):
        expect(said(page, last)).to_be_visible(timeout=WAIT_MS)

    spoken = [by_vera, by_maya, by_ken, by_bob, by_julie, last]
    for page in (group.vera, group.ken):
        assert heard_in(page, [group.before, *spoken])[-6:] == spoken
        page.reload()
        expect(bubble(page, last)).to_be_visible(timeout=WAIT_MS)
        assert heard_in(page, spoken) == spoken
    assert heard_in(group.vera, [group.before]) == [group.before]
    assert heard_in(group.ken, [group.before]) == []  # he came later
    for page in (group.maya, group.bob):
        shown = page.locator("[data-timeline]").text_content() or ""
        places = [shown.index(text) for text in spoken]
        assert places == sorted(places)
        assert [shown.count(text) for text in spoken] == [1] * 6
    stack.wait_until(lambda: len(mailed_to(smtp, group.julie)) >= 6)
    group.maya.wait_for_timeout(2_000)
    arrived = mailed_to(smtp, group.julie)[1:]
    assert sorted(words_of(one) for one in arrived) == sorted(
        text for text in spoken if text != by_julie
    )
    assert not any("ken@" in one.as_string() for one in arrived)
    told = stack.rows(
        "SELECT count(*), count(DISTINCT body) FROM tickets_message WHERE body = ANY(%s)", spoken
    )
    assert told == [(6, 6)]


def test_who_is_removed_hears_nothing_more(
    group: Group, new_page: NewPage, stack: Stack, smtp: Inbox, imap: Dovecot
) -> None:
    with_them, without_them, intruding = words("with or without", 3)
    send(group.maya, with_them)
    expect(bubble(group.ken, with_them)).to_be_visible(timeout=WAIT_MS)
    stack.wait_until(lambda: mailed_to(smtp, group.julie))
    ken = group.ken.evaluate("Object.keys(localStorage).length")
    assert ken > 0
    (name,) = stack.row(
        "SELECT p.name FROM tickets_person p JOIN tickets_participant s ON s.person_id = p.id "
        "JOIN tickets_ticket t USING (conversation_id) WHERE t.number = %s AND p.name LIKE 'Ken%%'",
        group.number,
    )
    remove(group.maya, name)
    remove(group.maya, group.julie.partition("@")[0])
    send(group.maya, without_them)
    expect(bubble(group.vera, without_them)).to_be_visible(timeout=WAIT_MS)
    reply_to = str(mailed_to(smtp, group.julie)[0]["Reply-To"])
    put(imap.server, BOX, mail(intruding, sender=group.julie, to=reply_to, subject="Re: chat"))
    stack.wait_until(
        lambda: stack.rows("SELECT 1 FROM tickets_message WHERE body = %s", intruding), 30
    )
    group.ken.wait_for_timeout(1_000)
    assert heard_in(group.ken, [without_them]) == []
    assert heard_in(group.vera, [intruding]) == []
    assert ticket_with(stack, intruding) != group.number
    assert [words_of(one) for one in mailed_to(smtp, group.julie)].count(without_them) == 0
    stranger = new_page()
    stranger.goto(group.link)
    expect(stranger.get_by_text("This link has ended")).to_be_visible()
    group.ken.reload()
    group.ken.wait_for_timeout(1_000)
    assert heard_in(group.ken, [with_them, without_them]) == []


def test_what_a_visitor_who_has_gone_did_not_read_comes_by_mail_and_the_answer_returns(
    new_page: NewPage, stack: Stack, smtp: Inbox, imap: Dovecot
) -> None:
    asked, answer, by_mail = words("gone", 3)
    address = f"nora-{uuid4().hex[:6]}@mail.example"
    nora = open_chat(new_page())
    write(nora, asked)
    settled(nora)
    number = ticket_with(stack, asked)
    stack.rows(
        "INSERT INTO tickets_emailaddress (person_id, address, is_primary) "
        "SELECT requester_id, %s, true FROM tickets_ticket WHERE number = %s",
        address,
        number,
    )
    nora.close()
    send(staff_on(new_page, stack, asked), answer)
    stack.wait_until(lambda: mailed_to(smtp, address), 60)
    (arrived,) = mailed_to(smtp, address)
    assert answer in words_of(arrived)
    put(
        imap.server,
        BOX,
        mail(by_mail, sender=address, to=str(arrived["Reply-To"]), subject="Re: chat"),
    )
    stack.wait_until(
        lambda: stack.rows("SELECT 1 FROM tickets_message WHERE body = %s", by_mail), 30
    )
    assert ticket_with(stack, by_mail) == number


def test_the_panel_and_the_page_of_a_link_suit_everyone(group: Group, new_page: NewPage) -> None:
    panel(group.maya).get_by_text("Name it…").click()
    panel(group.maya).get_by_label("Name").fill("Filters for two")
    panel(group.maya).get_by_role("button", name="Save").click()
    expect(group.ken.get_by_role("heading", name="Filters for two")).to_be_visible(timeout=WAIT_MS)
    expect(group.vera.locator("helpdesk-widget")).to_contain_text("named this “Filters for two”")
    panel(group.maya).get_by_text("Add people…").click()
    assert violations(group.maya) == []
    assert violations(group.ken) == []
    group.maya.set_viewport_size({"width": 380, "height": 800})
    group.maya.get_by_role("link", name="Customer").click()
    expect(panel(group.maya)).to_be_visible()
    assert violations(group.maya) == []
    stranger = new_page()
    stranger.goto(group.link)
    assert violations(stranger) == []


def test_what_was_asked_before_does_not_undo_what_one_does_meanwhile(
    new_page: NewPage, stack: Stack
) -> None:
    (asked,) = words("meanwhile")
    visitor = open_chat(new_page())
    write(visitor, asked)
    settled(visitor)
    maya = staff_on(new_page, stack, asked)
    held: list[tuple[Route, APIResponse]] = []

    def hold_first(route: Route) -> None:
        if held:
            route.abort()  # what is asked for later could mend it again
        else:
            held.append((route, route.fetch()))

    maya.route(re.compile(r"/people/$"), hold_first)
    panel(maya).get_by_text("Add people…").click()
    panel(maya).get_by_label("Bob Okafor").check()
    panel(maya).get_by_role("button", name="Add", exact=True).click()
    expect(panel(maya)).to_contain_text("Bob Okafor")
    while not held:  # the bell of that; its answer knows of no link
        maya.wait_for_timeout(50)
    address = link_of(maya)
    route, answer = held[0]
    with maya.expect_request_finished(lambda request: request.url.endswith("/people/")):
        route.fulfill(response=answer)
    maya.wait_for_timeout(500)
    expect(panel(maya).get_by_label("Link")).to_have_value(address, timeout=1_000)
    assert violations(maya) == []
