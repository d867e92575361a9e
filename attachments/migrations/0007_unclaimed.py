"""An index of what no message shows, built once the old rows are no longer among it."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

# Whoever was killed while building it left one that is of no use.
AGAIN = "DROP INDEX CONCURRENTLY IF EXISTS attachment_unclaimed"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("attachments", "0006_file_links")]

    operations = [
        migrations.RunSQL(AGAIN, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "attachment",
            models.Index(
                fields=["created_at"],
                condition=Q(claimed_at=None),
                name="attachment_unclaimed",
            ),
        ),
    ]
