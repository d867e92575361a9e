"""A mailbox that begins with the mail that comes from now on: what lies there already gets a row
each that says so, and no ticket. So server and ledger agree, and nobody waits for an import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.timezone import now

from tickets.models import InboundEmail, Mailbox

PASSED_OVER = "It was there before this mailbox was set up."
ROWS_AT_ONCE = 2_000


def pass_over(mailbox: Mailbox, names: Iterable[Mapping[str, object]]) -> None:
    """Note mails as seen and ignored, each by what the server calls it: its `uidvalidity` and
    `uid`, or its `uidl`. Those that have a row keep it, so that a crash repeats nothing."""
    rows = (
        InboundEmail(
            mailbox=mailbox,
            **name,
            raw=b"",
            size_bytes=0,
            source=f"{mailbox.username}, {mailbox.folder}",
            state=InboundEmail.State.DONE,
            finished_at=now(),
            decision=InboundEmail.Decision.IGNORED,
            reason=PASSED_OVER,
        )
        for name in names
    )
    InboundEmail.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)
