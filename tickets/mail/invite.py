"""STUB: replaced by the reader of calendars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Invite:
    method: str  # REQUEST, CANCEL, REPLY, PUBLISH …
    summary: str
    starts_at: datetime | date | None  # UTC; a date lasts all day
    ends_at: datetime | date | None  # a date is the last day, not the one after it
    time_zone: str  # as told; "" where times are UTC or of wherever the reader is
    location: str
    organizer: str  # name and address, as far as told
