"""The desk's pages: what is on them and what they cost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils.timezone import now
from pytest_django import DjangoAssertNumQueries

from helpdesk.lib.work import Work
from tests import make
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import InboundEmail, Inbox, Message, OutgoingEmail, Ticket
from tickets.operations import assign_ticket, post_answer, post_note, solve_ticket
from tickets.queries import PAGE_ROWS
from tickets.views.entries import CATCH_UP_ENTRIES, PAGE_ENTRIES

QUERIES_MAX = 12
SCRIPT = {"HX-Request": "true"}


def text_of(response: Any) -> str:
    """What one reads on a page."""
    html = re.sub(r"<(script|style|template).*?</\1>", "", response.content.decode(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- The list -------------------------------------------------------------------------------


def test_the_list_shows_who_waits_longest_first(
    enter: Enter, alice: Viewer, ticket: Ticket, inbox: Inbox
) -> None:
    dave = make.customer("Dave", "dave@mail.example")
    earlier = make.ticket(dave, inbox, "Where is my parcel?")
    Ticket.objects.filter(pk=earlier.pk).update(waiting_since=now() - timedelta(hours=30))

    page = enter(alice).get("/tickets/")

    assert [hit.ticket for hit in page.context["hits"]] == [earlier, ticket]
    assert "30 h" in text_of(page)


def test_views_and_inboxes_carry_their_counters(
    enter: Enter, alice: Viewer, bob: Viewer, ticket: Ticket, chat: Ticket, inbox: Inbox
) -> None:
    solve_ticket(alice, make.ticket(make.customer("Dave"), inbox, "Thanks!").number)
    make.say(bob, make.ticket(make.customer("Eve"), inbox, "And mine?"), "Soon.")

    page = enter(alice).get("/tickets/?view=yours")

    counts = {"live": 1, "yours": 1, "unassigned": 1, "open": 2, "waiting": 1, "undelivered": 0}
    counts |= {"mentions": 0, "team": 0}
    assert page.context["counts"] == counts
    assert "Yours 1 tickets" in text_of(page)
    assert "Hello 2 open tickets" in text_of(page)


def test_an_inbox_shows_its_open_tickets(
    enter: Enter, alice: Viewer, ticket: Ticket, carol: Viewer
) -> None:
    other = make.ticket(carol, make.inbox("Repairs"), "It leaks.")
    page = enter(alice).get(f"/tickets/?inbox={other.inbox_id}")
    assert [hit.ticket for hit in page.context["hits"]] == [other]


def test_show_more_walks_the_whole_list_without_gap_or_repeat(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    made = [make.ticket(carol, inbox, f"Question {n}").number for n in range(PAGE_ROWS + 20)]
    browser = enter(alice)
    seen: list[int] = []
    address = "/tickets/?view=open"
    while address:
        page = browser.get(address)
        seen += [hit.ticket.number for hit in page.context["hits"]]
        more = page.context["more"]
        address = f"/tickets/?{more}" if more else ""
    assert seen == made


def test_show_more_gives_a_script_only_the_rows_below(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    for n in range(PAGE_ROWS + 3):
        make.ticket(carol, inbox, f"Question {n}")
    browser = enter(alice)
    more = browser.get("/tickets/").context["more"]
    below = browser.get(f"/tickets/?{more}", headers={**SCRIPT, "HX-Target": "more"})
    assert below.content.decode().count('<li class="row') == 3
    assert b"<nav" not in below.content


def test_a_list_that_was_paged_through_is_refreshed_as_a_whole(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    for n in range(PAGE_ROWS + 3):
        make.ticket(carol, inbox, f"Question {n}")
    again = enter(alice).get(f"/tickets/?view=open&rows={PAGE_ROWS + 3}", headers=SCRIPT)
    assert again.content.decode().count('<li class="row') == PAGE_ROWS + 3
    assert b"<html" not in again.content


def test_an_empty_view_says_so(enter: Enter, alice: Viewer, chat: Ticket) -> None:
    browser = enter(alice)
    assert "Nothing left for you 1 open ticket has no owner" in text_of(
        browser.get("/tickets/?view=yours")
    )
    assert "No tickets here" in text_of(browser.get("/tickets/?view=solved"))
    assert "Nothing found" in text_of(browser.get("/tickets/?q=zebra"))


def test_search_finds_words_and_shows_where(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "The sérial number is K2-0522.")
    page = enter(alice).get("/tickets/?q=serial")
    assert [hit.ticket for hit in page.context["hits"]] == [ticket]
    assert "The sérial number is K2-0522." in text_of(page)


# --- The ticket page ------------------------------------------------------------------------


def test_the_timeline_tells_what_happened_in_order(
    enter: Enter, alice: Viewer, bob: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Which burr is it?")
    post_note(bob, ticket.conversation_id, body="Same as the recall.", via="web")
    assert bob.user
    assign_ticket(alice, ticket.number, bob.user.pk)
    solve_ticket(bob, ticket.number)
    make.say(carol, ticket, "The outer one.")

    said = text_of(enter(alice).get(f"/tickets/{ticket.number}/timeline/?after=0"))

    order = [
        "My grinder arrived broken.",
        "Which burr is it?",
        "Same as the recall.",
        "You gave this to Bob",
        "Bob solved this",
        "The outer one.",
        "Carol opened this again",
    ]
    places = [said.find(each) for each in order]
    assert -1 not in places, said
    assert places == sorted(places)


def test_what_people_write_is_text_and_never_markup(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    nasty = '<script>alert(1)</script> https://x.example/"onmouseover="alert(1)'
    mallet = make.customer('"><img src=x onerror=alert(1)>', "mallet@mail.example")
    ticket = make.ticket(mallet, inbox, nasty)
    page = enter(alice).get(f"/tickets/{ticket.number}/").content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '"onmouseover="' not in page


def test_links_open_beside_the_desk_and_say_nothing_about_it(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(carol, ticket, "See https://shop.example/burr please")
    page = enter(alice).get(f"/tickets/{ticket.number}/").content.decode()
    link = '<a href="https://shop.example/burr" rel="nofollow noopener" target="_blank">'
    assert link in page


def test_new_is_drawn_above_what_the_customer_said_since(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Which burr is it?")
    make.say(carol, ticket, "The outer one.")
    make.say(carol, ticket, "At two o'clock.")
    browser = enter(alice)
    page = browser.get(f"/tickets/{ticket.number}/")
    news = [entry.message.body for entry in page.context["timeline"].entries if entry.is_new]
    assert news == ["The outer one."]

    browser.post(f"/tickets/{ticket.number}/seen/", {"seq": 4})
    page = browser.get(f"/tickets/{ticket.number}/")
    assert not [entry for entry in page.context["timeline"].entries if entry.is_new]


def test_each_mail_of_a_reply_shows_how_far_it_came(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    said = make.say(alice, ticket, "It ships on Monday.")
    address = f"/tickets/{ticket.number}/messages/{said.seq}/"
    browser = enter(alice)
    mail = OutgoingEmail.objects.filter(message=said)

    shown = browser.get(address)
    assert "Sending to carol@mail.example" in text_of(shown)
    assert b"data-pending" in shown.content

    mail.update(attempts=1, error="The server is busy")
    assert "Not sent to carol@mail.example yet: The server is busy. Trying" in text_of(
        browser.get(address)
    )

    mail.update(state=Work.State.FAILED, error="No such user")
    assert "Not sent to carol@mail.example: No such user" in text_of(browser.get(address))

    mail.update(state=Work.State.DONE, accepted_at=now())
    shown = browser.get(address)
    assert "Sent to carol@mail.example" in text_of(shown)
    assert b"data-pending" not in shown.content


def test_the_assistant_names_its_sources(
    enter: Enter, alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    inbox.assistant_on = True
    inbox.save()
    chat = make.ticket(carol, inbox, "Which filter fits?", channel="chat")
    sources = [{"title": "Filters", "url": "/help/filters/"}]
    post_answer(
        chat.conversation_id,
        question_seq=chat.conversation.last_seq,
        body="Size 02.",
        sources=sources,
        client_token=uuid4(),
    )
    page = enter(alice).get(f"/tickets/{chat.number}/")
    assert '<a href="/help/filters/" target="_blank"' in page.content.decode()
    assert "The assistant answers" in text_of(page)


def test_a_source_is_a_link_and_never_a_script(
    enter: Enter, alice: Viewer, chat: Ticket, carol: Viewer
) -> None:
    said = make.say(carol, chat, "Hm.")
    sources = [{"title": "x", "url": "javascript:alert(1)"}]
    Message.objects.filter(pk=said.pk).update(sources=sources)
    page = enter(alice).get(f"/tickets/{chat.number}/")
    assert "javascript:" not in page.content.decode()


@pytest.fixture
def mailed(ticket: Ticket) -> InboundEmail:
    """The mail that Carol's first message came in."""
    raw = b"From: carol@mail.example\r\nSubject: =?utf-8?q?h=C3=A9?=\r\n\r\nMy grinder\xff"
    return InboundEmail.objects.create(
        raw=raw,
        size_bytes=len(raw),
        sha256="0" * 64,
        state=Work.State.DONE,
        decision=InboundEmail.Decision.FILED,
        reason="It answers nothing we know, so it opened a ticket",
        conversation=ticket.conversation,
        message=ticket.conversation.messages.get(seq=1),
        file_count=2,
    )


def test_a_mail_says_why_it_was_filed_here(
    enter: Enter, alice: Viewer, ticket: Ticket, mailed: InboundEmail
) -> None:
    response = enter(alice).get(f"/tickets/{ticket.number}/")
    assert 'aria-label="Why it is here"' in response.content.decode()
    assert mailed.reason in text_of(response)


def test_the_original_of_a_mail_comes_byte_for_byte_and_is_never_shown(
    enter: Enter, alice: Viewer, ticket: Ticket, mailed: InboundEmail
) -> None:
    response = enter(alice).get(f"/tickets/{ticket.number}/messages/1/original/")
    assert response.content == mailed.raw
    assert response["Content-Type"] == "message/rfc822"
    name = f"ticket-{ticket.number}-1.eml"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_mail_of_another_ticket_is_not_in_this_one(
    enter: Enter, alice: Viewer, chat: Ticket, mailed: InboundEmail
) -> None:
    address = f"/tickets/{chat.number}/messages/1/original/"
    assert enter(alice).get(address).status_code == 404


def test_the_timeline_gives_what_came_after_and_nothing_twice(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    for n in range(5):
        make.say(carol, ticket, f"Message {n}")
    shown = enter(alice).get(f"/tickets/{ticket.number}/timeline/?after=3").content.decode()
    assert re.findall(r'data-seq="(\d+)"', shown) == ["4", "5", "6"]
    assert 'class="day"' not in shown, "the day has a line already"


def long_talk(carol: Viewer, ticket: Ticket, length: int) -> None:
    """Fill a timeline up to `length` entries."""
    seqs = range(ticket.conversation.last_seq + 1, length + 1)
    Message.objects.bulk_create(
        Message(
            conversation=ticket.conversation,
            seq=seq,
            kind="reply",
            audience="everyone",
            via="email",
            author=carol.person,
            body=f"Message {seq}",
        )
        for seq in seqs
    )
    ticket.conversation.last_seq = ticket.conversation.last_public_seq = length
    ticket.conversation.save()


def test_a_long_timeline_shows_its_end_and_reaches_back_to_its_beginning(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    length = 2 * PAGE_ENTRIES + 7
    long_talk(carol, ticket, length)
    browser = enter(alice)
    seen: list[int] = []
    timeline = browser.get(f"/tickets/{ticket.number}/").context["timeline"]
    while True:
        seen = [entry.message.seq for entry in timeline.entries] + seen
        if timeline.before is None:
            break
        earlier = browser.get(f"/tickets/{ticket.number}/timeline/?before={timeline.before}")
        timeline = earlier.context["timeline"]
    assert seen == list(range(1, length + 1))


def test_catching_up_comes_in_pieces_and_says_that_there_is_more(
    enter: Enter, alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    long_talk(carol, ticket, CATCH_UP_ENTRIES + 5)
    browser = enter(alice)
    first = browser.get(f"/tickets/{ticket.number}/timeline/?after=2")
    assert first["X-More"] == "1"
    rest = browser.get(f"/tickets/{ticket.number}/timeline/?after={CATCH_UP_ENTRIES + 2}")
    assert "X-More" not in rest
    assert len(first.context["timeline"].entries) == CATCH_UP_ENTRIES
    assert len(rest.context["timeline"].entries) == 3


def test_one_turn_in_a_chat_has_one_name(
    enter: Enter, alice: Viewer, bob: Viewer, carol: Viewer, chat: Ticket
) -> None:
    make.say(carol, chat, "Glass, two cups.")
    make.say(bob, chat, "Then 02.")
    make.say(alice, chat, "Or two of 01.")
    make.say(carol, chat, "Thanks!")
    entries = enter(alice).get(f"/tickets/{chat.number}/").context["timeline"].entries
    spoken = [(each.message.body, each.continues) for each in entries if each.is_bubble]
    assert spoken == [
        ("Which filter fits?", False),
        ("Glass, two cups.", True),
        ("Then 02.", False),
        ("Or two of 01.", False),
        ("Thanks!", False),
    ]


def test_times_are_those_of_the_readers_clock(enter: Enter, alice: Viewer, ticket: Ticket) -> None:
    moment = now().replace(hour=12, minute=7)
    Message.objects.update(created_at=moment)
    browser = enter(alice)
    assert "12:07" in text_of(browser.get(f"/tickets/{ticket.number}/"))
    browser.cookies["timezone"] = "Asia/Tokyo"
    assert "21:07" in text_of(browser.get(f"/tickets/{ticket.number}/"))
    browser.cookies["timezone"] = "../../etc/passwd"
    assert "12:07" in text_of(browser.get(f"/tickets/{ticket.number}/"))


# --- What a page costs ----------------------------------------------------------------------


@pytest.fixture
def busy_desk(alice: Viewer, bob: Viewer, carol: Viewer, ticket: Ticket, inbox: Inbox) -> Ticket:
    """Many tickets, many inboxes, a ticket with many mails, people and earlier tickets."""
    for n in range(10):
        make.inbox(f"Inbox {n}")
        make.staff(f"Colleague{n}", *inbox.teams.all())
    for n in range(30):
        other = make.ticket(make.customer(f"Customer {n}"), inbox, f"Question {n}")
        if n % 2:
            make.say(bob, other, "Soon.")
        make.ticket(carol, inbox, f"Something else {n}")
    for n in range(20):
        make.say(carol, ticket, f"Detail {n}")
        make.say(alice, ticket, f"Answer {n}")
    make.say(carol, ticket, "And?")
    return ticket


@pytest.mark.parametrize("query", ["", "?view=yours", "?view=waiting", "?q=question", "?q=7"])
def test_a_list_costs_few_queries_whatever_its_size(
    query: str,
    enter: Enter,
    alice: Viewer,
    busy_desk: Ticket,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    browser = enter(alice)
    with django_assert_max_num_queries(QUERIES_MAX):
        assert browser.get(f"/tickets/{query}").status_code == 200


@pytest.mark.parametrize("query", ["", "?view=yours", "?q=question"])
def test_a_ticket_costs_few_queries_whatever_its_size(
    query: str,
    enter: Enter,
    alice: Viewer,
    busy_desk: Ticket,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    browser = enter(alice)
    with django_assert_max_num_queries(QUERIES_MAX):
        assert browser.get(f"/tickets/{busy_desk.number}/{query}").status_code == 200


def test_a_refresh_costs_fewer(
    enter: Enter,
    alice: Viewer,
    busy_desk: Ticket,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    browser = enter(alice)
    with django_assert_max_num_queries(5):
        browser.get(f"/tickets/{busy_desk.number}/timeline/?after=1", headers=SCRIPT)
