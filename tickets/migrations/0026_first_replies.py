"""How long first replies take is read from the index. It is built while everybody goes on writing.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q

DROP = "DROP INDEX CONCURRENTLY IF EXISTS ticket_first_replies"
BUILD = (
    "CREATE INDEX CONCURRENTLY ticket_first_replies"
    " ON tickets_ticket (inbox_id, first_reply_at) WHERE first_reply_at IS NOT NULL"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0025_widget")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([DROP, BUILD], [DROP])],
            state_operations=[
                migrations.AddIndex(
                    model_name="ticket",
                    index=models.Index(
                        condition=Q(first_reply_at__isnull=False),
                        fields=["inbox", "first_reply_at"],
                        name="ticket_first_replies",
                    ),
                ),
            ],
        ),
    ]
