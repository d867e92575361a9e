"""What an inbox, a mailbox and a login can be set to; and the alarms of mailboxes."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0010_opened_once")]

    operations = [
        migrations.CreateModel(
            name="MailboxAlarm",
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
                (
                    "kind",
                    models.CharField(
                        choices=[("silent", "Cannot be read"), ("missing", "Mails are missing")],
                        max_length=8,
                        verbose_name="kind",
                    ),
                ),
                ("text", models.CharField(max_length=500, verbose_name="text")),
                (
                    "raised_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="raised at"
                    ),
                ),
                ("cleared_at", models.DateTimeField(blank=True, null=True, verbose_name="over at")),
            ],
            options={
                "verbose_name": "alarm of a mailbox",
                "verbose_name_plural": "alarms of mailboxes",
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="inbox",
            name="acknowledgement",
            field=models.TextField(
                blank=True,
                default="",
                db_default="",
                help_text="Markdown. {name}, {number} and {subject} are filled in.",
                max_length=5000,
                verbose_name="acknowledgement",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="acknowledgement_away",
            field=models.TextField(
                blank=True,
                default="",
                db_default="",
                help_text="Empty: the same at all hours.",
                max_length=5000,
                verbose_name="acknowledgement out of hours",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="acknowledges",
            field=models.BooleanField(
                db_default=False, default=False, verbose_name="acknowledge new tickets by mail"
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="hours",
            field=models.JSONField(
                blank=True, db_default={}, default=dict, verbose_name="business hours"
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="language",
            field=models.CharField(
                db_default="en",
                default="en",
                help_text="Of its automatic mails, as in en or pt-br.",
                max_length=10,
                verbose_name="language",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="new_ticket_after_days",
            field=models.PositiveSmallIntegerField(
                db_default=14,
                default=14,
                help_text="An answer under another subject to a ticket that was solved this long ago opens a new one, which names the old. 0: never.",
                verbose_name="new subject opens a new ticket after (days)",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="quotes_history",
            field=models.BooleanField(
                db_default=False, default=False, verbose_name="replies quote what was said before"
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="signature",
            field=models.TextField(
                blank=True,
                default="",
                db_default="",
                help_text="Markdown, below every reply by mail. {name} is who wrote it.",
                max_length=2000,
                verbose_name="signature",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="time_zone",
            field=models.CharField(
                db_default="UTC", default="UTC", max_length=50, verbose_name="time zone"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="auth",
            field=models.CharField(
                choices=[
                    ("password", "Password"),
                    ("google", "Google (OAuth2)"),
                    ("microsoft", "Microsoft (OAuth2)"),
                ],
                db_default="password",
                default="password",
                max_length=10,
                verbose_name="sign-in",
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="compared_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="compared at"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="hook_key",
            field=models.CharField(
                blank=True, editable=False, max_length=64, null=True, unique=True
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="hook_secret",
            field=models.CharField(
                blank=True,
                default="",
                db_default="",
                help_text="Of the mail service, where it signs what it sends.",
                max_length=300,
                verbose_name="signing key",
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="idle",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="IMAP IDLE: mail shows within seconds. Otherwise at the next fetch.",
                verbose_name="listen for new mail",
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="missing_count",
            field=models.PositiveIntegerField(
                db_default=0, default=0, editable=False, verbose_name="mails missing"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="oauth_access_token",
            field=models.TextField(blank=True, default="", db_default="", editable=False),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="oauth_client_id",
            field=models.CharField(
                blank=True, default="", db_default="", max_length=300, verbose_name="client ID"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="oauth_client_secret",
            field=models.CharField(
                blank=True, default="", db_default="", max_length=500, verbose_name="client secret"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="oauth_expires_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="oauth_refresh_token",
            field=models.TextField(blank=True, default="", db_default="", editable=False),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="oauth_tenant",
            field=models.CharField(
                blank=True,
                default="",
                db_default="",
                help_text="Microsoft: the directory's ID. Empty: any.",
                max_length=100,
                verbose_name="tenant",
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="smtp_host",
            field=models.CharField(
                blank=True, default="", db_default="", max_length=253, verbose_name="SMTP server"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="smtp_port",
            field=models.PositiveIntegerField(
                db_default=587, default=587, verbose_name="SMTP port"
            ),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="smtp_security",
            field=models.CharField(
                choices=[("starttls", "STARTTLS"), ("tls", "TLS"), ("none", "none")],
                db_default="starttls",
                default="starttls",
                max_length=8,
                verbose_name="SMTP security",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="signature",
            field=models.TextField(
                blank=True, default="", db_default="", max_length=2000, verbose_name="signature"
            ),
        ),
        migrations.AlterField(
            model_name="mailbox",
            name="kind",
            field=models.CharField(
                choices=[
                    ("imap", "IMAP"),
                    ("pop3", "POP3"),
                    ("folder", "Folder or Maildir"),
                    ("hook", "Webhook of a mail service"),
                ],
                max_length=8,
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="mailboxalarm",
            name="mailbox",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="alarms",
                to="tickets.mailbox",
                verbose_name="mailbox",
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxalarm",
            index=models.Index(
                condition=models.Q(("state", "queued")),
                fields=["due_at"],
                name="tickets_mailboxalarm_due",
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxalarm",
            index=models.Index(
                condition=models.Q(("state", "running")),
                fields=["leased_until"],
                name="tickets_mailboxalarm_leased",
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxalarm",
            index=models.Index(
                condition=models.Q(("state", "failed")),
                fields=["id"],
                name="tickets_mailboxalarm_failed",
            ),
        ),
        migrations.AddConstraint(
            model_name="mailboxalarm",
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
                name="tickets_mailboxalarm_running_has_lease",
            ),
        ),
        migrations.AddConstraint(
            model_name="mailboxalarm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("cleared_at", None)),
                fields=("mailbox", "kind"),
                name="mailboxalarm_one_at_a_time",
            ),
        ),
    ]
