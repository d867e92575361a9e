"""How far what was said has reached a browser, whether its owner looks or not.

The column has a default that PostgreSQL knows, so that no row is written anew.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0031_direct_once")]

    operations = [
        migrations.AddField(
            model_name="participant",
            name="got_seq",
            field=models.IntegerField(default=0, db_default=0, verbose_name="has got up to"),
        ),
    ]
