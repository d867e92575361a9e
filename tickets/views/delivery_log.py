"""What happened to each mail of a reply, one recipient after the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import get_current_timezone, localdate
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# What the log is written from, as the timeline's query reads it of each OutgoingEmail.
FIELDS = (
    *("address", "field", "state", "attempts", "error", "due_at", "created_at", "finished_at"),
    *("accepted_at", "smtp_reply", "bounced_at", "bounce_hard", "bounce_kind", "bounce_reason"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the log. `words` are the server's own."""

    sentence: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    address: str
    field: str  # Cc or Bcc; empty for those in To
    steps: list[Step]


def delivery_log(mails: list[dict[str, Any]]) -> list[Log]:
    """The log of a reply, in the order in which its mails were written."""
    named = {"cc": _("Cc"), "bcc": _("Bcc")}
    return [Log(mail["address"], named.get(mail["field"], ""), _steps(mail)) for mail in mails]


def _steps(mail: dict[str, Any]) -> list[Step]:
    steps = [Step(_("Written %s") % _at(mail["created_at"]))]
    tries, error = mail["attempts"], mail["error"]
    if mail["accepted_at"]:
        steps.append(Step(_("Accepted %s") % _at(mail["accepted_at"]), mail["smtp_reply"]))
    elif mail["state"] == "failed":
        tried = ngettext("Given up after %d try", "Given up after %d tries", tries) % tries
        steps.append(Step(tried, error))
    elif error:
        tried = ngettext("Tried once", "Tried %d times", tries) % (tries if tries > 1 else ())
        next_at = _("next at %s") % _at(mail["due_at"])
        steps.append(Step(f"{tried}, {next_at}", error))
    elif mail["state"] == "queued":
        steps.append(Step(_("Leaves %s") % _at(mail["due_at"])))
    else:
        steps.append(Step(_("Being handed over")))
    if mail["bounced_at"]:
        steps.append(Step(_("Came back %s") % _at(mail["bounced_at"]), mail["bounce_reason"]))
    elif mail["bounce_reason"]:
        steps.append(Step(_("Delayed"), mail["bounce_reason"]))
    return steps


def _at(written: str) -> str:
    """A moment of the database's JSON as the reader's clock shows it, with its day unless that is
    today."""
    moment = datetime.fromisoformat(written).astimezone(get_current_timezone())
    time = f"{moment:%H:%M:%S}"
    return time if moment.date() == localdate() else f"{date_format(moment, 'j M')}, {time}"
