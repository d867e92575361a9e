"""What `manage.py doctor` looks at in the assistant."""

from __future__ import annotations

from ai import provider
from helpdesk.lib.doctor import Finding


def endpoint() -> Finding:
    """Asks the endpoint which models it has; asks no model anything."""
    to = provider.endpoint()
    if to is None:
        return Finding("ok", "No endpoint is set: the built-in answerer quotes articles.")
    known = provider.models(to)
    if known is None or to.model in known:
        return Finding("ok", f"The endpoint of {to.model} answers.")
    return Finding("warning", f"The endpoint does not list {to.model}.", "Correct AI_MODEL.")
