"""The bytes of a stored mail."""

from __future__ import annotations

from io import BytesIO

from django.db import connection

from tickets.models import InboundEmail

# One answer of the driver is held in memory three times over, so it is kept small.
PIECE_BYTES = 2 * 1024 * 1024


def raw_of(row: InboundEmail) -> bytes:
    """A mail byte for byte, whether its row has been read with its bytes or, as for a large one,
    without. Empty for a mail that a server would not hand over."""
    raw = bytes(row.raw) if "raw" in vars(row) else b""
    return raw if len(raw) == row.size_bytes else _in_pieces(row)


def _in_pieces(row: InboundEmail) -> bytes:
    whole = BytesIO()
    with connection.cursor() as cursor:
        for start in range(1, row.size_bytes + 1, PIECE_BYTES):
            cursor.execute(
                "SELECT substring(raw FROM %s FOR %s) FROM tickets_inboundemail WHERE id = %s",
                [start, PIECE_BYTES, row.pk],
            )
            ((piece,),) = cursor.fetchall()
            whole.write(piece)
    return whole.getvalue()
