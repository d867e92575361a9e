"""Tickets that were merged: where each went on, and what came into one."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("tickets", "0032_seats_got")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="merged_into",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="tickets.conversation",
                verbose_name="merged into",
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="merged_seq",
            field=models.IntegerField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="conversation",
            name="merged_from",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                blank=True,
                db_default=[],
                default=list,
                editable=False,
                size=None,
            ),
        ),
        AddConstraintNotValid(
            model_name="conversation",
            constraint=models.CheckConstraint(
                condition=Q(merged_into__isnull=True, merged_seq__isnull=True)
                | Q(merged_into__isnull=False, merged_seq__isnull=False, merged_from=[]),
                name="conversation_merged_as_a_whole",
            ),
        ),
    ]
