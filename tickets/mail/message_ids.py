"""Message-IDs that we give (RFC 5322, section 3.6.4)."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from django.conf import settings


def new_message_id(conversation_id: int) -> str:
    """A new id without angle brackets, unique in the world, readable for a person who debugs."""
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    return f"{uuid.uuid4().hex}.{conversation_id}@{host}"
