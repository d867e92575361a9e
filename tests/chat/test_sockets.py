from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import OperationalError, connections
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from chat import consumers, presence, rechecks
from chat.models import VisitorSession
from chat.operations import revoke_session
from chat.protocol import FRAME_MAX_CHARS
from chat.routing import websocket
from helpdesk.lib.layer import channel_of
from helpdesk.lib.redis_client import redis_client
from tests import make
from tests.chat.conftest import Visitor, new_visitor
from tickets.access import Viewer
from tickets.events import everyone
from tickets.models import Inbox, Message, Participant, Team, Ticket, User
from tickets.operations import assign_ticket, post_note, start_group
from tickets.operations.seats import Guests, add_people, remove_person

pytestmark = pytest.mark.django_db(transaction=True)

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _one_store_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The communicator keeps consumers from closing their connections; the test does it."""
    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(consumers, "_threads", threads)
        yield
        threads.submit(connections.close_all).result()


async def stored(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    result: T = await database_sync_to_async(work)(*args, **kwargs)
    return result


@asynccontextmanager
async def opened(path: str, **headers: str) -> AsyncIterator[WebsocketCommunicator]:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    socket = WebsocketCommunicator(websocket, path, headers=[(b"host", b"localhost"), *pairs])
    connected, _protocol = await socket.connect(timeout=5)
    assert connected
    try:
        yield socket
    finally:
        await socket.disconnect()


@asynccontextmanager
async def widget(who: Visitor, **headers: str) -> AsyncIterator[WebsocketCommunicator]:
    """A visitor's socket that has said hello and is in."""
    async with opened(f"/ws/widget/{who.key}/", **headers) as socket:
        await socket.send_json_to({"type": "hello", "token": who.token})
        ready = await heard(socket)
        assert ready["type"] == "ready"
        assert ready["you"] == who.session.person_id
        yield socket


@asynccontextmanager
async def desk(who: Viewer, watch: int | None = None) -> AsyncIterator[WebsocketCommunicator]:
    """A staff socket that is in, and watches a conversation."""
    async with opened("/ws/desk/", cookie=await stored(cookie_of, who)) as socket:
        assert await heard(socket) == {"type": "ready"}
        if watch is not None:
            await socket.send_json_to({"type": "watch", "conversation": watch})
            assert await heard(socket) == {"type": "watching", "conversation": watch}
            assert (await heard(socket))["type"] == "presence.changed"
        yield socket


def cookie_of(who: Viewer) -> str:
    client = Client()
    assert who.user is not None
    client.force_login(who.user)
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


async def heard(socket: WebsocketCommunicator) -> Any:
    return await socket.receive_json_from(timeout=5)


async def heard_until(socket: WebsocketCommunicator, kind: str) -> Any:
    while (frame := await heard(socket))["type"] != kind:
        pass
    return frame


async def closed_with(socket: WebsocketCommunicator) -> int:
    while True:
        output = await socket.receive_output(timeout=5)
        if output["type"] == "websocket.close":
            return int(output["code"])


async def said(tab: WebsocketCommunicator, body: str) -> None:
    """A visitor's message, acknowledged and heard by the visitor too."""
    await tab.send_json_to(message(body))
    kinds = {(await heard(tab))["type"] for _ in range(2)}
    assert kinds == {"ack", "message.posted"}


def message(body: str, token: str | None = None) -> dict[str, str]:
    return {"type": "send", "client_token": token or str(uuid4()), "body": body}


# --- Talking ---


async def test_what_a_visitor_sends_is_acknowledged_and_rings_once_for_everyone(
    visitor: Visitor, alice: Viewer
) -> None:
    conversation = visitor.session.conversation_id
    async with widget(visitor) as tab, widget(visitor) as other_tab:
        await tab.send_json_to(message("Hello?"))
        ack = await heard_until(tab, "ack")
        event = await heard_until(other_tab, "message.posted")

        assert ack["message"] == event["message"] | {"chat": conversation}
        assert (event["conversation"], event["seq"], event["after"]) == (conversation, 1, 0)
        stored_as = await stored(Message.objects.get)
        assert (stored_as.body, stored_as.via) == ("Hello?", "widget")
        assert await other_tab.receive_nothing()


async def test_both_sides_hear_each_other_in_order(visitor: Visitor, alice: Viewer) -> None:
    conversation = visitor.session.conversation_id
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, conversation) as page:
            await tab.send_json_to(message("Anybody?"))
            assert (await heard_until(page, "message.posted"))["message"]["body"] == "Anybody?"
            await stored(make.say, alice, visitor.session.conversation, "Yes!")
            events: list[Any] = []
            while not events or events[-1]["message"]["body"] != "Yes!":
                events.append(await heard_until(tab, "message.posted"))
            assert [e["after"] for e in events][1:] == [e["seq"] for e in events][:-1]
            assert events[-1]["message"]["author"]["role"] == "staff"


async def test_a_message_sent_again_is_acknowledged_again_and_stored_once(
    visitor: Visitor,
) -> None:
    again = message("Hello?")
    acks = []
    for _ in range(2):
        async with widget(visitor) as tab:
            await tab.send_json_to(again)
            acks.append(await heard_until(tab, "ack"))

    assert acks[0] == acks[1]
    assert await stored(Message.objects.count) == 1


async def test_ready_says_where_the_conversation_stands(visitor: Visitor, inbox: Inbox) -> None:
    inbox.assistant_on = True
    await stored(inbox.save)
    async with opened(f"/ws/widget/{visitor.key}/") as tab:
        await tab.send_json_to({"type": "hello", "token": visitor.token})
        first = await heard(tab)
        assert (first["upto"], first["handler"]) == (0, None)
        await tab.send_json_to(message("Hello?"))
        await heard_until(tab, "ack")
    async with opened(f"/ws/widget/{visitor.key}/") as tab:
        await tab.send_json_to({"type": "hello", "token": visitor.token})
        again = await heard(tab)
        assert (again["upto"], again["handler"]) == (1, "assistant")


async def test_a_note_rings_for_staff_only(visitor: Visitor, alice: Viewer) -> None:
    conversation = visitor.session.conversation_id
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, conversation) as page:
            await stored(post_note, alice, conversation, body="Careful.", via="web")
            assert await heard_until(page, "timeline.grew") == {
                "type": "timeline.grew",
                "conversation": conversation,
                "seq": 2,
            }
        assert await tab.receive_nothing()


async def test_typing_is_told_both_ways_and_not_to_oneself(visitor: Visitor, alice: Viewer) -> None:
    conversation = visitor.session.conversation_id
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, conversation) as page:
            await tab.send_json_to({"type": "typing", "typing": True})
            event = await heard_until(page, "typing.changed")
            assert (event["name"], event["role"], event["typing"]) == ("Carol", "customer", True)

            await page.send_json_to(
                {"type": "typing", "conversation": conversation, "typing": True}
            )
            event = await heard(tab)
            assert (event["name"], event["role"]) == ("Alice", "staff")
            assert await page.receive_nothing()
            assert await tab.receive_nothing()


async def test_typing_is_passed_on_once_a_second_and_a_stop_always(
    visitor: Visitor, alice: Viewer
) -> None:
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        async with desk(alice, visitor.session.conversation_id) as page:
            for typing in (True, True, True, False):
                await tab.send_json_to({"type": "typing", "typing": typing})
            told = [await heard_until(page, "typing.changed") for _ in range(2)]
            assert [event["typing"] for event in told] == [True, False]
            assert await page.receive_nothing()


async def test_what_was_seen_is_remembered(visitor: Visitor) -> None:
    async with widget(visitor) as tab:
        await tab.send_json_to(message("Hello?"))
        await heard_until(tab, "ack")
        await tab.send_json_to({"type": "seen", "seq": 1})
        await tab.send_json_to(message("Still there?"))
        await heard_until(tab, "ack")
    seat = await stored(Participant.objects.get)
    assert seat.last_read_seq == 1


async def test_what_a_browser_has_is_noted_once_for_many_and_told_to_staff_alone(
    visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "GOT_SECONDS", 0.1)
    pk = visitor.session.conversation_id
    async with widget(visitor) as tab, widget(visitor) as other:
        await said(tab, "Hello?")
        for text in ("One", "Two"):
            await stored(make.say, alice, visitor.session.conversation, text)
        last = (await stored(Message.objects.latest, "seq")).seq
        async with desk(alice, pk) as page:
            await tab.send_json_to({"type": "got", "seq": last - 1})
            await tab.send_json_to({"type": "got", "seq": last})
            assert await heard_until(page, "got.changed") == {
                "type": "got.changed",
                "conversation": pk,
                "person": visitor.session.person_id,
                "seq": last,
            }
            assert await page.receive_nothing()
        assert {(await heard(other))["type"] for _ in range(3)} == {"message.posted"}
        assert await other.receive_nothing()
    assert (await stored(Participant.objects.get, person=visitor.session.person)).got_seq == last


# --- Who gets in ---


async def refused_with(key: str, token: str, **headers: str) -> int:
    async with opened(f"/ws/widget/{key}/", **headers) as socket:
        await socket.send_json_to({"type": "hello", "token": token})
        return await closed_with(socket)


async def test_a_wrong_token_is_shown_out(visitor: Visitor) -> None:
    assert await refused_with(visitor.key, "") == 4401
    assert await refused_with(visitor.key, "not:ours") == 4401
    assert await refused_with(visitor.key, visitor.token[:-1]) == 4401


async def test_an_expired_or_revoked_session_is_shown_out(visitor: Visitor) -> None:
    sessions = VisitorSession.objects
    day = timedelta(days=1)
    await stored(sessions.update, created_at=now() - day, expires_at=now())
    assert await refused_with(visitor.key, visitor.token) == 4401
    await stored(sessions.update, expires_at=now() + day)
    await stored(revoke_session, visitor.session.pk)
    assert await refused_with(visitor.key, visitor.token) == 4401


async def test_a_token_of_another_inbox_and_an_unknown_key_look_alike(
    visitor: Visitor, mallory: Viewer
) -> None:
    elsewhere = await stored(new_visitor, await stored(Inbox.objects.get, name="Elsewhere"))
    assert await refused_with(visitor.key, elsewhere.token) == 4404
    assert await refused_with("nobody", visitor.token) == 4404


async def test_a_page_of_a_wrong_origin_is_shown_out_at_once(
    visitor: Visitor, inbox: Inbox
) -> None:
    path = f"/ws/widget/{visitor.key}/"
    async with opened(path, origin="https://evil.example") as socket:
        assert await closed_with(socket) == 4403
    inbox.allowed_origins = ["https://shop.example"]
    await stored(inbox.save)
    async with widget(visitor, origin="https://shop.example"):
        pass
    async with widget(visitor, origin="http://localhost"):
        pass


async def test_a_socket_that_says_nothing_is_shown_out(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "HELLO_SECONDS", 0.05)
    async with opened(f"/ws/widget/{visitor.key}/") as socket:
        assert await closed_with(socket) == 4401


async def test_a_revoked_session_is_closed_and_hears_nothing_more(
    visitor: Visitor, alice: Viewer
) -> None:
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        await stored(revoke_session, visitor.session.pk)
        assert await closed_with(tab) == 4401
        await stored(make.say, alice, visitor.session.conversation, "Secret")
        assert await tab.receive_nothing()


async def test_another_browser_of_the_same_visitor_stays_when_one_is_revoked(
    visitor: Visitor,
) -> None:
    second = await stored(
        VisitorSession.objects.create,
        person=visitor.session.person,
        inbox=visitor.session.inbox,
        conversation=visitor.session.conversation,
    )
    async with widget(visitor) as tab:
        await stored(revoke_session, second.pk)
        assert await tab.receive_nothing()
        await tab.send_json_to(message("Hello?"))
        assert (await heard(tab))["type"] in {"ack", "message.posted"}


async def test_who_was_shut_out_without_a_bell_hears_no_later_event(
    visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_MAX_SECONDS", 0)
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        await stored(VisitorSession.objects.update, revoked_at=now())
        await stored(make.say, alice, visitor.session.conversation, "Secret")
        assert await closed_with(tab) == 4401
    async with widget(await stored(new_visitor, visitor.session.inbox)) as tab:
        await stored(Participant.objects.filter(role="customer").update, left_at=now())
        await tab.send_json_to(message("Hello?"))
        assert await closed_with(tab) == 4404


async def test_who_was_shut_out_a_moment_ago_is_shown_out_beside_the_next_event(
    visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0)
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        await said(tab, "Still me.")  # asked beside it, and let in again
        await stored(VisitorSession.objects.update, revoked_at=now())
        await stored(make.say, alice, visitor.session.conversation, "Secret")
        while (frame := await tab.receive_output(timeout=2))["type"] == "websocket.send":
            pass
        assert (frame["type"], frame["code"]) == ("websocket.close", 4401)


async def test_a_silent_page_is_shown_out_by_the_next_round(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rechecks, "ROUND_SECONDS", 0.3)
    other = await stored(new_visitor, visitor.session.inbox)
    async with widget(visitor) as tab, widget(other) as stays:
        await asyncio.sleep(0.5)
        assert await tab.receive_nothing()
        mine = VisitorSession.objects.filter(pk=visitor.session.pk)
        await stored(mine.update, revoked_at=now())
        assert await closed_with(tab) == 4401
        await asyncio.sleep(0.5)
        await said(stays, "I may stay.")


async def test_what_no_bell_told_of_is_told_by_the_next_round_and_once(
    visitor: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rechecks, "ROUND_SECONDS", 0.3)
    async with widget(visitor) as socket:
        await said(socket, "Hello")
        assert await socket.receive_nothing(timeout=0.5)
        with monkeypatch.context() as patch:
            patch.setattr(consumers.VisitorConsumer, "is_enough", lambda *_: True)  # it is lost
            reply = await stored(make.say, alice, visitor.session.conversation, "Hi")
            told = await heard_until(socket, "upto")
        assert told == {"type": "upto", "upto": reply.seq}
        assert await socket.receive_nothing(timeout=0.5)


async def test_many_come_in_a_few_at_a_time_and_who_left_keeps_nobody_waiting(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = consumers.Door()
    monkeypatch.setattr(consumers, "_door", lambda: door)
    for _ in range(consumers.STORE_THREADS - 2):
        await door.places.acquire()
    hello = {"type": "hello", "token": visitor.token}
    async with opened(f"/ws/widget/{visitor.key}/") as left:
        await left.send_json_to(hello)
        assert await left.receive_nothing(timeout=0.3)
    async with opened(f"/ws/widget/{visitor.key}/") as socket:
        await socket.send_json_to(hello)
        await socket.send_json_to({"type": "send", "client_token": str(uuid4()), "body": "Hi"})
        assert await socket.receive_nothing(timeout=0.3)
        door.places.release()
        assert (await heard(socket))["type"] == "ready"
        assert (await heard_until(socket, "ack"))["message"]["body"] == "Hi"  # it came early
    assert not door.places.locked()


async def test_a_page_whose_origin_is_no_longer_allowed_hears_no_later_event(
    visitor: Visitor, alice: Viewer, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_MAX_SECONDS", 0)
    shop = "https://shop.example"
    await stored(Inbox.objects.update, allowed_origins=[shop, "https://other.example"])
    async with widget(visitor, origin=shop) as tab:
        await said(tab, "Hello?")
        await stored(Inbox.objects.update, allowed_origins=["https://other.example"])
        await stored(make.say, alice, visitor.session.conversation, "Secret")
        assert await closed_with(tab) == 4403


async def test_one_who_lost_their_seat_can_write_no_more(visitor: Visitor) -> None:
    async with widget(visitor) as tab:
        await stored(Participant.objects.update, left_at=now())
        await tab.send_json_to(message("Hello?"))
        assert await closed_with(tab) == 4404
    assert not await stored(Message.objects.exists)


async def test_a_visitor_never_hears_another_conversation(
    visitor: Visitor, stranger: Visitor
) -> None:
    async with widget(visitor) as tab, widget(stranger) as other:
        await tab.send_json_to(message("My order is 4711."))
        await heard_until(tab, "ack")
        assert await other.receive_nothing()


async def test_there_is_no_other_socket() -> None:
    for path in ("/ws/", "/ws/desk/7/", "/ws/widget/", "/"):
        socket = WebsocketCommunicator(websocket, path)
        connected, _code = await socket.connect()
        assert not connected


# --- Bad frames, floods and faults ---


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"type": "watch", "conversation": 1}',
        '{"type": "hello", "token": "again"}',
        json.dumps({"type": "send", "client_token": "no", "body": "Hi"}),
        json.dumps(message("x" * FRAME_MAX_CHARS)),
    ],
)
async def test_a_malformed_frame_closes_the_socket_and_loses_nothing(
    visitor: Visitor, text: str
) -> None:
    async with widget(visitor) as tab:
        await tab.send_json_to(message("Kept"))
        await heard_until(tab, "ack")
        await tab.send_to(text_data=text)
        assert await closed_with(tab) == 4400
    assert [m.body for m in await stored(list, Message.objects.all())] == ["Kept"]


async def test_a_binary_frame_closes_the_socket(visitor: Visitor) -> None:
    async with widget(visitor) as tab:
        await tab.send_to(bytes_data=b"\x00\x01")
        assert await closed_with(tab) == 4400


async def test_nothing_is_obeyed_before_hello(visitor: Visitor) -> None:
    async with opened(f"/ws/widget/{visitor.key}/") as socket:
        await socket.send_json_to(message("Hello?"))
        assert await closed_with(socket) == 4400
    assert not await stored(Message.objects.exists)


async def test_a_flood_of_frames_closes_the_socket(visitor: Visitor) -> None:
    async with widget(visitor) as tab:
        for _ in range(consumers.FRAMES_AT_ONCE + 5):
            await tab.send_json_to({"type": "typing", "typing": True})
        assert await closed_with(tab) == 4400


async def test_too_many_messages_are_refused_for_now(visitor: Visitor, settings: Settings) -> None:
    settings.VISITOR_MESSAGES_PER_MINUTE = 1
    late = message("Two")
    async with widget(visitor) as tab:
        await tab.send_json_to(message("One"))
        await heard_until(tab, "ack")
        await tab.send_json_to(late)
        no = await heard_until(tab, "refused")
        assert (no["client_token"], no["code"]) == (late["client_token"], "slow_down")
        assert 1 <= no["retry_after_seconds"] <= 60
        settings.VISITOR_MESSAGES_PER_MINUTE = 9
        await tab.send_json_to(late)
        assert (await heard_until(tab, "ack"))["message"]["body"] == "Two"


@pytest.mark.parametrize(("body", "words"), [(" ", "Write something"), ("x" * 5_001, "5,000")])
async def test_words_that_cannot_be_sent_are_refused_with_a_reason(
    visitor: Visitor, body: str, words: str
) -> None:
    async with widget(visitor) as tab:
        await tab.send_json_to(message(body))
        no = await heard(tab)
        assert (no["type"], no["code"]) == ("refused", "refused")
        assert words in no["sentence"]
        await tab.send_json_to(message("Better"))
        await heard_until(tab, "ack")


async def test_a_database_fault_closes_the_socket_so_that_the_sender_resends(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError("the server closed the connection")

    async with widget(visitor) as tab:
        monkeypatch.setattr(consumers, "send_from_visitor", away)
        await tab.send_json_to(message("Hello?"))
        assert await closed_with(tab) == 1013


# --- The desk ---


async def test_the_desk_is_for_staff_who_are_logged_in(alice: Viewer, visitor: Visitor) -> None:
    name = django_settings.SESSION_COOKIE_NAME
    for cookie in ("", f"{name}=", f"{name}=forged", f"{name}={visitor.token}"):
        async with opened("/ws/desk/", cookie=cookie) as socket:
            assert await closed_with(socket) == 4401
    good = await stored(cookie_of, alice)
    await stored(User.objects.update, is_active=False)
    async with opened("/ws/desk/", cookie=good) as socket:
        assert await closed_with(socket) == 4401


async def test_another_sites_page_cannot_use_staffs_cookie(alice: Viewer) -> None:
    cookie = await stored(cookie_of, alice)
    async with opened("/ws/desk/", cookie=cookie, origin="https://evil.example") as socket:
        assert await closed_with(socket) == 4403
    async with opened("/ws/desk/", cookie=cookie, origin="http://localhost") as socket:
        assert await heard(socket) == {"type": "ready"}


async def test_a_conversation_one_may_not_see_is_not_there(chat: Ticket, mallory: Viewer) -> None:
    for conversation in (chat.conversation_id, chat.conversation_id + 1):
        async with desk(mallory) as page:
            await page.send_json_to({"type": "watch", "conversation": conversation})
            assert await heard(page) == {"type": "gone", "conversation": conversation}


async def test_lists_hear_of_their_own_inboxes_only(
    chat: Ticket, alice: Viewer, bob: Viewer, mallory: Viewer
) -> None:
    assert bob.user is not None
    async with desk(bob) as hers, desk(mallory) as not_hers:
        await stored(assign_ticket, alice, chat.number, bob.user.pk)
        assert await heard(hers) == {
            "type": "ticket.changed",
            "number": chat.number,
            "conversation": chat.conversation_id,
        }
        assert await not_hers.receive_nothing()


async def test_a_busy_list_is_told_at_once_and_then_now_and_then(
    chat: Ticket, carol: Viewer, alice: Viewer, inbox: Inbox
) -> None:
    other = await stored(make.ticket, carol, inbox, "Another", channel="chat")
    async with desk(alice, other.conversation_id) as page:
        for number in range(8):
            await stored(make.say, carol, chat, f"Message {number}")
        await stored(make.say, carol, other, "One here")
        bells = []
        while not await page.receive_nothing(timeout=2 * consumers.LIST_SECONDS):
            bells.append(await heard(page))
        told = [e["number"] for e in bells if e["type"] == "ticket.changed"]
        assert 2 <= told.count(chat.number) < 8
        assert told[0] == chat.number
        assert told.count(other.number) == 1  # the one that is shown is never made to wait


async def test_one_who_left_the_team_hears_no_later_event(
    chat: Ticket, carol: Viewer, bob: Viewer, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_MAX_SECONDS", 0)
    async with desk(bob, chat.conversation_id) as page, desk(bob) as list_page:
        assert bob.user is not None
        await stored(team.members.remove, bob.user)
        await stored(make.say, carol, chat, "Secret")
        kinds = [e["type"] for e in await everything(page)]
        assert kinds[0] == "gone"
        assert "message.posted" not in kinds
        assert "message.posted" not in [e["type"] for e in await everything(list_page)]
        await stored(make.say, carol, chat, "Secret too")
        assert await list_page.receive_nothing()


async def test_among_colleagues_the_bell_rings_for_those_who_sit_there(
    alice: Viewer, bob: Viewer, mallory: Viewer
) -> None:
    assert bob.user
    group = await stored(start_group, alice, Guests(user_ids=[bob.user.pk]))
    async with desk(bob) as his, desk(mallory) as hers:
        await stored(make.say, alice, group, "Secret")
        assert await heard_until(his, "team.changed") == {
            "type": "team.changed",
            "conversation": group.pk,
        }
        await stored(remove_person, alice, group.pk, bob.person.pk)
        assert await heard_until(his, "team.changed")  # their list goes without it
        await stored(make.say, alice, group, "Secret too")
        assert await his.receive_nothing()
        assert await hers.receive_nothing()


async def everything(socket: WebsocketCommunicator) -> list[Any]:
    found = []
    while not await socket.receive_nothing():
        found.append(await heard(socket))
    return found


async def test_one_who_logged_out_or_was_shut_out_hears_no_later_event(
    chat: Ticket, carol: Viewer, bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_MAX_SECONDS", 0)
    async with desk(bob, chat.conversation_id) as page:
        await stored(User.objects.update, is_active=False)
        await stored(make.say, carol, chat, "Secret")
        assert await closed_with(page) == 4401


async def test_a_page_hears_only_the_conversation_it_watches(
    chat: Ticket, carol: Viewer, alice: Viewer, inbox: Inbox
) -> None:
    other = await stored(make.ticket, carol, inbox, "Another", channel="chat")
    async with desk(alice, chat.conversation_id) as page:
        await page.send_json_to({"type": "watch", "conversation": other.conversation_id})
        await heard_until(page, "watching")
        await stored(make.say, carol, chat, "To the first")
        await stored(make.say, carol, other, "To the second")
        assert (await heard_until(page, "message.posted"))["message"]["body"] == "To the second"
        await page.send_json_to({"type": "unwatch"})
        await page.send_json_to(
            {"type": "typing", "conversation": other.conversation_id, "typing": True}
        )
        await everything(page)
        await stored(make.say, carol, other, "To nobody here")
        assert {e["type"] for e in await everything(page)} <= {"ticket.changed"}


@pytest.mark.parametrize("text", ["{", '{"type": "send"}', '{"type": "watch"}'])
async def test_a_malformed_staff_frame_closes_the_socket(alice: Viewer, text: str) -> None:
    async with desk(alice) as page:
        await page.send_to(text_data=text)
        assert await closed_with(page) == 4400


# --- Losing a seat ---


async def test_who_is_removed_hears_nothing_from_that_moment_even_without_a_bell(
    visitor: Visitor, stranger: Visitor, alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickets.events.seat_lost", lambda *_: None)  # the bell is lost
    where = visitor.session.conversation_id
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        await stored(_joins, stranger, visitor)
        async with widget(stranger) as other:
            await stored(remove_person, alice, where, stranger.session.person_id)
            await stored(make.say, alice, visitor.session.conversation, "Between us")
            assert await closed_with(other) == 4404
        assert (await heard_until(tab, "message.posted"))["message"]["kind"] == "change"


async def test_who_is_removed_is_shown_out_at_once(
    visitor: Visitor, stranger: Visitor, alice: Viewer
) -> None:
    async with widget(visitor) as tab:
        await said(tab, "Hello?")
        await stored(_joins, stranger, visitor)
        async with widget(stranger) as other:
            where = visitor.session.conversation_id
            await stored(remove_person, alice, where, stranger.session.person_id)
            kinds = []
            while (frame := await other.receive_output(timeout=5))["type"] == "websocket.send":
                kinds.append(json.loads(frame["text"])["type"])
            assert frame["code"] == 4404
            assert "message.posted" not in kinds


async def test_a_colleague_who_is_removed_lets_go_of_what_they_watch(
    chat: Ticket, alice: Viewer, mallory: Viewer
) -> None:
    assert mallory.user
    guests = Guests(user_ids=[mallory.user.pk])
    await stored(add_people, alice, chat.conversation_id, guests)
    async with desk(mallory, chat.conversation_id) as page:
        await stored(remove_person, alice, chat.conversation_id, mallory.person.pk)
        await stored(make.say, alice, chat, "Without Mallory")
        kinds = [event["type"] for event in await everything(page)]
        assert "gone" in kinds
        assert "message.posted" not in kinds


def _joins(guest: Visitor, host: Visitor) -> None:
    """The guest's browser is in the host's conversation, with a seat there."""
    Participant.objects.create(
        conversation=host.session.conversation, person=guest.session.person, role="customer"
    )
    VisitorSession.objects.filter(pk=guest.session.pk).update(
        conversation=host.session.conversation
    )


async def test_a_socket_that_ends_by_a_fault_is_rung_no_more(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(consumers, "mark_read", fail)
    pk, person = visitor.session.conversation_id, visitor.session.person_id
    channel = channel_of(everyone(pk))
    socket = WebsocketCommunicator(
        websocket, f"/ws/widget/{visitor.key}/", headers=[(b"host", b"localhost")]
    )
    assert (await socket.connect(timeout=5))[0]
    await socket.send_json_to({"type": "hello", "token": visitor.token})
    assert (await heard(socket))["type"] == "ready"
    assert redis_client().pubsub_numsub(channel)[0][1] == 1
    await socket.send_json_to({"type": "seen", "seq": 1})
    with pytest.raises(RuntimeError):
        await socket.wait(timeout=5)
    assert not await stored(presence.is_here, pk, person)
    assert redis_client().pubsub_numsub(channel)[0][1] == 0
