"""The ledger: every mail that was seen on a server has a row, and the two are compared.

A mail is known by (mailbox, UIDVALIDITY, UID). What a mailbox is not asked for is what lay in it
before it began, if it was told to begin from now on: those have no row and need none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count
from django.utils.timezone import now

from helpdesk.lib import work
from tickets.mail import fetch_imap
from tickets.mail.fetch_imap import Folder, Outline, Span
from tickets.models import InboundEmail, Mailbox

log = logging.getLogger(__name__)

COMPARE_EVERY = timedelta(minutes=5)
FIND_MAX = 2_000  # mails that one comparison records
COMPARE_MAX_MAILS = 500_000  # the latest ones; it takes a second for each 300,000
ASK_AGAIN_AFTER = timedelta(hours=1)  # for a mail that the server kept back
ASK_AGAIN_MAX = 10
DAY = timedelta(days=1)

Record = Callable[[int, Outline], InboundEmail | None]


def begin_from_now(mailbox: Mailbox) -> None:
    """Leave alone what lies in an IMAP mailbox at this moment; only what comes from now on is ours.

    For a mailbox that is being set up: it is not saved here. Raises TemporaryFailure with a
    sentence if it cannot be opened.
    """
    with fetch_imap.opened(mailbox, writable=False) as folder:
        mailbox.uidvalidity = folder.uidvalidity
        mailbox.last_uid = mailbox.floor_uid = folder.highest_uid
        mailbox.began_at = now()


def turn_to(mailbox: Mailbox, folder: Folder) -> None:
    """Let the cursor stand where it belongs in the folder that was found."""
    highest = folder.highest_uid
    if mailbox.uidvalidity != folder.uidvalidity:
        # Everything has new numbers, also what lay there before we began: that is known by its age.
        floor = highest if mailbox.began_at else 0
        note(mailbox, uidvalidity=folder.uidvalidity, last_uid=0, floor_uid=floor)
    elif mailbox.last_uid > highest:
        # Numbers that are given a second time: a server that came back from a backup. What had
        # them is not there any more, or will be known again by what it says.
        log.warning("mailbox %s: its UIDs went back to %s", mailbox, highest)
        rows = _rows(mailbox).filter(uid__gt=highest)
        rows.update(uidvalidity=None, uid=None)
        note(mailbox, last_uid=highest)


def span_of(mailbox: Mailbox, *, low: int, high: int) -> Span:
    """Of these UIDs, those that are ours; by the day, which is as fine as a server searches."""
    if mailbox.began_at is None:
        return Span(low, high)
    # The server's day may have begun earlier than ours.
    return Span(low, high, mailbox.floor_uid, mailbox.began_at - DAY)


def is_ours(mailbox: Mailbox, uid: int, outline: Outline) -> bool:
    """Whether a mail came after the mailbox began."""
    if mailbox.began_at is None or uid > mailbox.floor_uid or outline.came_at is None:
        return True
    return outline.came_at >= mailbox.began_at


def known_uids(mailbox: Mailbox, uids: Collection[int]) -> set[int]:
    """Those of them that have a row."""
    if not uids:
        return set()
    between = _rows(mailbox).filter(uid__range=(min(uids), max(uids)))
    return set(between.values_list("uid", flat=True)) & set(uids)


def is_due(mailbox: Mailbox) -> bool:
    return mailbox.compared_at is None or now() - mailbox.compared_at > COMPARE_EVERY


def compare(mailbox: Mailbox, folder: Folder, record: Record) -> None:
    """Compare the server's mails up to the cursor with the ledger, latest first.

    What has no row gets one by `record`. A mail whose bytes the server keeps back is missing,
    also where a failed row says so; it is asked for again each hour. The mailbox notes how many
    are missing: none where server and ledger agree.
    """
    missing = seen = left = 0
    room = FIND_MAX
    span = span_of(mailbox, low=1, high=mailbox.last_uid)
    for some in folder.windows(span):
        lacking = _lacking(mailbox, folder, some)
        for uid, outline in lacking[:room]:
            log.warning("mailbox %s: mail %s was not in the ledger", mailbox, uid)
            record(uid, outline)
        left += len(lacking[room:])
        room = max(room - len(lacking), 0)
        missing += _kept_back(mailbox, some)
        work.extend(mailbox)
        seen += len(some)
        if seen >= COMPARE_MAX_MAILS or (mailbox.began_at and not some):
            break  # what lies below is older than the mailbox
    # Where there were too many for one run, the next one goes on at once.
    note(mailbox, compared_at=None if left else now(), missing_count=missing + left)


def _lacking(mailbox: Mailbox, folder: Folder, uids: set[int]) -> list[tuple[int, Outline]]:
    """Those of these mails of the server that are ours and have no row."""
    unknown = sorted(uids - known_uids(mailbox, uids))
    outlines = folder.outlines(unknown).items()
    return [(uid, outline) for uid, outline in outlines if is_ours(mailbox, uid, outline)]


def _kept_back(mailbox: Mailbox, uids: Collection[int]) -> int:
    """How many of these mails of the server have a row without their bytes."""
    if not uids:
        return 0
    rows = _rows(mailbox).filter(state=InboundEmail.State.FAILED, size_bytes=0)
    kept = rows.filter(uid__range=(min(uids), max(uids))).values_list("pk", "uid", "finished_at")
    still_there = [(pk, tried_at) for pk, uid, tried_at in kept if uid in uids]
    long_ago = now() - ASK_AGAIN_AFTER
    again = [pk for pk, tried_at in still_there if tried_at is None or tried_at < long_ago]
    work.retry(InboundEmail.objects.filter(pk__in=again[:ASK_AGAIN_MAX]))
    return len(still_there)


def note(mailbox: Mailbox, **fields: Any) -> None:
    """Write to a mailbox that we are working on; hold it for another while. Raises LeaseLost."""
    mine = Mailbox.objects.filter(pk=mailbox.pk, lease=mailbox.lease)
    until = now() + timedelta(seconds=mailbox.LEASE_SECONDS)
    if not mine.update(leased_until=until, **fields):
        raise work.LeaseLost
    for name, value in fields.items():
        setattr(mailbox, name, value)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the mails of one mailbox. The counts add up to all its rows; `missing` are
    those on the server that we lack, as of the last comparison."""

    filed: int = 0
    duplicate: int = 0
    ignored: int = 0
    failed: int = 0
    waiting: int = 0
    missing: int = 0


def tally(mailbox: Mailbox) -> Tally:
    """Counted when it is asked for: for a page that is rarely looked at."""
    rows = InboundEmail.objects.filter(mailbox=mailbox).values_list("state", "decision")
    counts: Counter[str] = Counter()
    for state, decision, number in rows.annotate(number=Count("pk")).order_by():
        if state == InboundEmail.State.FAILED:
            counts["failed"] += number
        else:
            counts[decision or "waiting"] += number
    return Tally(**counts, missing=mailbox.missing_count)


def _rows(mailbox: Mailbox) -> Any:
    return InboundEmail.objects.filter(mailbox=mailbox, uidvalidity=mailbox.uidvalidity)
