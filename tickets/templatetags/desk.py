"""Filters and tags of the desk's templates."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django import template
from django.template.defaultfilters import linebreaks_filter
from django.utils.formats import date_format
from django.utils.html import urlize
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import localdate, localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from helpdesk.lib.markdown import words_as_html
from tickets.models import Message, Ticket
from tickets.views.entries import Entry

register = template.Library()

# How long a customer may wait before it shows: quiet, then a warning, then late.
WARN_AFTER = timedelta(hours=4)
LATE_AFTER = timedelta(hours=24)
LIVE_LATE_AFTER = timedelta(minutes=5)


@register.filter
def day_or_time(moment: datetime) -> str:
    """For a list: 9:42 today, Mon within a week, 8 Jun within this year, Jun 2024 before."""
    age_days = (localdate() - localdate(moment)).days
    if age_days <= 0:
        return date_format(localtime(moment), "G:i")
    if age_days < 7:
        return date_format(localtime(moment), "D")
    if localdate(moment).year == localdate().year:
        return date_format(localtime(moment), "j M")
    return date_format(localtime(moment), "M Y")


@register.filter
def time_of(moment: datetime) -> str:
    """For a timeline, whose days have a line of their own."""
    return date_format(localtime(moment), "G:i")


@register.filter
def day_line(day: date) -> str:
    """Above the entries of a day: Today, Yesterday, Monday, 8 June, with the year if another."""
    age_days = (localdate() - day).days
    if age_days in (0, 1):
        return _("Yesterday") if age_days else _("Today")
    return date_format(day, "l, j F" if day.year == localdate().year else "l, j F Y")


@register.filter
def waited(since: datetime) -> str:
    """How long ago, in its largest unit: 18 min, 3 h, 2 d."""
    minutes = max(1, int((now() - since).total_seconds() // 60))
    if minutes < 60:
        return _("%d min") % minutes
    if minutes < 48 * 60:
        return _("%d h") % (minutes // 60)
    return ngettext("%d day", "%d days", minutes // 1440) % (minutes // 1440)


@register.filter
def urgency(ticket: Ticket) -> str:
    """The class of a chip that says how long somebody has waited."""
    age = now() - (ticket.waiting_since or now())
    if ticket.live:
        return "chip-warn" if age < LIVE_LATE_AFTER else "chip-bad"
    if age < WARN_AFTER:
        return "chip-quiet"
    return "chip-warn" if age < LATE_AFTER else "chip-bad"


@register.filter
def is_address(text: str) -> bool:
    """May this stand in a link? Pages of ours and of the web may, `javascript:` may not."""
    return text.startswith(("/", "https://", "http://"))


@register.filter
def linked(text: str) -> SafeString:
    """Text with its addresses as links, which open beside the desk."""
    html = urlize(text, nofollow=True, autoescape=True)
    # Quotation marks in the text are escaped, so this can only be an attribute of urlize's.
    return mark_safe(  # noqa: S308 - urlize has escaped the text
        html.replace(' rel="nofollow">', ' rel="nofollow noopener" target="_blank">')
    )


@register.filter
def words(entry: Entry) -> SafeString:
    """What an entry says. Staff write Markdown and it is shown as its mail shows it; a mail that
    came, what a customer wrote, and a chat, whose other side shows no Markdown, are as typed."""
    message = entry.message
    is_plain = entry.is_bubble and not entry.among_us
    if entry.role == "customer" or is_plain or message.via == Message.Via.EMAIL:
        return linebreaks_filter(linked(message.body))
    pictures = [file for file in entry.files if file.kind == "image" and not file.closed]
    return words_as_html(message.body, {str(file.uuid): file.address for file in pictures})
