"""When an inbox is attended to."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, time, timedelta, tzinfo

from django.utils.translation import gettext as _

from helpdesk.lib.errors import Refused
from tickets.models import Inbox


def zone_of(inbox: Inbox) -> tzinfo:
    """The inbox's time zone; UTC where it names none that is known."""
    try:
        return zoneinfo.ZoneInfo(inbox.time_zone)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        return UTC


def is_open(inbox: Inbox, moment: datetime) -> bool:
    """Whether somebody is there at this moment. An inbox without hours is always open."""
    if not inbox.hours:
        return True
    local = moment.astimezone(zone_of(inbox))
    hours = inbox.hours.get(str(local.weekday()))
    return bool(hours) and hours[0] <= f"{local:%H:%M}" < hours[1]


def next_opening(inbox: Inbox, moment: datetime) -> datetime | None:
    """When somebody will be there again after `moment`, in the inbox's zone; None if never."""
    zone = zone_of(inbox)
    today = moment.astimezone(zone).date()
    for days in range(8):
        day = today + timedelta(days=days)
        hours = (inbox.hours or {}).get(str(day.weekday()))
        if not hours or hours[0] == "24:00":
            continue
        opens = datetime.combine(day, time.fromisoformat(hours[0]), zone)
        if opens > moment:
            return opens
    return None


def read_hours(text: str) -> list[str] | None:
    """The hours of one day as `Inbox.hours` keeps them, from "9:00-17:30"; None if there are none.

    Raises Refused with a sentence.
    """
    if not text.strip():
        return None
    try:
        begin, end = (_clock(one) for one in re.split("[-–]", text.strip()))
    except ValueError:
        begin = end = ""
    if begin >= end:
        raise Refused(_("Write hours such as 9:00-17:30, or nothing on a day off."))
    return [begin, end]


def _clock(text: str) -> str:
    """ "9" or "9:00" as "09:00", so that two of them can be compared. Raises ValueError."""
    hour, _colon, minute = text.strip().replace(".", ":").partition(":")
    if (hour, minute) == ("24", "00"):
        return "24:00"
    return f"{time(int(hour), int(minute or 0)):%H:%M}"


def hours_as_text(hours: list[str] | None) -> str:
    """As `read_hours` reads it."""
    return "-".join(hours) if hours else ""
