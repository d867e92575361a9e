"""Two people have one direct message. The index is built while everybody goes on writing.

Rerunnable: a build that was broken off leaves an index that holds nothing, which goes first.
"""

from django.db import migrations, models
from django.db.models import Q

DROP = "DROP INDEX CONCURRENTLY IF EXISTS conversation_pair_once"
BUILD = """
CREATE UNIQUE INDEX CONCURRENTLY conversation_pair_once
    ON tickets_conversation (pair) WHERE pair IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0030_direct_pairs")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([DROP, BUILD], [DROP])],
            state_operations=[
                migrations.AddConstraint(
                    model_name="conversation",
                    constraint=models.UniqueConstraint(
                        condition=Q(pair__isnull=False),
                        fields=("pair",),
                        name="conversation_pair_once",
                    ),
                ),
            ],
        ),
    ]
