"""The invitation in a calendar part (RFC 5545, RFC 5546). Pure, linear, never raises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from helpdesk.lib.text import clean
from tickets.mail.charsets import to_text

READ_BYTES = 512 * 1024
TEXT_MAX_CHARS = 500
METHODS = frozenset({"REQUEST", "CANCEL", "REPLY", "PUBLISH", "COUNTER", "REFRESH", "ADD"})
# Name, parameters, value; a parameter's value may be quoted and hold a colon.
LINE = re.compile(r'([A-Za-z0-9-]{1,60})((?:;[^":;]*(?:"[^"]*"[^":;]*)*)*):(.*)', re.S)
PARAMETER = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^";]*)')
ESCAPED = re.compile(r"\\([\\;,nN])")
MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
DURATION = re.compile(r"\+?P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")
WEEKDAY = re.compile(r"([+-]?\d)?(MO|TU|WE|TH|FR|SA|SU)")
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True)
class Invite:
    method: str  # REQUEST, CANCEL, REPLY, PUBLISH …
    summary: str
    starts_at: datetime | date | None  # UTC; a date lasts all day
    ends_at: datetime | date | None  # a date is the last day, not the one after it
    time_zone: str  # as told; "" where times are UTC or of wherever the reader is
    location: str
    organizer: str  # name and address, as far as told


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    parameters: str
    value: str

    def parameter(self, name: str) -> str:
        for one, text in PARAMETER.findall(self.parameters):
            if one.upper() == name:
                return str(text).strip('"')
        return ""

    @property
    def text(self) -> str:
        plain = ESCAPED.sub(lambda m: "\n" if m[1] in "nN" else m[1], self.value)
        return plain.strip()[:TEXT_MAX_CHARS]


Lines = dict[str, _Line]  # the first of each, by upper-case name


def read_invite(data: bytes, parameters: dict[str, str]) -> Invite | None:
    """The first event of a calendar; None if there is none. `parameters` are the part's."""
    text = clean(to_text(data[:READ_BYTES], parameters.get("charset", "utf-8"))[0])
    event: Lines = {}
    calendar: Lines = {}
    zones: dict[str, list[Lines]] = {}
    _read(text, calendar, event, zones)
    if not event:
        return None
    said = calendar["METHOD"].value if "METHOD" in calendar else parameters.get("method", "")
    method = said.strip().upper()
    start = event.get("DTSTART")
    starts_at = _moment(start, zones) if start else None
    organizer = event.get("ORGANIZER")
    summary, location = event.get("SUMMARY"), event.get("LOCATION")
    return Invite(
        method=method if method in METHODS else "PUBLISH",
        summary=summary.text if summary else "",
        starts_at=starts_at,
        ends_at=_end(event, starts_at, zones),
        time_zone=start.parameter("TZID")[:100] if start else "",
        location=location.text if location else "",
        organizer=_organizer(organizer) if organizer else "",
    )


def _read(text: str, calendar: Lines, event: Lines, zones: dict[str, list[Lines]]) -> None:
    """Sort the lines of a calendar, up to the end of its first event."""
    within: list[str] = []
    zone: list[Lines] = []
    zone_id = ""
    for unfolded in re.sub(r"\n[ \t]", "", text).split("\n"):
        match = LINE.fullmatch(unfolded)
        if match is None:
            continue
        line = _Line(match[1].upper(), match[2], match[3])
        if line.name == "BEGIN":
            within.append(line.value.strip().upper())
            if within[-1] in {"STANDARD", "DAYLIGHT"}:
                zone.append({})
        elif line.name == "END":
            ended = within.pop() if within else ""
            if ended == "VTIMEZONE":
                zones[zone_id], zone, zone_id = zone, [], ""
            elif ended == "VEVENT":
                return
        elif within[1:] == ["VEVENT"]:
            event.setdefault(line.name, line)
        elif within[1:2] == ["VTIMEZONE"]:
            if len(within) == 3 and zone:
                zone[-1].setdefault(line.name, line)
            elif line.name == "TZID":
                zone_id = line.value.strip()
        elif len(within) == 1:
            calendar.setdefault(line.name, line)


def _organizer(line: _Line) -> str:
    name = line.parameter("CN").strip()
    address = re.sub("^mailto:", "", line.value.strip(), flags=re.I)
    if "@" not in address or address.lower() == name.lower():
        return (name or address)[:TEXT_MAX_CHARS]
    return (f"{name} <{address}>" if name else address)[:TEXT_MAX_CHARS]


def _moment(line: _Line, zones: dict[str, list[Lines]]) -> datetime | date | None:
    match = MOMENT.match(line.value.strip())
    if match is None:
        return None
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
        if match[4] is None:
            return day
        hour, minute, second = int(match[4]), int(match[5]), min(int(match[6]), 59)
        clock = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
        zone = UTC if match[7] else _zone(line.parameter("TZID"), zones, clock)
        return clock.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _end(
    event: Lines, starts_at: datetime | date | None, zones: dict[str, list[Lines]]
) -> datetime | date | None:
    end: datetime | date | None = None
    try:
        if "DTEND" in event:
            end = _moment(event["DTEND"], zones)
        elif "DURATION" in event and starts_at is not None:
            match = DURATION.fullmatch(event["DURATION"].value.strip())
            if match:
                weeks, days, hours, minutes, seconds = (int(one or 0) for one in match.groups())
                end = starts_at + timedelta(
                    weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
                )
        if isinstance(end, date) and not isinstance(end, datetime):
            end -= timedelta(days=1)  # it is told as the first day after
            return max(end, starts_at) if type(starts_at) is date else end
    except (ValueError, OverflowError, TypeError):
        return None
    return end


def _zone(name: str, zones: dict[str, list[Lines]], clock: datetime) -> tzinfo:
    """The zone of that name; what the calendar says about it where the world knows none such, as
    with the names of Windows; UTC where it says nothing."""
    if not name:
        return UTC
    try:
        from zoneinfo import ZoneInfo  # rarely needed

        return ZoneInfo(name.rpartition("freeassociation.sourceforge.net/")[2].lstrip("/"))
    except (ValueError, OSError, KeyError):
        pass
    told = zones.get(name, [])
    begun = [(_last_began(one, clock), number) for number, one in enumerate(told)]
    if not begun:
        return UTC
    _, number = max(begun)
    offset = (
        OFFSET.match(told[number]["TZOFFSETTO"].value) if "TZOFFSETTO" in told[number] else None
    )
    if offset is None:
        return UTC
    minutes = 60 * int(offset[2]) + int(offset[3])
    return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))


def _last_began(rule: Lines, clock: datetime) -> datetime:
    """When standard or summer time began for the last time before `clock`, by that clock."""
    first = MOMENT.match(rule["DTSTART"].value.strip()) if "DTSTART" in rule else None
    if first is None:
        return LONG_AGO
    hour, minute = int(first[4] or 0), int(first[5] or 0)
    every = rule["RRULE"].value.upper() if "RRULE" in rule else ""
    parts = dict(part.partition("=")[::2] for part in every.split(";"))
    day = WEEKDAY.fullmatch(parts.get("BYDAY", ""))
    if day is None or not parts.get("BYMONTH", "").isdecimal():
        return datetime(int(first[1]), int(first[2]), int(first[3]), hour, minute, tzinfo=UTC)
    month, nth = int(parts["BYMONTH"]), int(day[1] or 1)
    weekday = WEEKDAYS.index(day[2])
    began = _nth_weekday(clock.year, month, nth, weekday) + timedelta(hours=hour, minutes=minute)
    if began > clock:
        began = _nth_weekday(clock.year - 1, month, nth, weekday)
    return began


def _nth_weekday(year: int, month: int, nth: int, weekday: int) -> datetime:
    """The nth such day of a month; counted from its end where `nth` is negative."""
    if nth < 0:
        after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        last = after - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % 7 + 7 * (-nth - 1))
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
