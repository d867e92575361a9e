"""Mail comes in: what mailboxes hold is recorded. The network is talked to outside transactions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from helpdesk.lib import work
from helpdesk.lib.errors import TemporaryFailure
from tickets.mail import fetch_folder, fetch_imap, fetch_pop3
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.mail.trial import trial_in
from tickets.models import InboundEmail, Mailbox
from tickets.operations.sign_in import access_token

T = TypeVar("T")

FETCH_AT_ONCE = 25  # mails between two moves of the cursor
FETCH_MAX_MAILS = 2_000  # in one run; the next run goes on
FETCH_MAX_SECONDS = 60
ROWS_AT_ONCE = 2_000
PASSED_OVER = "It was there before this mailbox was set up."
ONCE = ("inboundemail_uid_once", "inboundemail_uidl_once")
TRIAL = "It is the test mail of the set-up."


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
            row.save(force_insert=True)
            if rings and not error:
                work.ring_on_commit(row)
    except IntegrityError as refused:
        if not any(name in str(refused) for name in ONCE):
            raise
        return None
    return row


def fetch_mailbox(mailbox: Mailbox) -> None:
    """Record what is new in one mailbox. Performed again and again; a crash repeats nothing.

    One mail that cannot be had never delays the next. Raises TemporaryFailure if the mailbox
    cannot be reached or a file could not be read; what was read before stays recorded.
    """
    if mailbox.kind == Mailbox.Kind.FOLDER:
        _fetch_folder(mailbox)
    elif mailbox.kind == Mailbox.Kind.POP3:
        _fetch_pop3(mailbox)
    elif mailbox.kind == Mailbox.Kind.IMAP:
        _fetch_imap(mailbox)
    with work.closing(mailbox) as fields:
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
            raw, problems = _bounded(raw)
            record_inbound(raw, mailbox=mailbox, source=path.name, problems=problems)
            fetch_folder.put_away(path, folder)
        work.extend(mailbox)
    if unread:
        raise TemporaryFailure(f"{len(unread)} files could not be read: {'; '.join(unread[:5])}")


def _by_few(things: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, FETCH_AT_ONCE)):
        yield some


def _bounded(raw: bytes) -> tuple[bytes, list[str]]:
    """What we keep of a mail beyond all measure; the file itself stays in `done/`."""
    if len(raw) <= RAW_MAX_BYTES:
        return raw, []
    return raw[:RAW_MAX_BYTES], [_too_large(len(raw))]


def _too_large(size: int) -> str:
    return f"Larger than {RAW_MAX_BYTES:,} bytes ({size:,}): only the beginning was stored."


def _fetch_imap(mailbox: Mailbox) -> None:
    stop_at = time.monotonic() + FETCH_MAX_SECONDS
    token = access_token(mailbox)
    with fetch_imap.opened(mailbox, writable=mailbox.mark_seen, token=token) as folder:
        last_uid = mailbox.last_uid if mailbox.uidvalidity == folder.uidvalidity else 0
        uids = islice(folder.uids_after(last_uid), FETCH_MAX_MAILS)
        for some in _by_few(uids):
            sizes = folder.sizes(some)
            for uid in some:
                if uid in sizes:  # otherwise somebody has just removed it
                    _record_from_server(mailbox, folder, uid, sizes[uid])
            _move_cursor(mailbox, folder.uidvalidity, some[-1])
            if mailbox.mark_seen:
                folder.mark_seen(some)
            if time.monotonic() > stop_at:
                return


def _record_from_server(
    mailbox: Mailbox, folder: fetch_imap.Folder, uid: int, size: int
) -> InboundEmail | None:
    raw, problems, refused = b"", [], ""
    try:
        if size > RAW_MAX_BYTES:
            problems.append(_too_large(size))
        raw = folder.raw(uid, header_only=bool(problems))
    except fetch_imap.NotHandedOver as error:
        refused = str(error)
    return record_inbound(
        raw,
        mailbox=mailbox,
        uidvalidity=folder.uidvalidity,
        uid=uid,
        source=f"{mailbox.username}, {mailbox.folder}, mail {uid}",
        problems=problems,
        error=refused,
    )


def _fetch_pop3(mailbox: Mailbox) -> None:
    stop_at = time.monotonic() + FETCH_MAX_SECONDS
    with fetch_pop3.opened(mailbox, token=access_token(mailbox)) as maildrop:
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
            source=f"{mailbox.username}, mail {uidl}",
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
    return record_inbound(
        raw,
        mailbox=mailbox,
        uidl=uidl,
        source=f"{mailbox.username}, mail {uidl}",
        problems=problems,
        error=refused,
    )


def _move_cursor(mailbox: Mailbox, uidvalidity: int, last_uid: int) -> None:
    """After the mails are committed, and only while the mailbox is ours."""
    mine = Mailbox.objects.filter(pk=mailbox.pk, lease=mailbox.lease)
    until = now() + timedelta(seconds=mailbox.LEASE_SECONDS)
    if not mine.update(uidvalidity=uidvalidity, last_uid=last_uid, leased_until=until):
        raise work.LeaseLost
    mailbox.uidvalidity, mailbox.last_uid = uidvalidity, last_uid
