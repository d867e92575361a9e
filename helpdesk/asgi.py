"""HTTP and websockets, one application. Daphne serves it; any ASGI server can."""

from __future__ import annotations

import gc
import os
import sys

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
http = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402 - models load with the line above
from django.conf import settings  # noqa: E402

from chat.routing import websocket  # noqa: E402
from helpdesk.pressure import with_pressure  # noqa: E402
from helpdesk.turns import in_turn  # noqa: E402

# Each may hold one of the pool's connections until it ends; not all of them need one.
REQUESTS_AT_ONCE = 2 * settings.DATABASE_POOL_SIZE

paced = with_pressure(in_turn(http, REQUESTS_AT_ONCE))
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
