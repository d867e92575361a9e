"""A token begins one conversation. The index is built while everybody goes on writing.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q

DROP = "DROP INDEX CONCURRENTLY IF EXISTS conversation_opened_once"
BUILD = """
CREATE UNIQUE INDEX CONCURRENTLY conversation_opened_once
    ON tickets_conversation (opened_with) WHERE opened_with IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0009_opened_with")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([DROP, BUILD], [DROP])],
            state_operations=[
                migrations.AddConstraint(
                    model_name="conversation",
                    constraint=models.UniqueConstraint(
                        condition=Q(opened_with__isnull=False),
                        fields=("opened_with",),
                        name="conversation_opened_once",
                    ),
                ),
            ],
        ),
    ]
