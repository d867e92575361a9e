"""The least that takes a file and hands it out: each request's body is added to one file.

No login, no database, no thread: `PUT /name` appends, `GET /name` streams. Served by daphne, as
the product is.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(tempfile.mkdtemp(dir=os.environ["HELPDESK_DATA"]))
CHUNK_BYTES = 256 * 1024


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = FOLDER / scope["path"].strip("/")
    if scope["method"] == "PUT":
        with path.open("ab") as file:
            more = True
            while more:
                event = await receive()
                file.write(event.get("body", b""))
                more = event.get("more_body", False)
        await _answer(send, 0)
        await send({"type": "http.response.body"})
        return
    await _answer(send, path.stat().st_size)
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def _answer(send: Any, size: int) -> None:
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
