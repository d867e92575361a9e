"""What the database knows that bears on one mail, asked in one statement under one set of locks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from attachments.models import Blob
from tickets.mail.addresses import conversations_named, normal, without_tag
from tickets.mail.parse import ParsedEmail
from tickets.mail.threading import Known, looked_up
from tickets.models import InboundEmail, MessageHtml, Person

DOORS_MAX = 100  # recipients looked up among our inboxes


@dataclass(slots=True)
class Facts:
    """What the database knows that bears on one mail."""

    dedupe_key: str
    sender: str  # comparable
    copy: Known | None = None
    copy_id: int | None = None
    tokens: list[Known] = field(default_factory=list)
    ours: list[Known] = field(default_factory=list)
    theirs: list[Known] = field(default_factory=list)
    person: Person | None = None  # whose address it is
    staff: Person | None = None  # whose login it is
    inbox_id: int | None = None
    blobs: list[Blob] = field(default_factory=list)  # where the bytes of its files lie, in order
    look: MessageHtml | None = None  # not stored yet


# One question instead of seven: on a busy server the round trips cost more than the answers.
LOOK_UP = """
SELECT 'copy' AS what, e.id, e.conversation_id, t.number, NULL::int AS seq, '' AS name
  FROM tickets_inboundemail e LEFT JOIN tickets_ticket t USING (conversation_id)
 WHERE e.dedupe_key = %(dedupe_key)s AND e.id <> %(row)s
UNION ALL
SELECT 'token', NULL, c.id, t.number, NULL, ''
  FROM tickets_conversation c LEFT JOIN tickets_ticket t ON t.conversation_id = c.id
 WHERE c.id = ANY(%(tokens)s::bigint[]) AND c.channel <> 'internal'
UNION ALL
SELECT 'ours', o.id, m.conversation_id, t.number, m.seq, o.rfc_message_id
  FROM tickets_outgoingemail o JOIN tickets_message m ON m.id = o.message_id
  LEFT JOIN tickets_ticket t USING (conversation_id)
 WHERE o.rfc_message_id = ANY(%(ids)s::varchar[])
UNION ALL
SELECT 'theirs', e.id, e.conversation_id, t.number, m.seq, e.rfc_message_id
  FROM tickets_inboundemail e LEFT JOIN tickets_message m ON m.id = e.message_id
  LEFT JOIN tickets_ticket t ON t.conversation_id = e.conversation_id
 WHERE e.reference_ids && %(ids)s::varchar[] AND e.decision = 'filed' AND e.id <> %(row)s
   AND e.conversation_id IS NOT NULL AND e.rfc_message_id IS DISTINCT FROM %(message_id)s
   AND (e.rfc_message_id = ANY(%(ids)s::varchar[]) OR %(message_id)s = ANY(e.reference_ids))
UNION ALL
SELECT 'person', p.id, p.user_id, NULL, NULL, p.name
  FROM tickets_emailaddress a JOIN tickets_person p ON p.id = a.person_id
 WHERE lower(a.address) = %(sender)s
UNION ALL
SELECT 'staff', p.id, p.user_id, NULL, NULL, p.name
  FROM tickets_user u JOIN tickets_person p ON p.user_id = u.id
 WHERE lower(u.email) = %(sender)s
UNION ALL
SELECT 'inbox', i.id, NULL, NULL, NULL, lower(i.address)
  FROM tickets_inbox i WHERE lower(i.address) = ANY(%(doors)s::varchar[])
UNION ALL
SELECT 'mailbox', b.inbox_id, NULL, NULL, NULL, ''
  FROM tickets_mailbox b WHERE b.id = %(mailbox)s
UNION ALL
(SELECT 'first inbox', i.id, NULL, NULL, NULL, '' FROM tickets_inbox i ORDER BY i.id LIMIT 1)
"""


def look_up(row: InboundEmail, mail: ParsedEmail) -> Facts:
    """Wait for whoever files a related mail, then ask the database once."""
    sender = normal(mail.sender.email) if mail.sender else ""
    facts = Facts(dedupe_key=_dedupe_key(row, mail), sender=sender)
    named = [one.email for one in (*mail.to, *mail.cc)]
    recipients = [*mail.delivered_to, *named][:DOORS_MAX]
    doors = list(dict.fromkeys(without_tag(one) for one in recipients))
    ids = looked_up(mail.in_reply_to, [*mail.returned_ids, *mail.references])
    ids = [mail.message_id, *ids] if mail.message_id else ids
    with connection.cursor() as cursor:
        _wait_for(cursor, [facts.dedupe_key, _address(sender), *ids])
        cursor.execute(
            LOOK_UP,
            {
                "dedupe_key": facts.dedupe_key,
                "row": row.pk,
                "tokens": conversations_named(recipients),
                "ids": ids,
                "message_id": mail.message_id or None,
                "sender": sender,
                "doors": doors,
                "mailbox": row.mailbox_id,
            },
        )
        found = cursor.fetchall()
    _sort_out(facts, found, doors)
    return facts


def hold_address(address: str) -> None:
    """Nobody else files a mail from this address, or gives it to a person, until the transaction
    ends. What comes of those who did so just now is seen by the next statement."""
    with connection.cursor() as cursor:
        _wait_for(cursor, [_address(normal(address))])


def _address(sender: str) -> str:
    return f"from {sender}"


def _wait_for(cursor: Any, names: list[str]) -> None:
    """Hold what goes by these names until the transaction ends, in one fixed order.

    A statement of its own: the next one must see what the others committed meanwhile.
    """
    keys = sorted({_lock_key(name) for name in names})
    cursor.execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) k", [keys])


def _lock_key(name: str) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _dedupe_key(row: InboundEmail, mail: ParsedEmail) -> str:
    """The same for two copies of one mail, however each of them travelled.

    The Message-ID alone will not do: some programs give the same one to every mail they send.
    Without one only copies equal in every byte are one mail.
    """
    if not mail.message_id:
        return row.sha256
    sender = normal(mail.sender.email) if mail.sender else ""
    date = mail.date.isoformat() if mail.date else ""
    return hashlib.sha256(f"{mail.message_id}\n{sender}\n{date}".encode()).hexdigest()


def _sort_out(facts: Facts, found: list[tuple[Any, ...]], doors: list[str]) -> None:
    inboxes: dict[str, int] = {}
    fallback: dict[str, int] = {}
    known: dict[str, list[Known]] = defaultdict(list)
    for what, pk, other, number, seq, name in found:
        if what in {"token", "ours", "theirs"}:
            known[what].append(Known(name, other, number, seq))
        elif what == "copy":
            facts.copy_id, facts.copy = pk, Known("", other, number, None) if other else None
        elif what == "person":
            facts.person = Person(pk=pk, name=name, user_id=other)
        elif what == "staff":
            facts.staff = Person(pk=pk, name=name, user_id=other)
        elif what == "inbox":
            inboxes[name] = pk
        else:
            fallback[what] = pk
    facts.tokens, facts.ours, facts.theirs = known["token"], known["ours"], known["theirs"]
    addressed = next((inboxes[door] for door in doors if door in inboxes), None)
    facts.inbox_id = addressed or fallback.get("mailbox") or fallback.get("first inbox")
