"""HTTP and websockets, one application. Daphne serves it; any ASGI server can."""

from __future__ import annotations

import gc
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402 - models load with the line above
from django.conf import settings  # noqa: E402

from chat.routing import websocket  # noqa: E402
from helpdesk.handler import Handler  # noqa: E402
from helpdesk.pressure import with_pressure  # noqa: E402
from helpdesk.turns import in_turn  # noqa: E402

# More at once would not be quicker: only one of them runs Python at a time, and each of the others
# keeps everybody's sockets from their next step (docs/benchmarks.md).
REQUESTS_AT_ONCE = 4
# Beside those that wait for something else; each may hold one of the pool's connections.
REQUESTS_MOST = settings.DATABASE_POOL_SIZE

paced = with_pressure(in_turn(Handler(REQUESTS_MOST), REQUESTS_AT_ONCE))
application = ProtocolTypeRouter({"http": paced, "websocket": websocket})

# What is loaded stays until the end. Looking through it again and again made pauses of 40 to
# 90 ms for every socket of this process (docs/benchmarks.md).
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)

if "twisted.internet.reactor" in sys.modules:  # daphne serves us
    from helpdesk.prompt import write_at_once

    write_at_once()

# Daphne drops what is in flight when it is told to stop. A thread that waits for its loop would
# then wait for ever, and Python for the thread: the port is closed and the process stays.
if reactor := sys.modules.get("twisted.internet.reactor"):
    reactor.addSystemEventTrigger("after", "shutdown", os._exit, 0)
