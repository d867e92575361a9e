"""Django's settings. Values an operator may change come from `helpdesk.env`."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF
from psycopg_pool.base import AttemptWithBackoff

from helpdesk.env import read_env
from helpdesk.stack.kept import data_dir, with_kept
from helpdesk.subscriptions import SUBSCRIPTIONS as SUBSCRIPTIONS

django_stubs_ext.monkeypatch()

environ = with_kept(os.environ)
env = read_env(environ)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_dir(environ)
SECRET_KEY: str = env.SECRET_KEY
SECRET_KEY_FALLBACKS: list[str] = env.SECRET_KEY_FALLBACKS
DEBUG: bool = env.DEBUG
DEMO: bool = env.DEMO
ROLE: str = env.ROLE
SITE_URL: str = env.SITE_URL
PORT: int = env.PORT
OVER_TLS = SITE_URL.startswith("https:")
ALLOWED_HOSTS: list[str] = env.ALLOWED_HOSTS
CSRF_TRUSTED_ORIGINS = [SITE_URL]
TRUSTED_PROXIES: int = env.TRUSTED_PROXIES

INSTALLED_APPS = [
    "daphne",
    "helpdesk",
    "attachments",
    "tickets",
    "chat",
    "ai",
    "integrations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "csp",
    "django_htmx",
    "rest_framework",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "helpdesk.middleware.storage_away",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "helpdesk.middleware.plain_errors",
]

ROOT_URLCONF = "helpdesk.urls"
ASGI_APPLICATION = "helpdesk.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# --- PostgreSQL -----------------------------------------------------------------------------


# How often a text is sent before PostgreSQL is asked to keep its plan (helpdesk.lib.prepared).
PREPARED_AFTER = 3
# The first rest of a pool after a failure, in seconds, and how each following one grows.
POOL_RETRIES = (0.05, 1.1)


def database(address: str, role: str, pool_size: int) -> dict[str, Any]:
    """Django's description of the database at `address` (postgres://user:password@host/name).

    Parameters after `?` go to libpq (`?host=/folder/of/socket`, `?sslmode=require`). The web
    process keeps a pool, because under ASGI a persistent connection per thread exhausts the
    server; a worker keeps one connection per thread.
    """
    parts = urlsplit(address)
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    host = options.pop("host", "") or unquote(parts.hostname or "")
    options["connect_timeout"] = int(options.get("connect_timeout", 5))
    options["application_name"] = f"helpdesk {role}"
    options["prepare_threshold"] = PREPARED_AFTER
    if role == "web":
        # psycopg rests 1, 2, 4, 8 … s between two tries of a pool, and a lone request as long for
        # each dead connection that it is given: PostgreSQL is long back before anybody looks.
        AttemptWithBackoff.INITIAL_DELAY, AttemptWithBackoff.DELAY_BACKOFF = POOL_RETRIES
        options["pool"] = {"min_size": 2, "max_size": pool_size, "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or options.pop("port", "")),
        "CONN_MAX_AGE": 60 if role == "worker" else 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


# Where no database is named, `helpdesk` on this machine's own PostgreSQL is as good a guess as
# any: commands that need none still run, and the others say that it cannot be reached.
DATABASE_URL: str = env.DATABASE_URL or "postgres:///helpdesk"
DATABASE_POOL_SIZE = env.DATABASE_POOL
DATABASES = {"default": database(DATABASE_URL, ROLE, DATABASE_POOL_SIZE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATE_LOCK_TIMEOUT_SECONDS: int = env.MIGRATE_LOCK_TIMEOUT_SECONDS


# --- Redis: live events, cache and Celery's broker ------------------------------------------

REDIS_URL: str = env.REDIS_URL or "redis://127.0.0.1:6379/0"

LIVE_PREFIX = "live"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    },
}

CELERY_BROKER_URL = REDIS_URL
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker as long as it takes
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "global_keyprefix": "celery:",
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "max_retries": 1,
}
if ROLE != "worker":  # a worker waits for its next bell in silence; others only ring
    CELERY_BROKER_TRANSPORT_OPTIONS["socket_timeout"] = 2
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
SWEEP_EVERY_SECONDS: int = env.SWEEP_EVERY_SECONDS


def every(task: str, seconds: float) -> dict[str, Any]:
    """A line of beat's schedule. It expires, so that a late worker is not flooded."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


CELERY_BEAT_SCHEDULE = {
    "sweep": every("tickets.sweep", SWEEP_EVERY_SECONDS),
    "fold counts": every("tickets.fold_counts", 30),
    "watch mailboxes": every("tickets.watch_mailboxes", 30),
    "purge files": every("attachments.purge", 3_600),
    "look after waiting chats": every("chat.look_after_waiting", 2),
    "find unanswered": every("ai.find_unanswered", SWEEP_EVERY_SECONDS),
}


# --- Files ----------------------------------------------------------------------------------


def files(env: SimpleNamespace, folder: Path) -> dict[str, Any]:
    """Django's description of the storage for what customers and staff attach.

    In a folder nothing has an address: attachments.views hands every byte out, to those who were
    let in. In a bucket browsers send and fetch it themselves, with addresses signed for minutes.
    """
    if not env.S3_BUCKET:
        return {"BACKEND": "attachments.folder.Folder", "OPTIONS": {"location": folder}}
    return {
        "BACKEND": "attachments.bucket.Bucket",
        "OPTIONS": {
            "bucket_name": env.S3_BUCKET,
            "endpoint_url": s3_endpoint(env),
            "public_endpoint_url": env.S3_PUBLIC_ENDPOINT_URL or s3_endpoint(env),
            "region_name": env.S3_REGION,
            "addressing_style": env.S3_ADDRESSING,
            "access_key": env.S3_ACCESS_KEY or None,
            "secret_key": env.S3_SECRET_KEY or None,
        },
    }


def s3_endpoint(env: SimpleNamespace) -> str:
    # Amazon's own is named with its region: without, it answers with redirects, on which no
    # browser posts a form.
    return env.S3_ENDPOINT_URL or f"https://s3.{env.S3_REGION}.amazonaws.com"


def file_origins(env: SimpleNamespace) -> list[str]:
    """Where browsers send and fetch files besides here, as a content security policy names it."""
    if not env.S3_BUCKET:
        return []
    parts = urlsplit(env.S3_PUBLIC_ENDPOINT_URL or s3_endpoint(env))
    bucket = f"{env.S3_BUCKET}." if env.S3_ADDRESSING == "virtual" else ""
    return [f"{parts.scheme}://{bucket}{parts.netloc}"]


STORAGES: dict[str, Any] = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "files": files(env, DATA_DIR / "files"),
}


# --- People ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "tickets.User"
LOGIN_URL = "tickets:login"
LOGIN_REDIRECT_URL = "tickets:list"
LOGOUT_REDIRECT_URL = "tickets:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_TRIES_PER_MINUTE: int = env.LOGIN_TRIES_PER_MINUTE
VISITOR_SESSION_DAYS: int = env.VISITOR_SESSION_DAYS


# --- Messages, mail and the assistant -------------------------------------------------------

MESSAGE_MAX_CHARS: int = env.MESSAGE_MAX_CHARS
VISITOR_MESSAGE_MAX_CHARS: int = env.VISITOR_MESSAGE_MAX_CHARS
VISITOR_MESSAGES_PER_MINUTE: int = env.VISITOR_MESSAGES_PER_MINUTE
ADDRESS_MESSAGES_PER_MINUTE: int = env.ADDRESS_MESSAGES_PER_MINUTE
ADDRESS_SESSIONS_PER_MINUTE: int = env.ADDRESS_SESSIONS_PER_MINUTE
CHAT_MAIL_AFTER_SECONDS: int = env.CHAT_MAIL_AFTER_SECONDS
VISITOR_UPLOADS_PER_MINUTE: int = env.VISITOR_UPLOADS_PER_MINUTE
ADDRESS_UPLOADS_PER_MINUTE: int = env.ADDRESS_UPLOADS_PER_MINUTE

SMTP_URL: str = env.SMTP_URL or f"folder:{DATA_DIR / 'mail' / 'out'}"
MAIL_GOOGLE_CLIENT_ID: str = env.MAIL_GOOGLE_CLIENT_ID
MAIL_GOOGLE_CLIENT_SECRET: str = env.MAIL_GOOGLE_CLIENT_SECRET
MAIL_MICROSOFT_CLIENT_ID: str = env.MAIL_MICROSOFT_CLIENT_ID
MAIL_MICROSOFT_CLIENT_SECRET: str = env.MAIL_MICROSOFT_CLIENT_SECRET
MAIL_MICROSOFT_TENANT: str = env.MAIL_MICROSOFT_TENANT
MAIL_MICROSOFT_LOGIN_URL: str = env.MAIL_MICROSOFT_LOGIN_URL
LMTP_LISTEN: str = env.LMTP_LISTEN
CLAMD_URL: str = env.CLAMD_URL
FETCH_EVERY_SECONDS: int = env.FETCH_EVERY_SECONDS
OUTGOING_UNDO_SECONDS: int = env.OUTGOING_UNDO_SECONDS
MAIL_FILES_MAX_MB: int = env.MAIL_FILES_MAX_MB
FILE_LINK_DAYS: int = env.FILE_LINK_DAYS
FILE_LINKS_PER_MINUTE: int = env.FILE_LINKS_PER_MINUTE

OPENAI_BASE_URL: str = env.OPENAI_BASE_URL
OPENAI_API_KEY: str = env.OPENAI_API_KEY
AI_MODEL: str = env.AI_MODEL
AI_TIMEOUT_SECONDS: int = env.AI_TIMEOUT_SECONDS
AI_TOOLS: bool = env.AI_TOOLS
AI_STREAM_USAGE: bool = env.AI_STREAM_USAGE


# --- Pages ----------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
# What our own texts exist in: otherwise a page would mix them with Django's in the browser's.
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
# Files are served straight from the apps: no collectstatic is needed to run or to upgrade.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "helpdesk.middleware.api_errors",
}


# --- Security -------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", *file_origins(env)],
        "media-src": [SELF, *file_origins(env)],
        "connect-src": [SELF, *file_origins(env)],
        "frame-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = OVER_TLS
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = OVER_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if OVER_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = OVER_TLS
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # bytes of a posted form
FILE_UPLOAD_MAX_MEMORY_SIZE = 12_582_913  # a piece of a file (attachments.uploads.PIECE_BYTES)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "mail.log": {"level": "WARNING"},  # aiosmtpd: every word of every connection
    },
}
