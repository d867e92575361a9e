"""A message may be files and no words. The new rule stands before the old one goes."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("tickets", "0004_only_files")]

    operations = [
        AddConstraintNotValid(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=Q(kind="change", change__isnull=False)
                | (
                    Q(change__isnull=True) & ~Q(kind="change") & (~Q(body="") | Q(file_count__gt=0))
                ),
                name="message_speaks_shows_or_records",
            ),
        ),
        migrations.RemoveConstraint(model_name="message", name="message_speaks_or_records"),
    ]
