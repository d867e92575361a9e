from __future__ import annotations

import json
from uuid import UUID

import pytest

from chat.protocol import (
    FRAME_MAX_CHARS,
    BadFrame,
    DeskTyping,
    Hello,
    Seen,
    Send,
    Typing,
    Unwatch,
    Visible,
    Watch,
    parse_desk_frame,
    parse_visitor_frame,
)

TOKEN = "6f1b1c1e-6a3e-4f2a-9a51-0d3f6b1f9a10"


@pytest.mark.parametrize(
    ("content", "frame"),
    [
        ({"type": "hello", "token": "abc:def"}, Hello("abc:def")),
        ({"type": "send", "client_token": TOKEN, "body": "Hi"}, Send(UUID(TOKEN), "Hi")),
        (
            {"type": "send", "client_token": TOKEN, "body": "", "files": [TOKEN]},
            Send(UUID(TOKEN), "", (UUID(TOKEN),)),
        ),
        ({"type": "typing", "typing": False}, Typing(False)),
        ({"type": "typing", "typing": True, "text": "The fl"}, Typing(True, "The fl")),
        ({"type": "seen", "seq": 7}, Seen(7)),
    ],
)
def test_a_visitors_frame_is_read(content: object, frame: object) -> None:
    assert parse_visitor_frame(json.dumps(content)) == frame


@pytest.mark.parametrize(
    ("content", "frame"),
    [
        ({"type": "watch", "conversation": 7}, Watch((7,), is_one=True)),
        ({"type": "watch", "conversations": [7, 8]}, Watch((7, 8))),
        ({"type": "watch", "conversations": []}, Watch(())),
        ({"type": "visible", "visible": False}, Visible(False)),
        ({"type": "unwatch"}, Unwatch()),
        ({"type": "typing", "conversation": 7, "typing": True}, DeskTyping(7, True)),
    ],
)
def test_a_staff_frame_is_read(content: object, frame: object) -> None:
    assert parse_desk_frame(json.dumps(content)) == frame


BAD = [
    None,  # binary
    "",
    "{",
    "null",
    "[]",
    '"send"',
    "{}",
    "[" * 60_000,
    "1" * 5_000,
    json.dumps({"type": "shout"}),
    json.dumps({"type": ["send"]}),
    json.dumps({"type": "typing", "typing": "yes"}),
    json.dumps({"type": "typing", "typing": True, "more": 1}),
]


@pytest.mark.parametrize(
    "text",
    [
        *BAD,
        json.dumps({"type": "hello"}),
        json.dumps({"type": "hello", "token": 7}),
        json.dumps({"type": "hello", "token": "x" * 201}),
        json.dumps({"type": "send", "body": "Hi"}),
        json.dumps({"type": "send", "client_token": "not one", "body": "Hi"}),
        json.dumps({"type": "send", "client_token": TOKEN[:-1] + "g", "body": "Hi"}),
        json.dumps({"type": "send", "client_token": TOKEN.replace("-", ""), "body": "Hi"}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": None}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "", "files": TOKEN}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "", "files": [7]}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "", "files": ["x"]}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "", "files": [TOKEN] * 101}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "", "files": [], "x": 1}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "x" * FRAME_MAX_CHARS}),
        json.dumps({"type": "typing", "typing": True, "text": "x" * 501}),
        json.dumps({"type": "typing", "typing": True, "text": 7}),
        json.dumps({"type": "seen", "seq": -1}),
        json.dumps({"type": "seen", "seq": True}),
        json.dumps({"type": "seen", "seq": 1.0}),
        json.dumps({"type": "seen", "seq": 2**31}),
        json.dumps({"type": "watch", "conversation": 7}),
    ],
)
def test_anything_else_from_a_visitor_is_a_bad_frame(text: str | None) -> None:
    with pytest.raises(BadFrame):
        parse_visitor_frame(text)


@pytest.mark.parametrize(
    "text",
    [
        *BAD,
        json.dumps({"type": "watch"}),
        json.dumps({"type": "watch", "conversation": "7"}),
        json.dumps({"type": "watch", "conversation": True}),
        json.dumps({"type": "watch", "conversation": 2**63}),
        json.dumps({"type": "watch", "conversations": 7}),
        json.dumps({"type": "watch", "conversations": ["7"]}),
        json.dumps({"type": "watch", "conversations": [True]}),
        json.dumps({"type": "watch", "conversations": [7] * 9}),
        json.dumps({"type": "watch", "conversation": 7, "conversations": [7]}),
        json.dumps({"type": "visible"}),
        json.dumps({"type": "visible", "visible": 1}),
        json.dumps({"type": "unwatch", "conversation": 7}),
        json.dumps({"type": "typing", "typing": True}),
        json.dumps({"type": "send", "client_token": TOKEN, "body": "Hi"}),
    ],
)
def test_anything_else_from_staff_is_a_bad_frame(text: str | None) -> None:
    with pytest.raises(BadFrame):
        parse_desk_frame(text)
