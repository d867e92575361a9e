"""Keeping the counter rows few."""

from __future__ import annotations

from django.db import connection, transaction

# Rows that another fold is taking are skipped, so two at once never wait or count twice.
FOLD = """
WITH taken AS (
    DELETE FROM tickets_ticketcount WHERE id IN (
        SELECT id FROM tickets_ticketcount ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING inbox_id, status, assignee_id, amount
)
INSERT INTO tickets_ticketcount (inbox_id, status, assignee_id, amount)
SELECT inbox_id, status, assignee_id, sum(amount)
FROM taken GROUP BY inbox_id, status, assignee_id HAVING sum(amount) <> 0
"""
BATCH_ROWS = 50_000


@transaction.atomic
def fold_counts() -> None:
    """Sum the counter rows up: one row a key remains. Counts read the same before and after."""
    with connection.cursor() as cursor:
        cursor.execute(FOLD, [BATCH_ROWS])
