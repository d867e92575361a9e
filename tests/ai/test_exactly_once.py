"""Workers die at any moment, and still every question gets one answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db import connection
from django.utils.timezone import now
from pytest_django import Settings

from ai import live, operations
from ai.models import Answer
from helpdesk.lib import work
from tests import make
from tests.ai.conftest import KEY, ask, handler, run, said
from tests.fakes.openai_server import FakeModel
from tickets.access import Viewer
from tickets.models import Inbox, Message, Ticket
from tickets.operations import ask_for_human, post_answer, switch_assistant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]

QUESTION = "How do I descale my kettle?"
ONE_ANSWER = "Use citric acid and leave it for half an hour."

WORKER = """
import sys, django
django.setup()
from ai.tasks import answer
answer(int(sys.argv[1]))
"""


class Died(BaseException):
    """What kill -9 leaves: no except clause and no commit, only a rolled back transaction."""


def let_lease_run_out(row: Answer) -> None:
    past = now() - timedelta(seconds=1)
    Answer.objects.filter(pk=row.pk, state="running").update(leased_until=past)


def when_first_shown(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[str]:
    """Run `act` between the first and the second piece of an answer. Returns the pieces."""
    pieces: list[str] = []

    def ring(group: str, event: dict[str, Any]) -> None:
        if event["type"] == "assistant.delta":
            pieces.append(event["text"])
            if len(pieces) == 1:
                act()

    monkeypatch.setattr(live, "ring", ring)
    monkeypatch.setattr(operations, "CHECK_SECONDS", 0.0)
    return pieces


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_of_an_answer_is_replaced(
    carol: Viewer, shop: Inbox, configured: FakeModel
) -> None:
    ticket = ask(carol, shop, QUESTION)
    row = Answer.objects.get()
    configured.next(say=ONE_ANSWER, pieces=5, pause_seconds=30)
    server = urlsplit(os.environ["DATABASE_URL"])
    database = server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environ = {
        **os.environ,
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "helpdesk.settings",
        "OPENAI_BASE_URL": configured.base_url,
        "OPENAI_API_KEY": KEY,
        "AI_MODEL": "fake-model",
    }
    with subprocess.Popen([sys.executable, "-c", WORKER, str(row.pk)], env=environ) as worker:
        give_up_at = time.monotonic() + 30
        while not configured.requests and time.monotonic() < give_up_at:
            time.sleep(0.05)
        time.sleep(0.2)
        worker.send_signal(signal.SIGKILL)
    row.refresh_from_db()
    assert (row.state, row.attempts, said(ticket)) == ("running", 1, [])
    assert row.leased_until is not None
    assert row.leased_until < now() + timedelta(seconds=Answer.LEASE_SECONDS)

    run(ticket)
    assert said(ticket) == []  # its lease has not run out: it might be alive
    let_lease_run_out(row)
    configured.next(say=ONE_ANSWER)
    row = run(ticket)
    assert (row.state, row.attempts, said(ticket)) == ("done", 2, [ONE_ANSWER])


@pytest.mark.parametrize("step", ["ai.operations.post_answer", "ai.operations.work.closing"])
def test_a_worker_that_dies_before_the_commit_has_said_nothing(
    carol: Viewer,
    shop: Inbox,
    configured: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    def die(*args: object, **more: object) -> None:
        raise Died

    ticket = ask(carol, shop, QUESTION)
    configured.next(say="The answer of a worker that died.")
    with monkeypatch.context() as patched:
        patched.setattr(step, die)
        with pytest.raises(Died):
            run(ticket)
    assert said(ticket) == []

    let_lease_run_out(Answer.objects.get())
    configured.next(say=ONE_ANSWER)
    assert (run(ticket).outcome, said(ticket)) == ("answered", [ONE_ANSWER])


def test_an_answer_that_is_done_is_not_done_again(
    carol: Viewer, shop: Inbox, configured: FakeModel
) -> None:
    ticket = ask(carol, shop, QUESTION)
    configured.next(say=ONE_ANSWER)
    first = run(ticket)
    again = run(ticket)
    assert (again.attempts, said(ticket)) == (first.attempts, [ONE_ANSWER])
    assert Message.objects.get(body=ONE_ANSWER).client_token == first.client_token
    assert len(configured.requests) == 1


def test_a_worker_whose_row_was_taken_over_says_nothing(
    carol: Viewer, shop: Inbox, configured: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = ask(carol, shop, QUESTION)
    row = Answer.objects.get()
    configured.next(say="The answer of the slow worker.")
    when_first_shown(monkeypatch, lambda: Answer.objects.filter(pk=row.pk).update(lease=uuid4()))
    assert (run(ticket).state, said(ticket)) == ("running", [])

    let_lease_run_out(row)
    configured.next(say=ONE_ANSWER)
    run(ticket)
    assert said(ticket) == [ONE_ANSWER]


# --- Losing the word in the middle --------------------------------------------------------------


@pytest.mark.parametrize("everywhere", [True, False])
def test_switched_off_in_the_middle_nothing_more_is_said(
    alice: Viewer,
    carol: Viewer,
    shop: Inbox,
    configured: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
    everywhere: bool,
) -> None:
    configured.next(say=ONE_ANSWER, pause_seconds=0.1)
    ticket = ask(carol, shop, QUESTION)
    inbox_id = None if everywhere else shop.pk
    pieces = when_first_shown(
        monkeypatch, lambda: switch_assistant(alice, on=False, inbox_id=inbox_id)
    )
    row = run(ticket)
    assert (len(pieces), said(ticket), handler(ticket)) == (1, [], "staff")
    assert (row.outcome, row.reason) == ("handed_over", "The assistant is switched off.")


def test_staff_who_write_in_the_middle_have_the_word(
    alice: Viewer,
    carol: Viewer,
    shop: Inbox,
    configured: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured.next(say=ONE_ANSWER, pause_seconds=0.1)
    ticket = ask(carol, shop, QUESTION)
    pieces = when_first_shown(monkeypatch, lambda: make.say(alice, ticket, "Alice here."))
    row = run(ticket)
    assert (len(pieces), said(ticket), row.outcome) == (1, [], "silent")


def test_a_customer_who_goes_on_writing_is_answered_once_about_all(
    carol: Viewer, shop: Inbox, configured: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.next(say="About half of the question.", pause_seconds=0.1)
    ticket = ask(carol, shop, QUESTION)
    first = Answer.objects.get()
    when_first_shown(monkeypatch, lambda: make.say(carol, ticket, "It is the Harbour one."))
    work.perform(Answer, first.pk, operations.answer)
    first.refresh_from_db()
    assert (first.outcome, said(ticket)) == ("silent", [])

    configured.next(say=ONE_ANSWER)
    run(ticket)
    assert said(ticket) == [ONE_ANSWER]
    asked = configured.requests[-1]["body"]["messages"][-1]["content"]
    assert f"<customer>\n{QUESTION}\nIt is the Harbour one.\n</customer>" in asked


def test_the_last_moment_counts_too(
    alice: Viewer,
    carol: Viewer,
    shop: Inbox,
    configured: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Staff write after the last look at who has the word, and before the post."""
    configured.next(say=ONE_ANSWER)
    ticket = ask(carol, shop, QUESTION)

    def too_late(*args: Any, **more: Any) -> object:
        make.say(alice, ticket, "Alice here.")
        return post_answer(*args, **more)

    monkeypatch.setattr(operations, "post_answer", too_late)
    row = run(ticket)
    assert (row.outcome, row.sources, said(ticket)) == ("silent", [], [])


def test_a_word_lost_only_for_a_moment_is_taken_up_again(
    alice: Viewer,
    carol: Viewer,
    shop: Inbox,
    configured: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody turns the switch off and on again around the post."""

    def refused(*args: object, **more: object) -> None:
        return None

    ticket = ask(carol, shop, QUESTION)
    with monkeypatch.context() as patched:
        patched.setattr(operations, "post_answer", refused)
        assert (run(ticket).state, said(ticket)) == ("queued", [])
    Answer.objects.update(due_at=now())
    configured.next(say=ONE_ANSWER)
    run(ticket)
    assert said(ticket) == [ONE_ANSWER]


# --- What the subscriber missed, and what failed ------------------------------------------------


def aged(ticket: Ticket) -> Ticket:
    Ticket.objects.filter(pk=ticket.pk).update(last_message_at=now() - timedelta(seconds=30))
    return ticket


def test_a_message_that_the_subscriber_missed_is_found_once(
    carol: Viewer, shop: Inbox, settings: Settings
) -> None:
    settings.SUBSCRIPTIONS = {}
    ticket = aged(ask(carol, shop, QUESTION))
    assert not Answer.objects.exists()

    assert [operations.find_unanswered(), operations.find_unanswered()] == [1, 0]
    run(ticket)
    assert len(said(ticket)) == 1
    assert operations.find_unanswered() == 0


def test_the_sweep_leaves_alone_what_is_not_the_assistants(
    alice: Viewer, carol: Viewer, shop: Inbox, settings: Settings
) -> None:
    settings.SUBSCRIPTIONS = {}
    ask(carol, shop, "Just written: the subscriber may yet come.")
    mail = aged(make.ticket(carol, shop, QUESTION))
    Ticket.objects.filter(pk=mail.pk).update(handler="assistant")
    make.say(alice, ask(carol, shop, QUESTION), "Alice has it.")
    for_staff = aged(ask(carol, shop, QUESTION))
    ask_for_human(carol, for_staff.conversation_id)
    in_hand = aged(ask(carol, shop, QUESTION))
    Answer.objects.create(conversation=in_hand.conversation, question_seq=1)
    answered = ask(carol, shop, QUESTION)
    post_answer(
        answered.conversation_id,
        question_seq=1,
        body=ONE_ANSWER,
        sources=[],
        client_token=uuid4(),
    )
    Ticket.objects.filter(pk=aged(answered).pk).update(status="open", waiting_since=now())
    assert operations.find_unanswered() == 0


def test_an_answer_that_fails_for_good_is_staffs(
    carol: Viewer, shop: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*args: object, **more: object) -> None:
        raise RuntimeError("a bug of ours")

    ticket = ask(carol, shop, QUESTION)
    with monkeypatch.context() as patched:
        patched.setattr("ai.answering.decide", break_down)
        for attempt in range(len(Answer.RETRY_SECONDS) + 1):
            Answer.objects.update(due_at=now())
            assert run(ticket).attempts == attempt + 1
    row = Answer.objects.get()
    assert (row.state, row.error, handler(ticket)) == ("failed", "a bug of ours", "assistant")

    assert [operations.find_unanswered(), operations.find_unanswered()] == [1, 0]
    row.refresh_from_db()
    assert (row.outcome, handler(ticket)) == ("handed_over", "staff")


def test_a_second_attempt_takes_back_what_the_first_one_showed(
    carol: Viewer, shop: Inbox, rung: list[dict[str, Any]]
) -> None:
    ticket = ask(carol, shop, QUESTION)
    Answer.objects.update(attempts=1)
    run(ticket)
    assert [event["type"] for event in rung] == ["assistant.stopped", "assistant.typing"]
