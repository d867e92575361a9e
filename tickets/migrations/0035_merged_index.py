"""What was merged into a conversation is found by an index, built while everybody goes on writing.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q

DROP = "DROP INDEX CONCURRENTLY IF EXISTS conversation_merged_into"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0034_merged_holds")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        DROP,
                        "CREATE INDEX CONCURRENTLY conversation_merged_into"
                        " ON tickets_conversation (merged_into_id)"
                        " WHERE merged_into_id IS NOT NULL",
                    ],
                    [DROP],
                )
            ],
            state_operations=[
                migrations.AddIndex(
                    model_name="conversation",
                    index=models.Index(
                        condition=Q(merged_into__isnull=False),
                        fields=["merged_into"],
                        name="conversation_merged_into",
                    ),
                )
            ],
        ),
    ]
