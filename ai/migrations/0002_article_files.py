"""Files of articles. One whose article is gone belongs to nobody: the purge takes it."""

import django.db.models.deletion
from django.db import migrations, models

LET_GO = """
CREATE TRIGGER ai_let_go_of_file AFTER DELETE ON ai_articlefile
FOR EACH ROW EXECUTE FUNCTION tickets_let_go_of_file();
"""
KEEP = "DROP TRIGGER ai_let_go_of_file ON ai_articlefile"


class Migration(migrations.Migration):
    dependencies = [
        ("ai", "0001_initial"),
        ("attachments", "0007_unclaimed"),
        ("tickets", "0008_let_go_of_files"),
    ]

    operations = [
        migrations.CreateModel(
            name="ArticleFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "article",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="ai.article",
                        verbose_name="article",
                    ),
                ),
                (
                    "attachment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="article_file",
                        to="attachments.attachment",
                        verbose_name="attachment",
                    ),
                ),
            ],
            options={
                "verbose_name": "file of an article",
                "verbose_name_plural": "files of articles",
                "ordering": ["pk"],
            },
        ),
        migrations.RunSQL(LET_GO, KEEP),
    ]
