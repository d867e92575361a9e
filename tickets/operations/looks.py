"""How a mail looked, kept where that says more than its text does."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from tickets.mail.invite import Invite
from tickets.mail.parse import Attachment, ParsedEmail
from tickets.mail.reply_html import split_html
from tickets.mail.sanitize import has_remote_pictures, pictures_named, sanitize
from tickets.models import Message, MessageHtml

LOOK_MAX_BYTES = 1_000_000

# What plain paragraphs, as most programs write them, have none of.
MAY_SAY_MORE = re.compile(
    r"<(?:a|del|font|h[1-6]|img|mark|ol|s|strike|table|ul)\b|color|background", re.I
)
SAYS_MORE = re.compile(r"<(?:del|h[1-6]|img|mark|ol|s|strike|table|ul)\b")
COLOUR = re.compile(
    r'(?<![\w-])(?:(color|bgcolor)="([^"]+)|(color|background(?:-color)?):([^";]+))'
)
LINK = re.compile(r'<a\b[^>]*? href="([^"]+)"[^>]*>(.*?)</a>', re.S)
TAG = re.compile(r"<[^>]*>")
SPACES = re.compile(r"\s+")
SCHEME = re.compile(r"^(?:https?://|mailto:|tel:)(?:www\.)?", re.I)
# What Outlook and others write into everything they send.
NO_COLOUR = frozenset({"auto", "black", "currentcolor", "inherit", "initial", "none",
                       "transparent", "unset", "windowtext", "#1f497d", "#1f3864"})  # fmt: skip
HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")
RGB = re.compile(r"rgba?\((\d{1,3})[, ]+(\d{1,3})[, ]+(\d{1,3})\b.*")
GREY_MAX_SPREAD, DARK_MAX, LIGHT_MIN = 0x18, 0x90, 0xF8

DAY, TIME = "D j F Y", "G:i"

MARK = re.compile(r"\[cid:([^\]\s]{1,255})\]", re.I)


def html_of(mail: ParsedEmail, problems: list[str]) -> MessageHtml | None:
    """The sanitised HTML of a mail, not stored yet; None where it says no more than the text.

    It says more by a table, a list, a heading, a picture, a colour, a line through words, or a link
    whose words do not say where it leads. Of more than LOOK_MAX_BYTES only the text is kept, which
    is said in `problems`.
    """
    if not mail.html or not MAY_SAY_MORE.search(mail.html):
        return None
    # Where its text cuts nothing off, nothing is cut off here either.
    whole = bool(mail.text) and not mail.quoted
    visible, quoted = (mail.html, "") if whole else split_html(mail.html)
    visible = sanitize(visible)
    if not _says_more(visible):
        return None
    if mail.invite is not None:
        lines = html.escape(words_of_invite(mail.invite)).split("\n")
        visible = f"<p>{'<br>'.join(lines)}</p>{visible}"
    quoted = sanitize(quoted) if quoted else ""
    if len(visible.encode()) + len(quoted.encode()) > LOOK_MAX_BYTES:
        problems.append(f"Its HTML is larger than {LOOK_MAX_BYTES:,} bytes: only its text is kept.")
        return None
    return MessageHtml(
        visible=visible, quoted=quoted, has_remote=has_remote_pictures(visible + quoted)
    )


def _says_more(clean: str) -> bool:
    if SAYS_MORE.search(clean):
        return True
    for match in COLOUR.finditer(clean):
        of, colour = match[1] or match[3], match[2] or match[4]
        if not _is_usual(colour, is_text=of == "color"):
            return True
    return any(not _words_tell(*match.groups()) for match in LINK.finditer(clean))


def _is_usual(value: str, *, is_text: bool) -> bool:
    """Whether a colour is the one that words, or the ground below them, have anyway."""
    value = value.strip().lower()
    first = value if value.startswith("rgb") else value.split(" ", 1)[0]
    if first in NO_COLOUR or (first == "white" and not is_text):
        return True
    if named := HEX.fullmatch(first):
        digits = named[1] if len(named[1]) == 6 else "".join(2 * digit for digit in named[1])
        parts = [int(digits[at : at + 2], 16) for at in (0, 2, 4)]
    elif listed := RGB.fullmatch(first):
        parts = [int(part) for part in listed.groups()]
    else:
        return False
    if is_text:
        return max(parts) <= DARK_MAX and max(parts) - min(parts) <= GREY_MAX_SPREAD
    return min(parts) >= LIGHT_MIN


def _words_tell(href: str, inside: str) -> bool:
    """Whether the words of a link say where it leads, or there are none."""
    target = SCHEME.sub("", html.unescape(href)).rstrip("/")
    words = SPACES.sub("", html.unescape(TAG.sub("", inside)))
    return not words or SCHEME.sub("", words).rstrip("/") in target


def words_of_invite(invite: Invite) -> str:
    """What, when, where and by whom, a line each: it is read in lists and found by search. Times
    are those of the place that it names, or UTC: everybody reads the same words."""
    titles = {
        "CANCEL": _("Cancelled: %(what)s"),
        "COUNTER": _("Another time proposed: %(what)s"),
        "REPLY": _("Answer to an invitation: %(what)s"),
    }
    title = titles.get(invite.method.upper(), _("Invitation: %(what)s"))
    lines = [title % {"what": SPACES.sub(" ", invite.summary) or _("(without a title)")}]
    if invite.starts_at is not None:
        lines.append(_("When: %(when)s") % {"when": _when(invite)})
    if invite.location:
        lines.append(_("Where: %(where)s") % {"where": SPACES.sub(" ", invite.location)})
    if invite.organizer:
        lines.append(_("By: %(organizer)s") % {"organizer": invite.organizer})
    return "\n".join(lines)


def _when(invite: Invite) -> str:
    """ "4 March 2025, 10:00–11:00 (Europe/Berlin)": no longer than it must be."""
    start, end = invite.starts_at, invite.ends_at
    if not isinstance(start, datetime):
        days = [date_format(day, DAY) for day in (start, end) if isinstance(day, date)]
        return " – ".join(dict.fromkeys(days))
    zone = _zone(invite.time_zone)
    start = start.astimezone(zone)
    said = date_format(start, f"{DAY}, {TIME}")
    if isinstance(end, datetime):
        end = end.astimezone(zone)
        is_same_day = end.date() == start.date()
        said += "–" if is_same_day else " – "
        said += date_format(end, TIME if is_same_day else f"{DAY}, {TIME}")
    return f"{said} ({zone.key})"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return ZoneInfo("UTC")


def keep_look(message: Message, look: MessageHtml) -> None:
    """Store it with its message, which says `has_html`, in the transaction that writes that."""
    with connection.cursor() as cursor:
        cursor.execute(KEEP, [message.pk, look.visible, look.quoted, look.has_remote])


# By hand, because the ORM takes longer to build the statement than PostgreSQL to run it.
KEEP = """
INSERT INTO tickets_messagehtml (message_id, visible, quoted, has_remote) VALUES (%s, %s, %s, %s)
"""


def shown_inside(look: MessageHtml | None, files: Sequence[Attachment]) -> list[bool]:
    """Which files stand inside the text. Of a mail with a look of its own that is known, of others
    it is what their writer says."""
    if look is None:
        return [file.inline for file in files]
    named = pictures_named(look.visible + look.quoted)
    return [file.content_id in named for file in files]


def without_marks(text: str, files: Sequence[Attachment]) -> str:
    """A text in which the place of a picture is marked by its name, and not by its Content-ID."""
    if "[cid:" not in text.lower():
        return text
    names = {file.content_id: file.name for file in files if file.content_id}
    return MARK.sub(lambda mark: f"[{names[mark[1]]}]" if mark[1] in names else "", text)
