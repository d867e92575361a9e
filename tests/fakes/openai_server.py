"""A model's endpoint that speaks the real protocol and says what it is told to.

`POST /v1/chat/completions` (streaming or not) and `GET /v1/models`, as in OpenAI's published
API. What it answers is a scene (see Scene). The last line of the conversation may name one in
double brackets, such as `[[cut]]` or `[[say Good morning]]`; otherwise `POST /fake/scenes` queues
scenes for the next requests; otherwise it repeats the first sentence of the first article in the
prompt. `GET /fake/requests` returns what was asked, headers included.

    python -m tests.fakes.openai_server --port 8099 --key sk-fake

runs it as a process; the first line it prints is its base URL.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_SECONDS = 60


@dataclass
class Scene:
    """How one request is answered. Every field has a harmless default."""

    say: str | None = None  # the answer; None: the first sentence of the first article
    pieces: int = 0  # how many deltas the answer comes in; 0: one a word
    delay_seconds: float = 0.0  # before the first byte
    pause_seconds: float = 0.0  # between two deltas
    status: int = 200  # anything else: an error with this status
    error_code: str | None = None
    error_message: str = "The fake was told to refuse."
    retry_after_seconds: int | None = None
    cut: bool = False  # end in the middle as behind a proxy: no finish_reason, no [DONE], no error
    drop: bool = False  # lose the connection in the middle
    hang: bool = False  # say half of it, then nothing, with the line open
    silent: bool = False  # headers, then nothing, with the line open
    empty: bool = False  # a complete answer without a word
    garbage: bool = False  # a stream that is not JSON
    error_in_stream: bool = False  # an error object in the middle of the stream
    endless: bool = False  # never stops talking
    finish_reason: str = "stop"
    usage: bool = True  # report usage where the request asks for it
    linger_seconds: float = 0.0  # keep the line open after finish_reason, before usage
    tool: str = ""  # call this tool instead of, or after, saying something
    arguments: dict[str, Any] = field(default_factory=dict)


NAMED: dict[str, Scene] = {
    "401": Scene(status=401, error_code="invalid_api_key"),
    "429": Scene(status=429, error_code="rate_limit_exceeded", retry_after_seconds=1),
    "500": Scene(status=500),
    "cut": Scene(cut=True),
    "drop": Scene(drop=True),
    "hang": Scene(hang=True),
    "silent": Scene(silent=True),
    "empty": Scene(empty=True),
    "garbage": Scene(garbage=True),
    "endless": Scene(endless=True, pause_seconds=0.02),
    "slow": Scene(delay_seconds=1, pause_seconds=0.15),
    "hand_over": Scene(say="", tool="hand_over", arguments={"why": "customer_asks"}),
}
_NAME = re.compile(r"\[\[(say )?([^\]]+)\]\]")
_ARTICLE = re.compile(r"<article(?:\s[^>]*)?>\s*(.*?)\s*</article>", re.DOTALL)


class FakeModel(ThreadingHTTPServer):
    """The server, and the memory of what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, port: int = 0, *, key: str = "sk-fake", models: tuple[str, ...] = ()
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.key = key
        self.models = models or ("fake-model",)
        self.scenes: deque[Scene] = deque()
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def next(self, **scene: Any) -> None:
        """Queue a scene for the next request."""
        self.scenes.append(Scene(**scene))

    def scene_for(self, body: dict[str, Any]) -> Scene:
        spoken = _spoken(body["messages"][-1])
        if named := _NAME.findall(spoken):
            saying, name = named[-1]
            return Scene(say=name) if saying else NAMED.get(name, Scene(say=f"No scene {name}."))
        with suppress(IndexError):
            return self.scenes.popleft()
        return Scene()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the game."""


@contextmanager
def running(**options: Any) -> Iterator[FakeModel]:
    """A fake on a free port for as long as the block lasts."""
    server = FakeModel(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FakeModel
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Requests are remembered, not printed."""

    def do_GET(self) -> None:
        match self.path:
            case "/v1/models":
                if self._key_fits():
                    made = {"object": "model", "created": 0, "owned_by": "fake"}
                    data = [{"id": name, **made} for name in self.server.models]
                    self._json(200, {"object": "list", "data": data})
            case "/fake/requests":
                self._json(200, self.server.requests)
            case _:
                self._error(404, "not_found", f"Unknown request URL: GET {self.path}")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(raw)
        except ValueError:
            self._error(400, None, "We could not parse the JSON body of your request.")
            return
        match self.path:
            case "/fake/scenes":
                known = {f.name for f in fields(Scene)}
                for scene in body if isinstance(body, list) else [body]:
                    self.server.scenes.append(Scene(**{k: scene[k] for k in scene if k in known}))
                self._json(200, {"queued": len(self.server.scenes)})
            case "/v1/chat/completions":
                self._complete(body)
            case _:
                self._error(404, "not_found", f"Unknown request URL: POST {self.path}")

    def _complete(self, body: Any) -> None:
        asked = {"headers": dict(self.headers), "body": body, "at": time.monotonic()}
        self.server.requests.append(asked)
        if not self._key_fits():
            return
        if wrong := _wrong(body):
            self._error(400, None, wrong)
            return
        if body["model"] not in self.server.models:
            self._error(404, "model_not_found", f"The model {body['model']} does not exist.")
            return
        scene = self.server.scene_for(body)
        self._wait(scene.delay_seconds)
        if scene.status != 200:
            self._error(
                scene.status, scene.error_code, scene.error_message, scene.retry_after_seconds
            )
        elif body.get("stream"):
            self._stream(body, scene)
        else:
            self._json(200, _completion(body, scene))

    def _stream(self, body: dict[str, Any], scene: Scene) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        with suppress(OSError):
            if self._say(body, scene):
                self._send("data: [DONE]\n\n")
            if not (scene.drop or scene.hang or scene.silent):
                self._raw(b"0\r\n\r\n")
                return
        self.close_connection = True
        with suppress(OSError):  # without the last chunk the client sees a cut
            self.connection.shutdown(socket.SHUT_RDWR)

    def _say(self, body: dict[str, Any], scene: Scene) -> bool:
        """Stream the scene. False: it ends without an end."""
        frame = _frame(body)
        with_usage = bool((body.get("stream_options") or {}).get("include_usage")) and scene.usage

        def send(choices: list[dict[str, Any]], **more: Any) -> None:
            chunk = {**frame, "choices": choices, **({"usage": None} if with_usage else {}), **more}
            self._send(f"data: {json.dumps(chunk)}\n\n")

        def delta(finish_reason: str | None = None, **what: Any) -> None:
            send([_choice(finish_reason, delta=what)])

        if scene.silent:
            self._wait(HANG_SECONDS)
            return False
        delta(role="assistant", content="", refusal=None)
        if scene.garbage:
            self._send("data: <html>502 Bad Gateway</html>\n\n")
            return True
        pieces = [] if scene.empty else _pieces(_words_for(body, scene), scene.pieces)
        halved = scene.cut or scene.drop or scene.hang or scene.error_in_stream
        half = len(pieces) // 2 if halved else None
        for piece in pieces[:half]:
            delta(content=piece)
            self._wait(scene.pause_seconds)
        while scene.endless and not self.server.closing.is_set():
            delta(content="and so on ")
            self._wait(scene.pause_seconds)
        if scene.error_in_stream:
            error = {"message": scene.error_message, "type": "server_error", "code": None}
            self._send(f"data: {json.dumps({'error': error})}\n\n")
            return True
        if scene.hang:
            self._wait(HANG_SECONDS)
        if scene.hang or scene.cut or scene.drop:
            return False
        for call in _tool_deltas(scene):
            delta(tool_calls=[call])
        delta("tool_calls" if scene.tool else scene.finish_reason)
        self._wait(scene.linger_seconds)
        if with_usage:
            send([], usage=_usage(body, pieces))
        return True

    def _key_fits(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return True
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        # Real endpoints repeat the key, or most of it; so must the one that tests discretion.
        self._error(401, "invalid_api_key", f"Incorrect API key provided: {given}.")
        return False

    def _error(
        self, status: int, code: str | None, message: str, retry_after: int | None = None
    ) -> None:
        kind = {401: "authentication_error", 429: "requests"}.get(status, "invalid_request_error")
        error = {"message": message, "type": kind, "param": None, "code": code}
        self._json(status, {"error": error}, retry_after)

    def _json(self, status: int, content: object, retry_after: int | None = None) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(raw)

    def _send(self, text: str) -> None:
        raw = text.encode()
        self._raw(b"%x\r\n%s\r\n" % (len(raw), raw))

    def _raw(self, raw: bytes) -> None:
        self.wfile.write(raw)
        self.wfile.flush()

    def _wait(self, seconds: float) -> None:
        if seconds:
            self.server.closing.wait(seconds)


def _wrong(body: Any) -> str:
    """What the published API would refuse about a request, in short; empty: nothing."""
    if not isinstance(body, dict):
        return "The body must be an object."
    known = {"model", "messages", "stream", "stream_options", "tools", "tool_choice"}
    known |= {"temperature", "max_completion_tokens", "max_tokens", "n", "user"}
    if unknown := sorted(body.keys() - known):
        return f"Unrecognized request argument supplied: {', '.join(unknown)}"
    messages = body.get("messages")
    if not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    if not isinstance(messages, list) or not messages:
        return "Missing required parameter: 'messages'."
    for message in messages:
        if message.get("role") not in {"system", "developer", "user", "assistant", "tool"}:
            return f"Invalid value: {message.get('role')!r} for 'messages[].role'."
        if not isinstance(message.get("content"), str | list):
            return "Invalid type for 'messages[].content'."
    if "stream_options" in body and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    for tool in body.get("tools", []):
        if tool.get("type") != "function" or not tool.get("function", {}).get("name"):
            return "Missing required parameter: 'tools[0].function.name'."
    return ""


def _spoken(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _words_for(body: dict[str, Any], scene: Scene) -> str:
    if scene.say is not None:
        return scene.say
    article = _ARTICLE.search("\n".join(_spoken(message) for message in body["messages"]))
    if article is None:
        return "Hello! What can I do for you?"
    lines = [line.strip() for line in html.unescape(article[1]).splitlines()]
    plain = next((line for line in lines if line and line[0].isalnum()), "I see.")
    return plain.split(". ")[0].rstrip(".") + ". [1]"


def _pieces(text: str, count: int) -> list[str]:
    if not count:
        return re.findall(r"\s*\S+|\s+$", text)
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _tool_deltas(scene: Scene) -> Iterator[dict[str, Any]]:
    """A call comes as its name, and then its arguments in pieces, as the real ones do."""
    if not scene.tool:
        return
    function = {"name": scene.tool, "arguments": ""}
    yield {"index": 0, "id": "call_fake", "type": "function", "function": function}
    for piece in _pieces(json.dumps(scene.arguments), 3):
        yield {"index": 0, "function": {"arguments": piece}}


def _frame(body: dict[str, Any], kind: str = "chat.completion.chunk") -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:12]}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _choice(finish_reason: str | None, **what: Any) -> dict[str, Any]:
    return {"index": 0, **what, "logprobs": None, "finish_reason": finish_reason}


def _usage(body: dict[str, Any], pieces: list[str]) -> dict[str, int]:
    asked = sum(len(_spoken(message).split()) for message in body["messages"])
    said = len(pieces)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _completion(body: dict[str, Any], scene: Scene) -> dict[str, Any]:
    text = "" if scene.empty else _words_for(body, scene)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if scene.tool:
        function = {"name": scene.tool, "arguments": json.dumps(scene.arguments)}
        call = {"id": "call_fake", "type": "function", "function": function}
        message |= {"content": text or None, "tool_calls": [call]}
    choice = _choice("tool_calls" if scene.tool else scene.finish_reason, message=message)
    usage = _usage(body, _pieces(text, 0))
    return {**_frame(body, "chat.completion"), "choices": [choice], "usage": usage}


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible endpoint.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="sk-fake")
    parser.add_argument("--model", action="append", default=[])
    options = parser.parse_args()
    server = FakeModel(options.port, key=options.key, models=tuple(options.model))
    print(server.base_url, flush=True)  # noqa: T201 - whoever started us waits for this line
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
