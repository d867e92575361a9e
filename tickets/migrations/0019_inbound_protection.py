"""Whether a mail came signed or encrypted. Mails from before say nothing of it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0018_mailbox_ledger")]

    operations = [
        migrations.AddField(
            model_name="inboundemail",
            name="protection",
            field=models.CharField(
                blank=True, default="", db_default="", max_length=10, verbose_name="protection"
            ),
        ),
    ]
