"""How far the words of a conversation have come: who has read them, and whose browser has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from tickets.access import Viewer
from tickets.models import Conversation, Participant
from tickets.queries import with_marks
from tickets.views.entries import Timeline, some_of

State = Literal["read", "got"]


@dataclass(frozen=True, slots=True)
class ReadMark:
    """Stands below the entry `seq`. No names: there is one other person, who needs no naming."""

    seq: int
    state: State
    names: tuple[str, ...] = ()

    @property
    def icon(self) -> str:
        return "check-check" if self.state == "read" else "check"

    @property
    def sentence(self) -> str:
        if self.state == "read":
            return _("Read by %s") % some_of(self.names) if self.names else _("Read")
        return _("Delivered to %s") % some_of(self.names) if self.names else _("Delivered")


def read_marks(viewer: Viewer, seats: Iterable[Participant]) -> list[ReadMark]:
    """A mark for each place up to which somebody else has read, or been delivered more.

    `seats` are those of one conversation that are taken, as `with_marks` gives them. The viewer
    knows what they have read themselves, and the assistant reads everything.
    """
    others = [
        seat
        for seat in seats
        if seat.person_id != viewer.person.pk and seat.role != Participant.Role.ASSISTANT
    ]
    names: dict[tuple[int, State], list[str]] = defaultdict(list)
    for seat in others:
        at: dict[str, Any] = vars(seat)
        read_at, got_at = at["read_at"] or 0, at["got_at"] or 0
        name = seat.person.first_name if seat.person.name else str(seat.person)
        if read_at:
            names[read_at, "read"].append(name)
        if got_at > read_at:
            names[got_at, "got"].append(name)
    if len(others) == 1:
        return [ReadMark(*place) for place in names]
    places = sorted(names, key=lambda place: (place[0], place[1] != "read"))
    return [ReadMark(seq, state, tuple(names[seq, state])) for seq, state in places]


def marks_in(viewer: Viewer, conversation: Conversation) -> list[ReadMark]:
    """As `read_marks`, of everybody who has a seat there."""
    taken = conversation.participants.filter(left_at=None).select_related("person")
    return read_marks(viewer, with_marks(taken).order_by("pk"))


def place_marks(timeline: Timeline, marks: Iterable[ReadMark]) -> None:
    """Put each below its entry, if that is shown."""
    shown = {entry.message.seq: entry for entry in timeline.entries if not entry.merged}
    for mark in marks:
        if mark.seq in shown:
            shown[mark.seq].marks.append(mark)
