"""What the login page of a demo tells its visitors."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from helpdesk.demo import story

register = template.Library()


@register.simple_tag
def demo_logins() -> dict[str, Any] | None:
    """The logins of the demo shop and their password; None where there is no demo."""
    if not settings.DEMO:
        return None
    host = story.MAIL_ADDRESS.partition("@")[2]
    emails = [f"{name.split()[0].lower()}@{host}" for name in story.STAFF]
    return {"emails": emails, "password": story.PASSWORD}
