"""No list walks these any more: those of the migration before have the order of today."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations

NAMES = (
    "ticket_open",
    "ticket_open_by_assignee",
    "ticket_open_unassigned",
    "ticket_open_by_inbox",
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0028_live_first")]

    operations = [RemoveIndexConcurrently("ticket", name) for name in NAMES]
