"""Who a visitor says they are, and who a shop says they are; earlier chats; transcripts."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import chat.models


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0003_unread_mails"),
        ("tickets", "0025_widget"),
    ]

    operations = [
        migrations.AddField(
            model_name="visitorsession",
            name="answers",
            field=models.JSONField(blank=True, db_default={}, default=dict, verbose_name="answers"),
        ),
        migrations.AddField(
            model_name="visitorsession",
            name="answers_filed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="visitorsession",
            name="attributes",
            field=models.JSONField(
                blank=True, db_default={}, default=dict, verbose_name="attributes"
            ),
        ),
        migrations.AddField(
            model_name="visitorsession",
            name="claimed_email",
            field=models.EmailField(
                blank=True,
                db_default="",
                default="",
                max_length=254,
                verbose_name="claims the address",
            ),
        ),
        migrations.AddField(
            model_name="visitorsession",
            name="earlier",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                blank=True,
                db_default=[],
                default=list,
                size=None,
            ),
        ),
        migrations.CreateModel(
            name="Identity",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("external_id", models.CharField(max_length=200, verbose_name="id at the shop")),
                (
                    "attributes",
                    models.JSONField(blank=True, default=dict, verbose_name="attributes"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="created at"
                    ),
                ),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="revoked at"),
                ),
                (
                    "inbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tickets.inbox",
                        verbose_name="inbox",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="identities",
                        to="tickets.person",
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "identity",
                "verbose_name_plural": "identities",
            },
        ),
        migrations.AddField(
            model_name="visitorsession",
            name="identity",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="sessions",
                to="chat.identity",
                verbose_name="identity",
            ),
        ),
        migrations.CreateModel(
            name="IdentitySecret",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "secret",
                    models.CharField(
                        default=chat.models.new_secret,
                        editable=False,
                        max_length=64,
                        verbose_name="secret",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="created at"
                    ),
                ),
                (
                    "inbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="identity_secrets",
                        to="tickets.inbox",
                        verbose_name="inbox",
                    ),
                ),
            ],
            options={
                "verbose_name": "identity secret",
                "verbose_name_plural": "identity secrets",
            },
        ),
        migrations.CreateModel(
            name="Transcript",
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
                ("address", models.EmailField(max_length=254, verbose_name="address")),
                (
                    "language",
                    models.CharField(default="en", max_length=10, verbose_name="language"),
                ),
                ("upto_seq", models.PositiveIntegerField(verbose_name="up to")),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="created at"
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
                (
                    "inbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tickets.inbox",
                        verbose_name="inbox",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tickets.person",
                        verbose_name="asked for by",
                    ),
                ),
            ],
            options={
                "verbose_name": "transcript",
                "verbose_name_plural": "transcripts",
                "abstract": False,
            },
        ),
        migrations.AddConstraint(
            model_name="identity",
            constraint=models.UniqueConstraint(
                fields=("inbox", "external_id"), name="identity_once"
            ),
        ),
        migrations.AddIndex(
            model_name="transcript",
            index=models.Index(
                condition=models.Q(("state", "queued")),
                fields=["due_at"],
                name="chat_transcript_due",
            ),
        ),
        migrations.AddIndex(
            model_name="transcript",
            index=models.Index(
                condition=models.Q(("state", "running")),
                fields=["leased_until"],
                name="chat_transcript_leased",
            ),
        ),
        migrations.AddIndex(
            model_name="transcript",
            index=models.Index(
                condition=models.Q(("state", "failed")),
                fields=["id"],
                name="chat_transcript_failed",
            ),
        ),
        migrations.AddConstraint(
            model_name="transcript",
            constraint=models.CheckConstraint(
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
                name="chat_transcript_running_has_lease",
            ),
        ),
    ]
