"""Carol again, this time as a visitor: known by the token that her browser keeps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chat.access import Visit, visit_of
from chat.models import VisitorSession
from chat.operations import start_session
from chat.tokens import token_for
from tickets.models import Inbox


@dataclass(frozen=True)
class Visitor:
    session: VisitorSession
    token: str
    visit: Visit
    key: str


def new_visitor(inbox: Inbox, name: str = "") -> Visitor:
    session = start_session(inbox, origin="", address="192.0.2.1")
    session.person.name = name
    session.person.save()
    return Visitor(session, token_for(session.pk), visit_of(session), inbox.widget_key or "")


@pytest.fixture
def visitor(inbox: Inbox) -> Visitor:
    """Carol on the shop's page. She has not said anything yet."""
    return new_visitor(inbox, "Carol")


@pytest.fixture
def stranger(inbox: Inbox) -> Visitor:
    """Somebody else on the same page."""
    return new_visitor(inbox, "Stranger")
