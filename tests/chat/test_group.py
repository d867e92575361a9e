"""What a customer in a group sees of it in the widget, and may do about it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from chat.access import visit_of
from chat.links import create_link, join
from chat.models import VisitorSession
from chat.tokens import link_token_for, token_for
from tests.chat.conftest import Visitor
from tests.chat.test_http import get, post, send
from tickets.access import Viewer
from tickets.models import Conversation, Inbox, Message, Participant
from tickets.operations.seats import Guests, add_people, set_rank

pytestmark = pytest.mark.django_db

JULIE = "julie@mail.example"


@pytest.fixture
def ken(visitor: Visitor, alice: Viewer, inbox: Inbox) -> Visitor:
    """Came by a link into Carol's chat, in which Julie is by mail."""
    send(visitor, "Which filter fits?")
    pk = visitor.session.conversation_id
    add_people(alice, pk, Guests(addresses=[JULIE]))
    link = create_link(alice, pk, days=1, uses_max=3, sees_all=False)
    token = link_token_for(link.pk)
    session = join(token, uuid4(), name="Ken", address="192.0.2.1", origin="")
    session = VisitorSession.objects.select_related("person").get(pk=session.pk)
    return Visitor(session, token_for(session.pk), visit_of(session), inbox.widget_key or "")


@pytest.fixture
def owner(ken: Visitor, alice: Viewer) -> Visitor:
    set_rank(alice, ken.session.conversation_id, ken.session.person_id, "owner")
    return ken


def people(who: Visitor) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in get(who, "people").json()["people"]}


def title() -> str:
    return Conversation.objects.get(is_group=True).title


def julie() -> Participant:
    return Participant.objects.get(person__addresses__address=JULIE)


def test_a_member_sees_names_and_no_address(ken: Visitor) -> None:
    found = people(ken)
    assert set(found) == {"Carol", "julie", "Ken"}
    assert [name for name, one in found.items() if one["you"]] == ["Ken"]
    assert {one["address"] for one in found.values()} == {""}
    assert "mail.example" not in get(ken, "people").content.decode()
    assert not any(one["removable"] for one in found.values())
    assert get(ken, "people").json()["leads"] is False


def test_addresses_are_shown_where_the_inbox_wants_it(ken: Visitor, inbox: Inbox) -> None:
    inbox.shows_addresses = True
    inbox.save()
    assert people(ken)["julie"]["address"] == JULIE


def test_a_member_neither_renames_nor_removes(ken: Visitor) -> None:
    renamed = post(ken, "people/title", {"title": "Mine"})
    removed = post(ken, f"people/{julie().person_id}/remove", {})
    assert (renamed.status_code, removed.status_code) == (422, 422)
    assert "Only an owner" in renamed.json()["sentence"]
    assert title() == ""
    assert julie().left_at is None


def test_an_owner_renames_and_removes(owner: Visitor) -> None:
    assert post(owner, "people/title", {"title": " Filters  for two "}).json()["title"] == (
        "Filters for two"
    )
    assert {name for name, one in people(owner).items() if one["removable"]} == {"julie"}
    left = post(owner, f"people/{julie().person_id}/remove", {}).json()["people"]
    assert {one["name"] for one in left} == {"Carol", "Ken"}
    assert julie().barred


def test_who_began_it_cannot_be_removed_nor_leave(owner: Visitor, visitor: Visitor) -> None:
    assert post(owner, f"people/{visitor.session.person_id}/remove", {}).status_code == 422
    assert get(visitor, "people").json()["leaves"] is False
    assert post(visitor, "people/leave", {}).status_code == 422
    assert get(visitor, "messages").status_code == 200


def test_to_remove_somebody_who_is_not_there_changes_nothing(
    owner: Visitor, stranger: Visitor
) -> None:
    before = Message.objects.count()
    answer = post(owner, f"people/{stranger.session.person_id}/remove", {})
    assert (answer.status_code, Message.objects.count()) == (200, before)
    assert not Participant.objects.filter(person=stranger.session.person, barred=True).exists()


def test_who_leaves_hears_nothing_more(ken: Visitor) -> None:
    assert post(ken, "people/leave", {}).status_code == 200
    assert get(ken, "messages").status_code == 404
    assert post(ken, "people/title", {"title": "Mine"}).status_code == 404


def test_a_member_mutes_and_hears_again(ken: Visitor) -> None:
    def is_muted() -> bool:
        return Participant.objects.get(person=ken.session.person).muted

    assert post(ken, "people/mute", {"muted": True}).json()["muted"]
    assert is_muted()
    assert not post(ken, "people/mute", {"muted": False}).json()["muted"]
    assert not is_muted()


def test_a_stranger_does_nothing_to_a_group(ken: Visitor, stranger: Visitor) -> None:
    post(stranger, "people/title", {"title": "Mine"})
    post(stranger, f"people/{julie().person_id}/remove", {})
    assert title() == ""
    assert julie().left_at is None
    assert "julie" not in people(stranger)


def test_too_many_changes_are_told_to_wait(owner: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.operations.GROUP_PER_MINUTE", 1)
    assert post(owner, "people/title", {"title": "One"}).status_code == 200
    assert post(owner, "people/title", {"title": "Two"}).status_code == 429
    assert title() == "One"
