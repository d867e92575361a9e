"""Mail comes in: what mailboxes hold is recorded. The network is talked to outside transactions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from helpdesk.lib import prepared, work
from helpdesk.lib.errors import TemporaryFailure
from tickets.mail import fetch_folder, fetch_imap, fetch_pop3
from tickets.mail.lines import BrokeOff
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.mail.trial import trial_in
from tickets.models import InboundEmail, Mailbox
from tickets.operations import ledger
from tickets.operations.sign_in import signing_in

T = TypeVar("T")

FETCH_AT_ONCE = 25  # mails between two moves of the cursor
FETCH_MAX_MAILS = 2_000  # in one run; the next run goes on
FETCH_MAX_SECONDS = 60
ROWS_AT_ONCE = 2_000
PASSED_OVER = "It was there before this mailbox was set up."
ONCE = ("inboundemail_uid_once", "inboundemail_uidl_once")
TRIAL = "It is the test mail of the set-up."
LARGE_BYTES = 5_000_000  # after a mail larger than this the cursor moves at once


def record_inbound(
    raw: bytes,
    *,
    mailbox: Mailbox | None = None,
    uidvalidity: int | None = None,
    uid: int | None = None,
    uidl: str | None = None,
    source: str = "",
    problems: Sequence[str] = (),
    error: str = "",
    rings: bool = True,
) -> InboundEmail | None:
    """Store a mail byte for byte and ask for it to be filed. It is safe once this returns.

    `source` says how it came. A mail that the same mailbox already recorded under the same
    (uidvalidity, uid) or `uidl` is not stored again: the answer is None. `problems` are kept with
    what the parser finds. With `error` the row is kept as failed, to be retried by hand. A caller
    who files it at once says so with `rings=False`. The set-up page's test mail is recorded as
    ignored.
    """
    row = InboundEmail(
        mailbox=mailbox,
        uidvalidity=uidvalidity,
        uid=uid,
        uidl=uidl,
        source=source[:500],
        raw=raw,
        size_bytes=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        problems=list(problems),
    )
    if error:
        row.state, row.error, row.finished_at = row.State.FAILED, error, now()
    elif trial := trial_in(raw):
        row.state, row.finished_at, rings = row.State.DONE, now(), False
        row.decision, row.reason, row.rfc_message_id = row.Decision.IGNORED, TRIAL, trial
    try:
        with transaction.atomic():
            prepared.insert(row)
            if rings and not error:
                work.ring_on_commit(row)
    except IntegrityError as refused:
        if not any(name in str(refused) for name in ONCE):
            raise
        return None
    if len(raw) > LARGE_BYTES:
        _let_go()
    return row


def _let_go() -> None:
    """libpq keeps a buffer as large as the largest statement it has sent, for as long as the
    connection lasts. The next statement opens another one."""
    if connection.connection is not None and not connection.in_atomic_block:
        connection.connection.close()  # a pool would keep it otherwise
        connection.close()


def fetch_mailbox(mailbox: Mailbox) -> None:
    """Record what is new in one mailbox. Performed again and again; a crash repeats nothing.

    One mail that cannot be had never delays the next. Raises TemporaryFailure if the mailbox
    cannot be reached or a file could not be read; what was read before stays recorded.
    """
    match mailbox.kind:
        case Mailbox.Kind.FOLDER:
            _fetch_folder(mailbox)
        case Mailbox.Kind.IMAP:
            _fetch_imap(mailbox)
        case Mailbox.Kind.POP3:
            _fetch_pop3(mailbox)
    with work.closing(mailbox) as fields:
        if mailbox.kind == Mailbox.Kind.HOOK:  # its mails are brought: there is nothing to look at
            fields["error"] = mailbox.error
        else:
            fields["last_ok_at"] = now()


def _fetch_folder(mailbox: Mailbox) -> None:
    folder = settings.DATA_DIR / mailbox.folder  # an absolute path stays as it is
    if folder.is_relative_to(settings.DATA_DIR):  # elsewhere a missing folder is a wrong setting
        folder.mkdir(parents=True, exist_ok=True)
    unread: list[str] = []
    paths = islice(fetch_folder.waiting(folder), FETCH_MAX_MAILS)
    for some in _by_few(paths):
        for path in some:
            try:
                raw = path.read_bytes()
            except OSError as error:
                unread.append(f"{path.name}: {error.strerror}")
                continue
            raw, problems = bounded(raw)
            record_inbound(raw, mailbox=mailbox, source=path.name, problems=problems)
            fetch_folder.put_away(path, folder)
        work.extend(mailbox)
    if unread:
        raise TemporaryFailure(f"{len(unread)} files could not be read: {'; '.join(unread[:5])}")


def _by_few(things: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, FETCH_AT_ONCE)):
        yield some


def bounded(raw: bytes) -> tuple[bytes, list[str]]:
    """What we keep of a mail beyond all measure; the file itself stays in `done/`."""
    if len(raw) <= RAW_MAX_BYTES:
        return raw, []
    return raw[:RAW_MAX_BYTES], [_too_large(len(raw))]


def _too_large(size: int) -> str:
    return f"Larger than {RAW_MAX_BYTES:,} bytes ({size:,}): only the beginning was stored."


def _past_breaks(look: Callable[[], None], give_up: Callable[[BrokeOff], object]) -> None:
    """A line that breaks in the middle of a mail is tried once more; where it breaks there again
    while others come through, that mail is recorded as failed and the rest goes on."""
    suspect = ""
    given_up = False
    while True:
        try:
            look()
            return
        except BrokeOff as broke:
            if broke.name != suspect:
                suspect = broke.name
                continue
            if given_up:  # a second one in one run: it is the server, not the mail
                raise
            given_up = True
            give_up(broke)


def _fetch_imap(mailbox: Mailbox) -> None:
    stop_at = time.monotonic() + FETCH_MAX_SECONDS

    def look() -> None:
        with (
            signing_in(mailbox) as token,
            fetch_imap.opened(mailbox, writable=mailbox.mark_seen, token=token) as folder,
        ):
            _look_into(mailbox, folder, stop_at)

    def give_up(broke: BrokeOff) -> None:
        uid = int(broke.name)
        name = {"uidvalidity": mailbox.uidvalidity, "uid": uid}
        _record_kept_back(mailbox, broke, source=_source(mailbox, uid), **name)

    _past_breaks(look, give_up)


def _look_into(mailbox: Mailbox, folder: fetch_imap.Folder, stop_at: float) -> None:
    ledger.turn_to(mailbox, folder)
    most = FETCH_MAX_MAILS
    span = ledger.span_of(mailbox, low=mailbox.last_uid + 1, high=folder.highest_uid)
    uids = folder.uids(span, most=most) if span.low <= span.high else []
    for some in _by_few(uids):
        recorded = _record_some(mailbox, folder, some)
        _move_cursor(mailbox, some[-1])
        if mailbox.mark_seen and recorded:
            folder.mark_seen(recorded)
        if time.monotonic() > stop_at:
            return
    if len(uids) == most:
        return
    if span.high - mailbox.last_uid > fetch_imap.MAILS_PER_SEARCH:
        _move_cursor(mailbox, span.high)  # past a gap, which is not to be searched again
    if ledger.is_due(mailbox):
        ledger.note(mailbox, last_ok_at=now())
        found = partial(_record_from_server, mailbox, folder, how="found by comparing")
        ledger.compare(mailbox, folder, found)


def _record_some(mailbox: Mailbox, folder: fetch_imap.Folder, uids: Sequence[int]) -> list[int]:
    """Those of them that are ours and still there; what is recorded is not asked for again."""
    known = ledger.known_uids(mailbox, uids)
    outlines = folder.outlines(uids)
    ours = [uid for uid in uids if uid in outlines and ledger.is_ours(mailbox, uid, outlines[uid])]
    for uid in ours:
        if uid not in known:
            _record_from_server(mailbox, folder, uid, outlines[uid])
        if outlines[uid].size > LARGE_BYTES:
            _move_cursor(mailbox, uid)
    return ours


def _record_from_server(
    mailbox: Mailbox,
    folder: fetch_imap.Folder,
    uid: int,
    outline: fetch_imap.Outline,
    *,
    how: str = "",
) -> InboundEmail | None:
    raw, problems, refused = b"", [], ""
    try:
        if outline.size > RAW_MAX_BYTES:
            problems.append(_too_large(outline.size))
        raw = folder.raw(uid, header_only=bool(problems))
    except fetch_imap.NotHandedOver as error:
        if uid not in folder.outlines([uid]):
            return None  # somebody has just removed it
        refused = str(error)
    return record_inbound(
        raw,
        mailbox=mailbox,
        uidvalidity=folder.uidvalidity,
        uid=uid,
        source=_source(mailbox, uid, how),
        problems=problems,
        error=refused,
    )


def _fetch_pop3(mailbox: Mailbox) -> None:
    stop_at = time.monotonic() + FETCH_MAX_SECONDS

    def look() -> None:
        with signing_in(mailbox) as token, fetch_pop3.opened(mailbox, token=token) as maildrop:
            _empty(mailbox, maildrop, stop_at)

    def give_up(broke: BrokeOff) -> None:
        source = _pop3_source(mailbox, broke.name)
        _record_kept_back(mailbox, broke, source=source, uidl=broke.name)

    _past_breaks(look, give_up)


def _empty(mailbox: Mailbox, maildrop: fetch_pop3.Maildrop, stop_at: float) -> None:
    """Record what is new; all of it stays where it is."""
    places = maildrop.places()
    if mailbox.began_at is not None and mailbox.last_ok_at is None:
        _pass_over(mailbox, places)
        return
    known = InboundEmail.objects.filter(mailbox=mailbox, uidl__in=places)
    new = places.keys() - set(known.values_list("uidl", flat=True))
    for uidl in islice((uidl for uidl in places if uidl in new), FETCH_MAX_MAILS):
        _record_from_maildrop(mailbox, maildrop, uidl, places[uidl])
        if time.monotonic() > stop_at:
            return


def _pass_over(mailbox: Mailbox, uidls: Iterable[str]) -> None:
    """Leave alone what lies there when a mailbox begins. When a mail came POP3 does not say, so
    each gets a row; those that have one keep it, so that a crash repeats nothing."""
    rows = [
        InboundEmail(
            mailbox=mailbox,
            uidl=uidl,
            raw=b"",
            size_bytes=0,
            source=_pop3_source(mailbox, uidl),
            state=InboundEmail.State.DONE,
            finished_at=now(),
            decision=InboundEmail.Decision.IGNORED,
            reason=PASSED_OVER,
        )
        for uidl in uidls
    ]
    InboundEmail.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)


def _record_from_maildrop(
    mailbox: Mailbox, maildrop: fetch_pop3.Maildrop, uidl: str, place: fetch_pop3.Place
) -> InboundEmail | None:
    raw, problems, refused = b"", [], ""
    try:
        if place.size_bytes > RAW_MAX_BYTES:
            problems.append(_too_large(place.size_bytes))
        raw = maildrop.raw(place.number, header_only=bool(problems))
    except fetch_pop3.NotHandedOver as error:
        refused = str(error)
    except TemporaryFailure as error:
        raise BrokeOff(str(error), uidl) from error
    return record_inbound(
        raw,
        mailbox=mailbox,
        uidl=uidl,
        source=_pop3_source(mailbox, uidl),
        problems=problems,
        error=refused,
    )


def _record_kept_back(mailbox: Mailbox, broke: BrokeOff, **name: Any) -> None:
    error = f"Each time this mail was asked for, the line broke: {broke}"
    record_inbound(b"", mailbox=mailbox, error=error, **name)


def _source(mailbox: Mailbox, uid: int, how: str = "") -> str:
    place = f"{mailbox.username}, {mailbox.folder}, mail {uid}"
    return f"{place}, {how}" if how else place


def _pop3_source(mailbox: Mailbox, uidl: str) -> str:
    return f"{mailbox.username}, mail {uidl}"


def _move_cursor(mailbox: Mailbox, last_uid: int) -> None:
    """After the mails are committed, and only while the mailbox is ours."""
    ledger.note(mailbox, last_uid=last_uid, last_ok_at=now())
