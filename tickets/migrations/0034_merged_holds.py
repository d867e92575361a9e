"""Read the table once, without keeping anybody from writing to it."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0033_merged")]

    operations = [ValidateConstraint("conversation", "conversation_merged_as_a_whole")]
