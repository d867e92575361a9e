"""Say on every message how many files it has."""

from django.db import connections, migrations

BATCH_ROWS = 5_000

COUNT = """
WITH counted AS (
    SELECT message_id, count(*) AS files FROM tickets_messagefile
     WHERE message_id > %s GROUP BY message_id ORDER BY message_id LIMIT %s
)
UPDATE tickets_message SET file_count = counted.files
  FROM counted WHERE tickets_message.id = counted.message_id
RETURNING tickets_message.id
"""


def count(apps, schema_editor):
    last = 0
    with connections[schema_editor.connection.alias].cursor() as cursor:
        while True:
            cursor.execute(COUNT, [last, BATCH_ROWS])
            done = [pk for (pk,) in cursor.fetchall()]
            if not done:
                return
            last = max(done)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0006_only_files_holds")]

    operations = [migrations.RunPython(count, migrations.RunPython.noop, elidable=True)]
