"""Read the table once, without keeping anybody from writing to it."""

from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("attachments", "0003_upload_rules")]

    operations = [
        ValidateConstraint("attachment", "attachment_ready_has_bytes"),
        ValidateConstraint("attachment", "attachment_uploading_has_place"),
        AddIndexConcurrently(
            "attachment",
            models.Index(
                fields=["created_at"],
                condition=Q(claimed_at=None),
                name="attachment_unclaimed",
            ),
        ),
    ]
