"""A ticket may take up an older one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0015_seats_in_copy")]

    operations = [
        migrations.AddField(
            model_name="ticket",
            name="continues",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="continued_by",
                to="tickets.ticket",
                verbose_name="continues",
            ),
        ),
    ]
