"""Talking to a model, over real HTTP against a fake that speaks the published protocol."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pytest_django import Settings

from ai import provider
from ai.answering import Question, prompt
from ai.knowledge import Found
from ai.models import Article
from ai.provider import End, Endpoint, ModelFailed, Quiet, Said, Text, Tool
from tests.ai.conftest import KEY
from tests.fakes.openai_server import FakeModel

HELLO: list[Said] = [{"role": "user", "content": "Hello"}]
HAND_OVER = Tool("hand_over", "Let a person answer.", {"type": "object", "properties": {}})


@pytest.fixture
def to(model: FakeModel) -> Endpoint:
    return Endpoint(model.base_url, KEY, "fake-model", 3, tools=True, stream_usage=True)


def ask(to: Endpoint, *tools: Tool) -> tuple[str, End]:
    text, end = "", None
    for piece in provider.stream(to, HELLO, tools):
        match piece:
            case Text(more):
                text += more
            case End():
                end = piece
    assert end is not None
    return text, end


def test_an_answer_streams_piece_by_piece_and_ends_with_its_usage(
    model: FakeModel, to: Endpoint
) -> None:
    model.next(say="Size 02 fits.", pieces=4, pause_seconds=0.1)
    pieces = list(provider.stream(to, HELLO))

    texts = [piece.text for piece in pieces if isinstance(piece, Text)]
    assert (len(texts), "".join(texts)) == (4, "Size 02 fits.")
    assert Quiet() in pieces
    assert pieces[-1] == End("", {}, prompt_tokens=1, completion_tokens=4)


def test_the_fake_repeats_the_article_and_not_the_rules_about_articles(to: Endpoint) -> None:
    question = Question("Shop", ("Which size?",))
    article = Article(title="Filters", slug="filters", body="Size 02 fits. Others do not.")
    said = prompt(question, [Found(article, 1.0)], with_tools=True)
    pieces = provider.stream(to, said)
    assert "".join(one.text for one in pieces if isinstance(one, Text)) == "Size 02 fits. [1]"


def test_a_tool_call_arrives_whole(model: FakeModel, to: Endpoint) -> None:
    model.next(say="", tool="hand_over", arguments={"why": "customer_asks"})
    assert ask(to, HAND_OVER)[1].tool == "hand_over"
    assert model.requests[-1]["body"]["tools"][0]["function"]["name"] == "hand_over"

    model.next(say="", tool="hand_over", arguments={"why": "customer_asks"})
    assert ask(to, HAND_OVER)[1].arguments == {"why": "customer_asks"}


def test_tools_and_usage_are_left_out_where_the_endpoint_does_not_know_them(
    model: FakeModel, to: Endpoint
) -> None:
    model.next(say="Yes.")
    text, end = ask(replace(to, tools=False, stream_usage=False), HAND_OVER)
    assert (text, end.prompt_tokens) == ("Yes.", None)
    assert model.requests[-1]["body"].keys() == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ({"cut": True}, "The model's answer broke off."),
        ({"drop": True}, "The model's endpoint could not be reached, or hung up."),
        ({"empty": True}, "The model answered nothing."),
        ({"say": " \n "}, "The model answered nothing."),
        ({"garbage": True}, "The model's endpoint answered something that is no answer."),
        ({"error_in_stream": True}, "The model's endpoint reported an error while answering."),
        ({"finish_reason": "length"}, "The model's answer was cut at its longest length."),
        ({"finish_reason": "content_filter"}, "The model's endpoint withheld the answer."),
        ({"endless": True}, "The model wrote more than 8,000 characters."),
        (
            {"status": 400, "error_code": None},
            "The model's endpoint did not accept the request (400).",
        ),
        (
            {"status": 404, "error_code": "model_not_found"},
            "The model's endpoint does not know this address or model (404, model_not_found).",
        ),
        (
            {"status": 401, "error_code": "Sk-Fake-Key!"},
            "The model's endpoint did not accept the key (401).",
        ),
    ],
)
def test_every_failure_has_one_sentence(
    model: FakeModel, to: Endpoint, scene: dict[str, object], sentence: str
) -> None:
    model.next(**{"say": "Half an answer, and then the rest.", **scene})
    with pytest.raises(ModelFailed) as failure:
        ask(to)
    assert str(failure.value) == sentence


@pytest.mark.parametrize("status", [429, 500])
def test_a_passing_trouble_is_tried_once_more(model: FakeModel, to: Endpoint, status: int) -> None:
    model.next(status=status)
    model.next(say="Here I am.")
    assert ask(to)[0] == "Here I am."

    model.next(status=status)
    model.next(status=status, error_code="again")
    with pytest.raises(ModelFailed, match=f"\\({status}, again\\)"):
        ask(to)
    assert len(model.requests) == 4


@pytest.mark.parametrize(
    "scene",
    [
        {"silent": True},
        {"hang": True, "say": "Half and half"},
        {"delay_seconds": 30},
        {"endless": True, "pause_seconds": 0.05},
        {"status": 429, "retry_after_seconds": 20},
    ],
    ids=lambda scene: next(iter(scene)),
)
def test_the_deadline_holds_whatever_the_endpoint_does(
    model: FakeModel, to: Endpoint, scene: dict[str, object]
) -> None:
    model.next(**scene)
    began = time.monotonic()
    with pytest.raises(ModelFailed, match=r"within 0\.5 seconds"):
        ask(replace(to, timeout_seconds=0.5))
    assert time.monotonic() - began < 1.5


def test_a_finished_answer_does_not_wait_for_a_line_that_stays_open(
    model: FakeModel, to: Endpoint
) -> None:
    model.next(say="Done.", linger_seconds=30)
    began = time.monotonic()
    text, end = ask(replace(to, timeout_seconds=20))
    assert (text, end.completion_tokens) == ("Done.", None)
    assert time.monotonic() - began < 5


def test_an_endpoint_that_is_not_there_is_a_failure(to: Endpoint) -> None:
    with pytest.raises(ModelFailed, match="could not be reached"):
        ask(replace(to, base_url="http://127.0.0.1:9/v1"))


def test_the_key_is_in_no_sentence_no_log_and_no_repr(
    model: FakeModel, to: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(to, api_key="sk-wrong-key-of-an-operator")
    with caplog.at_level(logging.DEBUG), pytest.raises(ModelFailed) as failure:
        ask(wrong)
    assert str(failure.value) == (
        "The model's endpoint did not accept the key (401, invalid_api_key)."
    )
    shown = caplog.text + repr(wrong) + str(failure.value) + repr(failure.value.__cause__)
    assert "sk-wrong" not in shown
    assert "sk-wrong" in json.dumps(model.requests)  # it did travel, and only where it must


def test_without_a_key_or_a_model_there_is_no_endpoint(settings: Settings) -> None:
    settings.OPENAI_API_KEY, settings.AI_MODEL = "", "some-model"
    assert provider.endpoint() is None
    settings.OPENAI_API_KEY, settings.AI_MODEL = KEY, ""
    assert provider.endpoint() is None
    settings.AI_MODEL, settings.OPENAI_BASE_URL = "some-model", ""
    to = provider.endpoint()
    assert to is not None
    assert to.base_url == provider.OPENAI_URL


def test_one_client_serves_the_whole_process(model: FakeModel, to: Endpoint) -> None:
    ask(to)
    first = provider._client(to)
    ask(replace(to))
    assert provider._client(replace(to)) is first


def test_importing_the_provider_does_not_import_openai() -> None:
    code = "import ai.provider, sys; sys.exit('openai' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_fake_speaks_the_published_protocol(model: FakeModel) -> None:
    """Its answers pass the schema that OpenAI publishes, unknown fields included."""
    question = {"model": "fake-model", "messages": [{"role": "user", "content": "Hi"}]}
    model.next(say="Size 02.", tool="hand_over", arguments={"why": "asked"})
    streamed = post(model, {**question, "stream": True, "stream_options": {"include_usage": True}})
    lines = [line for line in streamed.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    for line in lines[:-1]:
        content = json.loads(line.removeprefix("data: "))
        chunk = ChatCompletionChunk.model_validate(content, strict=True)
        assert not chunk.model_extra
    assert chunk.usage is not None
    assert chunk.choices == []

    model.next(say="Size 02.")
    whole = ChatCompletion.model_validate_json(post(model, question), strict=True)
    assert whole.choices[0].message.content == "Size 02."


def test_the_fake_runs_as_a_process_and_is_scripted_over_http() -> None:
    command = [sys.executable, "-m", "tests.fakes.openai_server", "--key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            scene = json.dumps({"say": "From afar."}).encode()
            root = base_url.removesuffix("/v1")
            urllib.request.urlopen(f"{root}/fake/scenes", scene, timeout=5).close()
            to = Endpoint(base_url, KEY, "fake-model", 5, tools=True, stream_usage=True)
            assert ask(to)[0] == "From afar."
        finally:
            process.kill()


def post(model: FakeModel, body: Mapping[str, object]) -> str:
    request = urllib.request.Request(
        f"{model.base_url}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        content: bytes = answer.read()
    return content.decode()
