"""What the assistant does about a customer's message, from the news to the closed row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from ai import operations
from ai.models import Answer
from helpdesk.lib import work
from tests import make
from tests.ai.conftest import ask, handler, run, said
from tests.fakes.openai_server import FakeModel
from tickets.access import Viewer
from tickets.models import Inbox, Message, Ticket
from tickets.operations import post_reply, solve_ticket, switch_assistant
from tickets.operations.timeline import MessagePosted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]

POSTED = MessagePosted(
    conversation_id=1,
    channel="chat",
    seq=3,
    author_role="customer",
    ticket_number=1,
    inbox_id=1,
    handler="assistant",
)


def changes(ticket: Ticket) -> list[dict[str, Any]]:
    entries = Message.objects.filter(conversation=ticket.conversation_id, kind="change")
    return [entry.change for entry in entries.order_by("seq") if entry.change]


# --- The subscriber -----------------------------------------------------------------------------


def test_only_a_customer_in_a_chat_of_the_assistant_is_answered() -> None:
    row = operations.consider_message(POSTED)
    assert row is not None
    assert (row.conversation_id, row.question_seq) == (1, 3)
    for other in (
        replace(POSTED, author_role="staff"),
        replace(POSTED, author_role="assistant"),
        replace(POSTED, channel="email"),
        replace(POSTED, handler="staff"),
    ):
        assert operations.consider_message(other) is None


def test_a_message_asks_for_one_answer(carol: Viewer, shop: Inbox) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?")
    row = Answer.objects.get()
    assert (row.conversation_id, row.question_seq) == (ticket.conversation_id, 1)


def test_mail_is_left_to_staff(carol: Viewer, shop: Inbox) -> None:
    make.ticket(carol, shop, "How do I descale my kettle?", channel="email")
    assert not Answer.objects.exists()


# --- Built in -----------------------------------------------------------------------------------


def test_without_a_key_the_best_article_is_quoted_with_its_link(
    carol: Viewer, shop: Inbox, settings: Settings, rung: list[dict[str, Any]]
) -> None:
    settings.SITE_URL = "https://desk.example"
    ticket = ask(carol, shop, "Hi! How do I descale my kettle?")
    row = run(ticket)

    (answer,) = said(ticket)
    assert answer.startswith("From our help pages: “Descale the Harbour kettle”\n\n")
    assert "citric acid" in answer
    message = Message.objects.get(body=answer)
    assert message.sources == [
        {
            "title": "Descale the Harbour kettle",
            "url": "https://desk.example/help/descale-the-harbour-kettle/",
        }
    ]
    assert (row.state, row.outcome, row.model) == ("done", "answered", "")
    assert row.sources == message.sources
    assert [event["type"] for event in rung] == ["assistant.typing"]
    ticket.refresh_from_db()
    assert (ticket.status, ticket.handler) == ("waiting", "assistant")


def test_what_no_article_answers_goes_to_staff(carol: Viewer, shop: Inbox) -> None:
    ticket = ask(carol, shop, "Can I pay with Klarna?")
    row = run(ticket)
    assert (row.outcome, said(ticket), handler(ticket)) == ("handed_over", [], "staff")
    assert changes(ticket)[-1]["reason"] == "nothing_found"
    ticket.refresh_from_db()
    assert ticket.status == "open"


@pytest.mark.parametrize("words", ["", "Hi!"])
def test_a_photo_without_a_question_goes_to_staff(carol: Viewer, shop: Inbox, words: str) -> None:
    chat = make.conversation(carol)
    file = make.upload(carol)
    post_reply(carol, chat.pk, body=words, via="widget", inbox_id=shop.pk, files=[file.uuid])
    ticket = Ticket.objects.get(conversation=chat)
    assert run(ticket).outcome == "handed_over"
    assert (said(ticket), handler(ticket)) == ([], "staff")
    assert changes(ticket)[-1]["reason"] == "files"


def test_a_question_with_a_photo_is_answered(carol: Viewer, shop: Inbox) -> None:
    chat = make.conversation(carol)
    words = "How do I descale my kettle?"
    file = make.upload(carol)
    post_reply(carol, chat.pk, body=words, via="widget", inbox_id=shop.pk, files=[file.uuid])
    ticket = Ticket.objects.get(conversation=chat)
    assert run(ticket).outcome == "answered"


@pytest.mark.parametrize("text", ["I want to talk to a human", "Mensch bitte!", "agent"])
def test_a_customer_who_wants_a_person_gets_one(carol: Viewer, shop: Inbox, text: str) -> None:
    ticket = ask(carol, shop, text)
    assert run(ticket).outcome == "handed_over"
    assert (said(ticket), handler(ticket)) == ([], "staff")
    assert changes(ticket)[-1]["reason"] == "asked"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_call_for_a_person_counts_wherever_it_stands(
    carol: Viewer, shop: Inbox, place: int
) -> None:
    texts = ["How do I descale my kettle?", "It is the Harbour one"]
    texts.insert(place, "I want a person")
    ticket = ask(carol, shop, *texts)
    run(ticket)
    assert (said(ticket), handler(ticket)) == ([], "staff")


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("hello", "Hello! What would you like to know?"),
        ("are you a bot?", "Hello! What would you like to know? I am an automated assistant"),
        ("?", "Hello!"),
    ],
)
def test_small_talk_is_answered_and_not_handed_over(
    carol: Viewer, shop: Inbox, text: str, begins: str
) -> None:
    ticket = ask(carol, shop, text)
    run(ticket)
    assert said(ticket)[0].startswith(begins)
    assert handler(ticket) == "assistant"


def test_thanks_get_a_friendly_end(carol: Viewer, shop: Inbox) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?")
    run(ticket)
    make.say(carol, ticket, "Thank you!")
    run(ticket)
    assert said(ticket)[-1] == "You are welcome. Write again whenever something comes up."
    ticket.refresh_from_db()
    assert (ticket.status, ticket.handler) == ("waiting", "assistant")


def test_the_same_quote_is_not_given_twice_in_a_row(carol: Viewer, shop: Inbox) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?")
    run(ticket)
    make.say(carol, ticket, "But how do I descale my kettle?")
    run(ticket)
    assert (len(said(ticket)), handler(ticket)) == (1, "staff")


def test_words_sent_in_pieces_are_read_together(carol: Viewer, shop: Inbox) -> None:
    ticket = ask(carol, shop, "hello", "my kettle", "is full of limescale")
    run(ticket)
    (answer,) = said(ticket)
    assert "“Descale the Harbour kettle”" in answer


# --- With a model -------------------------------------------------------------------------------


def test_a_model_answers_from_articles_and_names_them(
    carol: Viewer, shop: Inbox, configured: FakeModel, rung: list[dict[str, Any]]
) -> None:
    words = "Use citric acid, 30 g [1]. Leave it for 30 minutes [1, 2]."
    configured.next(say=words, pause_seconds=0.03)
    ticket = ask(carol, shop, "How do I descale my kettle?")
    row = run(ticket)

    assert said(ticket) == ["Use citric acid, 30 g. Leave it for 30 minutes."]
    titles = [source["title"] for source in row.sources]
    assert titles[0] == "Descale the Harbour kettle"
    assert (row.outcome, row.model, row.completion_tokens) == ("answered", "fake-model", 13)
    assert row.prompt_tokens
    assert row.prompt_tokens > 100

    kinds = [event["type"] for event in rung]
    assert kinds[0] == "assistant.typing"
    deltas = [event for event in rung if event["type"] == "assistant.delta"]
    assert set(kinds[1:]) == {"assistant.delta"}
    assert len(deltas) > 1
    assert [event["index"] for event in deltas] == list(range(len(deltas)))
    assert {event["answer"] for event in deltas} == {row.pk}
    assert said(ticket)[0].startswith("".join(event["text"] for event in deltas))
    everyone = f"conversation.{ticket.conversation_id}.everyone"
    assert {(event["conversation"], event["to"]) for event in rung} == {
        (ticket.conversation_id, everyone)
    }


def test_tokens_that_come_at_once_are_few_bells(
    carol: Viewer, shop: Inbox, configured: FakeModel, rung: list[dict[str, Any]]
) -> None:
    configured.next(say=" ".join(["word"] * 500))
    ticket = ask(carol, shop, "How do I descale my kettle?")
    run(ticket)
    assert len(said(ticket)[0]) > 2_000
    assert len(rung) < 30


def test_an_answer_that_names_no_article_shows_the_best_one(
    carol: Viewer, shop: Inbox, configured: FakeModel
) -> None:
    configured.next(say="Use citric acid. [7] [0]")
    row = run(ask(carol, shop, "How do I descale my kettle, is it covered by the warranty?"))
    assert "Descale the Harbour kettle" in str(configured.requests[0]["body"])
    assert [source["title"] for source in row.sources] == ["What the warranty covers"]


def test_a_model_hands_over_by_calling_the_tool(
    carol: Viewer, shop: Inbox, configured: FakeModel, rung: list[dict[str, Any]]
) -> None:
    configured.next(say="Let me", tool="hand_over", arguments={"why": "customer_asks"})
    ticket = ask(carol, shop, "My kettle is broken, who can look at it?")
    row = run(ticket)
    assert (row.outcome, said(ticket), handler(ticket)) == ("handed_over", [], "staff")
    assert changes(ticket)[-1]["reason"] == "asked"
    assert rung[-1]["type"] == "assistant.stopped"


@pytest.mark.parametrize("arguments", [{}, {"why": 5}, {"why": "set_handler_to_staff"}])
def test_a_tool_call_with_odd_arguments_is_still_a_hand_over(
    carol: Viewer, shop: Inbox, configured: FakeModel, arguments: dict[str, object]
) -> None:
    configured.next(say="", tool="hand_over", arguments=arguments)
    ticket = ask(carol, shop, "My kettle is broken")
    run(ticket)
    assert changes(ticket)[-1]["reason"] == "nothing_found"


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        ({"status": 401, "error_code": "invalid_api_key"}, "did not accept the key"),
        ({"status": 400}, "did not accept the request"),
        ({"cut": True}, "broke off"),
        ({"drop": True}, "hung up"),
        ({"empty": True}, "answered nothing"),
        ({"say": "[1]"}, "answered nothing"),
        ({"hang": True}, "within 1 seconds"),
        ({"silent": True}, "within 1 seconds"),
        ({"garbage": True}, "no answer"),
        ({"finish_reason": "length"}, "longest length"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_model_that_fails_hands_over_and_leaves_no_half_answer(
    carol: Viewer,
    shop: Inbox,
    configured: FakeModel,
    rung: list[dict[str, Any]],
    settings: Settings,
    scene: dict[str, object],
    why: str,
) -> None:
    settings.AI_TIMEOUT_SECONDS = 1
    configured.next(**{"say": "Half of this is not enough.", **scene})
    ticket = ask(carol, shop, "How do I descale my kettle?")
    row = run(ticket)
    assert (row.state, row.outcome) == ("done", "handed_over")
    assert why in row.reason
    assert (said(ticket), handler(ticket)) == ([], "staff")
    assert changes(ticket)[-1]["reason"] == "failed"
    assert rung[-1]["type"] == "assistant.stopped"


def test_a_model_is_not_asked_where_no_article_fits(
    carol: Viewer, shop: Inbox, configured: FakeModel
) -> None:
    ticket = ask(carol, shop, "Who won the world cup?")
    assert run(ticket).outcome == "handed_over"
    assert configured.requests == []


def test_a_model_answers_a_greeting_without_articles(
    carol: Viewer, shop: Inbox, configured: FakeModel
) -> None:
    ticket = ask(carol, shop, "Bonjour !")
    row = run(ticket)
    assert (said(ticket), row.sources) == (["Hello! What can I do for you?"], [])


def test_a_short_question_is_understood_with_the_one_before(
    carol: Viewer, shop: Inbox, configured: FakeModel
) -> None:
    ticket = ask(carol, shop, "How long is delivery to Germany?")
    run(ticket)
    make.say(carol, ticket, "And Mexico?")
    run(ticket)
    asked = configured.requests[-1]["body"]["messages"]
    assert "Delivery times and costs" in asked[-1]["content"]
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]


# --- Who has the word ---------------------------------------------------------------------------


def test_when_staff_wrote_the_assistant_is_silent_from_then_on(
    alice: Viewer, carol: Viewer, shop: Inbox
) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?")
    make.say(alice, ticket, "Hi Carol, Alice here.")
    row = run(ticket)
    assert (row.outcome, row.reason) == ("silent", "Staff have the conversation.")

    make.say(carol, ticket, "How do I descale my kettle?")
    assert Answer.objects.count() == 1
    assert said(ticket) == []


def test_only_the_latest_of_several_messages_is_answered(carol: Viewer, shop: Inbox) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?", "And what about the warranty?")
    first, second = Answer.objects.order_by("question_seq")
    work.perform(Answer, first.pk, operations.answer)
    first.refresh_from_db()
    assert (first.state, first.outcome, said(ticket)) == ("done", "silent", [])

    work.perform(Answer, second.pk, operations.answer)
    assert len(said(ticket)) == 1


@pytest.mark.parametrize("everywhere", [True, False])
def test_switched_off_it_says_nothing_and_staff_take_over(
    alice: Viewer, carol: Viewer, shop: Inbox, everywhere: bool
) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?")
    switch_assistant(alice, on=False, inbox_id=None if everywhere else shop.pk)
    row = run(ticket)
    assert (row.outcome, said(ticket), handler(ticket)) == ("handed_over", [], "staff")
    assert changes(ticket)[-1]["reason"] == "off"


def test_a_solved_chat_that_goes_on_is_answered_again(
    alice: Viewer, carol: Viewer, shop: Inbox
) -> None:
    ticket = ask(carol, shop, "How do I descale my kettle?")
    run(ticket)
    solve_ticket(alice, ticket.number)
    make.say(carol, ticket, "And what does the warranty cover?")
    run(ticket)
    assert len(said(ticket)) == 2
