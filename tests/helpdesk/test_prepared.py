"""Statements kept as text do what the ORM would do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, Subquery, Value
from django.test.utils import CaptureQueriesContext

from helpdesk.lib import prepared
from helpdesk.lib.prepared import Prepared, columns_of
from tests import make
from tickets.access import Viewer, visitor
from tickets.models import Inbox, Message, Participant, Person, Ticket

pytestmark = pytest.mark.django_db

seats = Prepared(lambda pk: Participant.objects.filter(conversation=pk).order_by("pk"), -1)


def test_values_stand_where_the_samples_stood(chat: Ticket, ticket: Ticket) -> None:
    for one in (chat, ticket, chat):
        assert seats.all(one.conversation_id) == list(one.conversation.participants.order_by("pk"))
    assert seats.first(0) is None


def test_values_come_in_the_order_in_which_they_were_named(chat: Ticket) -> None:
    def build(pk: int) -> QuerySet[Ticket, tuple[Any, ...]]:
        last = Message.objects.filter(conversation=OuterRef("conversation")).order_by("-seq")
        return Ticket.objects.filter(conversation=pk).values_list(
            "conversation__last_seq",
            Exists(last),
            "number",
            Subquery(last.values("body")[:1]),
            "inbox",
        )

    find = Prepared(build, -1)
    assert find.tuples(chat.conversation_id) == list(build(chat.conversation_id))
    assert find.tuples(0) == []


def test_the_sql_is_built_once(chat: Ticket) -> None:
    built: list[int] = []

    def build(pk: int) -> QuerySet[Ticket]:
        built.append(pk)
        return Ticket.objects.filter(conversation=pk)

    find = Prepared(build, -1)
    assert [find.first(chat.conversation_id) for _ in range(3)] == [chat] * 3
    assert built == [-1]


def test_two_samples_keep_their_places(carol: Viewer, chat: Ticket) -> None:
    find = Prepared(
        lambda person, pk: Participant.objects.filter(conversation=pk, person=person), -1, -2
    )
    assert find.first(carol.person.pk, chat.conversation_id) is not None
    assert find.first(chat.conversation_id, carol.person.pk + 1) is None


def test_a_query_that_forgets_its_value_is_refused(chat: Ticket) -> None:
    forgetful = Prepared(lambda pk: Ticket.objects.filter(pk__gt=0), -1)
    with pytest.raises(TypeError):
        forgetful.first(chat.pk)


def test_a_column_that_needs_more_than_reading_is_read_as_the_orm_reads_it(chat: Ticket) -> None:
    names = columns_of(Inbox)
    assert "hours" in names  # JSON
    Inbox.objects.filter(pk=chat.inbox_id).update(hours={"mon": [["09:00", "17:00"]]})
    inboxes = Prepared(lambda pk: Inbox.objects.filter(pk=pk), -1)
    (whole,) = inboxes.all(chat.inbox_id)
    orm = Inbox.objects.get(pk=chat.inbox_id)
    assert [getattr(whole, name) for name in names] == [getattr(orm, name) for name in names]


def test_save_writes_the_named_fields_and_no_others(chat: Ticket) -> None:
    chat.subject, chat.unread, chat.last_preview = "Kept here only", False, "Seen"
    chat.first_reply_at = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    prepared.save(chat, "unread", "last_preview", "first_reply_at", "assignee")

    found = Ticket.objects.get()
    assert (found.unread, found.last_preview, found.assignee) == (False, "Seen", None)
    assert found.first_reply_at == chat.first_reply_at
    assert found.subject == "Which filter fits?"


def test_insert_is_what_the_orm_inserts(carol: Viewer, chat: Ticket) -> None:
    def entry(seq: int) -> Message:
        return Message(
            conversation=chat.conversation,
            seq=seq,
            kind="reply",
            audience="everyone",
            via="api",
            author=carol.person,
            body="100 % of “it”",
            sources=[{"title": "A", "url": "/a"}],
            client_token=uuid4(),
        )

    one, two = entry(101), entry(102)
    one.save(force_insert=True)
    prepared.insert(two, search=("to_tsvector('simple', %s)", "grinder"))

    assert two.pk > one.pk
    first, second = Message.objects.filter(seq__gt=100).order_by("seq")
    same = [f.name for f in Message._meta.concrete_fields if f.name not in {"id", "seq", "search"}]
    for name in set(same) - {"client_token", "created_at"}:
        assert getattr(first, name) == getattr(second, name), name
    assert (second.client_token, second.created_at) == (two.client_token, two.created_at)
    assert second.search == "'grinder':1"
    two.body = "It can be saved from now on."
    two.save()


def test_a_visitors_message_costs_six_statements(carol: Viewer, inbox: Inbox) -> None:
    chat = make.ticket(carol, inbox, "Hello?", channel="chat")
    with CaptureQueriesContext(connection) as asked:
        make.say(carol, chat, "Anybody?", client_token=uuid4())
    sql = [query["sql"] for query in asked.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(sql) == 6, sql


def test_two_builds_alike_are_told_apart_by_their_values(db: None) -> None:
    names = Prepared(lambda pk: Person.objects.filter(pk=pk, is_assistant=Value(False)), -1)
    people = [Person.objects.create(name=name) for name in ("A", "B")]
    assert [names.first(person.pk) for person in people] == people


@pytest.mark.django_db(transaction=True)
def test_postgres_keeps_the_plan_of_what_comes_often(chat: Ticket) -> None:
    for _ in range(settings.PREPARED_AFTER + 2):
        seats.all(chat.conversation_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        kept = [statement for (statement,) in cursor.fetchall()]
    assert [one for one in kept if "tickets_participant" in one]


def test_a_row_is_changed_only_if_it_is_as_we_think(ticket: Ticket) -> None:
    assert not prepared.save_if(ticket, {"subject": "Teapots"}, status="solved")
    assert prepared.save_if(ticket, {"subject": "Cups", "assignee": None}, status="open")
    ticket.refresh_from_db()
    assert (ticket.subject, ticket.assignee) == ("Cups", None)


def test_a_related_row_stands_for_its_key(ticket: Ticket, alice: Viewer) -> None:
    assert prepared.save_if(ticket, {"assignee": alice.user}, number=ticket.number)
    ticket.refresh_from_db()
    assert ticket.assignee == alice.user


def test_what_a_statement_returns_is_a_row_as_the_orm_reads_it(chat: Ticket) -> None:
    message = make.say(visitor(chat.requester), chat, "With sources")
    Message.objects.filter(pk=message.pk).update(sources=[{"title": "Tea", "url": "/tea"}])
    found = prepared.returned(
        Message, "UPDATE {table} SET quoted = %s WHERE id = %s", ["> tea", message.pk]
    )
    assert found is not None
    read = Message.objects.get(pk=message.pk)
    for field in Message._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(read, field.attname), field.name
    assert (
        prepared.returned(Message, "UPDATE {table} SET quoted = %s WHERE id = %s", ["", 0]) is None
    )


def test_what_is_not_there_is_a_condition_too(ticket: Ticket) -> None:
    Ticket.objects.update(assignee=None)
    assert prepared.save_if(ticket, {"subject": "Cups"}, assignee=None)
    assert not prepared.save_if(ticket, {"subject": "Pots"}, solved_at=ticket.opened_at)
