"""Work that must happen after a commit: a row is the promise, Celery is the hands.

A row is written in the transaction that makes the work necessary. A task claims it by
compare-and-set, performs it outside any transaction, and closes it only while its lease is
still its own. The lease is short and extended for as long as the work goes on, so that a worker
that died is missed within seconds. A sweep rings again for rows that are due or whose worker
died, so Redis may lose everything at any moment: that costs seconds, never a piece of work.

    queued ──claim──> running ──close──> done
      ^                  │
      └── retry later ───┴── attempts used up, or GiveUp ──> failed ── retry() ──> queued
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Thread
from typing import Any, ClassVar, TypeVar, cast

from celery import current_app
from django.apps import apps
from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.models import Q, QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from helpdesk.lib import prepared
from helpdesk.lib.bell import EXPIRES_SECONDS, toll
from helpdesk.lib.errors import GiveUp, StorageAway, TemporaryFailure
from helpdesk.lib.places import NoPlace, Places
from helpdesk.lib.redis_client import AWAY, asking_redis, redis_client

log = logging.getLogger(__name__)

ERROR_MAX_CHARS = 2_000
SWEEP_BATCH_ROWS = 200
SWEPT_KEY = "work:swept_at"
# A row that was rung less than this long ago is on its way to a worker; the sweep leaves it.
RING_GRACE_SECONDS = 5
# What is due later than this is left to the sweep: a bell that is set for later costs several times
# what one does that rings now.
BELL_MAX_SECONDS = 60
# Of what failed before so many at once, of each kind in each worker: what it waits for may hang.
AGAIN_AT_ONCE = 3
NO_PLACE_SECONDS = 15  # until what found no place is tried again
AWAY_SECONDS = 30  # until files are asked for again that could not be had
# A piece of work that takes longer than this hangs: its lease is left to run out.
HOLD_MAX_SECONDS = 900


_places: dict[type[Work], Places] = {}


class LeaseLost(Exception):
    """Another worker took the row over. Everything in the closing transaction rolls back."""


class Work(models.Model):
    """A piece of work that survives any process. Subclasses are the concrete queues."""

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    TASK: ClassVar[str]  # name of the Celery task that performs one row
    LEASE_SECONDS: ClassVar[float] = 10
    RETRY_SECONDS: ClassVar[tuple[int, ...]] = (5, 30, 120, 600)
    # Repeating work is queued again when it is done, and never ends as failed.
    REPEATS: ClassVar[bool] = False
    # Columns that a claim reads as another expression, because they may be very large.
    CLAIMED_AS: ClassVar[dict[str, str]] = {}

    state = models.CharField(_("state"), max_length=8, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    due_at = models.DateTimeField(_("due at"), default=now)
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True, editable=False)
    lease = models.UUIDField(null=True, blank=True, editable=False)
    error = models.TextField(_("error"), blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", lease__isnull=False, leased_until__isnull=False)
                | (~Q(state="running") & Q(lease__isnull=True, leased_until__isnull=True)),
                name="%(app_label)s_%(class)s_running_has_lease",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(state="queued"),
                name="%(app_label)s_%(class)s_due",
            ),
            models.Index(
                fields=["leased_until"],
                condition=Q(state="running"),
                name="%(app_label)s_%(class)s_leased",
            ),
            models.Index(
                fields=["id"],
                condition=Q(state="failed"),
                name="%(app_label)s_%(class)s_failed",
            ),
        ]

    def next_due_at(self) -> datetime:
        """When repeating work is to run again. Only asked where REPEATS is true."""
        raise NotImplementedError


Row = TypeVar("Row", bound=Work)


def claimable(model: type[Row]) -> QuerySet[Row]:
    """Rows that a worker may start now: due, or left by a worker that died."""
    moment = now()
    return model._default_manager.filter(
        Q(state=Work.State.QUEUED, due_at__lte=moment)
        | Q(state=Work.State.RUNNING, leased_until__lt=moment)
    )


# The rule of `claimable` and the claim in one statement: of several workers, the one whose UPDATE
# still finds the row claimable has it.
CLAIM = """
UPDATE {table}
   SET state = 'running', lease = %s, leased_until = %s, attempts = attempts + 1
 WHERE id = %s
   AND (state = 'queued' AND due_at <= %s OR state = 'running' AND leased_until < %s)
"""


def claim(model: type[Row], pk: int) -> Row | None:
    """Take one row for this worker, or None if it is not to be had. One UPDATE decides."""
    moment = now()
    until = moment + timedelta(seconds=model.LEASE_SECONDS)
    given = [uuid.uuid4(), until, pk, moment, moment]
    return prepared.returned(model, CLAIM, given, **model.CLAIMED_AS)


def perform(
    model: type[Row],
    pk: int,
    action: Callable[[Row], None],
    *,
    gave_up: Callable[[Row], None] | None = None,
) -> None:
    """Claim a row, run `action(row)` outside any transaction, and close the row.

    A second call while the row is running, done or not yet due does nothing. The lease is
    held for at most HOLD_MAX_SECONDS, however long `action` takes. A row that failed before waits
    for others of its kind that failed before and hang (AGAIN_AT_ONCE). If `action` raises, the row
    is queued again after RETRY_SECONDS, or fails when its attempts are used up or the error is
    GiveUp; StorageAway uses up none. The error is kept on the row and in the log, never raised.
    `gave_up(row)` is called in the transaction that fails the row.
    """
    row = claim(model, pk)
    if row is None:
        return
    try:
        if row.attempts > len(model.RETRY_SECONDS) + 1 and not model.REPEATS:
            raise GiveUp(row.error or "The worker died each time this was tried.")
        with _place(row), _held(row):
            action(row)
        if row.state == Work.State.RUNNING:
            with closing(row):
                pass  # the action left nothing to close with
    except LeaseLost:
        log.warning("%s %s: taken over by another worker", model.__name__, pk)
    except NoPlace:
        _step_back(row)
    except Exception as error:
        expected = isinstance(error, GiveUp | StorageAway | TemporaryFailure)
        text = "%s %s: attempt %s failed: %s"
        log.warning(text, model.__name__, pk, row.attempts, error, exc_info=not expected)
        _put_off(row, error, gave_up)


@contextmanager
def closing(row: Work) -> Iterator[dict[str, Any]]:
    """One transaction that closes the row as done together with the effects inside it.

    The effects therefore happen exactly once. Yields a dict: what is put there is written to
    the row in the same UPDATE. Raises LeaseLost, and rolls everything back, if another
    worker has taken the row over meanwhile.
    """
    fields: dict[str, Any] = {"finished_at": now(), "error": ""}
    state = Work.State.QUEUED if row.REPEATS else Work.State.DONE
    with transaction.atomic():
        yield fields
        if row.REPEATS:
            fields |= {"attempts": 0, "due_at": row.next_due_at()}
        _close(row, state, **fields)
    row.state = state


@contextmanager
def _held(row: Work) -> Iterator[None]:
    """Extend the lease again and again from a thread of its own, until the block ends."""
    ended = Event()
    holder = Thread(target=_hold, args=(row, ended), name=f"holds {row.pk}", daemon=True)
    holder.start()
    try:
        yield
    finally:
        ended.set()
        holder.join()


def _hold(row: Work, ended: Event) -> None:
    stop_at = time.monotonic() + HOLD_MAX_SECONDS
    while not ended.wait(row.LEASE_SECONDS / 3) and time.monotonic() < stop_at:
        try:
            extend(row)
        except LeaseLost:
            return  # whoever performs the row learns of it when they close it
        except (OperationalError, InterfaceError) as error:
            log.warning("%s %s: lease not extended, %s", type(row).__name__, row.pk, error)
        finally:
            connection.close()


def extend(row: Work) -> None:
    """Hold a row for another LEASE_SECONDS from now. Raises LeaseLost if it is no longer ours."""
    until = now() + timedelta(seconds=row.LEASE_SECONDS)
    if not _mine(row).update(leased_until=until):
        raise LeaseLost


def retry(rows: QuerySet[Row]) -> int:
    """Run again, at once and from the first attempt, what failed or waits for its next attempt.
    Returns how many rows there were."""
    again = Q(state=Work.State.FAILED) | Q(state=Work.State.QUEUED, due_at__gt=now())
    pks = list(rows.filter(again).values_list("pk", flat=True))
    model = rows.model
    count = model._default_manager.filter(again, pk__in=pks).update(
        state=Work.State.QUEUED, attempts=0, due_at=now(), finished_at=None
    )
    for pk in pks:
        ring(model, pk)
    return count


def ring(model: type[Work], pk: int, wait_seconds: float = 0) -> None:
    """Tell a worker that a row is due, or will be in a moment. A dead broker is no matter: the
    sweep rings again."""
    try:
        with asking_redis():
            if wait_seconds <= 0:
                toll(model.TASK, pk)
                return
            current_app.send_task(
                model.TASK,
                [pk],
                countdown=wait_seconds,
                expires=wait_seconds + EXPIRES_SECONDS,
                retry=False,
                ignore_result=True,
            )
    except Exception as error:  # noqa: BLE001 - kombu wraps each transport's errors differently
        log.warning("%s %s: not rung, %s", model.__name__, pk, error)


def ring_on_commit(row: Work) -> None:
    """Ring for a row once the transaction that wrote it has committed, for when it is due: the
    sweep rings for what is due later than in BELL_MAX_SECONDS."""
    wait_seconds = (row.due_at - now()).total_seconds()
    if wait_seconds > BELL_MAX_SECONDS:
        return
    transaction.on_commit(partial(ring, type(row), row.pk, wait_seconds), robust=True)


def sweep() -> int:
    """Ring for every row that waits longer than its bell should take. Returns how many."""
    rung = 0
    for model in work_models():
        for pk in overdue(model):
            ring(model, pk)
            rung += 1
    _note_sweep()
    return rung


def _note_sweep() -> None:
    try:
        with asking_redis():
            redis_client().set(SWEPT_KEY, now().isoformat())
    except AWAY as error:
        log.warning("sweep not noted: %s", error)


def swept_at() -> datetime | None:
    """When the last sweep ended, on whatever machine; None if Redis knows of none. Raises a
    RedisError if Redis is away."""
    noted = cast("bytes | None", redis_client().get(SWEPT_KEY))
    return datetime.fromisoformat(noted.decode()) if noted else None


def overdue(model: type[Work]) -> Iterable[int]:
    """The rows a sweep rings for, longest waiting first."""
    # Nobody rings for repeating work but the sweep.
    late = now() - timedelta(seconds=0 if model.REPEATS else RING_GRACE_SECONDS)
    rows = claimable(model).filter(Q(state=Work.State.RUNNING) | Q(due_at__lte=late))
    return list(rows.order_by("due_at").values_list("pk", flat=True)[:SWEEP_BATCH_ROWS])


def work_models() -> list[type[Work]]:
    """Every concrete queue of the installed apps."""
    return [model for model in apps.get_models() if issubclass(model, Work)]


def _mine(row: Work) -> QuerySet[Work]:
    return type(row)._default_manager.filter(pk=row.pk, lease=row.lease)


def _close(row: Work, state: Work.State, **fields: Any) -> None:
    fields |= {"state": state, "lease": None, "leased_until": None}
    if not prepared.save_if(row, fields, lease=row.lease):
        raise LeaseLost


def _place(row: Work) -> AbstractContextManager[None]:
    if row.attempts <= 1:
        return nullcontext()
    return _places.setdefault(type(row), Places(AGAIN_AT_ONCE)).one()


def _step_back(row: Work) -> None:
    """Wait for others of its kind that hang. It has not been tried, so that costs no attempt."""
    due_at, attempts = now() + timedelta(seconds=NO_PLACE_SECONDS), row.attempts - 1
    with suppress(LeaseLost):
        _close(row, Work.State.QUEUED, due_at=due_at, attempts=attempts)


def _put_off(row: Row, error: Exception, gave_up: Callable[[Row], None] | None) -> None:
    message = (str(error) or type(error).__name__)[:ERROR_MAX_CHARS]
    waits = row.RETRY_SECONDS
    last = isinstance(error, GiveUp) or row.attempts > len(waits)
    try:
        if isinstance(error, StorageAway):  # however long that lasts: it costs no attempt
            due_at, attempts = now() + timedelta(seconds=AWAY_SECONDS), row.attempts - 1
            _close(row, Work.State.QUEUED, error=message, due_at=due_at, attempts=attempts)
            return
        if last and not row.REPEATS:
            with transaction.atomic():
                _close(row, Work.State.FAILED, error=message, finished_at=now())
                if gave_up is not None:
                    _tell(gave_up, row)
            return
        wait = waits[min(row.attempts, len(waits)) - 1]
        due_at = now() + timedelta(seconds=wait)
        _close(row, Work.State.QUEUED, error=message, due_at=due_at)
    except LeaseLost:
        log.warning("%s %s: taken over by another worker", type(row).__name__, row.pk)


def _tell(gave_up: Callable[[Row], None], row: Row) -> None:
    """A fault in what follows from a failure must not make the row run again."""
    try:
        with transaction.atomic():
            gave_up(row)
    except Exception:
        log.exception(
            "%s %s: what follows from its failure was not done", type(row).__name__, row.pk
        )
