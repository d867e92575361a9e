"""A direct message knows the two people it is between."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0029_drop_open_indexes")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="pair",
            field=models.CharField(blank=True, editable=False, max_length=41, null=True),
        ),
    ]
