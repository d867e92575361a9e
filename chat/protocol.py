"""Frames of the two live sockets, typed.

What a browser sends is parsed here and nowhere else; anything that is not exactly one of
these frames is a BadFrame, and the socket is closed with CLOSE_BAD_FRAME. Nothing is lost by
that: a sender keeps its words until they are acknowledged.

    visitor → us   hello{token} · send{client_token, body, files?} · typing{typing, text?} ·
                   seen{seq} · got{seq}
    us → visitor   ready{upto, you, handler} · ack{client_token, message} · events ·
                   refused{client_token, code, sentence, retry_after_seconds?}
    staff → us     watch{conversation} · watch{conversations} · unwatch{} · visible{visible} ·
                   typing{conversation, typing}
    us → staff     ready{} · watching{conversation} · watching{conversations} · events
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from helpdesk.lib import layer

# Room for a message of twice the usual limit in the widest encoding, so that one which is a
# little too long is refused with a sentence; what is beyond is not read at all.
FRAME_MAX_CHARS = 65_536
TOKEN_MAX_CHARS = 200
SEQ_MAX = 2**31 - 1
ID_MAX = 2**63 - 1
FILES_MAX = 100  # what an inbox can allow at most
PREVIEW_MAX_CHARS = 500  # of what a visitor types before it is sent
WATCHED_MAX = 8  # conversations that one page of the desk shows

CLOSE_BAD_FRAME = 4400
CLOSE_UNAUTHORIZED = 4401  # the token is wrong, expired or revoked
CLOSE_FORBIDDEN_ORIGIN = 4403
CLOSE_NOT_FOUND = 4404
CLOSE_MOVED = 4409  # the visitor is in another chat now: connect again
CLOSE_TRY_AGAIN = 1013  # the store is away: connect again and resend what is unacknowledged


class BadFrame(Exception):
    """The browser sent something that is no frame of ours."""


@dataclass(frozen=True, slots=True)
class Hello:
    token: str


@dataclass(frozen=True, slots=True)
class Send:
    client_token: UUID
    body: str
    files: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Typing:
    """`text` is what stands in the box, where the inbox shows it to staff."""

    typing: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    seq: int


@dataclass(frozen=True, slots=True)
class Got:
    """The browser has everything up to here, and its owner does not look."""

    seq: int


@dataclass(frozen=True, slots=True)
class Watch:
    """From now on these are shown, and no others. A page that shows one names it alone."""

    conversations: tuple[int, ...]
    is_one: bool = False


@dataclass(frozen=True, slots=True)
class Unwatch:
    pass


@dataclass(frozen=True, slots=True)
class Visible:
    """Is the page before somebody's eyes, or behind another?"""

    visible: bool


@dataclass(frozen=True, slots=True)
class DeskTyping:
    conversation: int
    typing: bool


VisitorFrame = Hello | Send | Typing | Seen | Got
DeskFrame = Watch | Unwatch | Visible | DeskTyping


def parse_visitor_frame(text: str | None) -> VisitorFrame:
    """Read one frame of a visitor's socket; `text` is None for a binary frame.

    Raises BadFrame.
    """
    match _fields(text):
        case {"type": "send", "client_token": str(token), "body": str(body), **rest} if not rest:
            return Send(_uuid(token), body)
        case {
            "type": "send",
            "client_token": str(token),
            "body": str(body),
            "files": list(files),
            **rest,
        } if not rest:
            return Send(_uuid(token), body, _uuids(files))
        case {"type": "typing", "typing": bool(typing), **rest} if not rest:
            return Typing(typing)
        case {"type": "typing", "typing": bool(typing), "text": str(text), **rest} if not rest:
            if len(text) > PREVIEW_MAX_CHARS:
                raise BadFrame
            return Typing(typing, text)
        case {"type": "seen", "seq": int(seq), **rest} if not rest:
            return Seen(_within(seq, SEQ_MAX))
        case {"type": "got", "seq": int(seq), **rest} if not rest:
            return Got(_within(seq, SEQ_MAX))
        case {"type": "hello", "token": str(token), **rest} if not rest:
            if len(token) > TOKEN_MAX_CHARS:
                raise BadFrame
            return Hello(token)
        case _:
            raise BadFrame


def parse_desk_frame(text: str | None) -> DeskFrame:
    """Read one frame of a staff socket; `text` is None for a binary frame.

    Raises BadFrame.
    """
    match _fields(text):
        case {"type": "watch", "conversation": int(pk), **rest} if not rest:
            return Watch((_within(pk, ID_MAX),), is_one=True)
        case {"type": "watch", "conversations": list(pks), **rest} if not rest:
            return Watch(_ids(pks))
        case {"type": "unwatch", **rest} if not rest:
            return Unwatch()
        case {"type": "visible", "visible": bool(visible), **rest} if not rest:
            return Visible(visible)
        case {"type": "typing", "conversation": int(pk), "typing": bool(typing), **rest} if (
            not rest
        ):
            return DeskTyping(_within(pk, ID_MAX), typing)
        case _:
            raise BadFrame


def ready(standing: Mapping[str, Any]) -> dict[str, Any]:
    """The visitor is in. `standing` is {upto, you, handler}, as in `chat.queries.Standing`."""
    return {"type": "ready", **standing}


def upto(seq: int) -> dict[str, Any]:
    """There is an entry, `seq`, of which this socket was not told: its bell was lost."""
    return {"type": "upto", "upto": seq}


def ack(client_token: UUID, message: Mapping[str, Any]) -> dict[str, Any]:
    """The message is stored, for good. `message` is as in `message.posted`, with its `chat`."""
    return {"type": "ack", "client_token": str(client_token), "message": message}


def refused(client_token: UUID, sentence: str) -> dict[str, Any]:
    """The message is not stored and never will be as it is; `sentence` tells the person why."""
    return _no(client_token, "refused", sentence)


def slow_down(client_token: UUID, sentence: str, retry_after_seconds: int) -> dict[str, Any]:
    """The message is not stored now; the same may be sent again after that many seconds."""
    no = _no(client_token, "slow_down", sentence)
    return {**no, "retry_after_seconds": retry_after_seconds}


def _no(client_token: UUID, code: str, sentence: str) -> dict[str, Any]:
    return {
        "type": "refused",
        "client_token": str(client_token),
        "code": code,
        "sentence": sentence,
    }


def encode(frame: Mapping[str, Any]) -> str:
    """The frame as text for the wire."""
    return layer.encode(frame)


def _fields(text: str | None) -> dict[str, Any]:
    if text is None or len(text) > FRAME_MAX_CHARS:
        raise BadFrame
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame from error
    if not isinstance(content, dict):
        raise BadFrame
    return content


def _uuid(text: str) -> UUID:
    if len(text) != 36:  # UUID() also takes braces, urn: and bare digits; one spelling is enough
        raise BadFrame
    try:
        return UUID(text)
    except ValueError as error:
        raise BadFrame from error


def _uuids(texts: list[Any]) -> tuple[UUID, ...]:
    if len(texts) > FILES_MAX or not all(isinstance(text, str) for text in texts):
        raise BadFrame
    return tuple(_uuid(text) for text in texts)


def _ids(numbers: list[Any]) -> tuple[int, ...]:
    if len(numbers) > WATCHED_MAX or not all(isinstance(number, int) for number in numbers):
        raise BadFrame
    return tuple(_within(number, ID_MAX) for number in numbers)


def _within(number: int, most: int) -> int:
    if isinstance(number, bool) or not 0 <= number <= most:  # True is an int in Python
        raise BadFrame
    return number
