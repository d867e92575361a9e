"""Let a slow browser slow down whoever sends to it.

Daphne keeps in memory what a browser has not taken yet: a film of 200 MB for each who watches it on
a train. Twisted, below it, says when to wait. Other servers wait by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

Message = Mapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Any, Send], Coroutine[Any, Any, None]]


class Brake:
    """What Twisted calls a push producer: told to pause while the way to the browser is full."""

    def __init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()

    def pauseProducing(self) -> None:
        self._free.clear()

    def resumeProducing(self) -> None:
        self._free.set()

    stopProducing = resumeProducing

    async def free(self) -> None:
        await self._free.wait()


def with_pressure(application: Application) -> Application:
    """The same application, whose streamed answers wait for the browser where daphne serves it."""

    async def paced(scope: dict[str, Any], receive: Any, send: Send) -> None:
        request = _request_of(send)
        if request is None:
            await application(scope, receive, send)
            return
        brake: Brake | None = None

        def let_go() -> None:
            nonlocal brake
            if brake is not None and request.channel is not None:
                request.unregisterProducer()
            brake = None

        async def send_slowly(message: Message) -> None:
            nonlocal brake
            if not message.get("more_body"):
                let_go()
            elif brake is None and request.channel is not None:
                brake = Brake()
                request.registerProducer(brake, True)
            if brake is not None:
                await brake.free()
            await send(message)

        try:
            await application(scope, receive, send_slowly)
        finally:
            let_go()

    return paced


def _request_of(send: Send) -> Any:
    """Daphne's request behind what it gives an application to send by; None for other servers."""
    if isinstance(send, partial) and send.args and hasattr(send.args[0], "registerProducer"):
        return send.args[0]
    return None
