"""What visitors do, and what is done about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from chat.access import Visit, access_session, visit_of
from chat.models import ORIGIN_MAX_CHARS, VisitorSession, expiry
from helpdesk.lib.errors import Refused, SlowDown
from helpdesk.lib.limits import hit_all, hit_all_async
from helpdesk.lib.live import ring_on_commit
from tickets import events
from tickets.models import Inbox, Message
from tickets.operations import post_reply, reply_at_once, start_chat

SEEN_EVERY = timedelta(hours=1)  # how exact `last_seen_at` is


@transaction.atomic
def start_session(inbox: Inbox, *, origin: str, address: str) -> VisitorSession:
    """Let a new visitor in: a person, an empty chat of their own, and the session for both.

    There is no ticket before they say something. Raises SlowDown if this network address
    began more than ADDRESS_SESSIONS_PER_MINUTE.
    """
    _count({f"sessions:{address}": settings.ADDRESS_SESSIONS_PER_MINUTE})
    seat = start_chat()
    return VisitorSession.objects.create(
        person=seat.person,
        inbox=inbox,
        conversation=seat.conversation,
        origin=origin[:ORIGIN_MAX_CHARS],
    )


def resume_session(inbox: Inbox, token: str) -> Visit:
    """Let a visitor in again, and remember them for VISITOR_SESSION_DAYS from now.

    Raises as `access_session` does.
    """
    session = access_session(inbox, token)
    VisitorSession.objects.filter(pk=session.pk, last_seen_at__lt=now() - SEEN_EVERY).update(
        last_seen_at=now(), expires_at=expiry()
    )
    return visit_of(session)


@transaction.atomic
def revoke_session(session_id: UUID) -> None:
    """Let this browser in no more. Its open sockets close; a second call changes nothing."""
    sessions = VisitorSession.objects.filter(pk=session_id)
    conversation_id = sessions.values_list("conversation_id", flat=True).first()
    if conversation_id is None or not sessions.filter(revoked_at=None).update(revoked_at=now()):
        return
    event = {"type": "session.revoked", "session": session_id.hex}
    ring_on_commit(events.everyone(conversation_id), event)


def send_from_visitor(
    visit: Visit,
    *,
    body: str,
    client_token: UUID,
    address: str,
    files: Sequence[UUID] = (),
    is_counted: bool = False,
) -> Message:
    """Post what a visitor wrote; the first message opens the ticket in their inbox.

    `body` has at most VISITOR_MESSAGE_MAX_CHARS characters, and may be empty where there are
    `files`: ready uploads of theirs. A second call with the same `client_token` returns the first
    call's message and does nothing else.

    `is_counted` says that `may_send` counted it. Raises Refused for what can never be sent,
    SlowDown if the visitor or their network address sends too much, NotFound if their seat was
    taken from them.
    """
    if len(body) > settings.VISITOR_MESSAGE_MAX_CHARS:
        raise Refused(
            _("This text has %(length)s characters. At most %(limit)s can be sent at once.")
            % {"length": f"{len(body):,}", "limit": f"{settings.VISITOR_MESSAGE_MAX_CHARS:,}"}
        )
    if not is_counted:
        _count(_message_limits(visit, address))
    return post_reply(
        visit.viewer,
        visit.conversation_id,
        body=body,
        via=Message.Via.WIDGET,
        client_token=client_token,
        inbox_id=visit.inbox_id,
        files=files,
    )


async def may_send(visit: Visit, *, address: str) -> bool:
    """Count one more message. False if it is one too many; `send_from_visitor` says so."""
    return not await hit_all_async(_message_limits(visit, address), 60)


async def send_at_once(visit: Visit, *, body: str, client_token: UUID) -> Message | None:
    """As `send_from_visitor` for plain words that `may_send` counted, without a thread; None for
    what has to be sent by that, with the same token. Raises nothing."""
    if len(body) > settings.VISITOR_MESSAGE_MAX_CHARS:
        return None
    return await reply_at_once(
        visit.viewer,
        visit.conversation_id,
        body=body,
        client_token=client_token,
        inbox_id=visit.inbox_id,
    )


def _message_limits(visit: Visit, address: str) -> dict[str, int]:
    return {
        f"visitor:{visit.session_id.hex}": settings.VISITOR_MESSAGES_PER_MINUTE,
        f"messages:{address}": settings.ADDRESS_MESSAGES_PER_MINUTE,
    }


def count_upload(visit: Visit, *, address: str) -> None:
    """One more file that a visitor begins to upload. Raises SlowDown if they or their network
    address begin too many."""
    _count(
        {
            f"uploads-by:{visit.session_id.hex}": settings.VISITOR_UPLOADS_PER_MINUTE,
            f"uploads:{address}": settings.ADDRESS_UPLOADS_PER_MINUTE,
        }
    )


def _count(per_minute: dict[str, int]) -> None:
    if wait_seconds := hit_all(per_minute, 60):
        raise SlowDown(wait_seconds)
