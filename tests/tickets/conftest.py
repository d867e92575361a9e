"""Browsers for the page tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

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
