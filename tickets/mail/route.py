"""Where mail leaves, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

NONE, STARTTLS, TLS = "none", "starttls", "tls"
SCHEMES = {"smtp": (NONE, 25), "smtps": (TLS, 465), "smtp+starttls": (STARTTLS, 587)}


@dataclass(frozen=True, slots=True)
class Route:
    """An SMTP server and who we are there, or a folder that mails are written into.

    `token` is an OAuth2 access token and stands in place of a password. Neither is ever shown.
    """

    host: str = ""
    port: int = 25
    security: str = NONE  # none | starttls | tls, as Mailbox.Security
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    folder: Path | None = None

    @classmethod
    def of(cls, url: str) -> Route:
        """smtp://user:password@host:port, smtps://…, smtp+starttls://… or folder:PATH."""
        if url.startswith("folder:"):
            return cls(folder=Path(url.removeprefix("folder:")))
        parts = urlsplit(url)
        security, port = SCHEMES[parts.scheme]
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or port,
            security=security,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"
