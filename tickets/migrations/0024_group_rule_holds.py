"""Read the table once, without keeping anybody from writing to it."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0023_group_rule")]

    operations = [ValidateConstraint("participant", "participant_barred_has_left")]
