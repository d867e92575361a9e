"""Every file that was there before uploads came with a mail: it is claimed."""

from django.db import connections, migrations

BATCH_ROWS = 5_000

CLAIM = """
UPDATE attachments_attachment SET claimed_at = created_at
 WHERE id IN (
    SELECT id FROM attachments_attachment
     WHERE claimed_at IS NULL AND owner = '' AND id > %s ORDER BY id LIMIT %s
 )
RETURNING id
"""


def claim(apps, schema_editor):
    last = 0
    with connections[schema_editor.connection.alias].cursor() as cursor:
        while True:
            cursor.execute(CLAIM, [last, BATCH_ROWS])
            done = [pk for (pk,) in cursor.fetchall()]
            if not done:
                return
            last = max(done)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("attachments", "0004_upload_rules_hold")]

    operations = [migrations.RunPython(claim, migrations.RunPython.noop, elidable=True)]
