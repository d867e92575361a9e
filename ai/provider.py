"""The only file that talks to a model: any OpenAI-compatible endpoint, streaming.

The key stays in here. No sentence we raise repeats what the endpoint said, because endpoints
like to repeat the key; its status and its error code say enough.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Literal, TypedDict, cast

from django.conf import settings

if TYPE_CHECKING:
    from openai import OpenAI, Stream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

OPENAI_URL = "https://api.openai.com/v1"
ANSWER_MAX_CHARS = 8_000
CONNECT_SECONDS = 5
# How often the reader is told that nothing new came, so that it can show what it holds back.
QUIET_SECONDS = 0.04
# What usage may take to arrive after the last word; an answer does not wait longer for it.
USAGE_SECONDS = 1.0
# The client's own second try after a lost connection, a 429 or a 5xx, inside the same deadline.
MAX_RETRIES = 1


NO_ANSWER = "The model's endpoint answered something that is no answer."


class ModelFailed(Exception):
    """No usable answer. The text is a sentence for staff, free of secrets."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    base_url: str
    api_key: str = field(repr=False)
    model: str
    timeout_seconds: float
    tools: bool
    stream_usage: bool


class Said(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A typed decision the model may take instead of answering in words."""

    name: str
    description: str
    parameters: dict[str, object]  # JSON Schema


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of the answer, as it came."""

    text: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing new for QUIET_SECONDS."""


@dataclass(frozen=True, slots=True)
class End:
    """The model has finished: the pieces of text before, or a call of one tool."""

    tool: str
    arguments: dict[str, object]
    prompt_tokens: int | None
    completion_tokens: int | None


Piece = Text | Quiet | End


def endpoint() -> Endpoint | None:
    """The model to ask, or None where no key or no model is set."""
    if not (settings.OPENAI_API_KEY and settings.AI_MODEL):
        return None
    return Endpoint(
        base_url=settings.OPENAI_BASE_URL or OPENAI_URL,
        api_key=settings.OPENAI_API_KEY,
        model=settings.AI_MODEL,
        timeout_seconds=settings.AI_TIMEOUT_SECONDS,
        tools=settings.AI_TOOLS,
        stream_usage=settings.AI_STREAM_USAGE,
    )


def stream(to: Endpoint, said: Sequence[Said], tools: Sequence[Tool] = ()) -> Iterator[Piece]:
    """Ask the model and yield its answer piece by piece; the last piece is always an End.

    Everything together takes at most `to.timeout_seconds`, whatever the endpoint does: a
    thread of its own reads the network, so a silent connection or a name server that does not
    answer cannot hold us. To stop early, close the iterator. `tools` are offered only where
    the endpoint understands them.

    Raises ModelFailed if there is no complete, non-empty answer of at most ANSWER_MAX_CHARS
    characters by then: also when the stream ends without saying why, which is how a cut
    connection looks.
    """
    arrivals: SimpleQueue[ChatCompletionChunk | ModelFailed | None] = SimpleQueue()
    enough = Event()
    deadline = time.monotonic() + to.timeout_seconds
    reader = Thread(target=_read, args=(to, said, tools, arrivals, enough), daemon=True)
    reader.start()
    answer = _Answer()
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                arrival = arrivals.get(timeout=min(QUIET_SECONDS, left))
            except Empty:
                yield Quiet()
                continue
            if isinstance(arrival, ModelFailed):
                raise arrival
            if arrival is None:
                break
            had_finished = bool(answer.finish_reason)
            try:
                text = answer.take(arrival)
            except (TypeError, AttributeError) as error:
                raise ModelFailed(NO_ANSWER) from error
            if text:
                yield Text(text)
            if answer.finish_reason and not had_finished:
                deadline = min(deadline, time.monotonic() + USAGE_SECONDS)
        if not answer.finish_reason and time.monotonic() >= deadline:
            raise ModelFailed(f"The model did not finish within {to.timeout_seconds:g} seconds.")
        yield answer.end()
    finally:
        enough.set()


class _Answer:
    """What has arrived so far. Endpoints leave out fields at will: nothing is taken for granted."""

    def __init__(self) -> None:
        self.chars = 0
        self.blank = True
        self.tool = ""
        self.arguments = ""
        self.finish_reason = ""
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    def take(self, chunk: ChatCompletionChunk) -> str:
        """Note one chunk and return the text in it."""
        if usage := chunk.usage:
            self.prompt_tokens = usage.prompt_tokens
            self.completion_tokens = usage.completion_tokens
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self.finish_reason = choice.finish_reason or self.finish_reason
        if choice.delta is None:
            return ""
        for call in choice.delta.tool_calls or ():
            # Only the first call counts: each of our tools ends the answer.
            if call.index in (0, None) and call.function:
                self.tool += call.function.name or ""
                self.arguments += call.function.arguments or ""
        text = choice.delta.content or ""
        self.chars += len(text)
        self.blank = self.blank and not text.strip()
        if self.chars > ANSWER_MAX_CHARS:
            raise ModelFailed(f"The model wrote more than {ANSWER_MAX_CHARS:,} characters.")
        return text

    def end(self) -> End:
        if not self.finish_reason:
            raise ModelFailed("The model's answer broke off.")
        if not self.tool:
            if self.finish_reason == "length":
                raise ModelFailed("The model's answer was cut at its longest length.")
            if self.finish_reason == "content_filter":
                raise ModelFailed("The model's endpoint withheld the answer.")
            if self.blank:
                raise ModelFailed("The model answered nothing.")
        return End(self.tool, _object(self.arguments), self.prompt_tokens, self.completion_tokens)


def _object(text: str) -> dict[str, object]:
    """A tool's arguments; whatever is not a JSON object counts as none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read(
    to: Endpoint,
    said: Sequence[Said],
    tools: Sequence[Tool],
    arrivals: SimpleQueue[ChatCompletionChunk | ModelFailed | None],
    enough: Event,
) -> None:
    """Carry chunks from the network to the queue; None ends them, however they end."""
    try:
        with _plain_errors(to), _open(to, said, tools) as chunks:
            for chunk in chunks:
                if enough.is_set():
                    break
                arrivals.put(chunk)
    except ModelFailed as failed:
        arrivals.put(failed)
    finally:
        arrivals.put(None)


def models(to: Endpoint) -> set[str] | None:
    """The models that the endpoint lists; None where it has no list.

    Takes at most a few times CONNECT_SECONDS. Raises ModelFailed if it cannot be reached or
    does not let us in.
    """
    from openai import NotFoundError

    patient = _client(to).with_options(timeout=CONNECT_SECONDS, max_retries=0)
    with _plain_errors(to):
        try:
            return {one.id for one in patient.models.list()}
        except NotFoundError:
            return None


@contextmanager
def _plain_errors(to: Endpoint) -> Iterator[None]:
    """Whatever the client raises becomes ModelFailed; a traceback does not repeat it either."""
    import openai  # takes a second: paid by the worker's first answer, not by every command

    try:
        yield
    except openai.APITimeoutError:
        raise ModelFailed("The model's endpoint did not answer in time.") from None
    except openai.APIConnectionError:
        raise ModelFailed("The model's endpoint could not be reached, or hung up.") from None
    except openai.APIStatusError as error:
        raise ModelFailed(_refusal(to, error.status_code, error.code)) from None
    except openai.OpenAIError:
        raise ModelFailed("The model's endpoint reported an error while answering.") from None
    except (ValueError, TypeError, AttributeError):
        raise ModelFailed(NO_ANSWER) from None
    except ModelFailed:
        raise
    except Exception:  # noqa: BLE001 - the library below has errors of its own, not named to us
        raise ModelFailed("The model's endpoint could not be reached, or hung up.") from None


def _open(to: Endpoint, said: Sequence[Said], tools: Sequence[Tool]) -> Stream[ChatCompletionChunk]:
    from openai import omit

    return _client(to).chat.completions.create(
        model=to.model,
        messages=cast("list[ChatCompletionMessageParam]", list(said)),
        stream=True,
        stream_options={"include_usage": True} if to.stream_usage else omit,
        tools=[
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in tools
        ]
        if tools and to.tools
        else omit,
    )


class _Client:
    """The one client of this process; it keeps its connections open between answers.

    Asked for another endpoint it closes them first: left to the garbage collector they would be
    closed at any time, and not by whoever opened them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._to: Endpoint | None = None
        self._made: OpenAI | None = None

    def __call__(self, to: Endpoint) -> OpenAI:
        import openai

        with self._lock:
            if self._made is None or self._to != to:
                if self._made is not None:
                    self._made.close()
                self._to = to
                self._made = openai.OpenAI(
                    base_url=to.base_url,
                    api_key=to.api_key,
                    timeout=openai.Timeout(to.timeout_seconds, connect=CONNECT_SECONDS),
                    max_retries=MAX_RETRIES,
                )
            return self._made


_client = _Client()


_CODE = re.compile(r"[a-z][a-z0-9_]{2,39}")


def _refusal(to: Endpoint, status: int, code: str | None) -> str:
    sentence = {
        400: "The model's endpoint did not accept the request",
        401: "The model's endpoint did not accept the key",
        403: "The model's endpoint does not allow this key to use the model",
        404: "The model's endpoint does not know this address or model",
        429: "The model's endpoint is over its limit",
    }.get(status, "The model's endpoint reported an error")
    # Codes are words such as invalid_api_key. Anything else could be anything, even the key.
    told = code and _CODE.fullmatch(code) and to.api_key.lower() not in code
    detail = f"{status}, {code}" if told else f"{status}"
    return f"{sentence} ({detail})."
