"""A desk that has been in use for years: as many tickets as asked for, in seconds.

The rows are those that the operations would have written; they are made inside PostgreSQL, with
triggers and indexes put aside meanwhile.
"""

from __future__ import annotations

from random import Random

import psycopg
from psycopg import sql

from bench.words import name, paragraph
from tickets.models import Inbox, Team, User

LOADED = ("person", "emailaddress", "conversation", "participant", "message", "ticket")
MAILED = ("inboundemail", "outgoingemail")
TABLES = tuple(f"tickets_{table}" for table in (*LOADED, *MAILED))

BODIES = 20_000  # different texts; each stands in many tickets
BODY_SENTENCES = (1, 2, 3, 4, 6)
CUSTOMER_TICKETS = 4  # on average, of one customer
STAFF = 10

PARAMETERS = (
    "SET session_replication_role = replica",  # no foreign keys are looked up, nothing is counted
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '256MB'",
    "SET work_mem = '128MB'",
    "SELECT setseed(0.5)",
)

BODY_TABLE = """
CREATE TEMP TABLE bodies (
    id int GENERATED ALWAYS AS IDENTITY (START 0 MINVALUE 0) PRIMARY KEY,
    body text, search tsvector GENERATED ALWAYS AS (to_tsvector('simple', lower(body))) STORED
)
"""

# Four in a hundred are open, eight wait for the customer. Who spoke last follows from that: the
# odd entries are the customer's.
PLAN = """
CREATE TEMP TABLE plan AS
SELECT
    id, status, inbox_id, customer_id, is_mail,
    CASE status
        WHEN 'open' THEN 3 + 2 * floor(2 * dice)::int
        WHEN 'waiting' THEN 4
        ELSE 3 + floor(3 * dice)::int
    END AS entries,
    CASE WHEN status <> 'open' OR dice < 0.7 THEN staff_ids[1 + id %% cardinality(staff_ids)] END
        AS staff_id,
    now() - interval '3 days' - (%(tickets)s - id) * interval '20 minutes' AS opened_at
FROM (
    SELECT
        id, random() AS dice, random() < 0.7 AS is_mail,
        (%(inboxes)s::bigint[])[1 + id %% cardinality(%(inboxes)s::bigint[])] AS inbox_id,
        %(staff)s::bigint[] AS staff_ids,
        %(first_customer)s + floor(random() * %(customers)s)::bigint AS customer_id,
        CASE WHEN lot < 0.04 THEN 'open' WHEN lot < 0.12 THEN 'waiting' ELSE 'solved' END AS status
    FROM (SELECT id, random() AS lot FROM generate_series(1, %(tickets)s) AS id) AS lots
) AS drawn
"""

ENTRIES = """
CREATE TEMP TABLE entries AS
SELECT
    row_number() OVER (ORDER BY said_at, plan_id) AS id, *
FROM (
    SELECT
        plan.id AS plan_id, seq, seq %% 2 = 1 AS by_customer, is_mail, customer_id,
        COALESCE(person.id, assigned.any_id) AS staff_person_id,
        seq %% 2 = 0 AND plan.id %% 10 = 0 AS is_note,
        opened_at + (seq - 1) * interval '4 hours' AS said_at,
        floor(random() * %(bodies)s)::int AS body_id
    FROM plan
    CROSS JOIN LATERAL generate_series(1, plan.entries) AS seq
    LEFT JOIN tickets_person AS person ON person.user_id = plan.staff_id
    CROSS JOIN (
        SELECT min(id) AS any_id FROM tickets_person WHERE user_id IS NOT NULL
    ) AS assigned
) AS said
"""

CUSTOMERS = """
INSERT INTO tickets_person (id, name, is_assistant, created_at)
SELECT %(first_customer)s + i, (%(names)s::text[])[1 + i %% cardinality(%(names)s::text[])],
    false, now()
FROM generate_series(0, %(customers)s - 1) AS i
"""

ADDRESSES = """
INSERT INTO tickets_emailaddress (person_id, address, is_primary)
SELECT id, 'customer-' || id || '@mail.example', true FROM tickets_person WHERE user_id IS NULL
"""

CONVERSATIONS = """
INSERT INTO tickets_conversation (id, channel, last_seq, last_public_seq, created_at)
SELECT id, CASE WHEN is_mail THEN 'email' ELSE 'chat' END, entries, entries, opened_at FROM plan
"""

SEATS = """
INSERT INTO tickets_participant
    (conversation_id, person_id, role, reach, sees_after_seq, last_read_seq)
SELECT id, customer_id, 'customer', CASE WHEN is_mail THEN 'email' ELSE 'live' END, 0, 0 FROM plan
"""

MESSAGES = """
INSERT INTO tickets_message
    (id, conversation_id, seq, kind, audience, via, author_id, body, quoted, sources, created_at,
     search)
SELECT
    entries.id, plan_id, seq,
    CASE WHEN is_note THEN 'note' ELSE 'reply' END,
    CASE WHEN is_note THEN 'staff' ELSE 'everyone' END,
    CASE WHEN NOT by_customer THEN 'web' WHEN is_mail THEN 'email' ELSE 'widget' END,
    CASE WHEN by_customer THEN customer_id ELSE staff_person_id END,
    body, '', '[]', said_at,
    CASE WHEN seq = 1 THEN search || to_tsvector('simple', 'order ' || plan_id + 4000000)
        ELSE search END
FROM entries JOIN bodies ON bodies.id = body_id
ORDER BY entries.id
"""

TICKETS = """
INSERT INTO tickets_ticket
    (number, conversation_id, subject, requester_id, inbox_id, assignee_id, status, handler,
     opened_at, first_reply_at, solved_at, waiting_since, last_message_at, last_preview,
     last_author_name, unread)
SELECT
    plan.id, plan.id, left(first_body.body, 70), plan.customer_id, inbox_id, staff_id, status,
    'staff', opened_at, opened_at + interval '4 hours',
    CASE status WHEN 'solved' THEN last.said_at + interval '1 hour' END,
    CASE status WHEN 'open' THEN last.said_at END,
    last.said_at, left(last_body.body, 150), author.name, status = 'open' AND plan.id % 3 = 0
FROM plan
JOIN entries AS first ON first.plan_id = plan.id AND first.seq = 1
JOIN bodies AS first_body ON first_body.id = first.body_id
JOIN entries AS last ON last.plan_id = plan.id AND last.seq = plan.entries
JOIN bodies AS last_body ON last_body.id = last.body_id
JOIN tickets_person AS author
    ON author.id = CASE WHEN last.by_customer THEN last.customer_id ELSE last.staff_person_id END
ORDER BY plan.id
"""

COUNTS = """
INSERT INTO tickets_ticketcount (inbox_id, status, assignee_id, amount)
SELECT inbox_id, status, assignee_id, count(*) FROM tickets_ticket GROUP BY 1, 2, 3
"""

# A real mail lies outside of its row, so what is in the row is short.
MAILS_IN = """
INSERT INTO tickets_inboundemail
    (state, attempts, due_at, error, finished_at, source, raw, size_bytes, sha256, received_at,
     rfc_message_id, reference_ids, dedupe_key, subject, from_address, problems, file_count,
     decision, reason, conversation_id, message_id)
SELECT
    'done', 1, said_at, '', said_at, 'bench', decode(repeat('6d', 200), 'hex'), 200, hash,
    said_at, id || '@mail.example', ARRAY[id || '@mail.example'], hash, '',
    'customer-' || customer_id || '@mail.example', '[]', 0, 'filed', 'It was written to us.',
    plan_id, id
FROM (
    SELECT *, md5(id::text) || md5(plan_id::text) AS hash
    FROM entries WHERE is_mail AND by_customer
) AS mails
ORDER BY id
"""

MAILS_OUT = """
INSERT INTO tickets_outgoingemail
    (state, attempts, due_at, error, finished_at, message_id, person_id, address, rfc_message_id,
     smtp_reply, accepted_at, created_at)
SELECT
    'done', 1, said_at, '', said_at, id, customer_id,
    'customer-' || customer_id || '@mail.example', id || '@desk.example', '250 OK', said_at, said_at
FROM entries WHERE is_mail AND NOT by_customer AND NOT is_note
ORDER BY id
"""

INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index
WHERE indrelid::regclass::text = ANY(%s)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def staff_and_doors() -> User:
    """Teams, inboxes and people with a login. Returns one of them: in a team, no superuser."""
    orders, wholesale = (Team.objects.create(name=name) for name in ("Orders", "Wholesale"))
    for title, teams in (("Hello", [orders]), ("Trade", [wholesale, orders]), ("Everyone", [])):
        Inbox.objects.create(name=title).teams.set(teams)
    users = [User.objects.create_user(f"staff{i}@desk.example") for i in range(STAFF)]
    orders.members.set(users)
    wholesale.members.set(users[: STAFF // 2])
    return users[0]


def fill(url: str, tickets: int) -> None:
    """Write `tickets` tickets with all that belongs to them. `url` is the superuser's.

    To be called once, on a database that has `staff_and_doors` and nothing else.
    """
    random = Random(tickets)
    values = {
        "tickets": tickets,
        "bodies": BODIES,
        "customers": max(1, tickets // CUSTOMER_TICKETS),
        "first_customer": 1_000,
        "names": [name(random) for _ in range(500)],
        "inboxes": list(Inbox.objects.values_list("pk", flat=True)),
        "staff": list(User.objects.values_list("pk", flat=True)),
    }
    with psycopg.connect(url) as db:
        for parameter in PARAMETERS:
            db.execute(parameter)
        db.execute(BODY_TABLE)
        with db.cursor().copy("COPY bodies (body) FROM STDIN") as copy:
            for _ in range(BODIES):
                copy.write_row([paragraph(random, random.choice(BODY_SENTENCES))])
        indexes = db.execute(INDEXES, [list(TABLES)]).fetchall()
        for index, _definition in indexes:
            db.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(index)))
        db.execute(PLAN, values)
        db.execute(CUSTOMERS, values)
        db.execute(ADDRESSES)
        db.execute(ENTRIES, values)
        db.execute("CREATE INDEX ON entries (plan_id, seq)")
        db.execute("ANALYZE plan")
        db.execute("ANALYZE entries")
        for statement in (CONVERSATIONS, SEATS, MESSAGES, TICKETS, COUNTS, MAILS_IN, MAILS_OUT):
            db.execute(statement)
        for _index, definition in indexes:
            db.execute(definition)
        for table in TABLES:
            _move_sequence(db, table)
    with psycopg.connect(url, autocommit=True) as db:
        for table in TABLES:  # as autovacuum would have done over the years
            db.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
        db.execute("CHECKPOINT")


def _move_sequence(db: psycopg.Connection, table: str) -> None:
    """Let the next row have the number after the last one's."""
    key = "number" if table == "tickets_ticket" else "id"
    statement = sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), max({})) FROM {}")
    names = (sql.Literal(table), sql.Literal(key), sql.Identifier(key), sql.Identifier(table))
    db.execute(statement.format(*names))
