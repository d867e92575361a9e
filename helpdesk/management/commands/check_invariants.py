from __future__ import annotations

from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.db.models.functions import Coalesce

from attachments.inventory import take
from tickets.models import Conversation, Message, MessageFile, OutgoingEmail, Participant, Ticket

MISCOUNTED = """
SELECT inbox_id, status, assignee_id, sum(counted), sum(real) FROM (
    SELECT inbox_id, status, assignee_id, amount AS counted, 0 AS real FROM tickets_ticketcount
    UNION ALL
    SELECT inbox_id, status, assignee_id, 0, 1 FROM tickets_ticket
) AS both_sides GROUP BY inbox_id, status, assignee_id HAVING sum(counted) <> sum(real)
"""


class Command(BaseCommand):
    help = "Check what the database cannot enforce by itself. Exits 1 if anything is wrong."

    def handle(self, **options: object) -> None:
        found = list(problems())
        for line in found:
            self.stdout.write(line)
        if found:
            raise CommandError(f"{len(found)} broken invariants.")
        self.stdout.write("All invariants hold.")


def problems() -> Iterator[str]:
    """One line for each thing that should not be."""
    yield from _gaps()
    yield from _strangers()
    yield from _leaks()
    yield from _among_colleagues()
    yield from _miscounts()
    yield from _half_merged()
    yield from _lost_bytes()
    yield from _forgotten_files()


def _gaps() -> Iterator[str]:
    public = Max("messages__seq", filter=Q(messages__audience=Message.Audience.EVERYONE))
    ends = Conversation.objects.annotate(
        top=Coalesce(Max("messages__seq"), 0), public_top=Coalesce(public, 0)
    )
    for row in ends.exclude(top=F("last_seq"), public_top=F("last_public_seq")).iterator():
        yield (
            f"conversation {row.pk}: ends at {row.last_seq} (public {row.last_public_seq}), "
            f"its last entries are {row.top} and {row.public_top}"
        )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conversation_id, count(*), max(seq) FROM tickets_message "
            "GROUP BY conversation_id HAVING count(*) <> max(seq)"
        )
        for pk, count, top in cursor.fetchall():
            yield f"conversation {pk}: {count} entries, but the last is number {top}"


def _strangers() -> Iterator[str]:
    seat = Participant.objects.filter(
        conversation=OuterRef("conversation"), person=OuterRef("author")
    )
    customers = Message.objects.filter(author__user=None, author__is_assistant=False)
    for message in customers.exclude(Exists(seat)).exclude(author=None).iterator():
        yield f"message {message.pk}: a customer wrote where they have no seat"


def _leaks() -> Iterator[str]:
    leaving = OutgoingEmail.objects.exclude(message__audience=Message.Audience.EVERYONE)
    for outgoing in leaving.iterator():
        yield f"outgoing email {outgoing.pk}: what is for staff is about to leave the desk"


def _among_colleagues() -> Iterator[str]:
    internal = Conversation.objects.filter(channel=Conversation.Channel.INTERNAL)
    for row in internal.filter(ticket__isnull=False):
        yield f"conversation {row.pk}: it is among colleagues, and has a ticket"
    outsiders = Participant.objects.exclude(role=Participant.Role.STAFF)
    for seat in outsiders.filter(conversation__in=internal):
        yield f"conversation {seat.conversation_id}: it is among colleagues, and has a customer"
    seated = internal.filter(pair__isnull=False).annotate(
        seats=Count("participants", filter=Q(participants__left_at=None))
    )
    for row in seated.exclude(seats=2):
        yield f"conversation {row.pk}: a direct message of {vars(row)['seats']}"


def _miscounts() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(MISCOUNTED)
        for inbox, status, assignee, counted, real in cursor.fetchall():
            yield (
                f"counter of inbox {inbox}, {status}, assignee {assignee}: "
                f"{counted} instead of {real}"
            )


def _half_merged() -> Iterator[str]:
    """What was merged ends with the line that says so, is solved, and is known where it goes on,
    which was not merged itself."""
    merged = Conversation.objects.filter(merged_into__isnull=False)
    for row in merged.select_related("merged_into", "ticket").iterator():
        into = row.merged_into
        if into is None or into.merged_into_id is not None or row.pk not in into.merged_from:
            yield f"conversation {row.pk}: merged into {row.merged_into_id}, which does not know"
            continue
        last = Message.objects.filter(conversation=row, seq=row.last_seq).first()
        line = Message.objects.filter(conversation=into, seq=row.merged_seq or 0).first()
        fields = [(one.change or {}).get("field") if one else None for one in (last, line)]
        if fields != ["merged_into", "merged"] or row.ticket.status != Ticket.Status.SOLVED:
            yield f"conversation {row.pk}: its ticket was merged, and goes on"
    for row in Conversation.objects.exclude(merged_from=[]).iterator():
        known = Conversation.objects.filter(pk__in=row.merged_from, merged_into=row)
        if known.count() != len(row.merged_from):
            yield f"conversation {row.pk}: counts what was not merged into it"


def _lost_bytes() -> Iterator[str]:
    for lost in take().lost:
        yield f"{lost}: its bytes are gone"


def _forgotten_files() -> Iterator[str]:
    """What a message shows is looked for only where `file_count` says so."""
    counted = Message.objects.annotate(shown=Count("files")).exclude(file_count=F("shown"))
    with_files = Q(file_count__gt=0) | Exists(MessageFile.objects.filter(message=OuterRef("pk")))
    for message in counted.filter(with_files):
        yield f"message {message.pk}: says {message.file_count} files, has {vars(message)['shown']}"
