"""The one piece that inbound mail, outbound mail and answers all stand on."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now
from pytest_django import Settings

from helpdesk.lib import places, work
from helpdesk.lib.errors import GiveUp
from helpdesk.lib.work import LeaseLost, Work
from tests import make
from tests.together import at_once, begin
from tickets.access import Viewer
from tickets.models import InboundEmail, Inbox, Mailbox, Team, Ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def row() -> InboundEmail:
    return InboundEmail.objects.create(raw=b"x", size_bytes=1, sha256="0")


def done(row: InboundEmail) -> None:
    with work.closing(row) as fields:
        fields["decision"] = "ignored"


def fresh(row: Work) -> Any:
    return type(row)._default_manager.get(pk=row.pk)


def test_work_is_done_once(row: InboundEmail) -> None:
    action = mock.Mock(side_effect=done)
    work.perform(InboundEmail, row.pk, action)
    work.perform(InboundEmail, row.pk, action)
    assert action.call_count == 1
    assert (fresh(row).state, fresh(row).lease) == ("done", None)


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_wins_the_claim(row: InboundEmail) -> None:
    won = at_once(*[partial(work.claim, InboundEmail, row.pk)] * 5)
    assert len([w for w in won if w]) == 1


def test_what_fails_is_tried_again_later_and_at_last_fails(row: InboundEmail) -> None:
    def broken(_: InboundEmail) -> None:
        raise OSError("the disk is full")

    for attempt, seconds in enumerate(InboundEmail.RETRY_SECONDS, start=1):
        work.perform(InboundEmail, row.pk, broken)
        now_row = fresh(row)
        assert (now_row.state, now_row.attempts, now_row.error) == (
            "queued",
            attempt,
            "the disk is full",
        )
        assert timedelta(0) < now_row.due_at - now() <= timedelta(seconds=seconds)
        work.perform(InboundEmail, row.pk, broken)
        assert fresh(row).attempts == attempt, "not due yet"
        InboundEmail.objects.update(due_at=now())
    work.perform(InboundEmail, row.pk, broken)
    assert fresh(row).state == "failed"


def test_failed_work_can_be_tried_again(row: InboundEmail) -> None:
    def hopeless(_: InboundEmail) -> None:
        raise GiveUp("never")

    work.perform(InboundEmail, row.pk, hopeless)
    assert (fresh(row).state, fresh(row).error) == ("failed", "never")
    assert work.retry(InboundEmail.objects.all()) == 1
    work.perform(InboundEmail, row.pk, done)
    assert (fresh(row).state, fresh(row).error) == ("done", "")


def test_a_worker_that_died_is_replaced_when_its_lease_ends(row: InboundEmail) -> None:
    work.claim(InboundEmail, row.pk)  # and dies
    assert list(work.overdue(InboundEmail)) == []
    InboundEmail.objects.update(leased_until=now() - timedelta(seconds=1))
    assert list(work.overdue(InboundEmail)) == [row.pk]
    work.perform(InboundEmail, row.pk, done)
    assert fresh(row).state == "done"


@pytest.mark.django_db(transaction=True)
def test_however_long_it_takes_nobody_else_begins_it(
    row: InboundEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InboundEmail, "LEASE_SECONDS", 0.3)
    taken: list[InboundEmail | None] = []

    def slow(held: InboundEmail) -> None:
        for _ in range(12):
            time.sleep(0.1)
            taken.append(work.claim(InboundEmail, held.pk))
        done(held)

    work.perform(InboundEmail, row.pk, slow)
    assert taken == [None] * 12
    assert (fresh(row).state, fresh(row).attempts) == ("done", 1)


@pytest.mark.django_db(transaction=True)
def test_work_that_hangs_is_left_to_another_worker(
    row: InboundEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InboundEmail, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(work, "HOLD_MAX_SECONDS", 0.3)

    def hangs(held: InboundEmail) -> None:
        time.sleep(1)
        assert work.claim(InboundEmail, held.pk)

    work.perform(InboundEmail, row.pk, hangs)
    assert (fresh(row).state, fresh(row).attempts) == ("running", 2)


def test_work_that_kills_its_worker_every_time_ends_as_failed(row: InboundEmail) -> None:
    for _ in range(len(InboundEmail.RETRY_SECONDS) + 1):
        assert work.claim(InboundEmail, row.pk)
        InboundEmail.objects.update(leased_until=now() - timedelta(seconds=1))
    action = mock.Mock()
    work.perform(InboundEmail, row.pk, action)
    assert not action.called
    assert fresh(row).state == "failed"


def test_who_lost_the_lease_changes_nothing(row: InboundEmail, inbox: Inbox) -> None:
    late = work.claim(InboundEmail, row.pk)
    assert late
    InboundEmail.objects.update(leased_until=now() - timedelta(seconds=1))
    assert work.claim(InboundEmail, row.pk)

    def close_late() -> None:
        with work.closing(late) as fields:
            fields["decision"] = "filed"
            Inbox.objects.update(name="changed by the late one")

    with pytest.raises(LeaseLost):
        close_late()
    assert fresh(row).state == "running"
    assert Inbox.objects.get().name == "Hello"
    with pytest.raises(LeaseLost):
        work.extend(late)


def test_a_dead_broker_does_not_stop_a_writer(row: InboundEmail) -> None:
    for way in ("current_app.send_task", "toll"):
        with mock.patch(f"helpdesk.lib.work.{way}", side_effect=OSError):
            work.ring(InboundEmail, row.pk, 0 if way == "toll" else 5)


def test_the_sweep_rings_for_what_is_due_and_was_not_heard(row: InboundEmail) -> None:
    with mock.patch("helpdesk.lib.work.ring") as ring:
        work.sweep()
        assert not ring.called, "its first bell is still on the way"
        InboundEmail.objects.update(due_at=now() - timedelta(minutes=1))
        work.sweep()
    ring.assert_called_once_with(InboundEmail, row.pk)


def test_repeating_work_is_queued_again_and_never_fails(inbox: Inbox) -> None:
    mailbox = Mailbox.objects.create(name="m", inbox=inbox, kind="folder", folder="/nowhere")

    def broken(_: Mailbox) -> None:
        raise GiveUp("no such server")

    for _ in range(8):
        work.perform(Mailbox, mailbox.pk, broken)
        assert (fresh(mailbox).state, fresh(mailbox).error) == ("queued", "no such server")
        Mailbox.objects.update(due_at=now())
    work.perform(Mailbox, mailbox.pk, lambda _: None)
    after = fresh(mailbox)
    assert (after.state, after.attempts, after.error) == ("queued", 0, "")
    assert after.due_at > now()


def test_the_database_refuses_running_work_without_a_lease(row: InboundEmail) -> None:
    with pytest.raises(IntegrityError, match="running_has_lease"), transaction.atomic():
        InboundEmail.objects.update(state="running")


def crash(_: object) -> None:
    raise RuntimeError("subscriber is broken")


def queries(_: object) -> None:
    Team.objects.count()


@pytest.mark.parametrize("name", ["crash", "queries"])
def test_a_broken_subscriber_never_blocks_a_message(
    carol: Viewer, chat: Ticket, name: str, settings: Settings
) -> None:
    settings.SUBSCRIPTIONS = {"message.posted": (f"{__name__}.{name}",)}
    assert make.say(carol, chat, "Still there?").pk


def bad_row(_: object) -> InboundEmail:
    return InboundEmail(raw=b"", size_bytes=-1, sha256="")


def test_work_that_cannot_be_written_never_blocks_a_message(
    carol: Viewer, chat: Ticket, settings: Settings
) -> None:
    settings.SUBSCRIPTIONS = {"message.posted": (f"{__name__}.bad_row",)}
    assert make.say(carol, chat, "Still there?").pk
    assert not InboundEmail.objects.exists()


# --- What hangs leaves threads to the rest ------------------------------------------------------


def failed_before(count: int) -> list[InboundEmail]:
    return [
        InboundEmail.objects.create(raw=b"x", size_bytes=1, sha256="0", attempts=1, error="hung")
        for _ in range(count)
    ]


@pytest.mark.django_db(transaction=True)
def test_what_failed_before_and_hangs_takes_three_threads_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.5)
    rows, ended, begun = failed_before(6), threading.Event(), []

    def hangs(row: InboundEmail) -> None:
        begun.append(row.pk)
        ended.wait(20)
        done(row)

    threads = begin([partial(work.perform, InboundEmail, row.pk, hangs) for row in rows], {})
    stop_at = time.monotonic() + 10
    while sum(thread.is_alive() for thread in threads) > 3 and time.monotonic() < stop_at:
        time.sleep(0.05)
    assert len(begun) == 3
    fresh_one = InboundEmail.objects.create(raw=b"x", size_bytes=1, sha256="0")
    work.perform(InboundEmail, fresh_one.pk, done)  # what has not failed is not kept waiting
    assert fresh(fresh_one).state == "done"
    waiting = list(InboundEmail.objects.filter(state="queued"))
    assert [(row.attempts, row.error) for row in waiting] == [(1, "hung")] * 3
    assert all(row.due_at > now() for row in waiting)
    ended.set()
    for thread in threads:
        thread.join()
    assert InboundEmail.objects.filter(state="done").count() == 4


@pytest.mark.django_db(transaction=True)
def test_what_failed_before_and_is_quick_now_waits_its_turn() -> None:
    rows, most, running = failed_before(12), [], []

    def quick(row: InboundEmail) -> None:
        running.append(row.pk)
        most.append(len(running))
        time.sleep(0.02)
        running.remove(row.pk)
        done(row)

    at_once(*(partial(work.perform, InboundEmail, row.pk, quick) for row in rows))
    assert InboundEmail.objects.filter(state="done").count() == 12
    assert max(most) == 3
