"""Was anything lost, doubled, out of order or shown to the wrong ones? A pure function of what
clients wrote, what their pages show at the end, what ever reached them, and what is stored.

Every message that a client writes carries a mark of its own in its words, so that it is known
wherever it turns up. An entry without a mark (who answers now, the assistant's words) is known by
its conversation and place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

COUNTERS = ("lost", "doubled", "misordered", "never_shown", "misdelivered", "diverged")
EXAMPLES = 5  # kept of each counter


@dataclass(frozen=True, slots=True)
class Said:
    """A message that a client wrote."""

    mark: str
    conversation: int
    author: str
    acknowledged: bool
    seq: int | None = None  # the place that the acknowledgement named, if it named one


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry of a timeline, as the database has it."""

    conversation: int
    seq: int
    mark: str = ""
    public: bool = True  # customers may see it


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry on a page. `conversation` is 0 where it came without saying of which."""

    seq: int
    mark: str = ""
    conversation: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """One page of one member of a conversation, at the end. `shown` is in the order of the page,
    `delivered` all that ever reached it. The member may see the places after `after`, up to
    `upto` if it was removed; only staff see what is not public."""

    client: str
    conversation: int
    staff: bool
    shown: Sequence[Shown]
    delivered: Sequence[Shown] = ()
    after: int = 0
    upto: int | None = None

    def may_see(self, entry: Stored) -> bool:
        return (
            entry.conversation == self.conversation
            and (self.staff or entry.public)
            and self.after < entry.seq
            and (self.upto is None or entry.seq <= self.upto)
        )


@dataclass
class Findings:
    """How often each thing went wrong, with a few examples in words."""

    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def clean(self) -> bool:
        return not any(self.counts.values())

    def add(self, counter: str, example: str) -> None:
        self.counts[counter] += 1
        if len(self.examples[counter]) < EXAMPLES:
            self.examples[counter].append(example)


def check(said: Sequence[Said], stored: Iterable[Stored], views: Sequence[View]) -> Findings:
    """Compare every acknowledgement and every final view with the database.

    lost           written and never acknowledged; acknowledged and not stored; or shown to
                   somebody and not stored
    doubled        stored or shown once more than once
    misordered     stored in another order than its author wrote it, acknowledged or shown at
                   another place than it is stored at, shown above what comes before it, or a place
                   that is empty
    never_shown    stored, visible to a member, and not on one of its pages
    misdelivered   reached a page whose member may not see it
    diverged       conversations of which two pages differ in what both may see

    `said` is in the order of writing. Each counter counts messages, and per page where it is about
    pages; `diverged` counts conversations.
    """
    database = _Database(stored)
    found = Findings(sent=len(said))
    _check_sent(said, database, found)
    _check_stored(database, found)
    for view in views:
        _check_view(view, database, found)
        _check_delivered(view, database, found)
    _check_alike(views, database, found)
    return found


class _Database:
    def __init__(self, stored: Iterable[Stored]) -> None:
        self.by_conversation: dict[int, dict[int, Stored]] = defaultdict(dict)
        self.by_mark: dict[str, list[Stored]] = defaultdict(list)
        for entry in stored:
            self.by_conversation[entry.conversation][entry.seq] = entry
            if entry.mark:
                self.by_mark[entry.mark].append(entry)

    def entry(self, conversation: int, shown: Shown) -> Stored | None:
        """What is stored of something on a page of this conversation."""
        if not shown.mark:
            return self.by_conversation[shown.conversation or conversation].get(shown.seq)
        entries = self.by_mark[shown.mark]
        return min(entries, key=lambda entry: entry.seq != shown.seq, default=None)


def _check_sent(said: Sequence[Said], database: _Database, found: Findings) -> None:
    last: dict[tuple[int, str], int] = {}
    for message in said:
        entries = [
            entry
            for entry in database.by_mark[message.mark]
            if entry.conversation == message.conversation
        ]
        if not message.acknowledged:
            found.add("lost", f"{message} was never acknowledged")
        elif not entries:
            found.add("lost", f"{message} was acknowledged and is not stored")
        if not entries:
            continue
        seq = entries[0].seq
        if message.seq is not None and message.seq not in {entry.seq for entry in entries}:
            found.add("misordered", f"{message} is stored at {seq}")
        key = message.conversation, message.author
        if seq < last.get(key, 0):
            found.add("misordered", f"{message} is stored at {seq}, after what was written later")
        last[key] = seq


def _check_stored(database: _Database, found: Findings) -> None:
    for mark, entries in database.by_mark.items():
        for _ in entries[1:]:
            found.add("doubled", f"{mark} is stored {len(entries)} times")
    for conversation, by_seq in database.by_conversation.items():
        for place in range(1, max(by_seq, default=0) + 1):
            if place not in by_seq:
                found.add("misordered", f"conversation {conversation} has no entry {place}")


def _check_view(view: View, database: _Database, found: Findings) -> None:
    where = f"{view.client} in {view.conversation}"
    seqs: Counter[int] = Counter()
    marks: Counter[str] = Counter()
    last = 0
    for shown in view.shown:
        if seqs[shown.seq] or (shown.mark and marks[shown.mark]):
            found.add("doubled", f"{where} shows {shown} again")
        elif shown.seq < last:
            found.add("misordered", f"{where} shows {shown} after {last}")
        seqs[shown.seq] += 1
        marks[shown.mark] += 1
        last = max(last, shown.seq)
        entry = database.entry(view.conversation, shown)
        if entry is None:
            found.add("lost", f"{where} shows {shown}, which is not stored")
        elif entry.conversation == view.conversation and entry.seq != shown.seq:
            found.add("misordered", f"{where} shows {shown} at the place of {entry.seq}")
    for entry in database.by_conversation[view.conversation].values():
        if view.may_see(entry) and not (marks[entry.mark] if entry.mark else seqs[entry.seq]):
            found.add("never_shown", f"{where} does not show {entry}")


def _check_delivered(view: View, database: _Database, found: Findings) -> None:
    told = set()
    for shown in (*view.shown, *view.delivered):
        entry = database.entry(view.conversation, shown)
        if entry is None or view.may_see(entry) or entry in told:
            continue
        told.add(entry)
        found.add("misdelivered", f"{view.client} in {view.conversation} got {entry}")


def _check_alike(views: Sequence[View], database: _Database, found: Findings) -> None:
    by_conversation: dict[int, list[View]] = defaultdict(list)
    for view in views:
        by_conversation[view.conversation].append(view)
    for conversation, together in by_conversation.items():
        pairs = pairwise(together)
        if any(
            _in_common(one, two, database) != _in_common(two, one, database) for one, two in pairs
        ):
            names = ", ".join(view.client for view in together)
            found.add("diverged", f"conversation {conversation} of {names}")


def _in_common(view: View, other: View, database: _Database) -> list[tuple[int, str]]:
    """What `view` shows of what both may see; what is not stored is for both to see."""

    def shared() -> Iterator[Shown]:
        for shown in view.shown:
            entry = database.entry(view.conversation, shown)
            if entry is None or (view.may_see(entry) and other.may_see(entry)):
                yield shown

    return [(shown.seq, shown.mark) for shown in shared()]
