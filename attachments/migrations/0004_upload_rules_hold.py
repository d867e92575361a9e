"""Read the table once, without keeping anybody from writing to it."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("attachments", "0003_upload_rules")]

    operations = [
        ValidateConstraint("attachment", "attachment_ready_has_bytes"),
        ValidateConstraint("attachment", "attachment_uploading_has_place"),
    ]
