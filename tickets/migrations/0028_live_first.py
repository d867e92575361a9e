"""The open lists have those who wait live first: indexes in that order, built while everybody goes
on writing. The old ones go in the next migration, once these are there.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q

OPEN = Q(status="open")
INDEXES = [
    ("ticket_open_live", ["-live", "waiting_since", "number"], OPEN),
    (
        "ticket_open_live_by_assignee",
        ["assignee", "-live", "waiting_since", "number"],
        OPEN,
    ),
    (
        "ticket_open_live_unassigned",
        ["-live", "waiting_since", "number"],
        Q(status="open", assignee=None),
    ),
    ("ticket_open_live_by_inbox", ["inbox", "-live", "waiting_since", "number"], OPEN),
    ("ticket_live", ["waiting_since", "number"], Q(status="open", live=True)),
]
BUILDS = {
    "ticket_open_live": "(live DESC, waiting_since, number) WHERE status = 'open'",
    "ticket_open_live_by_assignee": "(assignee_id, live DESC, waiting_since, number)"
    " WHERE status = 'open'",
    "ticket_open_live_unassigned": "(live DESC, waiting_since, number)"
    " WHERE status = 'open' AND assignee_id IS NULL",
    "ticket_open_live_by_inbox": "(inbox_id, live DESC, waiting_since, number)"
    " WHERE status = 'open'",
    "ticket_live": "(waiting_since, number) WHERE status = 'open' AND live",
}


def built(name):
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
    build = f"CREATE INDEX CONCURRENTLY {name} ON tickets_ticket {BUILDS[name]}"
    return migrations.RunSQL([drop, build], [drop])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0027_live_chats")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[built(name) for name, _fields, _condition in INDEXES],
            state_operations=[
                migrations.AddIndex(
                    model_name="ticket",
                    index=models.Index(condition=condition, fields=fields, name=name),
                )
                for name, fields, condition in INDEXES
            ],
        ),
    ]
