"""Links by which people join a conversation, and who came by which."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_visitor_sessions"), ("tickets", "0024_group_rule_holds")]

    operations = [
        migrations.CreateModel(
            name="JoinLink",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "sees_all",
                    models.BooleanField(default=False, verbose_name="shows what was said before"),
                ),
                ("uses", models.PositiveSmallIntegerField(default=0, verbose_name="used")),
                (
                    "uses_max",
                    models.PositiveSmallIntegerField(default=1, verbose_name="may be used"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="created at"
                    ),
                ),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="revoked at"),
                ),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="join_links",
                        to="tickets.conversation",
                        verbose_name="conversation",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tickets.person",
                        verbose_name="made by",
                    ),
                ),
            ],
            options={
                "verbose_name": "join link",
                "verbose_name_plural": "join links",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(uses__lte=F("uses_max")), name="joinlink_within_its_uses"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="visitorsession",
            name="link",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="sessions",
                to="chat.joinlink",
                verbose_name="join link",
            ),
        ),
    ]
