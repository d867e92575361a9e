"""A seat may hear as a copy."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0014_outgoing_bounces")]

    operations = [
        migrations.AddField(
            model_name="participant",
            name="copied",
            field=models.BooleanField(db_default=False, default=False, verbose_name="in copy"),
        ),
    ]
