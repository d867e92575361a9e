"""Mail comes in and leaves. The network is talked to here, outside any transaction."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils.timezone import now

from helpdesk.lib import prepared, work
from helpdesk.lib.errors import GiveUp, TemporaryFailure
from tickets import events
from tickets.access import Viewer, access_ticket
from tickets.mail import fetch_folder, fetch_imap
from tickets.mail.addresses import is_address
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.mail.render import one_line, render
from tickets.mail.send import send
from tickets.models import InboundEmail, Mailbox, Message, OutgoingEmail, Ticket
from tickets.operations.enclosures import with_files
from tickets.operations.filing import file_inbound
from tickets.operations.letters import letter_for
from tickets.operations.timeline import append_change, locked, ticket_of
from tickets.queries import undelivered_mails

__all__ = [
    "deliver",
    "fetch_mailbox",
    "file_inbound",
    "record_inbound",
    "retry_all_failed",
    "retry_delivery",
]

T = TypeVar("T")
log = logging.getLogger(__name__)

FETCH_AT_ONCE = 25  # mails between two moves of the cursor
FETCH_MAX_MAILS = 2_000  # in one run; the next run goes on
FETCH_MAX_SECONDS = 60
SETTLE_SECONDS = 15  # how long we try to note that a mail was accepted
SMTP_REPLY_MAX_CHARS = 500


# --- In ---------------------------------------------------------------------------------------


def record_inbound(
    raw: bytes,
    *,
    mailbox: Mailbox | None = None,
    uidvalidity: int | None = None,
    uid: int | None = None,
    source: str = "",
    problems: Sequence[str] = (),
    error: str = "",
    rings: bool = True,
) -> InboundEmail | None:
    """Store a mail byte for byte and ask for it to be filed. It is safe once this returns.

    `source` says how it came. A mail that the same mailbox already recorded under the same
    (uidvalidity, uid) is not stored again: the answer is None. `problems` are kept with what the
    parser finds. With `error` the row is kept as failed, to be retried by hand. A caller who files
    it at once says so with `rings=False`.
    """
    row = InboundEmail(
        mailbox=mailbox,
        uidvalidity=uidvalidity,
        uid=uid,
        source=source[:500],
        raw=raw,
        size_bytes=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        problems=list(problems),
    )
    if error:
        row.state, row.error, row.finished_at = row.State.FAILED, error, now()
    try:
        with transaction.atomic():
            prepared.insert(row)
            if rings and not error:
                work.ring_on_commit(row)
    except IntegrityError as refused:
        if uid is None or "inboundemail_uid_once" not in str(refused):
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
    else:
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
    with fetch_imap.opened(mailbox, writable=mailbox.mark_seen) as folder:
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


def _move_cursor(mailbox: Mailbox, uidvalidity: int, last_uid: int) -> None:
    """After the mails are committed, and only while the mailbox is ours."""
    mine = Mailbox.objects.filter(pk=mailbox.pk, lease=mailbox.lease)
    until = now() + timedelta(seconds=mailbox.LEASE_SECONDS)
    if not mine.update(uidvalidity=uidvalidity, last_uid=last_uid, leased_until=until):
        raise work.LeaseLost
    mailbox.uidvalidity, mailbox.last_uid = uidvalidity, last_uid


# --- Out --------------------------------------------------------------------------------------


def deliver_email(pk: int) -> None:
    """Perform the work of one OutgoingEmail, and show on open pages how it went."""
    work.perform(OutgoingEmail, pk, deliver, gave_up=_undelivered)
    waiting = OutgoingEmail.objects.exclude(state=OutgoingEmail.State.DONE)
    outgoing = waiting.select_related("message").filter(pk=pk).first()
    if outgoing is not None:  # put off or failed; success has rung already
        events.delivery_changed(outgoing.message)


def deliver(outgoing: OutgoingEmail) -> None:
    """Send one reply to one recipient.

    Once a server has accepted it, it is never sent again: acceptance closes the row. Only a
    worker that dies between the server's answer and that commit leaves a row that is sent a
    second time, under the same Message-ID. Raises GiveUp where sending can never succeed,
    TemporaryFailure where it may later.
    """
    message = Message.objects.select_related("conversation", "author__user").get(
        pk=outgoing.message_id
    )
    ticket = (
        Ticket.objects.select_related("inbox").filter(conversation=message.conversation_id).first()
    )
    if ticket is None or not ticket.inbox.address:
        raise GiveUp("The inbox has no address to send from.")
    letter = letter_for(outgoing, message, ticket)
    if not is_address(letter.to_address):
        raise GiveUp(f"{letter.to_address} is no address.")
    letter = with_files(letter, outgoing, message)
    try:
        mail = render(letter)
    except ValueError as error:
        raise GiveUp(str(error)) from error
    answer = send(
        mail,
        sender=letter.reply_to,  # a bounce comes back to its conversation
        recipient=letter.to_address,
        url=settings.SMTP_URL,
        before_data=partial(work.extend, outgoing),
    )
    _note_accepted(outgoing, message, answer)


def _undelivered(outgoing: OutgoingEmail) -> None:
    """The customer has not heard us, so it is our turn again, and the lists show it."""
    ticket = ticket_of(locked(outgoing.message.conversation_id))
    if ticket is None:
        return
    was = ticket.status
    ticket.unread = True
    if was != Ticket.Status.OPEN:
        ticket.status, ticket.solved_at, ticket.waiting_since = Ticket.Status.OPEN, None, now()
    ticket.save(update_fields=["unread", "status", "solved_at", "waiting_since"])
    if was != ticket.status:
        append_change(
            ticket, "status", was, ticket.status, author=None, via="system", reason="undelivered"
        )
    events.ticket_changed(ticket)


def retry_delivery(viewer: Viewer, number: int, seq: int) -> int:
    """Send again, at once, the mails of one message that did not arrive. Returns how many.

    What a server has accepted is never sent again. Raises NotFound for a ticket the viewer may
    not see.
    """
    ticket = access_ticket(viewer, number)
    mails = OutgoingEmail.objects.filter(
        message__conversation=ticket.conversation_id, message__seq=seq
    )
    count = work.retry(mails)
    if count:
        events.delivery_changed(mails.select_related("message")[0].message)
    return count


def retry_all_failed(viewer: Viewer) -> int:
    """Send again, at once, every mail that failed for good in a ticket that the viewer can see and
    nobody has solved. Returns how many."""
    mails = undelivered_mails(viewer)
    shown = list(Message.objects.filter(outgoing_emails__in=mails).distinct())
    count = work.retry(mails)
    for message in shown:
        events.delivery_changed(message)
    return count


def _note_accepted(outgoing: OutgoingEmail, message: Message, answer: str) -> None:
    """Close the row. A database that is away for a moment must not make us send twice."""
    stop_at = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            with work.closing(outgoing) as fields:
                fields["accepted_at"] = now()
                fields["smtp_reply"] = one_line(answer)[:SMTP_REPLY_MAX_CHARS]
                events.delivery_changed(message)
        except (OperationalError, InterfaceError):
            if time.monotonic() > stop_at or connection.in_atomic_block:
                raise
            log.warning("email %s: accepted, and not noted yet", outgoing.pk, exc_info=True)
            connection.close()
            time.sleep(0.5)
        else:
            return
