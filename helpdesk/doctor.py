"""What `manage.py doctor` looks at. Each app looks at its own parts; here is the list of all.

The functions are named themselves, not by dotted names: this floor may import every other, and a
name that is wrong is found when it is read.
"""

from __future__ import annotations

from datetime import timedelta

from celery import current_app
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q
from django.urls import reverse
from django.utils.timezone import now

import ai.doctor
import attachments.doctor
import chat.doctor
import tickets.doctor
from helpdesk.lib import work
from helpdesk.lib.doctor import Examination, Finding, Level
from helpdesk.lib.redis_client import redis_client

WORKER_SECONDS = 2  # for workers to answer
# Work that waits longer than this although it is due has nobody who does it.
LATE_SECONDS = 300


def django_settings() -> Finding:
    """What Django thinks of the settings, for production."""
    remarks = checks.run_checks(include_deployment_checks=True)
    remarks = [one for one in remarks if one.level >= checks.WARNING and not one.is_silenced()]
    if not remarks:
        return Finding("ok", "Fit for production.")
    names = ", ".join(str(one.id) for one in remarks)
    serious = any(one.is_serious() for one in remarks)
    return Finding(
        "broken" if serious else "warning",
        f"Not as they should be in production: {names}.",
        "`manage.py check --deploy` explains each; most go with an https SITE_URL.",
    )


def database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    connection.check_database_version_supported()
    return Finding("ok", f"PostgreSQL {version} answers.")


def migrations() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return Finding("ok", "None is pending.")
    names = ", ".join(f"{one.app_label}.{one.name}" for one, _ in plan[:3])
    more = ", …" if len(plan) > 3 else ""
    return Finding("broken", f"{len(plan)} pending: {names}{more}.", "Run `manage.py migrate`.")


def redis() -> Finding:
    version = redis_client().info("server")["redis_version"]
    return Finding("ok", f"Redis {version} answers.")


START_WORKER = "Start one: `celery -A helpdesk worker`, or look into its log."
START_BEAT = "Start exactly one `celery -A helpdesk beat`, and a worker; or look into their logs."


def workers() -> Finding:
    names = current_app.control.inspect(timeout=WORKER_SECONDS).ping() or {}
    if not names:
        return Finding("broken", f"None answers within {WORKER_SECONDS} seconds.", START_WORKER)
    return Finding("ok", f"{len(names)} of them: {', '.join(sorted(names))}.")


def beat() -> Finding:
    """Beat itself answers nobody; that its sweep is performed shows that it lives."""
    swept_at = work.swept_at()
    if swept_at is None:
        return Finding("broken", "Forgotten work has not been looked for.", START_BEAT)
    seconds = round((now() - swept_at).total_seconds())
    late = seconds > 3 * settings.SWEEP_EVERY_SECONDS + WORKER_SECONDS
    found = f"Forgotten work was last looked for {seconds} seconds ago."
    return Finding("broken", found, START_BEAT) if late else Finding("ok", found)


def queues() -> Finding:
    """Work that failed for good, and work that is due and nobody does."""
    moment = now() - timedelta(seconds=LATE_SECONDS)
    late_rows = Q(state="queued", due_at__lt=moment) | Q(state="running", leased_until__lt=moment)
    late, failed = [], []
    for model in work.work_models():
        rows, name = model._default_manager, model._meta.verbose_name_plural
        if count := rows.filter(late_rows).count():
            late.append(f"{count} {name}")
        if count := rows.filter(state="failed").count():
            failed.append(f"{count} {name} ({_list_of_failed(model)})")
    found, advice = [], []
    if late:
        found.append(f"Due for more than {LATE_SECONDS} seconds: {', '.join(late)}.")
        advice.append("Start workers, or more of them.")
    if failed:
        found.append(f"Failed: {', '.join(failed)}.")
        advice.append("Each says why, and is tried again there with one click.")
    level: Level = "broken" if late else "warning" if failed else "ok"
    return Finding(level, " ".join(found) or "Nothing failed, nothing is late.", " ".join(advice))


def _list_of_failed(model: type[work.Work]) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return f"{settings.SITE_URL}{reverse(name)}?state__exact=failed"


EXAMINATIONS = (
    Examination("settings", django_settings, "`manage.py check --deploy` says more."),
    Examination("database", database, "Start PostgreSQL, or correct DATABASE_URL."),
    Examination("migrations", migrations, "See that the database answers first."),
    Examination("redis", redis, "Start Redis, or correct REDIS_URL."),
    Examination("workers", workers, "See that Redis answers first."),
    Examination("beat", beat, "See that Redis answers first."),
    Examination("work", queues, "See that the database answers first."),
    Examination("websockets", chat.doctor.websockets, "Start the web process; see SITE_URL."),
    Examination("mailboxes", tickets.doctor.mailboxes, "See that the database answers first."),
    # As long as a server that does not answer may take to connect, and to log in.
    Examination("mail out", tickets.doctor.mail_out, "Correct SMTP_URL.", seconds=30),
    Examination("domains", tickets.doctor.sending_domains, "See that DNS answers.", seconds=30),
    Examination("storage", attachments.doctor.storage_writable, attachments.doctor.MEND_STORAGE),
    Examination("files", attachments.doctor.files, "See that database and storage answer.", 300),
    Examination("scanner", attachments.doctor.scanner, "Start clamd, or correct CLAMD_URL."),
    Examination("assistant", ai.doctor.endpoint, "Correct OPENAI_BASE_URL or OPENAI_API_KEY."),
)
