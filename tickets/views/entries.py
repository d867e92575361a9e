"""A timeline as its template needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject
from django.urls import reverse
from django.utils.timezone import get_current_timezone, localdate, now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from attachments.kinds import Kind, kind_of
from attachments.models import Attachment, Blob
from tickets.access import Viewer, visible_messages
from tickets.events import role_of
from tickets.joint import joint_page
from tickets.mail.machines import Nature
from tickets.mail.protection import SIGNED
from tickets.models import Conversation, Message, MessageFile, OutgoingEmail, Ticket
from tickets.operations.moving import may_be_moved
from tickets.queries import looks_like_signature
from tickets.views.changes import change_icon, change_sentence
from tickets.views.delivery_log import FIELDS, Log, delivery_log
from tickets.views.returned import returned

if TYPE_CHECKING:
    from tickets.views.marks import ReadMark

PAGE_ENTRIES = 60
CATCH_UP_ENTRIES = 200
# What one person says within this time is one turn: one name above, one face below.
TURN = timedelta(minutes=5)


# Of mails that left: only what comes back later changes it.
FINAL = frozenset({"done", "bounced", "returned"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far the mails of one reply have come; `icon` and `sentence` say it."""

    state: str
    icon: str
    sentence: str

    @property
    def is_error(self) -> bool:
        return self.state in ("failed", "bounced")


KIND_ICONS: dict[Kind, str] = {
    "image": "image",
    "video": "video",
    "audio": "music",
    "pdf": "file-text",
    "text": "file-text",
    "other": "file",
}
THUMB_PX = (104, 78)
# The end of a name that stays when a long one is cut: what kind of file it says it is.
ENDING_MAX_CHARS = 10


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file below a message. Its addresses stay, and ask whether their reader may have it."""

    uuid: UUID
    name: str
    size_bytes: int
    kind: Kind
    width: int  # of its preview; 0 while there is none
    height: int
    is_signature: bool  # a picture inside the text that comes with whatever its writer says
    is_scanned: bool
    is_waiting: bool  # it will open, or be refused for good, once it was looked into
    closed: str  # why it cannot be opened: a sentence, empty if it can
    is_inside: bool = False  # the HTML of its mail shows it

    @property
    def address(self) -> str:
        return reverse("tickets:file", args=[self.uuid, self.name])

    @property
    def preview(self) -> str:
        """Where its small picture is; empty while there is none."""
        return reverse("tickets:preview", args=[self.uuid]) if self.width else ""

    @property
    def is_small(self) -> bool:
        """Smaller than the place for it: it would be blurred there."""
        return 0 < self.width < THUMB_PX[0] and self.height < THUMB_PX[1]

    @property
    def icon(self) -> str:
        return KIND_ICONS[self.kind]

    @property
    def is_shown(self) -> bool:
        """A browser shows it by itself; otherwise it only saves it."""
        return self.kind not in ("text", "other")

    @property
    def ending(self) -> str:
        stem, dot, ending = self.name.rpartition(".")
        return dot + ending if stem and len(ending) <= ENDING_MAX_CHARS else ""

    @property
    def stem(self) -> str:
        return self.name.removesuffix(self.ending)


@dataclass(slots=True)
class Entry:
    message: Message
    role: str  # customer, staff, assistant; empty for the helpdesk itself
    is_mine: bool
    is_bubble: bool
    deliveries: list[Delivery]
    files: list[ShownFile]
    sentence: str  # what a change says, with its icon
    icon: str
    day: date | None = None  # a new day begins here
    continues: bool = False  # the same person, still speaking
    is_new: bool = False  # everything from here on is unread
    log: list[Log] = field(default_factory=list)  # what became of each of its mails
    merged: Ticket | None = None  # where it was said, before that was merged into the one shown
    can_be_taken_back: bool = False  # none of its mails has begun to leave
    marks: list[ReadMark] = field(default_factory=list)  # who has read it, and nothing after it
    among_us: bool = False  # colleagues among themselves, whose Markdown both sides see

    @property
    def is_joint(self) -> bool:
        """The line from which on the page shows another ticket's entries, too."""
        return (self.message.change or {}).get("field") == "merged"

    @property
    def is_pending(self) -> bool:
        """Its delivery may still change, or a file is being checked."""
        unsent = any(delivery.state not in FINAL for delivery in self.deliveries)
        return unsent or any(file.is_waiting for file in self.files)

    @property
    def attached(self) -> list[ShownFile]:
        """Pictures first: among chips they would leave rows half empty."""
        files = [file for file in self.files if not (file.is_signature or file.is_inside)]
        return sorted(files, key=lambda file: not file.preview)

    @property
    def signature(self) -> list[ShownFile]:
        """Pictures that the page folds."""
        return [file for file in self.files if file.is_signature and not file.is_inside]

    @property
    def nature(self) -> str:
        """Who wrote the mail it came by; empty for what did not come by mail."""
        mail = getattr(self.message, "inbound_email", None)
        return mail.nature if mail else ""

    @property
    def chip(self) -> str:
        """Says that no person wrote it to us."""
        chips = {
            Nature.VACATION: _("Automatic reply"),
            Nature.GENERATED: _("Sent by a program"),
            Nature.LIST: _("Mailing list"),
        }
        return next((words for nature, words in chips.items() if nature == self.nature), "")

    @property
    def protection(self) -> tuple[str, str] | None:
        """Whether the mail it came by was signed or encrypted, in a word and in a sentence."""
        mail = getattr(self.message, "inbound_email", None)
        if mail is None or not mail.protection:
            return None
        if mail.protection == SIGNED:
            words = _(
                "It came signed. The signature was not checked here; it is kept with the mail."
            )
            return _("Signed"), words
        words = _(
            "It came encrypted and cannot be read here. Save the mail, and open it in a program "
            "that has the key."
        )
        return _("Encrypted"), words

    @property
    def is_slight(self) -> bool:
        """A fact to know rather than something to answer."""
        return self.nature == Nature.VACATION

    @property
    def can_be_moved(self) -> bool:
        return self.merged is None and may_be_moved(self.message)

    @property
    def can_be_tried(self) -> bool:
        """One of its mails did not arrive, or is waiting for its next attempt."""
        return any(delivery.state in {"failed", "delayed"} for delivery in self.deliveries)


@dataclass(frozen=True, slots=True)
class Timeline:
    entries: list[Entry]
    before: int | None = None  # the entries before this one are left out
    ends_day: date | None = None  # the day line that follows the last entry
    joint: str = ""  # as `before`, of what was merged: see `JointPage`


def latest_entries(
    viewer: Viewer, conversation: Conversation, *, unread: bool = False, read_seq: int | None = None
) -> Timeline:
    """The end of a timeline, PAGE_ENTRIES long, with the line above what is unread: by the desk, or
    by the viewer, who among colleagues has read up to `read_seq`."""
    timeline = earlier_entries(viewer, conversation, before=conversation.last_seq + 1)
    if unread:
        _mark_new(timeline)
    if read_seq is not None:
        _mark_unread(timeline, read_seq)
    return timeline


def earlier_entries(
    viewer: Viewer, conversation: Conversation, *, before: int, joint: str = ""
) -> Timeline:
    """The PAGE_ENTRIES entries that come before `before`. Where tickets were merged, of all their
    timelines in one order; `joint` says where those stand, which the page after this one told."""
    if conversation.merged_from:
        return _joint_entries(viewer, conversation, before, joint)
    rows = _rows(viewer, conversation).filter(seq__lte=before).order_by("-seq")
    found = list(rows[: PAGE_ENTRIES + 2])
    follower = found.pop(0) if found and found[0].seq == before else None
    more = len(found) > PAGE_ENTRIES
    messages = found[:PAGE_ENTRIES][::-1]
    entries = _entries(viewer, conversation, messages, None)
    ends_day = None
    if follower and messages and _day(follower) != _day(messages[-1]):
        ends_day = _day(follower)
    return Timeline(entries, messages[0].seq if more else None, ends_day)


def _joint_entries(viewer: Viewer, conversation: Conversation, before: int, joint: str) -> Timeline:
    page = joint_page(viewer, conversation, before=before, joint=joint, count=PAGE_ENTRIES)
    rows = _with_all(Message.objects.filter(pk__in=page.keys).select_related("author"))
    by_key = rows.in_bulk()
    messages = [by_key[key] for key in page.keys if key in by_key]
    entries = []
    last: Message | None = None
    for message in messages:
        ticket = page.merged.get(message.conversation_id)
        where = ticket.conversation if ticket else conversation
        entries += _entries(viewer, where, [message], last)
        entries[-1].merged = ticket
        if ticket:
            entries[-1].can_be_taken_back = False
        if last is not None and last.conversation_id != message.conversation_id:
            entries[-1].continues = False
        last = message
    ends_day = None
    if page.follower and last is not None and localdate(page.follower) != _day(last):
        ends_day = localdate(page.follower)
    return Timeline(entries, page.before, ends_day, page.joint)


def entries_after(viewer: Viewer, conversation: Conversation, seq: int) -> tuple[Timeline, bool]:
    """What came after `seq`, at most CATCH_UP_ENTRIES; True if there is still more."""
    rows = _rows(viewer, conversation).filter(seq__gte=seq)
    found = list(rows[: CATCH_UP_ENTRIES + 2])
    last_shown = found.pop(0) if found and found[0].seq == seq else None
    messages = found[:CATCH_UP_ENTRIES]
    entries = _entries(viewer, conversation, messages, last_shown)
    return Timeline(entries), len(found) > CATCH_UP_ENTRIES


def one_entry(viewer: Viewer, conversation: Conversation, seq: int) -> Entry | None:
    """One entry again, as it stands below its predecessor."""
    found = list(_rows(viewer, conversation).filter(seq__in=[seq - 1, seq]))
    if not found or found[-1].seq != seq:
        return None
    before = found[0] if len(found) == 2 else None
    return _entries(viewer, conversation, found[-1:], before)[0]


def _rows(viewer: Viewer, conversation: Conversation) -> QuerySet[Message]:
    """Messages with their mails and files, in one query."""
    return _with_all(visible_messages(viewer, conversation))


def _with_all(messages: QuerySet[Message]) -> QuerySet[Message]:
    mails = OutgoingEmail.objects.filter(message=OuterRef("pk")).order_by("pk")
    files = (
        MessageFile.objects.filter(message=OuterRef("pk"))
        .annotate(is_signature=looks_like_signature())
        .order_by("pk")
    )
    about = {
        "uuid": "attachment__uuid",
        "name": "attachment__name",
        "type": "attachment__blob__type",
        "size_bytes": "attachment__blob__size_bytes",
        "announced_bytes": "attachment__announced_bytes",
        "width": "attachment__blob__preview_width",
        "height": "attachment__blob__preview_height",
        "state": "attachment__state",
        "refusal": "attachment__refusal",
        "virus": "attachment__blob__virus",
        "scanned_at": "attachment__blob__scanned_at",
        "is_signature": "is_signature",
        "inline": "inline",
        "content_id": "content_id",
    }
    return (
        messages.select_related("inbound_email")
        .defer("search", "inbound_email__raw")
        .annotate(
            mails=ArraySubquery(mails.values(mail=JSONObject(**{name: name for name in FIELDS}))),
            has_remote=F("html__has_remote"),
            has_quoted=Q(html__quoted__gt=""),
            shown_files=ArraySubquery(files.values(file=JSONObject(**about))),
        )
    )


def _entries(
    viewer: Viewer,
    conversation: Conversation,
    messages: Sequence[Message],
    before: Message | None,
) -> list[Entry]:
    entries = []
    for message in messages:
        entry = _entry(viewer, conversation, message)
        if before is None or _day(before) != _day(message):
            entry.day = _day(message)
        entry.continues = before is not None and entry.is_bubble and _goes_on(before, message)
        entries.append(entry)
        before = message
    return entries


def _entry(viewer: Viewer, conversation: Conversation, message: Message) -> Entry:
    is_reply = message.kind == Message.Kind.REPLY
    is_change = message.kind == Message.Kind.CHANGE
    among_us = conversation.channel == Conversation.Channel.INTERNAL
    is_chat = among_us or conversation.channel == Conversation.Channel.CHAT
    return Entry(
        message=message,
        role=role_of(message.author) if message.author else "",
        is_mine=message.author_id == viewer.person.pk,
        is_bubble=is_reply and is_chat and message.via != Message.Via.EMAIL,
        among_us=among_us,
        deliveries=deliveries(vars(message)["mails"]),
        files=[_shown(message, file) for file in vars(message)["shown_files"]],
        sentence=change_sentence(message, viewer) if is_change else "",
        icon=change_icon(message) if is_change else "",
        log=delivery_log(vars(message)["mails"]),
        can_be_taken_back=is_reply
        and message.author_id == viewer.person.pk
        and conversation.channel != Conversation.Channel.CHAT
        and _all_wait(vars(message)["mails"]),
    )


def _all_wait(mails: list[dict[str, Any]]) -> bool:
    moment = now()
    return bool(mails) and all(
        mail["state"] == "queued"
        and not mail["attempts"]
        and datetime.fromisoformat(mail["due_at"]) > moment
        for mail in mails
    )


def _shown(message: Message, file: dict[str, Any]) -> ShownFile:
    """A file without bytes yet has nothing of what is read from them."""
    kind = kind_of(file["type"] or "")
    state, refusal, virus = file["state"], file["refusal"], file["virus"] or ""
    closed = Attachment(state=state, refusal=refusal, blob=Blob(virus=virus)).why_closed
    is_named = message.has_html and file["inline"] and file["content_id"] != ""
    return ShownFile(
        uuid=UUID(file["uuid"]),
        name=file["name"],
        size_bytes=file["size_bytes"] or file["announced_bytes"] or 0,
        kind=kind,
        width=file["width"] or 0,
        height=file["height"] or 0,
        is_inside=is_named and kind == "image" and not closed,
        is_signature=bool(file["is_signature"]) and kind == "image",
        is_scanned=file["scanned_at"] is not None,
        is_waiting=state in (Attachment.State.UPLOADING, Attachment.State.CHECKING),
        closed=closed,
    )


def _goes_on(before: Message, message: Message) -> bool:
    return (
        before.kind == message.kind
        and before.author_id == message.author_id
        and before.via == message.via
        and message.created_at - before.created_at < TURN
        and _day(before) == _day(message)
    )


def _day(message: Message) -> date:
    return localdate(message.created_at)


def _mark_new(timeline: Timeline) -> None:
    """Draw the line above the first thing a customer said since we last spoke."""
    first = None
    for entry in reversed(timeline.entries):
        if entry.message.kind == Message.Kind.REPLY:
            if entry.role != "customer":
                break
            first = entry
    if first is not None and first is not timeline.entries[0]:
        first.is_new = True
        first.continues = False


def _mark_unread(timeline: Timeline, read_seq: int) -> None:
    """Draw the line above the first thing that somebody else has said after `read_seq`."""
    for entry in timeline.entries[1:]:
        is_reply = entry.message.kind == Message.Kind.REPLY
        if is_reply and not entry.is_mine and entry.message.seq > read_seq:
            entry.is_new, entry.continues = True, False
            return


def deliveries(mails: list[dict[str, Any]]) -> list[Delivery]:
    """What became of a reply's mails: one line for those that fared alike."""
    alike: dict[str, list[str]] = {"done": [], "sending": []}
    lines = []
    for mail in mails:
        if came_back := returned(mail):
            state = "bounced" if mail["bounce_hard"] else "returned"
            lines.append(Delivery(state, came_back.icon, came_back.sentence))
            continue
        match mail:
            case {"state": "done", "address": address}:
                alike["done"].append(address)
            case {"state": "failed", "address": address, "error": error}:
                sentence = _("Not sent to %(address)s: %(error)s")
                lines.append(
                    Delivery(
                        "failed", "circle-alert", sentence % {"address": address, "error": error}
                    )
                )
            case {"attempts": int(attempts), "error": str(error), "address": address} if (
                attempts and error
            ):
                sentence = _("Not sent to %(address)s yet: %(error)s Trying again at %(time)s.")
                time = datetime.fromisoformat(mail["due_at"]).astimezone(get_current_timezone())
                values = {"address": address, "error": _stop(error), "time": f"{time:%H:%M}"}
                lines.append(Delivery("delayed", "clock", sentence % values))
            case {"address": address}:
                alike["sending"].append(address)
    if alike["sending"]:
        text = _("Sending to %s") % some_of(alike["sending"])
        lines.insert(0, Delivery("sending", "clock", text))
    if alike["done"]:
        text = _("Sent to %s") % some_of(alike["done"])
        lines.insert(0, Delivery("done", "check", text))
    return lines


def some_of(names: Sequence[str]) -> str:
    """Names or addresses, of many the first two."""
    if len(names) <= 3:
        return ", ".join(names)
    rest = len(names) - 2
    others = ngettext("%d other", "%d others", rest) % rest
    return _("%(some)s and %(others)s") % {"some": ", ".join(names[:2]), "others": others}


def _stop(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
