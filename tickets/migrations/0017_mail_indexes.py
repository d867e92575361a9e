"""What the loop guard counts, which ticket another takes up, and that a mail of a POP3 mailbox is
recorded once. The indexes are built while everybody goes on writing.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q


def index(name, statement):
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
    return migrations.RunSQL([drop, statement], [drop])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0016_ticket_continues")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                index(
                    "outgoingemail_automatic",
                    "CREATE INDEX CONCURRENTLY outgoingemail_automatic"
                    " ON tickets_outgoingemail (address, created_at) WHERE is_automatic",
                ),
                index(
                    "ticket_continues",
                    "CREATE INDEX CONCURRENTLY ticket_continues"
                    " ON tickets_ticket (continues_id) WHERE continues_id IS NOT NULL",
                ),
                index(
                    "inboundemail_uidl_once",
                    "CREATE UNIQUE INDEX CONCURRENTLY inboundemail_uidl_once"
                    " ON tickets_inboundemail (mailbox_id, uidl) WHERE uidl IS NOT NULL",
                ),
            ],
            state_operations=[
                migrations.AddIndex(
                    model_name="outgoingemail",
                    index=models.Index(
                        condition=Q(is_automatic=True),
                        fields=["address", "created_at"],
                        name="outgoingemail_automatic",
                    ),
                ),
                migrations.AddIndex(
                    model_name="ticket",
                    index=models.Index(
                        condition=Q(continues__isnull=False),
                        fields=["continues"],
                        name="ticket_continues",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="inboundemail",
                    constraint=models.UniqueConstraint(
                        condition=Q(uidl__isnull=False),
                        fields=("mailbox", "uidl"),
                        name="inboundemail_uidl_once",
                    ),
                ),
            ],
        ),
    ]
