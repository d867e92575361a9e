"""The assistant's switches."""

from __future__ import annotations

import pytest

from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import Desk, Inbox


def test_one_switch_turns_the_assistant_off_everywhere(
    enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    browser = enter(alice)
    browser.post("/assistant/", {"on": "", "inbox": ""})
    assert not Desk.objects.get().assistant_on
    page = browser.get("/assistant/").content.decode()
    assert 'aria-checked="false" aria-labelledby="switch-desk"' in page
    browser.post("/assistant/", {"on": "on", "inbox": ""})
    assert Desk.objects.get().assistant_on


def test_each_inbox_has_a_switch_of_its_own(enter: Enter, alice: Viewer, inbox: Inbox) -> None:
    other = make_other()
    response = enter(alice).post("/assistant/", {"on": "on", "inbox": inbox.pk})
    assert response["Location"] == "/assistant/"
    inbox.refresh_from_db()
    other.refresh_from_db()
    assert (inbox.assistant_on, other.assistant_on) == (True, False)


@pytest.mark.parametrize("which", ["x", "1.5"])
def test_a_switch_that_is_none_is_refused(
    which: str, enter: Enter, alice: Viewer, inbox: Inbox
) -> None:
    response = enter(alice).post("/assistant/", {"on": "on", "inbox": which})
    assert response.status_code == 422
    assert not Desk.objects.filter(assistant_on=False).exists()


def make_other() -> Inbox:
    return Inbox.objects.create(name="Other")
