"""How a widget looks and what it asks, quick answers, what staff have read, and ratings."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tickets", "0024_group_rule_holds"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rating",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "score",
                    models.PositiveSmallIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                        verbose_name="score",
                    ),
                ),
                ("comment", models.TextField(blank=True, max_length=2000, verbose_name="comment")),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="created at"
                    ),
                ),
                (
                    "changed_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="changed at"
                    ),
                ),
            ],
            options={
                "verbose_name": "rating",
                "verbose_name_plural": "ratings",
            },
        ),
        migrations.AddField(
            model_name="emailaddress",
            name="is_verified",
            field=models.BooleanField(db_default=True, default=True, verbose_name="verified"),
        ),
        migrations.AddField(
            model_name="inbox",
            name="accent",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Such as #3a50d5. What stands on it is made black or white, so it is legible.",
                max_length=7,
                validators=[
                    django.core.validators.RegexValidator(
                        "^#[0-9a-fA-F]{6}$", "Write a colour such as #3a50d5."
                    )
                ],
                verbose_name="accent colour",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="asks_email",
            field=models.CharField(
                choices=[("never", "Not asked"), ("optional", "Asked"), ("required", "Required")],
                db_default="never",
                default="never",
                max_length=8,
                verbose_name="email address",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="asks_name",
            field=models.CharField(
                choices=[("never", "Not asked"), ("optional", "Asked"), ("required", "Required")],
                db_default="never",
                default="never",
                max_length=8,
                verbose_name="name",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="asks_question",
            field=models.CharField(
                choices=[("never", "Not asked"), ("optional", "Asked"), ("required", "Required")],
                db_default="never",
                default="never",
                max_length=8,
                verbose_name="question",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="question",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=120, verbose_name="question asked"
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="question_choices",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=80),
                blank=True,
                db_default=[],
                default=list,
                help_text="Separated by commas. None: visitors write their own.",
                size=None,
                verbose_name="answers to choose from",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="sees_pages",
            field=models.BooleanField(
                db_default=False,
                default=False,
                verbose_name="show staff which page a visitor looks at",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="shows_faces",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="First names of those who answered chats in the last days.",
                verbose_name="show who answers",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="starters",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=80),
                blank=True,
                db_default=[],
                default=list,
                help_text="Offered before anything was said, separated by commas. One click asks one.",
                size=None,
                verbose_name="first questions",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="widget_position",
            field=models.CharField(
                blank=True,
                choices=[("", "Where lines end"), ("left", "Left"), ("right", "Right")],
                db_default="",
                default="",
                max_length=5,
                verbose_name="corner",
            ),
        ),
        migrations.AddField(
            model_name="inbox",
            name="widget_theme",
            field=models.CharField(
                blank=True,
                choices=[("", "As the visitor's device"), ("light", "Light"), ("dark", "Dark")],
                db_default="",
                default="",
                max_length=5,
                verbose_name="light or dark",
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="choices",
            field=models.JSONField(blank=True, db_default=[], default=list, verbose_name="choices"),
        ),
        migrations.AddField(
            model_name="ticket",
            name="read_seq",
            field=models.IntegerField(db_default=0, default=0, verbose_name="read up to"),
        ),
        migrations.AddField(
            model_name="rating",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tickets.person",
                verbose_name="rated by",
            ),
        ),
        migrations.AddField(
            model_name="rating",
            name="ticket",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="rating",
                to="tickets.ticket",
                verbose_name="ticket",
            ),
        ),
        migrations.AddConstraint(
            model_name="rating",
            constraint=models.CheckConstraint(
                condition=models.Q(("score__gte", 1), ("score__lte", 5)), name="rating_one_to_five"
            ),
        ),
    ]
