"""The least that a chat server does: store a message for good, then tell the room by Redis.

An ASGI application for a bare uvicorn. No login, no limits, no order, no resending; one JSON
frame in (`send`), two frames out (`ack` to the sender, `message.posted` to all in the room).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from psycopg_pool import AsyncConnectionPool

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TABLE = """
CREATE TABLE IF NOT EXISTS floor_message (
    id bigserial PRIMARY KEY, room bigint, token text, body text,
    created_at timestamptz DEFAULT now()
)
"""
INSERT = "INSERT INTO floor_message (room, token, body) VALUES (%s, %s, %s) RETURNING id"
CONNECTIONS = 8  # as many as the product has threads for its database
PREFIX = "floor."

rooms: defaultdict[str, set[Send]] = defaultdict(set)


class Bells:
    """Redis' publish and subscribe, in its own words: a client library would cost as much again."""

    async def open(self, url: str) -> None:
        self.writer, replies = await self._connect(url)
        self.listener, bells = await self._connect(url)
        self.listener.write(_command("PSUBSCRIBE", f"{PREFIX}*"))
        self.tasks = [asyncio.create_task(_read_past(replies)), asyncio.create_task(_tell(bells))]

    def ring(self, room: str, text: str) -> None:
        self.writer.write(_command("PUBLISH", f"{PREFIX}{room}", text))

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()

    async def _connect(self, url: str) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(_command("AUTH", parts.password or ""))
        await reader.readline()
        return writer, reader


def _command(*words: str) -> bytes:
    """A command as Redis reads it (RESP 2)."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded
    )


async def _read_past(replies: asyncio.StreamReader) -> None:
    while await replies.read(65_536):
        pass


async def _tell(bells: asyncio.StreamReader) -> None:
    """Pass every bell on to the sockets of its room."""
    for _ in range(6):
        await bells.readline()  # the answer to PSUBSCRIBE
    while True:
        for _ in range(5):
            await bells.readline()  # *4, $8, pmessage, $7, floor.*
        room = (await _bulk(bells)).removeprefix(PREFIX)
        event = {"type": "websocket.send", "text": await _bulk(bells)}
        for send in list(rooms[room]):
            await send(event)


async def _bulk(bells: asyncio.StreamReader) -> str:
    length = int((await bells.readline())[1:])
    return (await bells.readexactly(length + 2))[:-2].decode()


pool: AsyncConnectionPool
bells = Bells()


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["type"] == "websocket":
        await chat(scope["path"].rpartition("/")[2], receive, send)


async def live(receive: Receive, send: Send) -> None:
    global pool
    await receive()
    async with AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        min_size=CONNECTIONS,
        kwargs={"autocommit": True, "prepare_threshold": 0},
    ) as pool:
        await pool.wait()
        async with pool.connection() as db:
            await db.execute(TABLE)
        await bells.open(os.environ["REDIS_URL"])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        bells.close()
    await send({"type": "lifespan.shutdown.complete"})


async def chat(room: str, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    rooms[room].add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            await post(room, json.loads(message["text"]), send)
    finally:
        rooms[room].discard(send)


async def post(room: str, frame: dict[str, Any], send: Send) -> None:
    token, body = frame["client_token"], frame["body"]
    async with pool.connection() as db:
        cursor = await db.execute(INSERT, (int(room), token, body))
        row = await cursor.fetchone()
    message = {"seq": row[0] if row else 0, "body": body, "client_token": token}
    posted = {"type": "message.posted", "conversation": int(room), "message": message}
    bells.ring(room, json.dumps(posted))
    ack = {"type": "ack", "client_token": token, "message": message}
    await send({"type": "websocket.send", "text": json.dumps(ack)})
