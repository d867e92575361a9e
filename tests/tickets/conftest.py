"""Browsers for the page tests, and the server that mailboxes lie on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from tests.fakes.imap import DOVECOT, Server, dovecot
from tickets.access import Viewer

Enter = Callable[[Viewer], Client]


@pytest.fixture
def enter() -> Enter:
    """A browser in which this person is logged in."""

    def browser(who: Viewer) -> Client:
        client = Client()
        assert who.user
        client.force_login(who.user)
        return client

    return browser


@pytest.fixture
def admin(alice: Viewer) -> Viewer:
    """Alice, who may set mailboxes up and use the administration."""
    assert alice.user
    alice.user.is_superuser = alice.user.is_staff = True
    alice.user.save()
    return alice


@pytest.fixture(scope="session")
def imap_server() -> Iterator[Server]:
    """A real one, where every user name is an account of its own."""
    need_dovecot()
    with dovecot() as running:
        yield running


def need_dovecot() -> None:
    if not DOVECOT:
        if os.environ.get("CI"):
            pytest.fail("Dovecot is missing: apt-get install dovecot-imapd")
        pytest.skip("Dovecot is not here: apt-get install dovecot-imapd")
