"""Counter rows follow the ticket table by themselves, whoever changes it.

The trigger only appends rows, so counting takes no lock that a ticket's own change does not.
"""

from django.db import migrations

COUNT = """
CREATE FUNCTION tickets_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO tickets_ticketcount (inbox_id, status, assignee_id, amount)
        VALUES (OLD.inbox_id, OLD.status, OLD.assignee_id, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO tickets_ticketcount (inbox_id, status, assignee_id, amount)
        VALUES (NEW.inbox_id, NEW.status, NEW.assignee_id, 1);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tickets_count_rows AFTER INSERT OR DELETE ON tickets_ticket
FOR EACH ROW EXECUTE FUNCTION tickets_count();

CREATE TRIGGER tickets_count_moves AFTER UPDATE ON tickets_ticket
FOR EACH ROW WHEN (
    (OLD.inbox_id, OLD.status, OLD.assignee_id)
    IS DISTINCT FROM (NEW.inbox_id, NEW.status, NEW.assignee_id)
) EXECUTE FUNCTION tickets_count();
"""

STOP = """
DROP TRIGGER tickets_count_moves ON tickets_ticket;
DROP TRIGGER tickets_count_rows ON tickets_ticket;
DROP FUNCTION tickets_count();
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0001_initial")]
    operations = [migrations.RunSQL(COUNT, STOP)]
