"""The live sockets: a visitor's, for one conversation, and the desk's, for all one may see.

`enter` of each says who may come in and what they hear. Visitors are asked about again in rounds
(`chat.rechecks`). When an event is passed on or a frame obeyed, and the last answer is older than
RECHECK_SECONDS, it is asked again beside it, so that nobody's words wait for the answer, and before
it after RECHECK_MAX_SECONDS. What goes wrong becomes a close
code in `dispatch`, once for both. The database is touched in threads only.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, ParamSpec, TypeVar, cast
from urllib.parse import parse_qs
from uuid import UUID

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, parse_cookie
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from chat import languages, presence, protocol
from chat.access import Stay, Visit, WrongOrigin, access_inbox, good_sessions, is_own, is_unchanged
from chat.heartbeat import heart
from chat.operations import may_send, resume_session, send_at_once, send_from_visitor
from chat.presence import Mark
from chat.protocol import (
    BadFrame,
    DeskTyping,
    Got,
    Hello,
    Seen,
    Send,
    Typing,
    Unwatch,
    Visible,
    Watch,
)
from chat.queries import acknowledged, previews_typing, standing
from chat.rechecks import Rechecks, Rounds
from chat.tokens import WrongToken
from helpdesk.lib.addresses import address_of
from helpdesk.lib.errors import NotFound, Refused, SlowDown
from helpdesk.lib.layer import Event, forget, hear
from helpdesk.lib.live import ring_async
from helpdesk.lib.loops import PerLoop
from helpdesk.turns import place_or_gone
from tickets import events
from tickets.access import Viewer, viewer_for, visible_conversations, visible_inboxes
from tickets.models import Message, Person
from tickets.operations import mark_got, mark_read

log = logging.getLogger(__name__)

RECHECK_SECONDS = 20
RECHECK_MAX_SECONDS = 30
HELLO_SECONDS = 10  # how long a socket may stay open without saying whose it is
TYPING_SECONDS = 1  # "is typing" is passed on at most this often
PREVIEW_SECONDS = 0.5  # and what is being typed
GOT_SECONDS = 1  # and what has reached a browser that nobody looks at
LIST_SECONDS = 0.3  # and "this list is out of date"
FRAMES_A_SECOND = 20  # a widget sends far fewer; what sends more is no widget
FRAMES_AT_ONCE = 60
STORE_THREADS = 8
BELLS_MAX = 500  # that wait for one socket; what is beyond is lost, and asked for later
CLOSE_FAULT = 1011  # as servers close a socket whose application failed
AWAY = (OperationalError, InterfaceError, PoolTimeout, RedisError, OSError)

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")


async def stored(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that uses the database, in one of a few threads that keep a connection.

    It runs a second time if the connection turns out to be dead, as all are after a restart of
    PostgreSQL: so it must be harmless to do twice.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, partial(_try_twice, partial(work, *args, **kwargs)))


def _try_twice(work: Callable[[], T]) -> T:
    try:
        return work()
    except (OperationalError, InterfaceError):
        connection.close()
    try:
        return work()
    except (OperationalError, InterfaceError):
        connection.close()
        raise


async def _good_sessions(ids: Collection[UUID]) -> Mapping[UUID, Stay]:
    return await stored(good_sessions, ids)


class Door:
    """So many visitors come in at once; the others wait before it.

    After a restart of the web process everybody is back in the same second. Side by side, the last
    would be asked who they are before the first hears anything: seconds of silence for all.
    """

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(STORE_THREADS - 2)

    async def end(self) -> None:
        """Nothing is open."""


Knock = tuple[str, str, str]  # a widget key, and the page: its origin, and the host it asked


async def _refusals(knocks: Collection[Knock]) -> Mapping[Knock, Exception | None]:
    """Why these pages may not show these inboxes; None for those that may."""
    return await stored(_refused, knocks)


def _refused(knocks: Collection[Knock]) -> dict[Knock, Exception | None]:
    refusals: dict[Knock, Exception | None] = {}
    for key, origin, host in knocks:
        try:
            access_inbox(key, origin=origin, host=host)
            refusals[key, origin, host] = None
        except (NotFound, WrongOrigin) as error:
            refusals[key, origin, host] = error
    return refusals


_door = PerLoop(Door)
_knocks = PerLoop(partial(Rechecks[Knock, Exception | None], _refusals))
_rechecks = PerLoop(partial(Rechecks[UUID, Stay], _good_sessions))
_rounds = PerLoop(partial(Rounds[UUID, Stay], _good_sessions))


class LiveConsumer(AsyncWebsocketConsumer):
    """What both sockets share: coming in, reading frames, passing on events, closing."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.checked_at = 0.0  # when `enter` was last asked; 0: nobody is in yet
        self.heard: set[str] = set()  # groups
        self.marks: dict[Mark, int | None] = {}  # where presence knows this socket: conversations
        self.socket = secrets.token_urlsafe(6)  # among the sockets of one person
        self.bells: list[Event] = []  # what was heard and is not passed on yet
        self.passing: asyncio.Task[None] | None = None
        self.frames = float(FRAMES_AT_ONCE)
        self.frame_at = time.monotonic()
        self.typing_at = 0.0
        self.rechecking: asyncio.Task[None] | None = None
        self.early: list[Any] = []  # what came while this socket waited before the door

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # As the parent's, without a channel of its own: a queue and two tasks for each socket.
        self.scope, self.next_message, self.base_send = scope, receive, send
        try:
            with suppress(StopConsumer):
                while True:
                    await self.dispatch(self.early.pop(0) if self.early else await receive())
        finally:  # after a fault of ours, too, which is no goodbye
            await self._end()

    async def dispatch(self, message: dict[str, Any]) -> None:
        # As the parent's, without its trip to a thread for every single event.
        await self._guarded(getattr(self, get_handler_name(message))(message))

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BadFrame:
            await self.close(protocol.CLOSE_BAD_FRAME)
        except WrongToken:
            await self.close(protocol.CLOSE_UNAUTHORIZED)
        except WrongOrigin:
            await self.close(protocol.CLOSE_FORBIDDEN_ORIGIN)
        except NotFound:
            await self.close(protocol.CLOSE_NOT_FOUND)
        except AWAY as error:
            log.warning("socket closed, a store is away: %s", error)
            await self.close(protocol.CLOSE_TRY_AGAIN)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        if not self.closed:
            self.closed = True
            await super().close(code, reason)

    async def websocket_connect(self, message: Any) -> None:
        await self.accept()  # browsers see a close code only of an accepted socket
        await self.connected()

    async def websocket_receive(self, message: Any) -> None:
        if self.closed:
            return
        self._spend_frame()
        await self.obey(message.get("text"))

    async def websocket_disconnect(self, message: Any) -> None:
        raise StopConsumer

    async def _end(self) -> None:
        """Nothing rings for who is gone, and nobody takes them for present."""
        self.closed = True
        self.ended()
        if self.rechecking is not None:
            self.rechecking.cancel()
        with suppress(*AWAY):
            await self.listen_to(())
        await self.be({})

    async def pass_on(self, event: Event) -> None:
        """Let the browser hear it, if whoever sits there still may."""
        if self.closed or not self.checked_at:
            return
        if event.get("seats", 0) > self.seats_version(event.get("conversation")):
            await self.enter()  # somebody lost their seat since: perhaps whoever sits here
        await self.recheck()
        await self.hear(event)

    def seats_version(self, conversation_id: int | None) -> int:
        """Of a conversation that is heard, when it was last asked whether it may be."""
        raise NotImplementedError

    async def recheck(self) -> None:
        age = time.monotonic() - self.checked_at
        if age > RECHECK_MAX_SECONDS:
            await self.stay()
        elif age > RECHECK_SECONDS and (self.rechecking is None or self.rechecking.done()):
            self.rechecking = asyncio.create_task(self._guarded(self.stay()))

    async def listen_to(self, groups: Iterable[str]) -> None:
        """Hear these groups and no others."""
        wanted = set(groups)
        for group in self.heard - wanted:
            forget(group, self.ring)
            self.heard.discard(group)
        for group in wanted - self.heard:
            await hear(group, self.ring)
            self.heard.add(group)

    async def be(self, marks: dict[Mark, int | None]) -> None:
        """Be present here and nowhere else. Staff who look at what changed are told."""
        new, old = marks.keys() - self.marks.keys(), self.marks.keys() - marks.keys()
        if not new and not old:
            return
        conversations = {(marks | self.marks)[mark] for mark in new | old} - {None}
        self.marks = marks
        await heart().change(new, old)
        for pk in conversations:
            event = {"type": "presence.changed", "conversation": pk}
            await ring_async(events.staff(cast(int, pk)), event)

    def ring(self, event: Event) -> None:
        """Something for this socket. It is passed on after what came before it."""
        if self.closed or not self.checked_at or self.is_enough(event):
            return
        if len(self.bells) < BELLS_MAX:
            self.bells.append(event)
        if self.passing is None:
            self.passing = asyncio.get_running_loop().create_task(self._pass_on())

    def is_enough(self, event: Event) -> bool:
        """Is there nothing to pass on (yet)? Asked before anything is done for an event."""
        return False

    async def _pass_on(self) -> None:
        try:
            while self.bells:
                await self._guarded(self.pass_on(self.bells.pop(0)))
        except Exception:
            log.exception("socket closed, an event could not be passed on")
            await self.close(CLOSE_FAULT)
        finally:
            self.passing = None

    async def reply(self, frame: Mapping[str, Any]) -> None:
        await self.base_send({"type": "websocket.send", "text": protocol.encode(frame)})  # type: ignore[arg-type]

    async def tell_typing(
        self, conversation_id: int, person: Person, role: str, *, typing: bool
    ) -> None:
        """Let the others know who is writing. A stop always gets through."""
        moment = time.monotonic()
        if typing and moment - self.typing_at < TYPING_SECONDS:
            return
        self.typing_at = moment if typing else 0.0
        event = {
            "type": "typing.changed",
            "conversation": conversation_id,
            "person": person.pk,
            "name": person.name,
            "role": role,
            "typing": typing,
        }
        await ring_async(events.everyone(conversation_id), event)

    def header(self, name: bytes) -> str:
        found = [value for key, value in self.scope["headers"] if key == name]
        return b",".join(found).decode("latin-1")

    def _spend_frame(self) -> None:
        moment = time.monotonic()
        earned = (moment - self.frame_at) * FRAMES_A_SECOND
        self.frames = min(FRAMES_AT_ONCE, self.frames + earned) - 1
        self.frame_at = moment
        if self.frames < 0:
            raise BadFrame

    async def connected(self) -> None:
        raise NotImplementedError

    def ended(self) -> None:
        """The socket is gone: stop what would still act for it."""
        raise NotImplementedError

    async def enter(self) -> None:
        raise NotImplementedError

    async def stay(self) -> None:
        """Whoever is in asks again whether they may be. Raises as `enter` does."""
        await self.enter()

    async def obey(self, text: str | None) -> None:
        raise NotImplementedError

    async def hear(self, event: dict[str, Any]) -> None:
        raise NotImplementedError


class VisitorConsumer(LiveConsumer):
    """A widget. It says hello with its token and is then in its one conversation."""

    visit: Visit
    token = ""
    hello_timer: asyncio.TimerHandle
    goodbye: asyncio.Task[None]
    previews = False  # whether staff see what is typed
    previews_asked_at = -float("inf")
    text: str | None = None  # what they have not been shown yet
    text_timer: asyncio.TimerHandle | None = None
    text_task: asyncio.Task[None]
    upto = 0  # the last entry that this browser was told of
    got = 0  # the last entry that it says it has
    got_timer: asyncio.TimerHandle | None = None  # while it runs, that is noted nowhere
    got_task: asyncio.Task[None]

    async def connected(self) -> None:
        self.key = self.scope["path"].strip("/").rpartition("/")[2]
        hops = [hop.strip() for hop in self.header(b"x-forwarded-for").split(",") if hop.strip()]
        self.address = address_of((self.scope.get("client") or ["local"])[0], hops)
        asked = parse_qs(self.scope["query_string"].decode("latin-1")).get("lang", [""])
        self.language = languages.closest(asked[0])
        self.page = {"origin": self.header(b"origin"), "host": self.header(b"host")}
        if refusal := await _knocks().ask((self.key, self.page["origin"], self.page["host"])):
            raise refusal
        loop = asyncio.get_running_loop()
        self.hello_timer = loop.call_later(HELLO_SECONDS, self._show_out)

    def ended(self) -> None:
        _rounds().leave(self.told)
        if hasattr(self, "hello_timer"):
            self.hello_timer.cancel()
        for timer in (self.text_timer, self.got_timer):
            if timer is not None:
                timer.cancel()

    async def enter(self) -> None:
        self.visit = await stored(self._enter)
        self.checked_at = time.monotonic()

    def seats_version(self, conversation_id: int | None) -> int:
        return self.visit.seats_version

    async def stay(self) -> None:
        stay = await _rechecks().ask(self.visit.session_id)
        if not self._stays(stay):
            await self.enter()

    def told(self, stay: Stay | None) -> None:
        """What a round has found."""
        if self.closed:
            return
        work: Awaitable[None] | None = None
        if stay is None or not self._stays(stay):
            work = self.enter()
        elif stay[2] > self.upto:  # its bell was lost, or comes in a moment
            self.upto = stay[2]
            work = self.reply(protocol.upto(self.upto))
        if work is not None:
            self.rechecking = asyncio.get_running_loop().create_task(self._guarded(work))

    def _stays(self, stay: Stay | None) -> bool:
        is_same = is_unchanged(stay, self.key, **self.page)
        if is_same:
            self.checked_at = time.monotonic()
        return is_same

    def _enter(self) -> Visit:
        return resume_session(access_inbox(self.key, **self.page), self.token)

    async def obey(self, text: str | None) -> None:
        frame = protocol.parse_visitor_frame(text)
        if isinstance(frame, Hello) == bool(self.checked_at):
            raise BadFrame  # hello comes first, and once
        if self.checked_at:
            await self.recheck()
        match frame:
            case Hello(token):
                await self._hello(token)
            case Send():
                await self._send(frame)
            case Typing(typing, text):
                person = self.visit.viewer.person
                await self.tell_typing(
                    self.visit.conversation_id, person, "customer", typing=typing
                )
                if not typing:
                    self.text = None
                elif text:
                    await self._show_text(text)
            case Seen(seq):
                await stored(mark_read, self.visit.viewer, self.visit.conversation_id, seq)
            case Got(seq):
                self._has_got(seq)

    async def hear(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "session.revoked", "session": session}:
                if session == self.visit.session_id.hex:
                    raise WrongToken
            case {"type": "session.moved", "session": session}:
                if session == self.visit.session_id.hex:
                    await self.close(protocol.CLOSE_MOVED)
            case {"type": "conversation.merged"}:
                await self.close(protocol.CLOSE_MOVED)  # the session leads to the one that goes on
            case {"type": "typing.changed", "person": self.visit.viewer.person.pk}:
                pass  # said by this visitor, in this tab or another
            case {"type": "seat.lost"}:
                pass  # somebody else's: this one was asked for above
            case {"type": "message.posted", "seq": seq}:
                self.upto = max(self.upto, seq)
                await self.reply(event)
            case _:
                await self.reply(event)

    async def _hello(self, token: str) -> None:
        self.hello_timer.cancel()
        self.token = token
        places = _door().places
        if not await place_or_gone(places, self.next_message, self.early.append):
            raise StopConsumer
        try:
            await self._come_in()
        finally:
            places.release()
        pk, person = self.visit.conversation_id, self.visit.viewer.person
        await self.be({presence.mark_in(pk, person, "customer", self.socket): pk})
        if not self.closed:
            _rounds().join(self.told, self.visit.session_id)

    async def _come_in(self) -> None:
        await self.enter()
        # First listen, then look: what is posted in between is heard, not missed.
        await self.listen_to({events.everyone(self.visit.conversation_id)})
        stands = await stored(languages.spoken, self.language, standing, self.visit)
        self.upto = stands["upto"]
        await self.reply(protocol.ready(stands))

    async def _send(self, frame: Send) -> None:
        client_token = frame.client_token
        self.text = None  # it is a message now
        try:
            message = await self._post(frame)
        except Refused as error:
            await self.reply(protocol.refused(client_token, str(error)))
        except SlowDown as error:
            await self.reply(
                protocol.slow_down(client_token, str(error), error.retry_after_seconds)
            )
        else:
            await self.reply(protocol.ack(client_token, acknowledged(message)))

    async def _post(self, frame: Send) -> Message:
        is_counted = await may_send(self.visit, address=self.address)
        if is_counted and not frame.files:
            message = await send_at_once(
                self.visit, body=frame.body, client_token=frame.client_token
            )
            if message is not None:
                return message
        return await stored(
            languages.spoken,
            self.language,
            send_from_visitor,
            self.visit,
            body=frame.body,
            files=frame.files,
            client_token=frame.client_token,
            address=self.address,
            is_counted=is_counted,
        )

    async def _show_text(self, text: str) -> None:
        """Let staff see what is being typed, where the inbox wants that. It is kept nowhere."""
        moment = time.monotonic()
        if moment - self.previews_asked_at > RECHECK_SECONDS:  # the switch may have been turned
            self.previews_asked_at = moment
            self.previews = await stored(previews_typing, self.visit.inbox_id)
        if not self.previews:
            return
        self.text = text
        if self.text_timer is None:
            await self._tell_text()
            loop = asyncio.get_running_loop()
            self.text_timer = loop.call_later(PREVIEW_SECONDS, self._text_is_late)

    async def _tell_text(self) -> None:
        text, self.text = self.text, None
        event = {
            "type": "typing.preview",
            "conversation": self.visit.conversation_id,
            "person": self.visit.viewer.person.pk,
            "name": self.visit.viewer.person.name,
            "text": text,
        }
        await ring_async(events.staff(self.visit.conversation_id), event)

    def _text_is_late(self) -> None:
        self.text_timer = None
        if self.text is not None and not self.closed:
            loop = asyncio.get_running_loop()
            self.text_task = loop.create_task(self._tell_text())
            self.text_timer = loop.call_later(PREVIEW_SECONDS, self._text_is_late)

    def _has_got(self, seq: int) -> None:
        """A second later, together with what comes in it: a busy chat costs no write an entry."""
        self.got = seq
        if self.got_timer is None:
            loop = asyncio.get_running_loop()
            self.got_timer = loop.call_later(GOT_SECONDS, self._got_is_late)

    def _got_is_late(self) -> None:
        self.got_timer = None
        if not self.closed:
            noted = stored(mark_got, self.visit.viewer, self.visit.conversation_id, self.got)
            self.got_task = asyncio.get_running_loop().create_task(self._guarded(noted))

    def _show_out(self) -> None:
        self.goodbye = asyncio.get_running_loop().create_task(
            self.close(protocol.CLOSE_UNAUTHORIZED)
        )


class DeskConsumer(LiveConsumer):
    """A staff page: it hears of every ticket in its inboxes, and all of those it shows."""

    viewer: Viewer
    entering: asyncio.Lock
    is_visible = True  # until the page says otherwise
    list_timer: asyncio.TimerHandle | None = None  # while it runs, lists are left alone
    list_event: dict[str, Any] | None = None  # what they are told when it ends
    list_task: asyncio.Task[None]

    def __init__(self) -> None:
        super().__init__()
        self.watched: frozenset[int] = frozenset()
        self.versions: dict[int, int] = {}  # of the seats of each, when it was last asked
        self.told: dict[int, dict[str, Any]] = {}  # what the page knows of who is present

    def ended(self) -> None:
        heart().unwatch(self.look)
        if self.list_timer:
            self.list_timer.cancel()

    async def connected(self) -> None:
        self.entering = asyncio.Lock()
        origin = self.header(b"origin")
        if origin and not is_own(origin, self.header(b"host")):
            raise WrongOrigin  # another site's page, with our cookie
        await self.enter()
        await self.reply({"type": "ready"})
        await self.appear()
        heart().watch(self.look)

    async def enter(self) -> None:
        async with self.entering:  # a check beside a `watch` must not undo it
            watched = self.watched
            self.viewer, inboxes, self.versions = await stored(self._enter)
            self.watched = frozenset(self.versions)
            groups = {events.desk(inbox_id) for inbox_id in inboxes}
            groups.add(events.person(self.viewer.person.pk))
            for pk in self.watched:
                groups |= {events.everyone(pk), events.staff(pk)}
            await self.listen_to(groups)
            self.checked_at = time.monotonic()
        for pk in watched - self.watched:  # it is not theirs to see, or no more
            await self.reply({"type": "gone", "conversation": pk})

    def _enter(self) -> tuple[Viewer, list[int], dict[int, int]]:
        """Who it is, their inboxes, and what they watch and may see, with the version of its
        seats."""
        viewer = staff_with(self.header(b"cookie"))
        watched = {}
        if self.watched:
            seen = visible_conversations(viewer).filter(pk__in=self.watched)
            watched = dict(seen.values_list("pk", "seats_version"))
        return viewer, list(visible_inboxes(viewer).values_list("pk", flat=True)), watched

    def seats_version(self, conversation_id: int | None) -> int:
        return self.versions.get(conversation_id or 0, 0)

    async def obey(self, text: str | None) -> None:
        frame = protocol.parse_desk_frame(text)
        await self.recheck()
        match frame:
            case Watch(conversations, is_one):
                await self._watch(conversations)
                told: dict[str, Any] = {"conversations": sorted(self.watched)}
                if is_one:
                    told = {"conversation": conversations[0]}
                if self.watched:
                    await self.reply({"type": "watching", **told})
                await self.look()
            case Unwatch():
                await self._watch(())
            case Visible(visible):
                self.is_visible = visible
                await self.appear()
            case DeskTyping(conversation_id, typing):
                if conversation_id in self.watched:
                    await self.tell_typing(
                        conversation_id, self.viewer.person, "staff", typing=typing
                    )

    async def _watch(self, conversations: Iterable[int]) -> None:
        self.watched = frozenset(conversations)
        self.told = {}
        await self.enter()
        await self.appear()

    async def appear(self) -> None:
        """At the desk, and, while the page is looked at, in the conversations that it shows."""
        person = self.viewer.person
        marks: dict[Mark, int | None] = {presence.mark_at_desk(person, self.socket): None}
        for pk in self.watched if self.is_visible else ():
            marks[presence.mark_in(pk, person, "staff", self.socket)] = pk
        await self.be(marks)

    async def look(self) -> None:
        """Tell the page who is present, where that has changed."""
        for pk in self.watched:
            await self._tell_present(pk)

    async def _tell_present(self, conversation_id: int) -> None:
        known = await asyncio.to_thread(presence.as_json, conversation_id)
        if self.closed or conversation_id not in self.watched:
            return
        if known != self.told.get(conversation_id):
            self.told[conversation_id] = known
            await self.reply(known)

    async def hear(self, event: dict[str, Any]) -> None:
        match event:
            case {
                "type": "session.revoked" | "session.moved" | "seat.lost" | "conversation.merged"
            }:
                pass  # between us and another socket
            case {"type": "typing.changed", "person": self.viewer.person.pk}:
                pass
            case {"type": "mention.posted" | "team.changed"}:
                await self.reply(event)
            case {"type": "presence.changed", "conversation": pk}:
                await self._tell_present(pk)
            case {"type": "ticket.changed", "conversation": pk} if pk not in self.watched:
                await self._tell_list(event)
            case {"conversation": pk} if pk in self.watched:
                await self.reply(event)
            case _:
                pass  # of a conversation that has just been let go of

    def is_enough(self, event: Event) -> bool:
        if self.list_timer is None or event["type"] != "ticket.changed":
            return False
        if event["conversation"] in self.watched:
            return False
        self.list_event = event  # told when the timer ends
        return True

    async def _tell_list(self, event: dict[str, Any]) -> None:
        """A busy desk has many tickets a second, and one bell is as good as ten."""
        if self.list_timer:
            self.list_event = event
            return
        loop = asyncio.get_running_loop()
        self.list_timer = loop.call_later(LIST_SECONDS, self._list_is_late)
        await self.reply(event)

    def _list_is_late(self) -> None:
        self.list_timer = None
        event, self.list_event = self.list_event, None
        if event and not self.closed:
            self.list_task = asyncio.get_running_loop().create_task(self._tell_list(event))


def staff_with(cookie: str) -> Viewer:
    """Who is logged in with this Cookie header. Raises WrongToken if no one is (any more)."""
    key = parse_cookie(cookie).get(settings.SESSION_COOKIE_NAME)
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    try:
        return viewer_for(get_user(request))
    except NotFound as error:
        raise WrongToken from error
