"""So many requests are worked on at once; the others wait on the event loop, where waiting is free.

Django gives each request a thread. After a restart of the web process everybody comes back at the
same moment: hundreds of threads wait for the few connections to PostgreSQL, give up together, and
come back together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from helpdesk.lib.loops import PerLoop
from helpdesk.pressure import Application, Send


class Turns:
    """The places of one event loop."""

    def __init__(self, places: int) -> None:
        self.free = asyncio.Semaphore(places)

    async def end(self) -> None:
        """Nothing is open."""


def in_turn(application: Application, places: int) -> Application:
    """The same HTTP application, with at most `places` requests under way.

    A place is taken when all of a request has come and given back when its answer begins: neither
    a slow upload nor a long download keeps others waiting.
    """
    turns = PerLoop(lambda: Turns(places))

    async def waiting(scope: dict[str, Any], receive: Any, send: Send) -> None:
        free = turns().free
        has_place = False

        async def receive_in_turn() -> Mapping[str, Any]:
            nonlocal has_place
            message: Mapping[str, Any] = await receive()
            is_whole = message["type"] == "http.request" and not message.get("more_body")
            if is_whole and not has_place:
                await free.acquire()
                has_place = True
            return message

        def give_back() -> None:
            nonlocal has_place
            if has_place:
                has_place = False
                free.release()

        async def send_and_give_back(message: Mapping[str, Any]) -> None:
            give_back()
            await send(message)

        try:
            await application(scope, receive_in_turn, send_and_give_back)
        finally:
            give_back()

    return waiting
