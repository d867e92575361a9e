"""A shelf of articles, a chat that the assistant handles, and a model that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

import ai
from ai import operations
from ai.models import Answer
from helpdesk.lib import work
from tests import make
from tests.fakes import openai_server
from tests.fakes.openai_server import FakeModel
from tickets.access import Viewer
from tickets.models import Inbox, Message, Ticket

KEY = "sk-fake-0123456789-secret"
DEMO_ARTICLES = Path(ai.__file__).parent / "demo" / "articles"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    """A model's endpoint that nobody is told about yet."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai_server.running(key=KEY) as server:
        yield server


@pytest.fixture
def configured(model: FakeModel, settings: Settings) -> FakeModel:
    """The same, and the assistant answers with it."""
    settings.OPENAI_BASE_URL = model.base_url
    settings.OPENAI_API_KEY = KEY
    settings.AI_MODEL = "fake-model"
    settings.AI_TIMEOUT_SECONDS = 5
    return model


@pytest.fixture
def shelf(db: None) -> None:
    operations.load_articles(DEMO_ARTICLES)


@pytest.fixture
def shop(inbox: Inbox) -> Inbox:
    """The usual inbox, with the assistant on."""
    inbox.assistant_on = True
    inbox.save()
    return inbox


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What open browsers were told while an answer was written, in order."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr("ai.live.ring", lambda group, event: events.append({**event, "to": group}))
    return events


def ask(carol: Viewer, shop: Inbox, *texts: str) -> Ticket:
    """A new chat in which Carol writes these, one after the other."""
    ticket = make.ticket(carol, shop, texts[0], channel="chat")
    for text in texts[1:]:
        make.say(carol, ticket, text)
    return ticket


def run(ticket: Ticket) -> Answer:
    """Let a worker do the latest answer of a ticket, as Celery would."""
    row = Answer.objects.filter(conversation=ticket.conversation_id).latest("question_seq")
    work.perform(Answer, row.pk, operations.answer)
    row.refresh_from_db()
    return row


def said(ticket: Ticket) -> list[str]:
    """What the assistant has said in this chat."""
    replies = Message.objects.filter(conversation=ticket.conversation_id, kind="reply")
    return list(replies.filter(author__is_assistant=True).values_list("body", flat=True))


def handler(ticket: Ticket) -> str:
    return Ticket.objects.values_list("handler", flat=True).get(pk=ticket.pk)
