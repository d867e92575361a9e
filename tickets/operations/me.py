"""What people on staff set for themselves."""

from __future__ import annotations

from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from helpdesk.lib.text import clean
from tickets.access import Viewer
from tickets.models import User

SIGNATURE_MAX_CHARS = 2_000


def save_signature(viewer: Viewer, text: str) -> str:
    """What stands below the viewer's replies by mail from now on, as Markdown. Raises Refused with
    a sentence if it is too long."""
    if viewer.user is None:
        raise NotFound
    text = clean(text).strip()
    if len(text) > SIGNATURE_MAX_CHARS:
        sentence = _("A signature may have %(limit)s characters; this has %(length)s.")
        raise Refused(sentence % {"limit": SIGNATURE_MAX_CHARS, "length": len(text)})
    User.objects.filter(pk=viewer.user.pk).update(signature=text)
    return text


def set_away(viewer: Viewer, *, away: bool) -> None:
    """Away, and given no new chats, or back. What one has stays one's own."""
    if viewer.user is None:
        raise NotFound
    User.objects.filter(pk=viewer.user.pk).update(away=away)
