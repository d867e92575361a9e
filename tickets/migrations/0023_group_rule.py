"""Who was removed has left. From now on; what was written before is looked at in the next step."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("tickets", "0022_group_index")]

    operations = [
        AddConstraintNotValid(
            model_name="participant",
            constraint=models.CheckConstraint(
                condition=Q(barred=False) | Q(left_at__isnull=False),
                name="participant_barred_has_left",
            ),
        ),
    ]
