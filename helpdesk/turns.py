"""So many requests are worked on at once; the others wait on the event loop, where waiting is free.

Django gives each request a thread. After a restart of the web process everybody comes back at the
same moment: hundreds of threads wait for the few connections to PostgreSQL, give up together, and
come back together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from helpdesk.lib.loops import PerLoop
from helpdesk.pressure import Application, Message, Send

GONE = ("http.disconnect", "websocket.disconnect")
SLOW_SECONDS = 1.0


class Turns:
    """The places of one event loop."""

    def __init__(self, places: int) -> None:
        self.free = asyncio.Semaphore(places)

    async def end(self) -> None:
        """Nothing is open."""


async def place_or_gone(
    places: asyncio.Semaphore, receive: Any, heard: Callable[[Message], None]
) -> bool:
    """Wait for a place; False if whoever waits leaves before there is one.

    Whoever gave up has come again already, and what is done for the one who left makes all others
    wait longer: so an overload never ends. What `receive` brings meanwhile goes to `heard`.
    """
    if not places.locked():
        await places.acquire()
        return True
    place = asyncio.ensure_future(places.acquire())
    gone = asyncio.ensure_future(_gone(receive, heard))
    has_place = False
    try:
        await asyncio.wait({place, gone}, return_when=asyncio.FIRST_COMPLETED)
        has_place = not gone.done()
    finally:
        gone.cancel()
        if not has_place and not place.cancel():  # it came at the same moment
            places.release()
    return has_place


async def _gone(receive: Any, heard: Callable[[Message], None]) -> None:
    while (message := await receive())["type"] not in GONE:
        heard(message)


def in_turn(application: Application, places: int) -> Application:
    """The same HTTP application, with at most `places` requests under way.

    A place is taken when all of a request has come and given back when its answer begins: neither
    a slow upload nor a long download keeps others waiting. Nor does one that takes more than
    SLOW_SECONDS: it waits for something else, a storage or a mail server. Whoever leaves before
    has no turn.
    """
    turns = PerLoop(lambda: Turns(places))

    async def waiting(scope: dict[str, Any], receive: Any, send: Send) -> None:
        free = turns().free
        has_place = False
        late: asyncio.TimerHandle | None = None

        async def receive_in_turn() -> Mapping[str, Any]:
            nonlocal has_place, late
            message: Mapping[str, Any] = await receive()
            is_whole = message["type"] == "http.request" and not message.get("more_body")
            if is_whole and not has_place:
                has_place = await place_or_gone(free, receive, lambda _: None)
                if not has_place:
                    return {"type": GONE[0]}
                late = asyncio.get_running_loop().call_later(SLOW_SECONDS, give_back)
            return message

        def give_back() -> None:
            nonlocal has_place
            if late is not None:
                late.cancel()
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
