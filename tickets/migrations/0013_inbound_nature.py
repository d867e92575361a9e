"""What kind of mail came, and what POP3 calls it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0012_message_html")]

    operations = [
        migrations.AddField(
            model_name="inboundemail",
            name="nature",
            field=models.CharField(
                blank=True, default="", db_default="", max_length=10, verbose_name="nature"
            ),
        ),
        migrations.AddField(
            model_name="inboundemail",
            name="uidl",
            field=models.CharField(blank=True, max_length=70, null=True),
        ),
    ]
