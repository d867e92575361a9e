"""Whom a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest


def address_of(peer: str, forwarded_for: Sequence[str]) -> str:
    """Whom to count a request for: the address, or the /64 that a household has in IPv6.

    `forwarded_for` are the entries of X-Forwarded-For; only the last TRUSTED_PROXIES of them
    were written by someone we know.
    """
    hops = [*forwarded_for, peer]
    address = hops[-1 - min(settings.TRUSTED_PROXIES, len(hops) - 1)]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def sender_of(request: HttpRequest) -> str:
    """`address_of` for an HTTP request."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    return address_of(request.META.get("REMOTE_ADDR", ""), hops)
