"""Which servers the mail of an address is on: what we know of the large providers, else what the
domain says of itself, else the names that most servers have. Nothing here signs in anywhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Literal

import httpx2
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

Found = Literal["provider", "dns", "autoconfig", "guess"]

DNS_SECONDS = 3.0  # for all questions together
HTTPS_SECONDS = 2.0
AUTOCONFIG_MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Servers:
    """Where mail is read and where it leaves. `host` is empty where there is no IMAP."""

    host: str
    smtp_host: str
    smtp_port: int = 587
    smtp_security: str = "starttls"
    port: int = 993
    tls: bool = True
    pop3_host: str = ""
    username: str = "%EMAILADDRESS%"
    found: Found = "guess"


@dataclass(frozen=True, slots=True)
class Provider:
    """A large provider: its servers, and what its accounts want of a mail program."""

    name: str
    servers: Servers
    domains: tuple[str, ...] = ()  # of its own; "yahoo.*" is every country's
    exchangers: tuple[str, ...] = ()  # ends of the MX of the domains it hosts
    auth: str = "password"  # how it is best signed in to, as Mailbox.Auth
    sign_in: StrOrPromise = ""  # what to do where the password is refused


def _on(
    host: str, smtp_host: str, pop3_host: str, smtp_port: int = 465, *, name: str = "%EMAILADDRESS%"
) -> Servers:
    security = "tls" if smtp_port == 465 else "starttls"
    return Servers(host, smtp_host, smtp_port, security, pop3_host=pop3_host, username=name)


APP_PASSWORD = _(
    "{name} takes no account password from a mail program: create an app password in the "
    "security settings of the account and type it here."
)
SWITCHED_ON = _(
    "At {name}, IMAP and POP3 must be switched on in the settings of the account (look for "
    "“POP3/IMAP”). With two-factor sign-in, an app password is needed too."
)

PROVIDERS = (
    Provider(
        "Google",
        _on("imap.gmail.com", "smtp.gmail.com", "pop.gmail.com", 587),
        ("gmail.com", "googlemail.com"),
        ("google.com", "googlemail.com"),
        "google",
        _(
            "Google takes no account password from a mail program. Sign in with Google, or turn "
            "on two-step verification and create an app password at "
            "https://myaccount.google.com/apppasswords."
        ),
    ),
    Provider(
        "Microsoft 365",
        _on("outlook.office365.com", "smtp.office365.com", "outlook.office365.com", 587),
        (),
        ("mail.protection.outlook.com", "mx.microsoft"),
        "microsoft",
        _(
            "Microsoft has switched off passwords for IMAP and POP3: sign in with Microsoft. To "
            "send, “Authenticated SMTP” must be on for this mailbox in the Microsoft 365 admin "
            "centre."
        ),
    ),
    Provider(
        "Outlook.com",
        _on("outlook.office365.com", "smtp-mail.outlook.com", "outlook.office365.com", 587),
        ("outlook.*", "hotmail.*", "live.*", "msn.com"),
        ("olc.protection.outlook.com",),
        "microsoft",
        _(
            "Microsoft has switched off passwords for mail programs: sign in with Microsoft. IMAP "
            "and POP3 must be on in the settings of Outlook.com, under “Forwarding and IMAP”."
        ),
    ),
    Provider(
        "Yahoo",
        _on("imap.mail.yahoo.com", "smtp.mail.yahoo.com", "pop.mail.yahoo.com"),
        ("yahoo.*", "ymail.com", "rocketmail.com"),
        ("yahoodns.net",),
        sign_in=APP_PASSWORD,
    ),
    Provider(
        "AOL",
        _on("imap.aol.com", "smtp.aol.com", "pop.aol.com"),
        ("aol.com", "aol.de"),
        sign_in=APP_PASSWORD,
    ),
    Provider(
        "iCloud",
        _on("imap.mail.me.com", "smtp.mail.me.com", "", 587),
        ("icloud.com", "me.com", "mac.com"),
        ("mail.icloud.com",),
        sign_in=APP_PASSWORD,
    ),
    Provider(
        "GMX",
        _on("imap.gmx.net", "mail.gmx.net", "pop.gmx.net"),
        ("gmx.de", "gmx.net", "gmx.at", "gmx.ch"),
        ("gmx.net",),
        sign_in=SWITCHED_ON,
    ),
    Provider(
        "GMX",
        _on("imap.gmx.com", "mail.gmx.com", "pop.gmx.com"),
        ("gmx.com", "gmx.us", "gmx.co.uk", "gmx.fr", "gmx.es"),
        sign_in=SWITCHED_ON,
    ),
    Provider(
        "WEB.DE",
        _on("imap.web.de", "smtp.web.de", "pop3.web.de"),
        ("web.de",),
        sign_in=SWITCHED_ON,
    ),
    Provider(
        "mailbox.org",
        _on("imap.mailbox.org", "smtp.mailbox.org", "pop3.mailbox.org"),
        ("mailbox.org",),
        ("mailbox.org",),
    ),
    Provider(
        "Fastmail",
        _on("imap.fastmail.com", "smtp.fastmail.com", "pop.fastmail.com"),
        ("fastmail.com", "fastmail.fm"),
        ("messagingengine.com",),
        sign_in=APP_PASSWORD,
    ),
    Provider(
        "Zoho",
        _on("imap.zoho.eu", "smtp.zoho.eu", "pop.zoho.eu"),
        ("zoho.eu", "zohomail.eu"),
        ("zoho.eu",),
        sign_in=SWITCHED_ON,
    ),
    Provider(
        "Zoho",
        _on("imap.zoho.com", "smtp.zoho.com", "pop.zoho.com"),
        ("zoho.com", "zohomail.com"),
        ("zoho.com",),
        sign_in=SWITCHED_ON,
    ),
    Provider(
        "Yandex",
        _on("imap.yandex.com", "smtp.yandex.com", "pop.yandex.com"),
        ("yandex.*", "ya.ru"),
        ("yandex.net", "yandex.ru"),
        sign_in=APP_PASSWORD,
    ),
    Provider(
        "Mail.ru",
        _on("imap.mail.ru", "smtp.mail.ru", "pop.mail.ru"),
        ("mail.ru", "bk.ru", "inbox.ru", "list.ru"),
        ("mail.ru",),
        sign_in=APP_PASSWORD,
    ),
    Provider(
        "Posteo",
        _on("posteo.de", "posteo.de", "posteo.de"),
        ("posteo.de", "posteo.net"),
        ("posteo.de",),
    ),
    Provider(
        "Telekom",
        _on("secureimap.t-online.de", "securesmtp.t-online.de", "securepop.t-online.de"),
        ("t-online.de", "magenta.de"),
        sign_in=_(
            "Telekom wants a password of its own for mail programs: set it in the e-mail centre."
        ),
    ),
    Provider(
        "IONOS",
        _on("imap.ionos.de", "smtp.ionos.de", "pop.ionos.de"),
        (),
        ("kundenserver.de", "ionos.de"),
    ),
    Provider(
        "IONOS",
        _on("imap.ionos.com", "smtp.ionos.com", "pop.ionos.com"),
        (),
        ("ionos.com", "1and1.com"),
    ),
    Provider(
        "STRATO", _on("imap.strato.de", "smtp.strato.de", "pop3.strato.de"), (), ("rzone.de",)
    ),
    Provider("OVHcloud", _on("ssl0.ovh.net", "ssl0.ovh.net", "ssl0.ovh.net"), (), ("ovh.net",)),
    Provider("Gandi", _on("mail.gandi.net", "mail.gandi.net", ""), (), ("gandi.net",)),
    Provider(
        "Proton",
        Servers("", ""),
        ("proton.me", "protonmail.com", "pm.me"),
        ("protonmail.ch",),
        sign_in=_(
            "Proton gives mail programs no access but through its Bridge, which must run on this "
            "machine; or let Proton forward the mail to an address that can be read."
        ),
    ),
)


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].strip().lower()


def known(domain: str) -> Provider | None:
    """The provider whose own domain this is."""
    name = domain.partition(".")[0]
    return next(
        (one for one in PROVIDERS if domain in one.domains or f"{name}.*" in one.domains), None
    )


def serving(host: str) -> Provider | None:
    """The provider that a server belongs to: how a mailbox that is set up is known."""
    names = {host.lower()}
    return next(
        (
            one
            for one in PROVIDERS
            if names & {one.servers.host, one.servers.smtp_host, one.servers.pop3_host} - {""}
        ),
        None,
    )


def guess(address: str) -> tuple[Servers, Provider | None]:
    """Where the mail of an address probably is, and whose servers those are if we know them.

    Asks the DNS and, by https only, the domain itself: for a few seconds at most. Never raises:
    who is offline gets the usual names.
    """
    domain = domain_of(address)
    provider = known(domain) or _hosting(domain)
    if provider is not None:
        return _for(replace(provider.servers, found="provider"), address), provider
    servers = _by_srv(domain) or _by_autoconfig(domain, address)
    if servers is not None:
        return _for(servers, address), serving(servers.host)
    return _for(Servers(f"imap.{domain}", f"smtp.{domain}"), address), None


def _for(servers: Servers, address: str) -> Servers:
    """With the placeholders of Mozilla's descriptions filled in."""
    filled = {
        "%EMAILADDRESS%": address,
        "%EMAILLOCALPART%": address.rpartition("@")[0],
        "%EMAILDOMAIN%": domain_of(address),
    }
    names = {name: getattr(servers, name) for name in ("host", "smtp_host", "username")}
    for placeholder, value in filled.items():
        names = {name: text.replace(placeholder, value) for name, text in names.items()}
    return replace(servers, **names)


# --- What the DNS says ------------------------------------------------------------------------


def _hosting(domain: str) -> Provider | None:
    """The provider that the domain's mail goes to."""
    for record in ask(domain, "MX"):
        exchanger = record.rpartition(" ")[2].rstrip(".").lower()
        for one in PROVIDERS:
            if any(exchanger == end or exchanger.endswith(f".{end}") for end in one.exchangers):
                return one
    return None


def _by_srv(domain: str) -> Servers | None:
    """RFC 6186, and RFC 8314 for submission over TLS."""
    until = time.monotonic() + DNS_SECONDS
    read = _service(domain, ("imaps", "imap"), until)
    if read is None:
        return None
    host, port, is_tls = read[1], read[2], read[0] == "imaps"
    leave = _service(domain, ("submissions", "submission"), until)
    if leave is None:
        leave = ("submission", f"smtp.{domain}", 587)
    security = "tls" if leave[0] == "submissions" else "starttls"
    # A port for plain IMAP is one where the encryption is asked for: that we do on 143.
    return Servers(host, leave[1], leave[2], security, port, is_tls or port == 143, found="dns")


def _service(domain: str, names: Sequence[str], until: float) -> tuple[str, str, int] | None:
    for name in names:
        answers = ask(f"_{name}._tcp.{domain}", "SRV", until - time.monotonic())
        for record in sorted(answers, key=lambda text: int(text.split()[0])):
            _priority, _weight, port, host = record.split()
            if host != ".":
                return name, host.rstrip(".").lower(), int(port)
    return None


def ask(name: str, kind: str, seconds: float = DNS_SECONDS) -> list[str]:
    """The records of a name as text; none where there are none, or nobody answers."""
    import dns.exception
    import dns.resolver  # only the set-up page asks

    if seconds <= 0:
        return []
    try:
        resolver = dns.resolver.Resolver()
        answer = resolver.resolve(name, kind, lifetime=seconds, raise_on_no_answer=False)
    except (dns.exception.DNSException, OSError, ValueError):
        return []
    return [record.to_text() for record in answer]


# --- What the domain's own web server says ----------------------------------------------------


class _Autoconfig(HTMLParser):
    """Reads the servers out of Mozilla's description of a domain's mail.

    https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat. It is not read as
    XML, so that no entity of it is ever resolved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[dict[str, str]] = []
        self._field = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("incomingserver", "outgoingserver"):
            self.servers.append({"type": dict(attrs).get("type") or ""})
        self._field = tag

    def handle_endtag(self, tag: str) -> None:
        self._field = ""

    def handle_data(self, data: str) -> None:
        if self.servers and self._field:
            self.servers[-1].setdefault(self._field, data.strip())


def _by_autoconfig(domain: str, address: str) -> Servers | None:
    """What `autoconfig.<domain>` offers, over https only and without following it elsewhere."""
    for place in (
        f"https://autoconfig.{domain}/mail/config-v1.1.xml",
        f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
    ):
        if (text := fetch(place, {"emailaddress": address})) and (found := read_autoconfig(text)):
            return found
    return None


def fetch(place: str, query: dict[str, str]) -> str:
    """A small text on the web; empty where there is none."""
    try:
        with (
            httpx2.Client(timeout=HTTPS_SECONDS, follow_redirects=False) as client,
            client.stream("GET", place, params=query) as answer,
        ):
            if answer.status_code != 200:
                return ""
            text = b""
            for piece in answer.iter_bytes():
                text += piece
                if len(text) > AUTOCONFIG_MAX_BYTES:
                    return ""
            return text.decode("utf-8", "replace")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
        return ""


def read_autoconfig(text: str) -> Servers | None:
    """The first IMAP server of a description and the first that sends, both encrypted."""
    parser = _Autoconfig()
    parser.feed(text)
    read = _first(parser.servers, "imap")
    leave = _first(parser.servers, "smtp")
    if read is None or leave is None:
        return None
    return Servers(
        host=read["hostname"],
        port=int(read["port"]),
        smtp_host=leave["hostname"],
        smtp_port=int(leave["port"]),
        smtp_security="tls" if leave["sockettype"].upper() == "SSL" else "starttls",
        username=read.get("username") or "%EMAILADDRESS%",
        found="autoconfig",
    )


def _first(servers: list[dict[str, str]], kind: str) -> dict[str, str] | None:
    for one in servers:
        sockets = one.get("sockettype", "").upper()
        fits = sockets == "SSL" or (
            sockets == "STARTTLS" and (kind == "smtp" or one.get("port") == "143")
        )
        if one["type"] == kind and one.get("hostname") and one.get("port", "").isdigit() and fits:
            return one
    return None
