"""What came back about a mail after a server had accepted it, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from tickets.mail.reasons import WORDS, Kind
from tickets.operations.bounced import COMPLAINT


@dataclass(frozen=True, slots=True)
class Returned:
    icon: str
    sentence: str


def returned(mail: dict[str, Any]) -> Returned | None:
    """For an OutgoingEmail as the timeline's query reads it; None if nothing came back."""
    kind = mail["bounce_kind"]
    if not kind:
        return None
    values = {"address": mail["address"], "reason": _why(kind)}
    if kind == COMPLAINT:
        return Returned("triangle-alert", _("Marked as spam: %(address)s") % values)
    if mail["bounced_at"]:
        sentence = _("Bounced: %(address)s – %(reason)s")
    else:
        sentence = _("Delayed: %(address)s – %(reason)s")
    icon = "circle-alert" if mail["bounce_hard"] else "triangle-alert"
    return Returned(icon, sentence % values)


def _why(kind: str) -> str:
    return str(WORDS.get(Kind(kind) if kind in set(Kind) else Kind.OTHER, ""))
