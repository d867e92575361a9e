"""What visitors do besides writing: say who they are, end, rate, go on to another chat."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from chat.models import Transcript, VisitorSession
from chat.tasks import send_transcript
from tests import make
from tests.chat.conftest import Visitor
from tests.chat.test_http import get, post, send
from tickets.access import Viewer
from tickets.models import EmailAddress, Inbox, Message, Rating, Ticket
from tickets.operations import mark_seen, post_note, solve_ticket
from tickets.views.changes import change_icon, change_sentence

pytestmark = pytest.mark.django_db

WRITES = (
    *("end", "rating", "another", "transcript", "about", "attributes", "pages"),
    *("people/title", "people/mute", "people/leave", "people/1/remove"),
)
CONTENT: dict[str, Any] = {
    "score": 5,
    "email": "julie@mail.example",
    "attributes": {"plan": "pro"},
    "url": "https://shop.example/kettle",
    "title": "Mine",
    "muted": True,
}


def asked(visitor: Visitor, text: str = "Which filter fits?") -> Ticket:
    assert send(visitor, text).status_code == 201
    return Ticket.objects.get(conversation__messages__body=text)


def changes(ticket: Ticket) -> list[dict[str, Any]]:
    found = Message.objects.filter(conversation=ticket.conversation_id, kind="change")
    return [message.change or {} for message in found.order_by("seq")]


# --- Doors ---


@pytest.mark.parametrize("name", WRITES)
def test_nobody_writes_without_a_session(name: str, visitor: Visitor) -> None:
    asked(visitor)
    for token in ("", "forged", visitor.token + "x"):
        assert post(visitor, name, CONTENT, token).status_code == 401
    assert not Rating.objects.exists()
    assert not Transcript.objects.exists()
    assert Ticket.objects.get().status == "open"


@pytest.mark.parametrize("name", [*WRITES, "identify"])
def test_another_inbox_and_another_site_are_no_way_in(
    name: str, visitor: Visitor, inbox: Inbox
) -> None:
    other = make.inbox("Other")
    elsewhere = Visitor(visitor.session, visitor.token, visitor.visit, other.widget_key or "")
    expected = 422 if name == "identify" else 404
    assert post(elsewhere, name, {**CONTENT, "jwt": "x"}).status_code == expected
    there = Client().post(
        f"/widget/{visitor.key}/{name}",
        CONTENT,
        content_type="application/json",
        headers={"Authorization": f"Bearer {visitor.token}", "Origin": "https://evil.example"},
    )
    assert there.status_code == 403


@pytest.mark.parametrize("name", WRITES)
def test_a_revoked_session_writes_nothing(name: str, visitor: Visitor) -> None:
    VisitorSession.objects.update(revoked_at=now())
    assert post(visitor, name, CONTENT).status_code == 401


def test_a_visitor_reads_no_chat_of_a_stranger(visitor: Visitor, stranger: Visitor) -> None:
    ticket = asked(visitor)
    pages = (
        get(stranger, f"messages?before=100&chat={ticket.conversation_id}"),
        get(stranger, "messages?before=100&chat=987654321"),
    )
    assert [page.status_code for page in pages] == [404, 404]
    assert pages[0].json() == pages[1].json()
    assert get(stranger, "chats").json() == {"chats": []}


def test_a_session_opens_its_own_chats_not_all_that_its_person_sits_in(
    visitor: Visitor, inbox: Inbox
) -> None:
    """Who only said that an address is theirs may be given the mails that come from it."""
    mail = make.ticket(visitor.visit.viewer, inbox, "A mail from the address they claimed")
    file = make.upload(visitor.visit.viewer)
    make.say(visitor.visit.viewer, mail, "With a file", files=[file.uuid])
    assert get(visitor, f"messages?before=9&chat={mail.conversation_id}").status_code == 404
    assert get(visitor, f"files/{file.uuid}/link").status_code == 404
    shown = make.upload(visitor.visit.viewer)
    assert send(visitor, "My own", files=[str(shown.uuid)]).status_code == 201
    assert get(visitor, f"files/{shown.uuid}/link").status_code == 200


# --- Reading ---


def test_the_last_messages_come_first_and_earlier_ones_when_asked(visitor: Visitor) -> None:
    for number in range(7):
        asked(visitor, f"word {number}")
    page = get(visitor, "messages?after=0&last=3").json()
    assert [message["body"] for message in page["messages"]] == ["word 4", "word 5", "word 6"]
    assert (page["older"], page["more"], page["upto"]) == (True, False, 7)
    earlier = get(visitor, "messages?before=5&last=3").json()
    assert [message["body"] for message in earlier["messages"]] == ["word 1", "word 2", "word 3"]
    assert earlier["older"]
    first = get(visitor, "messages?before=2&last=3").json()
    assert (len(first["messages"]), first["older"]) == (1, False)


def test_a_note_is_in_no_page(visitor: Visitor, alice: Viewer) -> None:
    ticket = asked(visitor)
    post_note(alice, ticket.conversation_id, body="Careful.", via="web")
    asked(visitor, "And this?")
    page = get(visitor, "messages?before=100&last=10").json()
    assert [message["body"] for message in page["messages"]] == ["Which filter fits?", "And this?"]


def test_what_staff_have_seen_is_told(visitor: Visitor, alice: Viewer) -> None:
    ticket = asked(visitor)
    assert get(visitor, "messages").json()["read"] == 0
    mark_seen(alice, ticket.number, 99)
    assert get(visitor, "messages").json()["read"] == 1
    mark_seen(alice, ticket.number, 0)
    assert get(visitor, "messages").json()["read"] == 1


# --- Who they are ---


def test_a_name_and_an_address_are_noted_unverified(visitor: Visitor) -> None:
    said = {"name": "Julie", "email": "Julie@Mail.example"}
    assert post(visitor, "about", said).status_code == 200
    address = EmailAddress.objects.get()
    assert (address.person_id, address.address, address.is_verified) == (
        visitor.session.person_id,
        "julie@mail.example",
        False,
    )
    visitor.session.refresh_from_db()
    assert (visitor.session.person.name, visitor.session.claimed_email) == ("Julie", "")
    seat = visitor.session.conversation.participants.get()
    assert seat.reach == "live"


def test_somebody_elses_address_stays_theirs_and_opens_nothing(
    visitor: Visitor, carol: Viewer, ticket: Ticket
) -> None:
    assert post(visitor, "about", {"email": "CAROL@mail.example"}).status_code == 200
    assert EmailAddress.objects.get().person_id == carol.person.pk
    visitor.session.refresh_from_db()
    assert visitor.session.claimed_email == "carol@mail.example"
    assert get(visitor, f"messages?before=9&chat={ticket.conversation_id}").status_code == 404
    assert get(visitor, "chats").json() == {"chats": []}


def test_the_address_of_somebody_on_staff_stays_theirs(visitor: Visitor, alice: Viewer) -> None:
    assert alice.user
    assert post(visitor, "about", {"email": alice.user.email}).status_code == 200
    assert not EmailAddress.objects.exists()
    visitor.session.refresh_from_db()
    assert visitor.session.claimed_email == alice.user.email


def test_whoever_proved_an_address_keeps_their_name(visitor: Visitor) -> None:
    EmailAddress.objects.create(person=visitor.session.person, address="c@mail.example")
    post(visitor, "about", {"name": "Someone else", "email": "new@mail.example"})
    visitor.session.person.refresh_from_db()
    assert visitor.session.person.name == "Carol"
    assert EmailAddress.objects.count() == 1


def test_what_is_no_address_is_refused(visitor: Visitor) -> None:
    assert post(visitor, "about", {"email": "julie@"}).status_code == 422
    assert not EmailAddress.objects.exists()


def test_answers_given_before_are_shown_to_staff_with_the_first_message_once(
    visitor: Visitor, inbox: Inbox, alice: Viewer
) -> None:
    Inbox.objects.filter(pk=inbox.pk).update(question="What is it about?")
    post(visitor, "about", {"name": "Julie", "answer": "An order"})
    token = "6f1ed002-ab5d-4b11-94f6-2fbd5e1e9a2d"
    for _ in range(2):
        assert send(visitor, "Where is it?", client_token=token).status_code == 201
    ticket = Ticket.objects.get()
    said = {"Name": "Julie", "What is it about?": "An order"}
    assert changes(ticket) == [{"field": "answers", "old": None, "new": said}]
    line = Message.objects.get(kind="change")
    assert (line.audience, line.seq) == ("staff", 2)
    assert "An order" in change_sentence(line, alice)
    assert [m["body"] for m in get(visitor, "messages").json()["messages"]] == ["Where is it?"]


def test_an_address_left_later_is_shown_at_once(visitor: Visitor) -> None:
    ticket = asked(visitor)
    post(visitor, "about", {"email": "julie@mail.example"})
    assert changes(ticket)[-1]["new"] == {"Email (unverified)": "julie@mail.example"}


def test_attributes_are_few_short_and_plain(visitor: Visitor) -> None:
    def set_(given: object) -> int:
        return int(post(visitor, "attributes", {"attributes": given}).status_code)

    assert set_({"plan": "pro", "orders": 3, "vip": True}) == 200
    assert set_({"orders": None, "city": "Lyon"}) == 200
    visitor.session.refresh_from_db()
    assert visitor.session.attributes == {"plan": "pro", "vip": True, "city": "Lyon"}
    for bad in ({"a": [1]}, {"a": "x" * 201}, {"x" * 41: 1}, {str(n): n for n in range(21)}):
        assert set_(bad) == 422
    visitor.session.refresh_from_db()
    assert len(visitor.session.attributes) == 3


# --- The end ---


def test_a_visitor_ends_the_chat_and_opens_it_by_writing(visitor: Visitor, alice: Viewer) -> None:
    assert post(visitor, "end", {}).status_code == 422  # nothing was said
    ticket = asked(visitor)
    assert post(visitor, "end", {}).json()["ended"] is True
    assert post(visitor, "end", {}).json()["ended"] is True
    ticket.refresh_from_db()
    assert (ticket.status, ticket.unread) == ("solved", False)
    assert len(changes(ticket)) == 1
    assert "ended the chat" in change_sentence(Message.objects.get(kind="change"), alice)
    asked(visitor, "One more thing")
    assert get(visitor, "messages").json()["ended"] is False


def test_solving_ends_the_chat_for_its_visitor(visitor: Visitor, alice: Viewer) -> None:
    ticket = asked(visitor)
    solve_ticket(alice, ticket.number)
    assert get(visitor, "messages").json()["ended"] is True


def test_a_chat_is_rated_once_and_changed_for_a_day(visitor: Visitor, alice: Viewer) -> None:
    assert post(visitor, "rating", {"score": 5}).status_code == 422  # nothing was said
    ticket = asked(visitor)
    assert post(visitor, "rating", {"score": 2, "comment": "Slow."}).json()["rating"] == 2
    assert post(visitor, "rating", {"score": 2, "comment": "Slow."}).json()["rating"] == 2
    assert post(visitor, "rating", {"score": 4}).json()["rating"] == 4
    assert [(one["old"], one["new"]) for one in changes(ticket)] == [(None, 2), (2, 4)]
    first = Message.objects.filter(kind="change").earliest("seq")
    assert "2" in change_sentence(first, alice)
    assert "Slow." in change_sentence(first, alice)
    assert (first.audience, change_icon(first)) == ("staff", "star")
    Rating.objects.update(created_at=now() - timedelta(days=1, minutes=1))
    assert post(visitor, "rating", {"score": 1}).status_code == 422
    assert (Rating.objects.get().score, len(changes(ticket))) == (4, 2)


@pytest.mark.parametrize("score", [0, 6, -1, "x", None, 2.5])
def test_there_are_five_scores(score: object, visitor: Visitor) -> None:
    asked(visitor)
    assert post(visitor, "rating", {"score": score}).status_code == 400
    assert not Rating.objects.exists()


def test_another_chat_begins_and_the_one_before_can_be_read(visitor: Visitor) -> None:
    same = post(visitor, "another", {}).json()
    assert same["chat"] == visitor.session.conversation_id  # nothing was said in it
    first = asked(visitor)
    began = post(visitor, "another", {}).json()
    assert (began["chat"] != first.conversation_id, began["earlier"]) == (True, 1)
    assert (began["upto"], began["you"]) == (0, visitor.session.person_id)
    second = asked(visitor, "Something else")
    assert (second.conversation_id, second.requester) == (began["chat"], first.requester)
    (earlier,) = get(visitor, "chats").json()["chats"]
    assert (earlier["chat"], earlier["preview"]) == (first.conversation_id, "Which filter fits?")
    page = get(visitor, f"messages?before=99&chat={first.conversation_id}").json()
    assert [message["body"] for message in page["messages"]] == ["Which filter fits?"]


# --- By mail ---


@pytest.fixture
def outbox(settings: Any, tmp_path: Any) -> Any:
    settings.SMTP_URL = f"folder:{tmp_path}"
    return tmp_path


def mailed(outbox: Any) -> list[str]:
    for row in Transcript.objects.filter(state="queued"):
        send_transcript(row.pk)
    assert not Transcript.objects.exclude(state="done").exists()
    return [file.read_text() for file in sorted(outbox.iterdir())]


def test_a_transcript_shows_what_the_visitor_sees(
    visitor: Visitor, alice: Viewer, outbox: Any
) -> None:
    ticket = asked(visitor)
    make.say(alice, ticket, "Size 02.")
    post_note(alice, ticket.conversation_id, body="A secret.", via="web")
    assert post(visitor, "transcript", {"email": "julie@mail.example"}).status_code == 202
    asked(visitor, "What came later")
    (mail,) = mailed(outbox)
    assert "To: julie@mail.example" in mail
    assert "From: The Shop <hello@shop.example>" in mail
    assert "Auto-Submitted: auto-generated" in mail
    assert "Which filter fits?" in mail
    assert "Size 02." in mail
    assert "Alice" in mail
    for absent in ("secret", "What came later", "alice@"):
        assert absent not in mail


def test_nobody_elses_address_gets_a_transcript_and_nobody_learns_whose_it_is(
    visitor: Visitor, carol: Viewer, alice: Viewer, outbox: Any
) -> None:
    asked(visitor)
    assert alice.user
    for address in ("carol@mail.example", alice.user.email):
        answer = post(visitor, "transcript", {"email": address})
        assert (answer.status_code, answer.json()) == (202, {})
    assert mailed(outbox) == []


def test_transcripts_are_few(visitor: Visitor) -> None:
    asked(visitor)
    sent = [
        post(visitor, "transcript", {"email": f"a{n}@mail.example"}).status_code for n in range(4)
    ]
    assert sent == [202, 202, 202, 429]


def test_a_transcript_is_in_the_language_that_was_asked_for(visitor: Visitor, outbox: Any) -> None:
    asked(visitor)
    Client().post(
        f"/widget/{visitor.key}/transcript",
        {"email": "julie@mail.example"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {visitor.token}", "Accept-Language": "de"},
    )
    (mail,) = mailed(outbox)
    assert "Subject: Ihr Chat mit The Shop" in mail
