"""Django behind ASGI, with one trip to a thread for a request.

Django's own handler starts a thread for each request and goes to it and back for every signal, for
all of the middleware, for the view and for the end. That was three quarters of what a small request
cost (docs/benchmarks.md). Here the whole of it runs in one of a few threads that stay, as under
WSGI; a stream is still drawn on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import IO, Any, cast

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from helpdesk.pressure import Send


class Handler(ASGIHandler):
    """One ASGI application. `threads`: how many requests are worked on at most.

    Views and middleware are synchronous. A browser that leaves while its request is worked on does
    not stop that; what streams ends with it.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = await self._in_thread(self._answer, scope, body)
        try:
            await self.send_response(response, send)
        finally:
            if response.streaming:
                await asyncio.shield(self._in_thread(response.close))

    def _in_thread(self, work: Any, *args: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, copy_context().run, work, *args)

    def _answer(self, scope: Mapping[str, Any], body: IO[bytes]) -> HttpResponseBase:
        """Everything but the sending; of a stream, all but its parts."""
        with body:
            set_script_prefix(get_script_prefix(scope))
            signals.request_started.send(sender=self.__class__, scope=scope)
            request, refusal = self.create_request(scope, body)
            answer = self.get_response(request) if request else refusal
            response = cast(HttpResponseBase, answer)  # one of the two is there
            response._handler_class = self.__class__  # type: ignore[attr-defined]
            if response.streaming:
                close_old_connections()  # its parts come from elsewhere, and may take hours
            else:
                response.close()
        return response
