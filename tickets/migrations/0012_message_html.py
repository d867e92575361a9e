"""A mail's HTML stands beside its message."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0011_mail_doors")]

    operations = [
        migrations.CreateModel(
            name="MessageHtml",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="html",
                        serialize=False,
                        to="tickets.message",
                        verbose_name="message",
                    ),
                ),
                ("visible", models.TextField(blank=True, verbose_name="what was written")),
                ("quoted", models.TextField(blank=True, verbose_name="quoted")),
                (
                    "has_remote",
                    models.BooleanField(default=False, verbose_name="has pictures from elsewhere"),
                ),
            ],
            options={
                "verbose_name": "HTML of a message",
                "verbose_name_plural": "HTML of messages",
            },
        ),
        migrations.AddField(
            model_name="message",
            name="has_html",
            field=models.BooleanField(db_default=False, default=False, verbose_name="has HTML"),
        ),
    ]
