"""One order for the timelines of tickets that were merged.

Each stands in its own order, of which nothing is changed; and all that was said in a ticket stands
before the line that says where it was merged. Between those the moment decides. A page is found
from its end, so however many entries there are, a page of each timeline is looked at and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Min, Q

from tickets.access import Viewer, visible_messages
from tickets.models import Conversation, Message, Ticket


@dataclass(frozen=True, slots=True)
class JointPage:
    """Entries of several timelines, first entry first."""

    keys: list[int]  # of messages
    merged: dict[int, Ticket]  # by conversation: where they were said, if not in the one shown
    before: int | None  # what comes before this page: entries of the one shown before this place,
    joint: str  # and of the others before these
    follower: datetime | None  # the moment of what comes after this page


@dataclass(frozen=True, slots=True)
class _Place:
    key: int
    conversation: int
    seq: int
    moment: datetime


def joint_page(
    viewer: Viewer, conversation: Conversation, *, before: int, joint: str, count: int
) -> JointPage:
    """The `count` entries before a place, as far as the viewer may see them. The place is what the
    page after this one told, or the end: `before` alone, beyond the last entry."""
    parts = [
        conversation,
        *Conversation.objects.filter(pk__in=conversation.merged_from)
        .select_related("ticket__inbox", "ticket__requester")
        .order_by("pk"),
    ]
    told = _read(joint)
    # The last entry of what was merged says that it was, as the line that is shown does, too.
    cursors = {part.pk: min(told.get(part.pk, part.last_seq), part.last_seq) for part in parts}
    cursors[conversation.pk] = before
    follower = _follower(cursors) if told else None
    streams = _streams(viewer, parts, cursors, count + 1)
    chosen = _interleave(conversation, parts[1:], streams, count + 1)
    shown = chosen[:count][::-1]
    for place in chosen[:count]:
        cursors[place.conversation] = min(cursors[place.conversation], place.seq)
    return JointPage(
        keys=[place.key for place in shown],
        merged={part.pk: part.ticket for part in parts[1:]},
        before=max(cursors.pop(conversation.pk), 1) if len(chosen) > count else None,
        joint=",".join(f"{pk}:{seq}" for pk, seq in cursors.items()),
        follower=follower,
    )


def _read(joint: str) -> dict[int, int]:
    """What is no place of ours is none."""
    pairs = (pair.partition(":") for pair in joint.split(",") if pair)
    return {
        int(pk): int(seq)
        for pk, _colon, seq in pairs
        if pk.isascii() and seq.isascii() and pk.isdigit() and seq.isdigit() and len(seq) < 10
    }


def _follower(cursors: dict[int, int]) -> datetime | None:
    at = reduce(or_, (Q(conversation=pk, seq=seq) for pk, seq in cursors.items()))
    moment: datetime | None = Message.objects.filter(at).aggregate(at=Min("created_at"))["at"]
    return moment


def _streams(
    viewer: Viewer, parts: list[Conversation], cursors: dict[int, int], count: int
) -> dict[int, list[_Place]]:
    """Of each timeline the last entries before its cursor, last first, in one question."""
    first, *others = (
        visible_messages(viewer, part)
        .filter(seq__lt=cursors[part.pk])
        .order_by("-seq")
        .values_list("pk", "conversation", "seq", "created_at")[:count]
        for part in parts
    )
    streams: dict[int, list[_Place]] = {part.pk: [] for part in parts}
    for row in first.union(*others, all=True):
        streams[row[1]].append(_Place(*row))
    for stream in streams.values():
        stream.sort(key=lambda place: place.seq)
    return streams


def _interleave(
    conversation: Conversation,
    merged: list[Conversation],
    streams: dict[int, list[_Place]],
    count: int,
) -> list[_Place]:
    """The last `count` entries of all, last first; takes them out of the streams."""
    own = streams[conversation.pk]
    chosen: list[_Place] = []
    while len(chosen) < count:
        reached = own[-1].seq if own else 0
        ends = [own[-1]] if own else []
        ends += [
            streams[part.pk][-1]
            for part in merged
            if streams[part.pk] and reached < (part.merged_seq or 0)
        ]
        if not ends:
            break
        last = max(ends, key=lambda place: (place.moment, place.conversation))
        chosen.append(streams[last.conversation].pop())
    return chosen
