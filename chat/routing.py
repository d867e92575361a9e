"""The live sockets by address."""

from __future__ import annotations

from typing import Any

from chat.consumers import DeskConsumer, VisitorConsumer

_desk = DeskConsumer.as_asgi()
_widget = VisitorConsumer.as_asgi()


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    """/ws/desk/ and /ws/widget/<key>/; no other socket is opened."""
    match scope["path"].strip("/").split("/"):
        case ["ws", "desk"]:
            await _desk(scope, receive, send)
        case ["ws", "widget", _key]:
            await _widget(scope, receive, send)
        case _:
            await send({"type": "websocket.close"})
