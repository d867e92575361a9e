"""Every environment variable we read, in one table.

`.env.example` is printed from it (`python -m helpdesk.env`); a test keeps the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def yes_no(text: str) -> bool:
    if text.lower() in {"yes", "true", "on", "1"}:
        return True
    if text.lower() in {"no", "false", "off", "0", ""}:
        return False
    raise ValueError("write yes or no")


def words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def whole(text: str) -> int:
    number = int(text) if text.strip().lstrip("+").isdigit() else -1
    if number < 0:
        raise ValueError("write a whole number, 0 or more")
    return number


def positive(text: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise ValueError("write a whole number, 1 or more")
    return int(text)


def port(text: str) -> int:
    if not text.strip().isdigit() or not 0 < int(text) < 65_536:
        raise ValueError("write a number from 1 to 65535")
    return int(text)


def url(*schemes: str) -> Callable[[str], str]:
    """A parser for an address with one of these schemes; the empty text stays empty."""

    def parse(text: str) -> str:
        if text and (urlsplit(text).scheme not in schemes):
            raise ValueError("write an address that begins with " + " or ".join(schemes) + ":")
        return text.rstrip("/")

    return parse


def directory(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+", text):
        raise ValueError("write the ID or a domain of your directory, or common")
    return text


def clamd(text: str) -> str:
    """An address of a virus scanner; the empty text stays empty."""
    address = urlsplit(text)
    is_tcp = address.scheme == "tcp"
    has_place = bool(address.hostname) if is_tcp else address.path.startswith("/")
    if text and not (has_place and (address.port if is_tcp else address.scheme == "unix")):
        raise ValueError("write tcp://host:port or unix:/path")
    return text


def at_home(text: str) -> str:
    """A place to listen that no other machine can reach; the empty text stays empty."""
    place = urlsplit(f"//{text}")
    is_socket = text.startswith("unix:/")
    if text and not is_socket and not (_is_loopback(place.hostname or "") and place.port):
        raise ValueError("write 127.0.0.1:port or unix:/path; others must not reach it")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError("write one of " + ", ".join(values))
        return text

    return parse


@dataclass(frozen=True, slots=True)
class Var:
    name: str
    parse: Callable[[str], Any]
    default: str | None  # None: the operator must give a value
    meaning: str
    secret: bool = False  # never printed; also read from the file named by NAME_FILE
    needs: tuple[str, ...] = ()  # variables without which this one does nothing


VARS = (
    Var(
        "SECRET_KEY",
        str,
        None,
        "Signs sessions, widget tokens and reply addresses; `openssl rand -base64 48` makes one.",
        secret=True,
    ),
    Var("SECRET_KEY_FALLBACKS", words, "", "Earlier keys that are still honoured.", secret=True),
    Var("DEBUG", yes_no, "no", "Show tracebacks in the browser. Never in production."),
    Var("DEMO", yes_no, "no", "Show the demo shop at /demo/ and its logins on the login page."),
    Var("ROLE", one_of("web", "worker", "command"), "command", "What this process is."),
    Var(
        "SITE_URL",
        url("http", "https"),
        "http://localhost:8000",
        "Public root, without a trailing slash.",
    ),
    Var("ALLOWED_HOSTS", words, "localhost 127.0.0.1 [::1]", "Host names we answer to."),
    Var("PORT", port, "8000", "Port that `make run` listens on."),
    Var("HELPDESK_DATA", Path, "var", "Folder for embedded engines, logs and demo mail."),
    Var(
        "DATABASE_URL",
        url("postgres", "postgresql"),
        "",
        "PostgreSQL, postgres://user:password@host:port/name. Empty: `make run` embeds one.",
        secret=True,
    ),
    Var(
        "DATABASE_POOL",
        positive,
        "20",
        "Most connections that one web process opens to PostgreSQL.",
    ),
    Var(
        "MIGRATE_LOCK_TIMEOUT_SECONDS",
        positive,
        "5",
        "How long a migration waits for a lock before it steps back and tries again.",
    ),
    Var("POSTGRES_BINARIES", str, "", "Folder of postgres and initdb. Empty: the installed wheel."),
    Var(
        "REDIS_URL",
        url("redis", "rediss"),
        "",
        "Redis, redis://:password@host:port/0. Empty: `make run` embeds one.",
        secret=True,
    ),
    Var(
        "S3_BUCKET",
        str,
        "",
        "Private bucket of an S3 API that files lie in. Empty: a folder below HELPDESK_DATA.",
    ),
    Var(
        "S3_ENDPOINT_URL",
        url("http", "https"),
        "",
        "Where we reach that API. Empty: Amazon's in S3_REGION.",
        needs=("S3_BUCKET",),
    ),
    Var(
        "S3_PUBLIC_ENDPOINT_URL",
        url("http", "https"),
        "",
        "Where browsers reach it, on another host than SITE_URL. Empty: the same address.",
        needs=("S3_BUCKET",),
    ),
    Var("S3_REGION", str, "us-east-1", "Region of the bucket; others than Amazon rarely care."),
    Var(
        "S3_ADDRESSING",
        one_of("path", "virtual"),
        "path",
        "Where the bucket's name stands: path (https://host/bucket) or virtual "
        "(https://bucket.host).",
    ),
    Var(
        "S3_ACCESS_KEY",
        str,
        "",
        "Who we are there. Empty: the role of the machine, as boto3 finds it.",
        needs=("S3_BUCKET", "S3_SECRET_KEY"),
    ),
    Var("S3_SECRET_KEY", str, "", "Its secret.", secret=True, needs=("S3_ACCESS_KEY",)),
    Var(
        "SMTP_URL",
        url("smtp", "smtps", "smtp+starttls", "folder"),
        "",
        "Where mail leaves: smtp://user:password@host:25, smtps://…, smtp+starttls://… or "
        "folder:PATH. Empty: a folder below HELPDESK_DATA.",
        secret=True,
    ),
    Var(
        "MAIL_GOOGLE_CLIENT_ID",
        str,
        "",
        "Client ID that Google gave this helpdesk, to read mailboxes by OAuth2.",
        needs=("MAIL_GOOGLE_CLIENT_SECRET",),
    ),
    Var("MAIL_GOOGLE_CLIENT_SECRET", str, "", "Its client secret.", secret=True),
    Var(
        "MAIL_MICROSOFT_CLIENT_ID",
        str,
        "",
        "Application ID that Microsoft gave this helpdesk, to read mailboxes by OAuth2.",
    ),
    Var(
        "MAIL_MICROSOFT_CLIENT_SECRET",
        str,
        "",
        "Its client secret. Empty for a public client.",
        secret=True,
    ),
    Var(
        "MAIL_MICROSOFT_TENANT",
        directory,
        "common",
        "Directory (tenant) ID, where only accounts of that directory may sign in. common: any.",
    ),
    Var(
        "MAIL_MICROSOFT_LOGIN_URL",
        url("http", "https"),
        "https://login.microsoftonline.com",
        "Where one signs in with Microsoft; national clouds have hosts of their own.",
    ),
    Var(
        "LMTP_LISTEN",
        at_home,
        "",
        "Where a mail server on this machine hands mail over by LMTP: 127.0.0.1:2424 or "
        "unix:/path. Empty: nowhere.",
    ),
    Var(
        "CLAMD_URL",
        clamd,
        "",
        "ClamAV's clamd, which looks for viruses: tcp://host:3310 or unix:/path; "
        "docs/operating.md says what to set in it. Empty: files are not scanned.",
    ),
    Var(
        "OUTGOING_UNDO_SECONDS",
        whole,
        "10",
        "How long staff can take a reply back before it leaves by mail.",
    ),
    Var(
        "MAIL_FILES_MAX_MB",
        whole,
        "20",
        "Files that one mail carries, in MB as they are encoded; the others go as links.",
    ),
    Var("FILE_LINK_DAYS", positive, "30", "How long a link in a mail opens its file."),
    Var("FILE_LINKS_PER_MINUTE", positive, "60", "Such links one network address may try."),
    Var(
        "OPENAI_BASE_URL",
        url("http", "https"),
        "",
        "OpenAI-compatible endpoint, up to /v1.",
        needs=("OPENAI_API_KEY",),
    ),
    Var(
        "OPENAI_API_KEY",
        str,
        "",
        "Its key, or any word where it wants none. Empty: the built-in answerer quotes.",
        secret=True,
        needs=("AI_MODEL",),
    ),
    Var("AI_MODEL", str, "", "The model that answers, as the endpoint calls it."),
    Var("AI_TIMEOUT_SECONDS", positive, "20", "Longest time an answer may take in all."),
    Var("AI_TOOLS", yes_no, "yes", "The endpoint understands tools."),
    Var("AI_STREAM_USAGE", yes_no, "yes", "The endpoint reports usage at the end of a stream."),
    Var("MESSAGE_MAX_CHARS", positive, "100000", "Longest message staff may write."),
    Var("VISITOR_MESSAGE_MAX_CHARS", positive, "5000", "Longest message a visitor may write."),
    Var("VISITOR_MESSAGES_PER_MINUTE", positive, "20", "Messages one visitor may send."),
    Var("ADDRESS_MESSAGES_PER_MINUTE", positive, "300", "Messages one network address may send."),
    Var("ADDRESS_SESSIONS_PER_MINUTE", positive, "30", "Visitors one network address may begin."),
    Var("VISITOR_UPLOADS_PER_MINUTE", positive, "60", "Files one visitor may begin to upload."),
    Var("ADDRESS_UPLOADS_PER_MINUTE", positive, "300", "Files one network address may begin."),
    Var("LOGIN_TRIES_PER_MINUTE", positive, "10", "Logins tried from one address, or for one."),
    Var(
        "CHAT_MAIL_AFTER_SECONDS",
        positive,
        "120",
        "How long a visitor is gone until what they have not read is mailed to them.",
    ),
    Var("VISITOR_SESSION_DAYS", positive, "180", "How long a visitor is remembered."),
    Var("TRUSTED_PROXIES", whole, "0", "Proxies in front of us that set X-Forwarded-For."),
    Var("FETCH_EVERY_SECONDS", positive, "30", "How often a mailbox is asked for new mail."),
    Var("SWEEP_EVERY_SECONDS", positive, "10", "How often forgotten work is looked for."),
)


def read_env(environ: Mapping[str, str], table: tuple[Var, ...] = VARS) -> SimpleNamespace:
    """Return one attribute per row of `table`.

    Raises ImproperlyConfigured naming every wrong variable at once, so that an operator
    repairs a deployment in one go.
    """
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for var in table:
        text = environ.get(var.name, var.default)
        try:
            if var.secret and (path := environ.get(f"{var.name}_FILE")):
                text = Path(path).read_text(encoding="utf-8").strip()
            if text is None or (text == "" and var.default is None):
                wrong.append(f"{var.name} is not set: {var.meaning}")
                continue
            values[var.name] = var.parse(text)
        except OSError as error:
            wrong.append(f"{var.name}_FILE cannot be read: {error}")
        except ValueError as error:
            shown = "the value given" if var.secret else repr(text)
            wrong.append(f"{var.name}: {shown} does not do; {error}. {var.meaning}")
    wrong += [
        f"{needed} is not set, and {var.name} does nothing without it."
        for var in table
        for needed in var.needs
        if values.get(var.name) and values.get(needed) == ""
    ]
    if wrong:
        raise ImproperlyConfigured("Wrong settings:\n  " + "\n  ".join(wrong))
    return SimpleNamespace(**values)


def example(table: tuple[Var, ...] = VARS) -> str:
    """The text of `.env.example`."""
    lines = ["# Written by `python -m helpdesk.env > .env.example`. Do not edit."]
    for var in table:
        note = f" A secret: {var.name}_FILE may name a file instead." if var.secret else ""
        value = "change-me" if var.default is None else var.default
        lines += ["", f"# {var.meaning}{note}", f"{var.name}={value}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(example(), end="")  # noqa: T201 - printing is what this command is for
