"""Which conversation a mail belongs to. Pure: the facts were looked up before.

A subject never decides: "Order" and "Re: Order" of two strangers are two conversations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IDS_MAX = 50  # of a longer chain the first and the last are looked up


@dataclass(frozen=True, slots=True)
class Known:
    """A mail of ours or theirs that stands in a timeline; or, with its key in place of a
    Message-ID, a conversation that an address names. Of what was merged, the one that goes on."""

    rfc_message_id: str
    conversation_id: int
    ticket_number: int | None
    seq: int | None  # its place in the timeline
    # The ticket's subject, if it was solved so long ago that another subject opens a new one.
    closed_subject: str | None = None
    is_group: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    conversation_id: int
    reason: str  # a sentence for staff
    ticket_number: int | None = None
    closed_subject: str | None = None
    is_group: bool = False


def looked_up(in_reply_to: str, references: Sequence[str]) -> list[str]:
    """The ids to look up, most telling first: In-Reply-To, then References from the end."""
    chain = list(dict.fromkeys(filter(None, [in_reply_to, *reversed(references)])))
    return chain if len(chain) <= IDS_MAX else [*chain[: IDS_MAX - 1], chain[-1]]


def match(
    *,
    tokens: Sequence[Known],
    in_reply_to: str,
    references: Sequence[str],
    ours: Sequence[Known],
    theirs: Sequence[Known],
) -> Match | None:
    """Where a mail belongs, or None if it begins something new.

    `tokens` are the conversations that its recipients' addresses name, in the order of the mail.
    `ours` and `theirs` are the mails it refers to, and those that refer to it: an answer may be
    filed before what it answers. An id of ours decides before any of theirs, wherever it stands in
    the chain: we know to whom we gave it. An id that stands in several conversations decides
    nothing, nor do answers out of several.
    """
    for named in tokens:
        return _found(named, f"The reply address named {_ticket(named)}.")
    ids = looked_up(in_reply_to, references)
    for known in (ours, theirs):
        for one in ids:
            parents = [mail for mail in known if mail.rfc_message_id == one]
            if _agree(parents):
                field = "In-Reply-To" if one == in_reply_to else "References"
                return _found(parents[0], f"{field} matched {_place(parents[0])}.")
    children = [mail for mail in theirs if mail.rfc_message_id not in ids]
    if _agree(children):
        return _found(children[0], f"{_place(children[0])} answers it.".capitalize())
    return None


def _found(known: Known, reason: str) -> Match:
    return Match(
        known.conversation_id, reason, known.ticket_number, known.closed_subject, known.is_group
    )


def _agree(mails: Sequence[Known]) -> bool:
    return len({mail.conversation_id for mail in mails}) == 1


def _place(known: Known) -> str:
    return (
        f"message {known.seq} of {_ticket(known)}" if known.seq else f"a mail of {_ticket(known)}"
    )


def _ticket(known: Known) -> str:
    if known.ticket_number is None:
        return f"conversation {known.conversation_id}"
    return f"#{known.ticket_number}"
