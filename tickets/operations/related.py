"""What the database knows that bears on one mail, asked in one statement under one set of locks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from attachments.models import Blob
from helpdesk.lib import prepared
from tickets.mail.addresses import conversations_named, is_address, normal, without_tag
from tickets.mail.headers import Address
from tickets.mail.joining import Known, looked_up
from tickets.mail.machines import UNATTENDED, Nature
from tickets.mail.parse import ParsedEmail
from tickets.models import InboundEmail, MessageHtml, Person

DOORS_MAX = 100  # recipients looked up among our inboxes
COPIED_MAX = 20  # people in To and Cc of one mail who take part from then on
# Mails that people write: of others nobody is seated who stands in To or Cc.
WRITTEN = frozenset({Nature.PERSON.value, Nature.GENERATED.value})


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody in To or Cc of a mail. `person_id` is None for whoever is new to us."""

    person_id: int | None
    name: str
    address: str  # comparable


@dataclass(slots=True)
class Facts:
    """What the database knows that bears on one mail."""

    dedupe_key: str
    sender: str  # comparable; whom a contact form speaks for
    sender_name: str = ""
    copy: Known | None = None
    copy_id: int | None = None
    tokens: list[Known] = field(default_factory=list)
    ours: list[Known] = field(default_factory=list)
    theirs: list[Known] = field(default_factory=list)
    person: Person | None = None  # whose address it is
    staff: Person | None = None  # whose login it is
    inbox_id: int | None = None
    acknowledges: bool = False  # that inbox does
    guests: list[Guest] = field(default_factory=list)
    is_ours: bool = False  # written by this helpdesk, whatever its Message-ID has become
    blobs: list[Blob] = field(default_factory=list)  # where the bytes of its files lie, in order
    look: MessageHtml | None = None  # not stored yet


HOLD = "SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) k"
# And keep plans until the transaction ends. In a large database PostgreSQL would plan the question
# below anew for every mail, which takes five times as long as the answer: it fears that a chain of
# references might hit half a percent of all mails. Every branch has its index, whatever is asked.
HOLD_AND_KEEP_PLANS = """
SELECT pg_advisory_xact_lock(k), set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true)
  FROM unnest(%s::bigint[]) k
"""

# One question instead of seven: on a busy server the round trips cost more than the answers.
LOOK_UP = """
WITH related AS (
    SELECT 'token' AS what, c.id AS conversation_id, NULL::int AS seq, c.id::text AS name
      FROM tickets_conversation c
     WHERE c.id = ANY(%(tokens)s::bigint[]) AND c.channel <> 'internal'
    UNION ALL
    SELECT 'ours', m.conversation_id, m.seq, o.rfc_message_id
      FROM tickets_outgoingemail o JOIN tickets_message m ON m.id = o.message_id
     WHERE o.rfc_message_id = ANY(%(ids)s::varchar[])
    UNION ALL
    SELECT 'theirs', e.conversation_id, m.seq, e.rfc_message_id
      FROM tickets_inboundemail e LEFT JOIN tickets_message m ON m.id = e.message_id
     WHERE e.reference_ids && %(ids)s::varchar[] AND e.decision = 'filed' AND e.id <> %(row)s
       AND e.conversation_id IS NOT NULL
       AND e.rfc_message_id IS DISTINCT FROM %(message_id)s::varchar
       AND (e.rfc_message_id = ANY(%(ids)s::varchar[])
            OR %(message_id)s::varchar = ANY(e.reference_ids))
)
-- What was merged is not answered any more: the one that goes on is.
SELECT r.what, g.is_group::int::bigint, g.id, t.number,
       CASE WHEN w.merged_into_id IS NULL THEN r.seq END, r.name,
       CASE WHEN i.new_ticket_after_days > 0
             AND t.solved_at < now() - make_interval(days => i.new_ticket_after_days)
            THEN t.subject END
  FROM related r JOIN tickets_conversation w ON w.id = r.conversation_id
  JOIN tickets_conversation g ON g.id = coalesce(w.merged_into_id, w.id)
  LEFT JOIN tickets_ticket t ON t.conversation_id = g.id
  LEFT JOIN tickets_inbox i ON i.id = t.inbox_id
UNION ALL
SELECT 'copy', e.id, e.conversation_id, t.number, NULL, '', NULL
  FROM tickets_inboundemail e LEFT JOIN tickets_ticket t USING (conversation_id)
 WHERE e.dedupe_key = %(dedupe_key)s AND e.id <> %(row)s
UNION ALL
SELECT 'person', p.id, p.user_id, NULL, NULL, p.name, lower(a.address)
  FROM tickets_emailaddress a JOIN tickets_person p ON p.id = a.person_id
 WHERE lower(a.address) = ANY(%(people)s::varchar[])
UNION ALL
SELECT 'staff', p.id, p.user_id, NULL, NULL, p.name, lower(u.email)
  FROM tickets_user u JOIN tickets_person p ON p.user_id = u.id
 WHERE lower(u.email) = ANY(%(people)s::varchar[])
UNION ALL
SELECT 'inbox', i.id, NULL, NULL, i.acknowledges::int, lower(i.address), NULL
  FROM tickets_inbox i WHERE lower(i.address) = ANY(%(doors)s::varchar[])
UNION ALL
SELECT 'mailbox', CASE WHEN b.id = %(mailbox)s::bigint THEN i.id END, NULL, NULL,
       i.acknowledges::int, lower(b.username), NULL
  FROM tickets_mailbox b LEFT JOIN tickets_inbox i ON i.id = b.inbox_id
 WHERE b.id = %(mailbox)s::bigint
    OR lower(b.username) = ANY(%(doors)s::varchar[]) AND b.state <> 'done'  -- removed
UNION ALL
(SELECT 'first inbox', i.id, NULL, NULL, i.acknowledges::int, '', NULL
   FROM tickets_inbox i ORDER BY i.id LIMIT 1)
"""


def look_up(row: InboundEmail, mail: ParsedEmail) -> Facts:
    """Wait for whoever files a related mail, then ask the database once."""
    sender = mail.sender or Address("", "")
    spoken_for = _spoken_for(mail, sender)
    named = [*mail.to, *mail.cc]
    recipients = [*mail.delivered_to, *(one.email for one in named)][:DOORS_MAX]
    # The inbox is that of the first door in To and Cc: two copies of a mail must not come to
    # different inboxes by who delivered them first.
    doors = [without_tag(one) for one in (*(one.email for one in named), *mail.delivered_to)]
    doors = list(dict.fromkeys(doors[:DOORS_MAX]))
    tokens = conversations_named(recipients)
    copied = _copied(mail, named[:DOORS_MAX]) if mail.nature in WRITTEN else {}
    ids = looked_up(mail.in_reply_to, [*mail.returned_ids, *mail.references])
    ids = [mail.message_id, *ids] if mail.message_id else ids
    people = [normal(one.email) for one in (sender, *spoken_for)]
    facts = Facts(_dedupe_key(row, mail), people[0], sender.name)
    people = list(dict.fromkeys([*people, *copied]))
    with connection.cursor() as cursor:
        _wait_for(cursor, [facts.dedupe_key, *map(_address, people), *ids], HOLD_AND_KEEP_PLANS)
    found = prepared.fetched(
        LOOK_UP,
        {
            "dedupe_key": facts.dedupe_key,
            "row": row.pk,
            "tokens": tokens,
            "ids": ids,
            "message_id": mail.message_id or None,
            "people": people,
            "doors": [*doors, without_tag(sender.email)],
            "mailbox": row.mailbox_id,
        },
    )
    known = _sort_out(facts, found, doors)
    facts.tokens.sort(key=lambda one: tokens.index(int(one.rfc_message_id)))
    # Nobody else can write one of our signed addresses into Reply-To.
    facts.is_ours = any(conversations_named([one.email]) for one in mail.reply_to)
    if not any(known.is_door(one.email) for one in named):
        # One of those in To is an address that leads on to us, and we cannot tell which.
        aliases = {normal(one.email) for one in mail.to}
        copied = {address: name for address, name in copied.items() if address not in aliases}
    for one in spoken_for:
        if known.lets_speak(sender, one, mail):
            facts.sender, facts.sender_name = normal(one.email), one.name
    facts.person, facts.staff = known.person(facts.sender), known.staff.get(facts.sender)
    facts.guests = list(_guests(facts, known, copied))[:COPIED_MAX]
    return facts


def hold_address(*addresses: str) -> None:
    """Nobody else files a mail from these addresses, or gives them to a person, until the
    transaction ends. What comes of those who did so just now is seen by the next statement."""
    hold(*(_address(normal(one)) for one in addresses))


def hold(*names: str) -> None:
    """Nobody else holds what goes by these names until the transaction ends."""
    with connection.cursor() as cursor:
        _wait_for(cursor, list(names))


def _address(sender: str) -> str:
    return f"from {sender}"


def _wait_for(cursor: Any, names: list[str], statement: str = HOLD) -> None:
    """Hold what goes by these names until the transaction ends, in one fixed order.

    A statement of its own: the next one must see what the others committed meanwhile.
    """
    keys = sorted({_lock_key(name) for name in names})
    cursor.execute(statement, [keys])


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


def _spoken_for(mail: ParsedEmail, sender: Address) -> list[Address]:
    """Whom an answer would reach instead of the sender, if that is somebody else."""
    first = mail.reply_to[:1]
    return [
        one
        for one in first
        if is_address(one.email)
        and normal(one.email) != normal(sender.email)
        and not UNATTENDED.match(one.email)
    ]


def _copied(mail: ParsedEmail, named: Iterable[Address]) -> dict[str, str]:
    """Who might take part because To or Cc name them: address and name."""
    delivered = {normal(one) for one in mail.delivered_to}
    copied: dict[str, str] = {}
    for one in named:
        address = normal(one.email)
        if (
            is_address(one.email)
            and address not in delivered  # an address at which we get mail
            and not UNATTENDED.match(one.email)
            and not conversations_named([one.email])
        ):
            copied[address] = copied.get(address) or one.name
    return copied


@dataclass(slots=True)
class _Known:
    people: dict[str, Person] = field(default_factory=dict)
    staff: dict[str, Person] = field(default_factory=dict)
    doors: set[str] = field(default_factory=set)  # of our inboxes and mailboxes

    def person(self, address: str) -> Person | None:
        return self.people.get(address)

    def works_here(self, address: str) -> bool:
        person = self.people.get(address)
        return address in self.staff or (person is not None and person.user_id is not None)

    def is_door(self, address: str) -> bool:
        return without_tag(address) in self.doors

    def lets_speak(self, sender: Address, other: Address, mail: ParsedEmail) -> bool:
        """Whether a mail is of whoever its Reply-To names: a form on a page wrote it for them.

        Such forms write from an address of ours, or of our domain, or from one that nobody reads.
        Nobody is let speak for staff: anyone can fill in a form.
        """
        address = normal(sender.email)
        if self.works_here(address) or self.works_here(normal(other.email)):
            return False
        if self.is_door(other.email) or mail.nature not in WRITTEN:
            return False
        host = address.rpartition("@")[2]
        return (
            mail.nature == Nature.GENERATED
            or self.is_door(address)
            or UNATTENDED.match(address) is not None
            or any(door.rpartition("@")[2] == host for door in self.doors)
        )


def _sort_out(facts: Facts, found: list[tuple[Any, ...]], doors: list[str]) -> _Known:
    about = _Known()
    inboxes: dict[str, int] = {}
    acknowledging: set[int] = set()
    fallback: dict[str, int] = {}
    known: dict[str, list[Known]] = defaultdict(list)
    for what, pk, other, number, seq, name, words in found:
        if what in {"inbox", "mailbox", "first inbox"} and seq:
            acknowledging.add(pk)
        match what:
            case "token" | "ours" | "theirs":
                known[what].append(Known(name, other, number, seq, words, bool(pk)))
            case "copy":
                facts.copy_id, facts.copy = pk, Known("", other, number, None) if other else None
            case "person":
                about.people[words] = Person(pk=pk, name=name, user_id=other)
            case "staff":
                about.staff[words] = Person(pk=pk, name=name, user_id=other)
            case "inbox":
                inboxes[name] = pk
                about.doors.add(name)
            case _:
                about.doors.add(name)
                if pk is not None:
                    fallback[what] = pk
    about.doors.discard("")
    facts.tokens, facts.ours, facts.theirs = known["token"], known["ours"], known["theirs"]
    addressed = next((inboxes[door] for door in doors if door in inboxes), None)
    facts.inbox_id = addressed or fallback.get("mailbox") or fallback.get("first inbox")
    facts.acknowledges = facts.inbox_id in acknowledging
    return about


def _guests(facts: Facts, known: _Known, copied: dict[str, str]) -> Iterator[Guest]:
    """Who takes part from now on because To or Cc name them."""
    seen = {facts.person.pk} if facts.person else set()
    for address, name in copied.items():
        person = known.person(address)
        if address == facts.sender or known.is_door(address) or known.works_here(address):
            continue
        if person is None:
            yield Guest(None, name, address)
        elif person.pk not in seen:
            seen.add(person.pk)
            yield Guest(person.pk, person.name, address)
