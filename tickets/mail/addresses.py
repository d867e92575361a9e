"""Addresses we compare, and the ones we hand out: `hello+<conversation>.<signature>@…`.

A reply address names its conversation, so that an answer finds its way although a mail program
dropped every other trace. It is signed, so that nobody can guess their way into one.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.http import base36_to_int, int_to_base36

ADDRESS_MAX_CHARS = 254  # RFC 5321, 4.5.3.1.3
LOCAL_PART_MAX_CHARS = 64
SIGNATURE_BYTES = 10  # 16 letters; case does not matter, as some servers change it


def normal(address: str) -> str:
    """The form in which two spellings of one address are equal. Only good for comparing."""
    return address.strip().strip("<>").lower()


def is_address(address: str) -> bool:
    """Whether mail could be sent there: one `@` between two parts, no blanks, not too long."""
    local, at, host = address.rpartition("@")
    plain = "@" not in local and not any(c.isspace() or c in '<>(),;:"' for c in address)
    return bool(local and at and host and plain and len(address) <= ADDRESS_MAX_CHARS)


def reply_address(address: str, conversation_id: int) -> str:
    """`address` with the conversation's token, or as it is where the token does not fit."""
    local, _, host = address.rpartition("@")
    number = int_to_base36(conversation_id)
    tagged = f"{local}+{number}.{_signature(number, settings.SECRET_KEY)}"
    return f"{tagged}@{host}" if len(tagged) <= LOCAL_PART_MAX_CHARS else address


def conversations_named(addresses: Iterable[str]) -> list[int]:
    """The conversations whose signed tokens are among these addresses, in order, each once."""
    return list(dict.fromkeys(filter(None, map(_conversation_named, addresses))))


def without_tag(address: str) -> str:
    """`hello+anything@x` as `hello@x`, lower case: the door a tagged address leads to."""
    local, _, host = normal(address).rpartition("@")
    return f"{local.partition('+')[0]}@{host}"


def _conversation_named(address: str) -> int | None:
    tag = normal(address).rpartition("@")[0].rpartition("+")[2]
    number, dot, signature = tag.partition(".")
    if not dot or not number.isalnum() or not number.isascii() or len(number) > 12:
        return None
    if not any(hmac.compare_digest(signature.encode(), one.encode()) for one in _valid(number)):
        return None
    return base36_to_int(number)


def _valid(number: str) -> Iterator[str]:
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        yield _signature(number, key)


def _signature(number: str, key: str) -> str:
    digest = salted_hmac("tickets.mail.addresses", number, secret=key, algorithm="sha256").digest()
    return base64.b32encode(digest[:SIGNATURE_BYTES]).decode().lower()
