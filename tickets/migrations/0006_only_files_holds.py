"""Read the table once, without keeping anybody from writing to it."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0005_only_files_rule")]

    operations = [ValidateConstraint("message", "message_speaks_shows_or_records")]
