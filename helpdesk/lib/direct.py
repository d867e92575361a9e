"""One statement from the event loop, without a thread.

A thread that asks PostgreSQL, and the loop beside it, wait for each other at every step: only one
of them runs Python. On the one path that every visitor's message takes that cost more than the
statement. Everything else goes through Django, in threads; here is no transaction and no model.
"""

from __future__ import annotations

import asyncio
from typing import Any

from django.db import connection
from psycopg import AsyncConnection, OperationalError

from helpdesk.lib.loops import PerLoop

CONNECTIONS = 8  # at most, for each event loop

Row = tuple[Any, ...]


class _Store:
    def __init__(self) -> None:
        self._idle: list[AsyncConnection[Row]] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def fetched(self, statement: str, values: dict[str, Any]) -> list[Row]:
        async with self._free:
            asked = self._idle.pop() if self._idle else await _connected()
            try:
                cursor = await asked.execute(statement, values)
                rows = await cursor.fetchall()
            except BaseException as error:
                if isinstance(error, OperationalError):
                    await self._drop_idle()  # after a restart all of them are dead
                if isinstance(error, OperationalError) or not isinstance(error, Exception):
                    await asked.close()
                else:
                    self._idle.append(asked)
                raise
            self._idle.append(asked)
            return rows

    async def end(self) -> None:
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()


_store = PerLoop(_Store)


async def fetched(statement: str, values: dict[str, Any]) -> list[Row]:
    """The rows of a statement whose text is always the same. It is a transaction of its own.

    Raises psycopg's errors. Of one that is an OperationalError nobody knows whether it was done.
    """
    return await _store().fetched(statement, values)


async def _connected() -> AsyncConnection[Row]:
    given = connection.get_connection_params()
    djangos = {"cursor_factory", "context"}  # made for its own cursors
    wanted = {key: value for key, value in given.items() if key not in djangos}
    wanted["prepare_threshold"] = 0
    made = await AsyncConnection.connect(**wanted, autocommit=True)
    # The same few statements: PostgreSQL plans each once, and not with every values anew.
    await made.execute("SET plan_cache_mode = force_generic_plan")
    return made
