"""The cast. Alice owns the ticket, Bob is in her team, Carol is the customer, Mallory must
see nothing: she works here too, in a team of her own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from tests import make
from tests.fakes.clamd import CLAMD, Clamd, clamd
from tests.fakes.s3 import s3_server
from tickets.access import Viewer
from tickets.models import Inbox, Team, Ticket


@pytest.fixture(autouse=True)
def _fresh_limits(request: pytest.FixtureRequest) -> None:
    """Rate limits count per test."""
    if {"db", "transactional_db"} & set(request.fixturenames):
        cache.clear()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    """Logins are made in nearly every test; a slow hash guards nobody there."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3 API over HTTP; `tests.fakes.s3.new_bucket` makes a bucket there."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def scanner() -> Iterator[Clamd]:
    """A clamd that knows one virus. Nobody asks it before settings.CLAMD_URL names it."""
    if CLAMD is None:
        if os.environ.get("CI"):
            pytest.fail("clamd is missing: apt-get install clamav-daemon")
        pytest.skip("clamd is not here: apt-get install clamav-daemon")
    with clamd() as running:
        yield running


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Orders")


@pytest.fixture
def inbox(team: Team) -> Inbox:
    """Alice's and Bob's door: mail to hello@shop.example, and a widget."""
    return make.inbox("Hello", team, address="hello@shop.example", from_name="The Shop")


@pytest.fixture
def alice(team: Team) -> Viewer:
    return make.staff("Alice", team)


@pytest.fixture
def bob(team: Team) -> Viewer:
    return make.staff("Bob", team)


@pytest.fixture
def carol(db: None) -> Viewer:
    return make.customer("Carol", "carol@mail.example")


@pytest.fixture
def mallory(db: None) -> Viewer:
    elsewhere = Team.objects.create(name="Elsewhere")
    make.inbox("Elsewhere", elsewhere)
    return make.staff("Mallory", elsewhere)


@pytest.fixture
def ticket(alice: Viewer, carol: Viewer, inbox: Inbox) -> Ticket:
    """Carol's mail, owned by Alice."""
    made = make.ticket(carol, inbox, "My grinder arrived broken.")
    made.assignee = alice.user
    made.save()
    return made


@pytest.fixture
def chat(carol: Viewer, inbox: Inbox) -> Ticket:
    """A chat of Carol's in the same inbox, nobody's yet."""
    return make.ticket(carol, inbox, "Which filter fits?", channel="chat")
