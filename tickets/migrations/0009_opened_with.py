"""A conversation that staff begin has the token of the form it was begun with."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0008_let_go_of_files")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="opened_with",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
    ]
