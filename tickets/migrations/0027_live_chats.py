"""Who waits live, whether visitors' typing is shown, and who is given chats.

Each column has a default that PostgreSQL knows, so that no row is written anew.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0026_first_replies")]

    operations = [
        migrations.AddField(
            model_name="ticket",
            name="live",
            field=models.BooleanField(default=False, db_default=False, verbose_name="live"),
        ),
        migrations.AddField(
            model_name="inbox",
            name="previews_typing",
            field=models.BooleanField(
                default=False,
                db_default=False,
                help_text="Before it is sent. The widget says so.",
                verbose_name="staff see what visitors type",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="assigns_chats",
            field=models.BooleanField(
                default=False,
                db_default=False,
                help_text="To staff who are at the desk, not away, and below their number of chats.",
                verbose_name="new chats are given to who is free",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="away",
            field=models.BooleanField(
                default=False,
                db_default=False,
                help_text="New chats are not given to them.",
                verbose_name="away",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="chat_cap",
            field=models.PositiveSmallIntegerField(
                default=4,
                db_default=4,
                help_text="They may take more by themselves.",
                verbose_name="most chats at once",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="chat_given_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
