from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from pytest_django import DjangoAssertNumQueries, Settings

from chat.languages import languages
from chat.models import VisitorSession
from chat.operations import revoke_session
from chat.tokens import token_for
from helpdesk.lib.addresses import address_of
from tests import make
from tests.chat.conftest import Visitor, new_visitor
from tickets.access import Viewer
from tickets.models import Conversation, Inbox, Message, Participant, Ticket
from tickets.operations import post_note

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"


def get(who: Visitor, name: str, token: str | None = None, **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {who.token if token is None else token}"}
    headers |= more.pop("headers", {})
    return Client().get(f"/widget/{who.key}/{name}", headers=headers, **more)


def post(who: Visitor, name: str, content: object, token: str | None = None) -> Any:
    return Client().post(
        f"/widget/{who.key}/{name}",
        content if isinstance(content, bytes) else json.dumps(content),
        content_type="application/json",
        headers={"Authorization": f"Bearer {who.token if token is None else token}"},
    )


def send(who: Visitor, body: object, **more: Any) -> Any:
    return post(who, "messages", {"client_token": str(uuid4()), "body": body, **more})


SCRIPTS = [
    "/widget.js",
    *(f"/widget/{name}.js" for name in ("chat", "files", "look", "more", "people")),
]
RARE = ["/widget/api.js", "/widget/lease.js", "/widget/past.js"]


@pytest.mark.parametrize("path", SCRIPTS + RARE)
def test_a_script_is_cached_and_packed_for_pages_of_every_site(path: str) -> None:
    plain = Client().get(path)
    packed = Client().get(path, headers={"Accept-Encoding": "gzip, br"})

    assert gzip.decompress(packed.content) == plain.content
    assert plain["Content-Type"].startswith("text/javascript")
    assert "max-age=3600" in plain["Cache-Control"]
    assert plain["Access-Control-Allow-Origin"] == "*"
    again = Client().get(path, headers={"If-None-Match": plain["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("language", sorted(languages()))
def test_the_widget_is_small_in_every_language(language: str) -> None:
    packed = [
        Client().get(f"{path}?lang={language}", headers={"Accept-Encoding": "gzip"})
        for path in SCRIPTS
    ]
    launcher, chat, files, look, more, people = (len(script.content) for script in packed)
    assert launcher <= 1_000  # what every page view loads
    assert launcher + chat <= 12_000  # what is loaded on opening
    assert files <= 4_500  # for the first file
    assert look <= 3_000  # and the first that somebody looks at
    assert more <= 4_500  # forms, the rating, the menu
    assert people <= 2_000  # who is in a group


def test_the_demo_shop_is_there_only_in_a_demo(inbox: Inbox, settings: Settings) -> None:
    settings.DEMO = True
    assert f'data-inbox="{inbox.widget_key}"' in Client().get("/demo/").content.decode()
    settings.DEMO = False
    assert Client().get("/demo/").status_code == 404


def test_the_config_says_who_answers_and_how_much_one_may_write(inbox: Inbox) -> None:
    answer = Client().get(f"/widget/{inbox.widget_key}/config")
    assert answer.json() == {
        "name": "The Shop",
        "greeting": "Hello, what can we do for you?",
        "assistant": False,
        "message_max_chars": 5_000,
        "files_max": 15,
        "looks": {"theme": "", "position": "", "colors": {}},
        "faces": [],
        "answers_within_seconds": None,
        "opens_at": None,
        "form": [],
        "starters": [],
        "pages": False,
        "preview": False,
    }


def test_a_first_message_opens_a_ticket_in_the_widgets_inbox(inbox: Inbox) -> None:
    begun = Client().post(f"/widget/{inbox.widget_key}/sessions", headers={"Origin": ""})
    assert begun.status_code == 201
    assert not Ticket.objects.exists()

    session = VisitorSession.objects.get()
    assert begun.json() == {"token": token_for(session.pk), "you": session.person_id}
    said = post(
        Visitor(session, begun.json()["token"], None, inbox.widget_key or ""),  # type: ignore[arg-type]
        "messages",
        {"client_token": str(uuid4()), "body": " Which filter fits? "},
    )

    assert said.status_code == 201
    ticket = Ticket.objects.get()
    assert (ticket.inbox, ticket.requester, ticket.conversation) == (
        inbox,
        session.person,
        session.conversation,
    )
    message = said.json()["message"]
    assert (message["seq"], message["body"]) == (1, "Which filter fits?")


def test_a_message_sent_again_is_the_same_message(visitor: Visitor) -> None:
    token = str(uuid4())
    first = send(visitor, "Hello?", client_token=token)
    again = send(visitor, "Hello?", client_token=token)

    assert first.json() == again.json()
    assert Message.objects.count() == 1


def test_one_asks_for_what_is_after_the_cursor(visitor: Visitor, alice: Viewer) -> None:
    send(visitor, "One")
    conversation = visitor.session.conversation
    make.say(alice, conversation, "Two")
    post_note(alice, conversation.pk, body="Not for her", via="web")

    page = get(visitor, "messages?after=1").json()

    assert "Not for her" not in json.dumps(page)
    assert [m["body"] for m in page["messages"] if m["kind"] == "reply"] == ["Two"]
    conversation.refresh_from_db()
    assert page["upto"] == conversation.last_public_seq < conversation.last_seq
    assert (page["you"], page["more"]) == (visitor.session.person_id, False)
    nothing = get(visitor, f"messages?after={page['upto']}").json()
    assert (nothing["messages"], nothing["upto"]) == ([], page["upto"])


def test_a_long_history_comes_in_pages_without_a_gap(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.queries.PAGE_MESSAGES", 2)
    for body in "abcde":
        send(visitor, body)

    heard, after, more = [], 0, True
    while more:
        page = get(visitor, f"messages?after={after}").json()
        heard += [m["body"] for m in page["messages"]]
        after, more = page["upto"], page["more"]

    assert heard == list("abcde")


def test_the_token_is_a_bearer_token_and_nothing_else(visitor: Visitor) -> None:
    for scheme in ("", "Basic ", "Token ", "bearer\t"):
        answer = get(visitor, "messages", headers={"Authorization": scheme + visitor.token})
        assert answer.status_code == 401


def test_a_page_of_history_costs_the_same_whatever_is_in_it(
    visitor: Visitor, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        send(visitor, str(number))
    with django_assert_max_num_queries(6):
        get(visitor, "messages?after=0")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("", 422, "Write something"),
        (" \n\t ", 422, "Write something"),
        ("x" * 5_001, 422, "5,000"),
        (7, 400, ""),
        (None, 400, ""),
    ],
)
def test_words_that_cannot_be_sent_are_refused_with_a_reason(
    visitor: Visitor, body: object, status: int, words: str
) -> None:
    answer = send(visitor, body)
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert not Message.objects.exists()


def test_the_longest_text_goes_through(visitor: Visitor) -> None:
    assert send(visitor, "\N{PILE OF POO}" * 5_000).status_code == 201


def test_text_that_postgresql_would_refuse_is_cleaned(visitor: Visitor) -> None:
    assert send(visitor, "a\x00b\ud83dc").json()["message"]["body"] == "ab?c"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"body": "Hi"}', b'{"client_token": 1}']
)
def test_a_malformed_request_is_a_400(visitor: Visitor, content: bytes) -> None:
    answer = post(visitor, "messages", content)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "sentence"}


def test_a_huge_request_is_not_even_read(visitor: Visitor) -> None:
    assert post(visitor, "messages", b"x" * 70_000).status_code == 413


@pytest.mark.parametrize("after", ["x", "-1", str(2**31), "1.5"])
def test_a_cursor_that_is_no_number_is_a_400(visitor: Visitor, after: str) -> None:
    assert get(visitor, f"messages?after={after}").status_code == 400


# --- Who gets in ---

PRIVATE = [
    ("get", "messages", {}),
    ("post", "messages", {"client_token": str(uuid4()), "body": "Hi"}),
    ("post", "human", {}),
    ("post", "seen", {"seq": 1}),
]


@pytest.mark.parametrize(("method", "name", "content"), PRIVATE)
def test_without_a_good_token_nothing_opens(
    visitor: Visitor, method: str, name: str, content: object
) -> None:
    def status(token: str) -> int:
        if method == "get":
            return int(get(visitor, name, token=token).status_code)
        return int(post(visitor, name, content, token=token).status_code)

    assert status("") == 401
    assert status("not:ours") == 401
    assert status(visitor.session.pk.hex) == 401
    assert status(visitor.token[:-1]) == 401

    VisitorSession.objects.update(expires_at=now(), created_at=now() - timedelta(days=1))
    assert status(visitor.token) == 401
    VisitorSession.objects.update(expires_at=now() + timedelta(days=1))
    revoke_session(visitor.session.pk)
    assert status(visitor.token) == 401


@pytest.mark.parametrize(("method", "name", "content"), PRIVATE)
def test_a_token_of_another_inbox_finds_nothing(
    visitor: Visitor, mallory: Viewer, method: str, name: str, content: object
) -> None:
    elsewhere = new_visitor(Inbox.objects.get(name="Elsewhere"))
    if method == "get":
        answer = get(visitor, name, token=elsewhere.token)
    else:
        answer = post(visitor, name, content, token=elsewhere.token)
    assert answer.status_code == 404


@pytest.mark.parametrize(("method", "name", "content"), PRIVATE)
def test_one_who_left_the_conversation_finds_nothing(
    visitor: Visitor, method: str, name: str, content: object
) -> None:
    Participant.objects.update(left_at=now())
    answer = get(visitor, name) if method == "get" else post(visitor, name, content)
    assert answer.status_code == 404


def test_a_visitor_sees_only_their_own_conversation(visitor: Visitor, stranger: Visitor) -> None:
    send(visitor, "My order is 4711.")
    send(stranger, "Hello?")

    assert "4711" not in get(stranger, "messages?after=0").content.decode()
    assert Conversation.objects.count() == 2


def test_a_key_that_is_nobodys_finds_nothing(visitor: Visitor) -> None:
    for name in ("config", "messages"):
        assert Client().get(f"/widget/nobody/{name}").status_code == 404
    assert Client().post("/widget/nobody/sessions").status_code == 404


@pytest.mark.parametrize("name", ["config", "messages?after=0"])
def test_a_page_is_let_in_by_its_origin(visitor: Visitor, inbox: Inbox, name: str) -> None:
    def ask(origin: str) -> Any:
        return get(visitor, name, headers={"Origin": origin})

    assert ask(SHOP).status_code == 403
    assert ask("null").status_code == 403
    assert ask("http://localhost:8000").status_code == 200  # SITE_URL
    assert ask("http://testserver").status_code == 200  # where the request came to

    inbox.allowed_origins = [SHOP]
    inbox.save()
    allowed = ask(SHOP)
    assert allowed.status_code == 200
    assert allowed["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in allowed["Vary"]
    for lookalike in (f"{SHOP}.evil.example", "http://shop.example", f"{SHOP}:444"):
        refused = ask(lookalike)
        assert refused.status_code == 403
        assert refused["Access-Control-Allow-Origin"] != lookalike


def test_a_preflight_is_answered_for_allowed_pages_only(visitor: Visitor, inbox: Inbox) -> None:
    def ask() -> Any:
        return Client().options(
            f"/widget/{visitor.key}/messages",
            headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"},
        )

    assert ask().status_code == 403
    inbox.allowed_origins = [SHOP]
    inbox.save()
    answer = ask()
    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Origin"] == SHOP
    assert "Authorization" in answer["Access-Control-Allow-Headers"]


def test_a_used_session_lives_longer(visitor: Visitor) -> None:
    old = now() - timedelta(days=10)
    VisitorSession.objects.update(
        created_at=old, last_seen_at=old, expires_at=old + timedelta(days=11)
    )
    get(visitor, "messages?after=0")

    session = VisitorSession.objects.get()
    assert session.last_seen_at > now() - timedelta(minutes=1)
    assert session.expires_at > now() + timedelta(days=100)


# --- Floods ---


def test_a_visitor_who_floods_is_asked_to_slow_down(
    visitor: Visitor, stranger: Visitor, settings: Settings
) -> None:
    settings.VISITOR_MESSAGES_PER_MINUTE = 2
    assert [send(visitor, "Hi").status_code for _ in range(3)] == [201, 201, 429]
    refused = send(visitor, "Hi")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["Cache-Control"] == "no-store"
    assert send(stranger, "Hi").status_code == 201


def test_an_address_that_floods_is_asked_to_slow_down(
    visitor: Visitor, stranger: Visitor, inbox: Inbox, settings: Settings
) -> None:
    settings.ADDRESS_MESSAGES_PER_MINUTE = 1
    settings.ADDRESS_SESSIONS_PER_MINUTE = 1
    assert send(visitor, "Hi").status_code == 201
    assert send(stranger, "Hi").status_code == 429

    def begin() -> int:
        return Client().post(f"/widget/{inbox.widget_key}/sessions").status_code

    assert [begin(), begin()] == [201, 429]


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "address"),
    [
        (0, ["198.51.100.7"], "192.0.2.1"),
        (1, ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        (2, ["203.0.113.9", "198.51.100.7"], "203.0.113.9"),
        (2, [], "192.0.2.1"),
        (1, ["2001:db8:1:2:aaaa::1"], "2001:db8:1:2::/64"),
        (1, ["unknown"], "unknown"),
    ],
)
def test_only_proxies_we_know_say_where_a_request_came_from(
    settings: Settings, proxies: int, forwarded_for: list[str], address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert address_of("192.0.2.1", forwarded_for) == address


# --- A person, please ---


def test_one_may_ask_for_a_person(visitor: Visitor, inbox: Inbox) -> None:
    inbox.assistant_on = True
    inbox.save()
    assert post(visitor, "human", {}).status_code == 422  # nothing said yet
    send(visitor, "Hello?")
    assert get(visitor, "messages").json()["handler"] == "assistant"

    assert post(visitor, "human", {}).json()["handler"] == "staff"
    changes = [m["change"] for m in get(visitor, "messages").json()["messages"] if m["change"]]
    assert [(c["field"], c["new"], c["reason"]) for c in changes] == [("handler", "staff", "asked")]


def test_who_asks_for_what_comes_after_an_entry_has_that_entry(
    visitor: Visitor, alice: Viewer
) -> None:
    send(visitor, "Hello?")
    answer = make.say(alice, visitor.session.conversation, "Size 02.")

    def got() -> int:
        return Participant.objects.get(person=visitor.session.person).got_seq

    get(visitor, f"messages?after={answer.seq - 1}")
    assert got() < answer.seq
    get(visitor, f"messages?after={answer.seq}")
    assert got() == answer.seq


def test_what_is_known_to_be_with_a_visitor_is_not_written_again(visitor: Visitor) -> None:
    send(visitor, "Hello?")
    post(visitor, "seen", {"seq": 1})
    with CaptureQueriesContext(connection) as asked:
        get(visitor, "messages?after=1")
    assert not [one["sql"] for one in asked if 'UPDATE "tickets_participant"' in one["sql"]]


def test_what_was_seen_is_remembered(visitor: Visitor) -> None:
    send(visitor, "Hello?")
    assert post(visitor, "seen", {"seq": 1}).json() == {"seq": 1}
    assert Participant.objects.get().last_read_seq == 1
