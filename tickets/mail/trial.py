"""The mail by which the set-up page tries a mailbox: sent to itself, found again, and no ticket."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.utils.translation import gettext as _

HEADER = "X-Helpdesk-Trial"
VALID_SECONDS = 86_400
HEAD_MAX_BYTES = 200_000  # where we look; what relays write stands above it
NAME = f"\n{HEADER}:".encode()
VALUE = re.compile(rb"\n" + HEADER.encode() + rb":\s*([\w:.-]+)")
HEAD_ENDS = re.compile(rb"\r?\n\r?\n")

_signer = TimestampSigner(salt="tickets.mail.trial")


def compose(address: str, run: str) -> EmailMessage:
    """The mail of one try, from an address to itself. `run` names the try."""
    mail = EmailMessage()
    mail["Message-ID"] = f"<trial.{run}@{urlsplit(settings.SITE_URL).hostname or 'localhost'}>"
    mail["Date"] = format_datetime(localtime())
    mail["From"] = mail["To"] = address
    mail["Subject"] = _("Test mail of your helpdesk")
    mail["Auto-Submitted"] = "auto-generated"
    mail[HEADER] = _signer.sign(run)
    mail.set_content(
        _(
            "Your helpdesk has sent this mail to itself, to see whether it can send and read. It "
            "becomes no ticket. You may delete it."
        )
    )
    return mail


def trial_in(raw: bytes) -> str:
    """Which try a mail is of; empty for every other mail. Asked of each mail that comes."""
    place = raw.find(NAME, 0, HEAD_MAX_BYTES)
    if place < 0:
        return ""
    end = HEAD_ENDS.search(raw)
    found = VALUE.match(raw, place)
    if found is None or (end is not None and end.start() < place):
        return ""  # it stands in the text: somebody forwards one
    try:
        return _signer.unsign(found[1].decode("ascii"), max_age=VALID_SECONDS)
    except BadSignature:
        return ""
