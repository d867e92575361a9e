"""Continuity: what somebody has not read in the widget reaches them by mail once they are gone.

Whoever hears live and has an address gets one mail of all they have not read, when they have not
been here for CHAT_MAIL_AFTER_SECONDS. A mail they answer makes them hear by mail from then on;
coming back to the widget ends that.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils.timezone import now

from chat import presence
from chat.models import UnreadMail
from chat.presence import Present
from helpdesk.lib import work
from tickets.models import Conversation
from tickets.operations.digests import mail_digest, unread_seats
from tickets.operations.timeline import MessagePosted

# Of somebody whose page is open somewhere and who does not look: then it is mailed anyway.
IGNORED_FOR = timedelta(minutes=15)


def consider_message(news: MessagePosted) -> UnreadMail | None:
    """A row where somebody in the widget is to hear it: what we say, and in a group what anybody
    says. A chat may go on in a ticket that came by mail, and people join those by a link."""
    is_chat = news.channel == Conversation.Channel.CHAT
    if not (is_chat or news.is_merged or news.is_group):
        return None
    if news.author_role == "customer" and not news.is_group:
        return None
    return UnreadMail(
        conversation_id=news.conversation_id, seq=news.seq, due_at=now() + _patience()
    )


def _patience() -> timedelta:
    return timedelta(seconds=settings.CHAT_MAIL_AFTER_SECONDS)


def mail_unread(row: UnreadMail) -> None:
    """Mail it to those who have not read it and are gone; ask again later about those who are here.

    A seat's `mailed_seq` moves in the transaction that writes its mail, so that a second run, or
    the row of a later message, mails nothing twice.
    """
    known = {one.person_id: one for one in presence.present(row.conversation_id)}
    ignored = now() - row.posted_at > IGNORED_FOR
    again_at: datetime | None = None
    with work.closing(row):
        for seat in unread_seats(row.conversation_id, row.seq):
            gone_at = _gone_at(known.get(seat.person_id))
            if gone_at <= now() or ignored:
                mail_digest(seat)
            else:
                again_at = max(again_at or gone_at, gone_at)
        if again_at is not None:
            UnreadMail.objects.create(
                conversation_id=row.conversation_id,
                seq=row.seq,
                posted_at=row.posted_at,
                due_at=again_at,
            )


def _gone_at(known: Present | None) -> datetime:
    """From when on somebody counts as gone."""
    if known is None:
        return now()
    return (now() if known.is_here else known.gone_at or now()) + _patience()
