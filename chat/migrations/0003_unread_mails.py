"""Rows that promise to mail what somebody has not read of a chat."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0002_join_links"),
        ("tickets", "0024_group_rule_holds"),
    ]

    operations = [
        migrations.CreateModel(
            name="UnreadMail",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                (
                    "due_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="due at"),
                ),
                (
                    "leased_until",
                    models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="leased until"
                    ),
                ),
                ("lease", models.UUIDField(blank=True, editable=False, null=True)),
                ("error", models.TextField(blank=True, verbose_name="error")),
                (
                    "finished_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="finished at"),
                ),
                ("seq", models.PositiveIntegerField(verbose_name="entry")),
                (
                    "posted_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="posted at"
                    ),
                ),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tickets.conversation",
                        verbose_name="conversation",
                    ),
                ),
            ],
            options={
                "verbose_name": "mail of what is unread",
                "verbose_name_plural": "mails of what is unread",
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "queued")),
                        fields=["due_at"],
                        name="chat_unreadmail_due",
                    ),
                    models.Index(
                        condition=models.Q(("state", "running")),
                        fields=["leased_until"],
                        name="chat_unreadmail_leased",
                    ),
                    models.Index(
                        condition=models.Q(("state", "failed")),
                        fields=["id"],
                        name="chat_unreadmail_failed",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lease__isnull", False),
                                ("leased_until__isnull", False),
                                ("state", "running"),
                            ),
                            models.Q(
                                models.Q(("state", "running"), _negated=True),
                                ("lease__isnull", True),
                                ("leased_until__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="chat_unreadmail_running_has_lease",
                    )
                ],
            },
        ),
    ]
