"""What the last server on the way writes above a mail (RFC 5321, 4.4, and RFC 9228)."""

from __future__ import annotations

from collections.abc import Iterable

from tickets.mail.addresses import is_address


def noted(recipients: Iterable[str], *, sender: str | None) -> bytes:
    """Lines for whom a mail was handed over, and from whom: "" is nobody, None is not known.

    What is no address is left out, so that nothing else gets into the mail.
    """
    lines = []
    if sender is not None:
        sender = sender.strip().removeprefix("<").removesuffix(">")
        if not sender or is_address(sender):
            lines.append(f"Return-Path: <{sender}>")
    named = filter(is_address, map(str.strip, recipients))
    lines += [f"Delivered-To: {recipient}" for recipient in named]
    return "".join(f"{line}\r\n" for line in lines).encode(errors="surrogateescape")
