"""What stands beside a conversation is found by an index, built while everybody goes on writing.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q

DROP = "DROP INDEX CONCURRENTLY IF EXISTS conversation_side_of"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0021_mentions")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        DROP,
                        "CREATE INDEX CONCURRENTLY conversation_side_of"
                        " ON tickets_conversation (side_of_id) WHERE side_of_id IS NOT NULL",
                    ],
                    [DROP],
                )
            ],
            state_operations=[
                migrations.AddIndex(
                    model_name="conversation",
                    index=models.Index(
                        condition=Q(side_of__isnull=False),
                        fields=["side_of"],
                        name="conversation_side_of",
                    ),
                )
            ],
        ),
    ]
