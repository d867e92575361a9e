"""What a widget reads."""

from __future__ import annotations

from typing import Any, TypedDict

from django.conf import settings

from chat.access import Visit
from helpdesk.lib.errors import NotFound
from tickets.access import access_conversation, visible_messages
from tickets.events import as_json
from tickets.models import Conversation, Inbox
from tickets.operations.files import read_files
from tickets.operations.timeline import assistant_is_on

PAGE_MESSAGES = 200


class Standing(TypedDict):
    """How far a visitor's conversation has come."""

    upto: int  # the last entry that customers can see
    you: int  # the visitor's person
    handler: str | None  # who answers next; None before the first message


class Page(Standing):
    messages: list[dict[str, Any]]
    more: bool


def standing(visit: Visit) -> Standing:
    """Where the conversation stands now. Raises NotFound for one that is gone."""
    row = (
        Conversation.objects.filter(pk=visit.conversation_id)
        .values_list("last_public_seq", "ticket__handler")
        .first()
    )
    if row is None:
        raise NotFound
    upto, handler = row
    return {"upto": upto, "you": visit.viewer.person.pk, "handler": handler}


def page_after(visit: Visit, after: int) -> Page:
    """At most PAGE_MESSAGES entries after `after`, first entry first.

    `upto` moves the reader's cursor: over entries that customers may not see, and never over
    one that was not in this or an earlier page. `more` says that the next page is not empty.
    Raises NotFound.
    """
    conversation = access_conversation(visit.viewer, visit.conversation_id)
    now_at = standing(visit)
    entries = visible_messages(visit.viewer, conversation)
    entries = entries.filter(seq__gt=after, seq__lte=now_at["upto"])
    found = list(entries[: PAGE_MESSAGES + 1])
    more = len(found) > PAGE_MESSAGES
    read_files(found)
    messages = [as_json(message) for message in found[:PAGE_MESSAGES]]
    if more:
        now_at["upto"] = messages[-1]["seq"]
    return {**now_at, "messages": messages, "more": more}


def widget_config(inbox: Inbox) -> dict[str, Any]:
    """What a widget shows before anything was said."""
    return {
        "name": inbox.from_name or inbox.name,
        "greeting": inbox.greeting,
        "assistant": assistant_is_on(inbox.pk),
        "message_max_chars": settings.VISITOR_MESSAGE_MAX_CHARS,
        "files_max": inbox.files_max,
        # Staff see what is typed before it is sent: then the widget says so, and sends it.
        "preview": inbox.previews_typing,
    }


def previews_typing(inbox_id: int) -> bool:
    """Do staff see in this inbox what visitors type?"""
    return Inbox.objects.filter(pk=inbox_id, previews_typing=True).exists()
