"""What visitors do, and what is done about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from chat.access import EARLIER_MAX, Visit, access_session, visit_of
from chat.models import ORIGIN_MAX_CHARS, Identity, VisitorSession, expiry
from helpdesk.lib.errors import Refused, SlowDown
from helpdesk.lib.limits import hit_all, hit_all_async
from helpdesk.lib.live import ring_on_commit
from helpdesk.lib.text import clean
from tickets import events
from tickets.models import Inbox, Message, Participant
from tickets.operations import file_answers, introduce, post_reply, reply_at_once, start_chat

ABOUT_PER_MINUTE = 10
PAGES_PER_MINUTE = 60
IDENTIFY_PER_MINUTE = 120
ATTRIBUTES_PER_MINUTE = 30
GROUP_PER_MINUTE = 30
ATTRIBUTES_MAX = 20
ATTRIBUTE_NAME_MAX_CHARS = 40
ANSWER_MAX_CHARS = 200
SEEN_EVERY = timedelta(hours=1)  # how exact `last_seen_at` is


@transaction.atomic
def start_session(inbox: Inbox, *, origin: str, address: str) -> VisitorSession:
    """Let a new visitor in: a person, an empty chat of their own, and the session for both.

    There is no ticket before they say something. Raises SlowDown if this network address
    began more than ADDRESS_SESSIONS_PER_MINUTE.
    """
    count_sessions(address)
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
    if session.last_seen_at < now() - SEEN_EVERY:
        mine = VisitorSession.objects.filter(pk=session.pk)
        mine.update(last_seen_at=now(), expires_at=expiry())
    visit = visit_of(session)
    if visit.reach == Participant.Reach.EMAIL:
        hears_here(visit)
    return visit


def hears_here(visit: Visit) -> None:
    """The widget is open: from now on they hear there, and by no mail. A second call changes
    nothing."""
    Participant.objects.filter(
        conversation=visit.conversation_id,
        person=visit.viewer.person,
        left_at=None,
        reach=Participant.Reach.EMAIL,
    ).update(reach=Participant.Reach.LIVE, mailed_seq=visit.last_seq)


@transaction.atomic
def revoke_session(session_id: UUID) -> None:
    """Let this browser in no more. Its open sockets close; a second call changes nothing."""
    sessions = VisitorSession.objects.filter(pk=session_id)
    conversation_id = sessions.values_list("conversation_id", flat=True).first()
    if conversation_id is None or not sessions.filter(revoked_at=None).update(revoked_at=now()):
        return
    # Nor by what the shop signed before now.
    Identity.objects.filter(sessions=session_id).update(revoked_at=now())
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
    message = post_reply(
        visit.viewer,
        visit.conversation_id,
        body=body,
        via=Message.Via.WIDGET,
        client_token=client_token,
        inbox_id=visit.inbox_id,
        files=files,
    )
    if message.seq == 1:  # only now is there a ticket to show them in
        _file_kept_answers(visit)
    return message


@transaction.atomic
def start_another(visit: Visit) -> Visit:
    """Begin another chat for the same visitor. The one before can be read from then on, and the
    sockets of this browser close so that they come into the new one. While nothing was said in
    the present one, it is that."""
    session = (
        VisitorSession.objects.select_for_update().select_related("person").get(pk=visit.session_id)
    )
    if not Message.objects.filter(conversation=session.conversation_id).exists():
        return visit_of(session)
    old = session.conversation_id
    session.earlier = [*session.earlier, old][-EARLIER_MAX:]
    session.conversation = start_chat(person=session.person).conversation
    session.save(update_fields=["earlier", "conversation"])
    ring_on_commit(events.everyone(old), {"type": "session.moved", "session": session.pk.hex})
    return visit_of(session)


def introduce_visitor(visit: Visit, *, name: str = "", email: str = "", answer: str = "") -> None:
    """Note what a visitor says about themselves, before a chat or in it, and show it to staff.

    An address that is somebody's is kept as a claim: it gives no access, and no mail goes there.
    Raises Refused for what is no address, SlowDown.
    """
    _count({f"about:{visit.session_id.hex}": ABOUT_PER_MINUTE})
    inbox = Inbox.objects.get(pk=visit.inbox_id)
    with transaction.atomic():
        claimed = introduce(visit.viewer, name=name, address=email)
        session = VisitorSession.objects.select_for_update().get(pk=visit.session_id)
        said = {  # in the words of staff, who read it
            "Name": clean(name).strip()[:ANSWER_MAX_CHARS],
            "Email (unverified)": email.strip()[:ANSWER_MAX_CHARS],
            inbox.question or "Question": clean(answer).strip()[:ANSWER_MAX_CHARS],
        }
        said = {label: text for label, text in said.items() if text}
        session.answers = {**session.answers, **said}
        session.claimed_email = claimed or session.claimed_email
        if said and file_answers(visit.viewer, visit.conversation_id, said):
            session.answers_filed_at = now()
        session.save(update_fields=["answers", "claimed_email", "answers_filed_at"])


@transaction.atomic
def _file_kept_answers(visit: Visit) -> None:
    """Once, however often the first message comes."""
    kept = VisitorSession.objects.filter(pk=visit.session_id, answers_filed_at=None)
    answers = kept.exclude(answers={}).values_list("answers", flat=True).first()
    if answers and kept.update(answers_filed_at=now()):
        file_answers(visit.viewer, visit.conversation_id, answers)


def set_attributes(visit: Visit, attributes: dict[str, Any]) -> None:
    """Keep what the page says about its visitor, unproved. What is None is forgotten.

    Raises Refused beyond ATTRIBUTES_MAX or for values that are no short text, number or yes/no.
    """
    _count({f"attributes:{visit.session_id.hex}": ATTRIBUTES_PER_MINUTE})
    with transaction.atomic():
        session = VisitorSession.objects.select_for_update().get(pk=visit.session_id)
        session.attributes = checked_attributes({**session.attributes, **attributes})
        session.save(update_fields=["attributes"])


def checked_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Those that can be kept. Raises Refused."""
    given = {str(name): value for name, value in attributes.items() if value is not None}
    good = all(
        len(name) <= ATTRIBUTE_NAME_MAX_CHARS
        and isinstance(value, str | int | float | bool)
        and len(str(value)) <= ANSWER_MAX_CHARS
        for name, value in given.items()
    )
    if not good or len(given) > ATTRIBUTES_MAX:
        raise Refused(_("Attributes are at most 20 short texts, numbers or yes and no."))
    return {
        name: clean(value) if isinstance(value, str) else value for name, value in given.items()
    }


def count_sessions(address: str) -> None:
    """One more browser that begins. Raises SlowDown if this network address began more than
    ADDRESS_SESSIONS_PER_MINUTE."""
    _count({f"sessions:{address}": settings.ADDRESS_SESSIONS_PER_MINUTE})


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


def count_page(visit: Visit) -> None:
    """One more page that a visitor looks at. Raises SlowDown."""
    _count({f"pages:{visit.session_id.hex}": PAGES_PER_MINUTE})


def count_group(visit: Visit) -> None:
    """One more thing that a member changes about their group. Raises SlowDown."""
    _count({f"group:{visit.session_id.hex}": GROUP_PER_MINUTE})


def count_identify(address: str) -> None:
    """One more identity that is claimed from a network address. Raises SlowDown."""
    _count({f"identify:{address}": IDENTIFY_PER_MINUTE})


def _count(per_minute: dict[str, int]) -> None:
    if wait_seconds := hit_all(per_minute, 60):
        raise SlowDown(wait_seconds)
