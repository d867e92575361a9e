"""What became of a mail after it was accepted, and how its recipient is named."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0013_inbound_nature")]

    operations = [
        migrations.AddField(
            model_name="outgoingemail",
            name="bounce_hard",
            field=models.BooleanField(
                db_default=False, default=False, verbose_name="will never arrive"
            ),
        ),
        migrations.AddField(
            model_name="outgoingemail",
            name="bounce_kind",
            field=models.CharField(
                blank=True, default="", db_default="", max_length=20, verbose_name="why it bounced"
            ),
        ),
        migrations.AddField(
            model_name="outgoingemail",
            name="bounce_reason",
            field=models.CharField(
                blank=True,
                default="",
                db_default="",
                max_length=500,
                verbose_name="their server's words",
            ),
        ),
        migrations.AddField(
            model_name="outgoingemail",
            name="bounced_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="bounced at"),
        ),
        migrations.AddField(
            model_name="outgoingemail",
            name="field",
            field=models.CharField(
                choices=[("to", "To"), ("cc", "Cc"), ("bcc", "Bcc")],
                db_default="to",
                default="to",
                max_length=3,
                verbose_name="named in",
            ),
        ),
        migrations.AddField(
            model_name="outgoingemail",
            name="is_automatic",
            field=models.BooleanField(db_default=False, default=False, verbose_name="automatic"),
        ),
    ]
