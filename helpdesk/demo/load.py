"""Telling the demo's story to an empty helpdesk."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from ai.models import Article
from ai.operations import load_articles
from helpdesk.demo import story
from helpdesk.demo.story import Line, Story
from tickets.access import Viewer, visitor
from tickets.models import (
    Conversation,
    Desk,
    EmailAddress,
    Inbox,
    Mailbox,
    Message,
    OutgoingEmail,
    Participant,
    Person,
    Ticket,
    User,
)
from tickets.operations import hand_over, post_answer, post_note, post_reply, solve_ticket
from tickets.operations.timeline import open_ticket

ARTICLES = Path(__file__).resolve().parents[2] / "ai" / "demo" / "articles"


@transaction.atomic
def load_demo() -> bool:
    """Fill an empty helpdesk with the demo shop. Returns False, and does nothing, if it has
    any login or inbox: a demo never touches somebody's data."""
    if User.objects.exists() or Inbox.objects.exists():
        return False
    Desk.objects.create(name=story.SHOP)
    load_articles(ARTICLES)
    mail, chat = _inboxes()
    staff = {name.split()[0]: _staff(name) for name in story.STAFF}
    for told in story.STORIES:
        _tell(told, mail if told.address else chat, staff)
    # What is history was delivered long ago, and nobody is mailed by a demo.
    OutgoingEmail.objects.update(state="done", accepted_at=F("created_at"), smtp_reply="")
    Mailbox.objects.create(
        name="Drop folder",
        inbox=mail,
        kind=Mailbox.Kind.FOLDER,
        folder=str(settings.DATA_DIR / "mail" / "in"),
        fetch_every_seconds=min(settings.FETCH_EVERY_SECONDS, 5),
    )
    return True


def _inboxes() -> tuple[Inbox, Inbox]:
    mail = Inbox.objects.create(
        name="hello@", from_name=story.SHOP, address=story.MAIL_ADDRESS, widget_key=None
    )
    chat = Inbox.objects.create(
        name="Shop chat",
        from_name=story.SHOP,
        widget_key=story.WIDGET_KEY,
        assistant_on=True,
        starters=list(story.STARTERS),
        sees_pages=True,
    )
    return mail, chat


def _staff(name: str) -> Viewer:
    email = f"{name.split()[0].lower()}@tern-kettle.example"
    first = name == story.STAFF[0]
    user = User.objects.create_user(email, story.PASSWORD, name=name, is_superuser=first)
    return Viewer(user.person, user)


def _tell(told: Story, inbox: Inbox, staff: dict[str, Viewer]) -> None:
    customer = _customer(told.name, told.address)
    channel = Conversation.Channel.EMAIL if told.address else Conversation.Channel.CHAT
    conversation = Conversation.objects.create(channel=channel)
    _seat(conversation, customer, told.address)
    if told.cc:
        _seat(conversation, _customer(*told.cc), told.cc[1])
    ticket = open_ticket(
        conversation,
        inbox_id=inbox.pk,
        requester=customer.person,
        subject=told.subject or told.lines[0].body,
    )
    if told.assignee:
        Ticket.objects.filter(pk=ticket.pk).update(assignee=staff[told.assignee].user)
    for line in told.lines:
        _say(line, conversation, customer, staff, told.sources)
    if told.solved_minutes_ago is not None:
        solve_ticket(staff[told.assignee], ticket.number)
        _set_back(conversation, told.solved_minutes_ago)
    _set_clocks(ticket.number)


def _customer(name: str, address: str) -> Viewer:
    person = Person.objects.create(name=name)
    if address:
        EmailAddress.objects.create(person=person, address=address)
    return visitor(person)


def _seat(conversation: Conversation, who: Viewer, address: str) -> None:
    reach = Participant.Reach.EMAIL if address else Participant.Reach.LIVE
    Participant.objects.create(
        conversation=conversation,
        person=who.person,
        role=Participant.Role.CUSTOMER,
        reach=reach,
    )


def _say(
    line: Line,
    conversation: Conversation,
    customer: Viewer,
    staff: dict[str, Viewer],
    sources: tuple[str, ...],
) -> None:
    pk = conversation.pk
    if line.who == "assistant":
        found = Article.objects.filter(title__in=sources)
        links = [{"title": a.title, "url": settings.SITE_URL + a.get_absolute_url()} for a in found]
        question = Conversation.objects.get(pk=pk).last_seq
        post_answer(
            pk, question_seq=question, body=line.body, sources=links, client_token=uuid.uuid4()
        )
    elif line.note:
        post_note(staff[line.who], pk, body=line.body, via=Message.Via.WEB)
    elif line.who:
        post_reply(staff[line.who], pk, body=line.body, via=Message.Via.WEB)
    else:
        via = Message.Via.EMAIL if conversation.channel == "email" else Message.Via.WIDGET
        said = post_reply(customer, pk, body=line.body, via=via)
        Message.objects.filter(pk=said.pk).update(quoted=line.quoted)
        if "A human?" in line.body:
            hand_over(pk, reason="asked")
    _set_back(conversation, line.minutes_ago)


def _set_back(conversation: Conversation, minutes: int) -> None:
    """What has just been written happened some minutes ago."""
    recent = now() - timedelta(seconds=30)
    fresh = conversation.messages.filter(created_at__gte=recent)
    fresh.update(created_at=now() - timedelta(minutes=minutes))


def _set_clocks(number: int) -> None:
    """The ticket's clocks, as they would stand had all this happened when it says."""
    ticket = Ticket.objects.select_related("conversation").get(pk=number)
    entries = list(ticket.conversation.messages.select_related("author").order_by("seq"))
    replies = [m for m in entries if m.kind == Message.Kind.REPLY]
    by_staff = [m for m in replies if m.author and m.author.user_id]
    ours = [m.seq for m in replies if m.author and (m.author.user_id or m.author.is_assistant)]
    unanswered = [m for m in replies if m.seq > max(ours, default=0)]
    ticket.opened_at = entries[0].created_at
    ticket.last_message_at = replies[-1].created_at
    ticket.first_reply_at = by_staff[0].created_at if by_staff else None
    if ticket.waiting_since is not None:
        ticket.waiting_since = unanswered[0].created_at
    if ticket.solved_at is not None:
        ticket.solved_at = entries[-1].created_at
    ticket.unread = ticket.waiting_since is not None
    ticket.save()
