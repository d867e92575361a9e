"""The rules of an upload: at once for new rows, and later for those that are there."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("attachments", "0002_uploads")]

    operations = [
        AddConstraintNotValid(
            model_name="attachment",
            constraint=models.CheckConstraint(
                condition=~Q(state="ready") | Q(blob__isnull=False),
                name="attachment_ready_has_bytes",
            ),
        ),
        AddConstraintNotValid(
            model_name="attachment",
            constraint=models.CheckConstraint(
                condition=~Q(state="uploading")
                | Q(upload_key__isnull=False, announced_bytes__isnull=False),
                name="attachment_uploading_has_place",
            ),
        ),
    ]
