"""A file whose message is gone belongs to nobody, however the message went: the purge takes it."""

from django.db import migrations

LET_GO = """
CREATE FUNCTION tickets_let_go_of_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE attachments_attachment SET claimed_at = NULL, owner = '' WHERE id = OLD.attachment_id;
    RETURN NULL;
END $$;

CREATE TRIGGER tickets_let_go_of_file AFTER DELETE ON tickets_messagefile
FOR EACH ROW EXECUTE FUNCTION tickets_let_go_of_file();
"""

KEEP = """
DROP TRIGGER tickets_let_go_of_file ON tickets_messagefile;
DROP FUNCTION tickets_let_go_of_file();
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0007_count_files"), ("attachments", "0005_claimed")]

    operations = [migrations.RunSQL(LET_GO, KEEP)]
