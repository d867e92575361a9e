"""Conversations of several people: what they are called, and what a seat in one may do."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0019_inbound_protection")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="title",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=120, verbose_name="title"
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="is_group",
            field=models.BooleanField(db_default=False, default=False, verbose_name="group"),
        ),
        migrations.AddField(
            model_name="conversation",
            name="seats_version",
            field=models.IntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="conversation",
            name="side_of",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="side_conversations",
                to="tickets.conversation",
                verbose_name="beside",
            ),
        ),
        migrations.AddField(
            model_name="participant",
            name="rank",
            field=models.CharField(
                choices=[("owner", "Owner"), ("member", "Member"), ("reader", "Read-only")],
                db_default="member",
                default="member",
                max_length=6,
                verbose_name="rank",
            ),
        ),
        migrations.AddField(
            model_name="participant",
            name="muted",
            field=models.BooleanField(db_default=False, default=False, verbose_name="muted"),
        ),
        migrations.AddField(
            model_name="participant",
            name="mailed_seq",
            field=models.IntegerField(db_default=0, default=0, verbose_name="mailed up to"),
        ),
        migrations.AddField(
            model_name="participant",
            name="barred",
            field=models.BooleanField(db_default=False, default=False, verbose_name="removed"),
        ),
        migrations.AddField(
            model_name="inbox",
            name="shows_addresses",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Otherwise they see names only, and answers are passed on by the "
                "helpdesk.",
                verbose_name="people in a group see each other's addresses",
            ),
        ),
        migrations.AddField(
            model_name="outgoingemail",
            name="since_seq",
            field=models.IntegerField(blank=True, null=True, verbose_name="since entry"),
        ),
    ]
