"""The least that Channels does: a socket in one group, and one row by the ORM a message.

It speaks the frames of `bench.floor_chat`, for anything that daphne serves.
"""

from __future__ import annotations

import json
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import channel_layers
from channels.routing import ProtocolTypeRouter
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from django.core.asgi import get_asgi_application

http = get_asgi_application()

from tickets.models import Person  # noqa: E402 - models load with the line above

layer = RedisPubSubChannelLayer(hosts=[{"address": settings.REDIS_URL, "socket_timeout": None}])
channel_layers.set("default", layer)
store = database_sync_to_async(Person.objects.create, thread_sensitive=False)


class Bare(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.room = self.scope["path"].rpartition("/")[2]
        await self.channel_layer.group_add(f"floor.{self.room}", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(f"floor.{self.room}", self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        frame = json.loads(text_data or "")
        token, body = frame["client_token"], frame["body"]
        row = await store(name=body[:150])
        message = {"seq": row.pk, "body": body, "client_token": token}
        event = {"type": "message.posted", "conversation": int(self.room), "message": message}
        group = f"floor.{self.room}"
        await self.channel_layer.group_send(group, {"type": "live.event", "event": event})
        ack = {"type": "ack", "client_token": token, "message": message}
        await self.send(text_data=json.dumps(ack))

    async def live_event(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message["event"]))


application = ProtocolTypeRouter({"http": http, "websocket": Bare.as_asgi()})
