"""Where the mail of an address lies, as far as its domain tells. Pure; nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from tickets.mail.route import STARTTLS, TLS


@dataclass(frozen=True, slots=True)
class Provider:
    """Servers of a mail service, and what it wants to be told before it lets programs in."""

    host: str
    smtp_host: str
    smtp_port: int = 587
    smtp_security: str = STARTTLS
    advice: object = ""  # a lazy sentence
    auth: str = "password"  # the way in that it offers first, as Mailbox.Auth


_GMAIL = Provider(
    "imap.gmail.com",
    "smtp.gmail.com",
    advice=_(
        "Sign in by Google. Or by a password: Google wants an app password then, not the one you "
        "sign in with; make one at myaccount.google.com/apppasswords. It needs 2-step verification."
    ),
    auth="google",
)
_MICROSOFT = Provider(
    "outlook.office365.com",
    "smtp.office365.com",
    advice=_(
        "Sign in by Microsoft: it takes no passwords from programs, or only where an administrator "
        "allows it."
    ),
    auth="microsoft",
)
_APPLE = Provider(
    "imap.mail.me.com",
    "smtp.mail.me.com",
    advice=_("Apple wants an app-specific password: make one at account.apple.com."),
)
_YAHOO = Provider(
    "imap.mail.yahoo.com",
    "smtp.mail.yahoo.com",
    465,
    TLS,
    advice=_("Yahoo wants an app password: make one under Account security."),
)
_GMX = Provider(
    "imap.gmx.net",
    "mail.gmx.net",
    advice=_("GMX lets programs in once POP3 and IMAP are switched on in its settings."),
)
_WEB_DE = Provider(
    "imap.web.de",
    "smtp.web.de",
    advice=_("WEB.DE lets programs in once POP3 and IMAP are switched on in its settings."),
)
_FASTMAIL = Provider(
    "imap.fastmail.com",
    "smtp.fastmail.com",
    465,
    TLS,
    advice=_("Fastmail wants an app password: make one under Privacy & Security."),
)
_ZOHO = Provider(
    "imap.zoho.com",
    "smtp.zoho.com",
    465,
    TLS,
    advice=_("Zoho lets programs in once IMAP is switched on in its settings."),
)
_YANDEX = Provider(
    "imap.yandex.com",
    "smtp.yandex.com",
    465,
    TLS,
    advice=_("Yandex wants an app password, and IMAP switched on in its settings."),
)

BY_DOMAIN = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), _GMAIL),
    **dict.fromkeys(
        ("outlook.com", "hotmail.com", "live.com", "msn.com", "office365.com"), _MICROSOFT
    ),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), _APPLE),
    **dict.fromkeys(("yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "ymail.com"), _YAHOO),
    **dict.fromkeys(("gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.com"), _GMX),
    "web.de": _WEB_DE,
    **dict.fromkeys(("fastmail.com", "fastmail.fm"), _FASTMAIL),
    **dict.fromkeys(("zoho.com", "zohomail.com"), _ZOHO),
    **dict.fromkeys(("yandex.com", "yandex.ru", "ya.ru"), _YANDEX),
    "mailbox.org": Provider("imap.mailbox.org", "smtp.mailbox.org"),
}
BY_AUTH = {one.auth: one for one in (_GMAIL, _MICROSOFT)}
BY_HOST = {one.host: one for one in BY_DOMAIN.values()}


def provider_of(address: str, auth: str = "") -> Provider:
    """The servers of an address: those of a known service, or the usual names below its domain.
    Where `auth` names a service one signs in with, it is that one's, whatever the domain."""
    domain = address.rpartition("@")[2].strip().lower()
    return (
        BY_AUTH.get(auth) or BY_DOMAIN.get(domain) or Provider(f"imap.{domain}", f"smtp.{domain}")
    )


def advice_for(host: str) -> str:
    """What the service that a server belongs to wants; empty for servers we do not know."""
    known = BY_HOST.get(host.lower())
    return str(known.advice) if known else ""
