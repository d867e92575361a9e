"""What DNS says about a domain that we send from: whether others can tell that our mail is ours.

SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), and MX (RFC 5321, 7505) for the answers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import dns.exception
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

SPF_LOOKUPS_MAX = 10  # RFC 7208, 4.6.4
SPF_ASKS = ("include:", "exists:", "redirect=")
# Where providers put their keys; nobody can list the selectors of a domain.
SELECTORS = (
    *("default", "dkim", "mail", "smtp", "google", "selector1", "selector2", "k1", "k2", "k3"),
    *("s1", "s2", "pm", "mg", "mandrill", "mxvault", "fm1", "protonmail", "zoho", "everlytickey1"),
)
RSA_1024_BYTES = 140  # of the shortest key of 1,024 bits, as it is written (RFC 8301, 3.2)
# Names that lead nowhere out there (RFC 2606, 6761, 6762; ICANN for internal).
RESERVED = ("example", "test", "invalid", "localhost", "local", "internal")
RESERVED_DOMAINS = ("example.com", "example.net", "example.org")

Level = Literal["ok", "warning", "broken"]


class Unanswered(Exception):
    """No name server said anything. It may be us who are offline."""


@dataclass(frozen=True, slots=True)
class Remark:
    """`text` says what is wrong and why it matters, `mend` the line to write into DNS."""

    level: Level
    text: str
    mend: str = ""


def is_reserved(domain: str) -> bool:
    """Whether a domain is one of examples and tests, that nobody can look up."""
    name = domain.lower().rstrip(".")
    return (
        "." not in name
        or name.rpartition(".")[2] in RESERVED
        or any(name == one or name.endswith(f".{one}") for one in RESERVED_DOMAINS)
    )


def remarks_on(domain: str, resolver: dns.resolver.Resolver) -> list[Remark]:
    """All that is wrong with a domain; nothing if receivers can trust it.

    Raises Unanswered once a question stays without an answer within the resolver's `lifetime`.
    """
    ask = _Asker(resolver)
    return [*_mx(domain, ask), *_spf(domain, ask), *_dkim(domain, ask), *_dmarc(domain, ask)]


@dataclass(slots=True)
class _Asker:
    resolver: dns.resolver.Resolver

    def _records(self, name: str, kind: dns.rdatatype.RdataType) -> Iterable[object]:
        try:
            return self.resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise Unanswered(name) from error
        except UnicodeError:  # no name that DNS could hold
            return ()

    def texts(self, name: str) -> list[str]:
        """Of TXT records, each with its strings joined (RFC 7208, 3.3)."""
        found = [one for one in self._records(name, dns.rdatatype.TXT) if isinstance(one, TXT)]
        return [b"".join(one.strings).decode("utf-8", "replace") for one in found]

    def exchanges(self, domain: str) -> list[str]:
        found = [one for one in self._records(domain, dns.rdatatype.MX) if isinstance(one, MX)]
        return [one.exchange.to_text(omit_final_dot=True) for one in found]

    def has_address(self, domain: str) -> bool:
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        return any(list(self._records(domain, kind)) for kind in kinds)


# --- MX -----------------------------------------------------------------------------------------


def _mx(domain: str, ask: _Asker) -> list[Remark]:
    exchanges = ask.exchanges(domain)
    if exchanges and all(one in {"", "."} for one in exchanges):
        text = f"{domain} says that it takes no mail (a null MX), so no answer can arrive."
    elif not exchanges and not ask.has_address(domain):
        text = f"{domain} has no mail server (MX), so no answer can arrive."
    else:
        return []
    return [Remark("broken", text, f"{domain} MX 10 and the name of your mail server")]


# --- SPF ----------------------------------------------------------------------------------------


def _spf(domain: str, ask: _Asker) -> list[Remark]:
    records = _spf_of(domain, ask)
    if not records:
        text = (
            f"{domain} has no SPF record, so receivers cannot tell which servers may send for it."
        )
        mend = f'{domain} TXT "v=spf1 include:<your provider> ~all"'
        return [Remark("warning", text, mend)]
    if len(records) > 1:
        text = f"{domain} has {len(records)} SPF records, and receivers follow none of them then."
        return [Remark("broken", text, "one TXT record that begins with v=spf1, with all of it")]
    count = _Count()
    _follow(domain, records[0], ask, count)
    found = [Remark("broken", text, mend) for text, mend in count.broken]
    if count.lookups > SPF_LOOKUPS_MAX:
        text = (
            f"The SPF record of {domain} needs {count.lookups} or more lookups, and receivers stop "
            f"at {SPF_LOOKUPS_MAX}: then it counts as wrong."
        )
        found.append(Remark("broken", text, "fewer include: terms"))
    return found + _terms_remarks(domain, records[0])


def _spf_of(domain: str, ask: _Asker) -> list[str]:
    return [one for one in ask.texts(domain) if one.lower().split(" ", 1)[0] == "v=spf1"]


@dataclass(slots=True)
class _Count:
    lookups: int = 0
    path: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)


def _follow(domain: str, record: str, ask: _Asker, count: _Count) -> None:
    """Count what a receiver has to look up, along include: and redirect=."""
    count.path.append(domain)
    for term in record.lower().split()[1:]:
        word = term.lstrip("+-~?")
        asks = word.startswith(SPF_ASKS) or _mechanism(word) in {"a", "mx", "ptr"}
        count.lookups += asks
        if not word.startswith(("include:", "redirect=")) or count.lookups > SPF_LOOKUPS_MAX:
            continue
        other = word.partition("=" if word.startswith("redirect=") else ":")[2].rstrip(".")
        if "%" in other:  # a macro: it is another name for each mail
            continue
        if other in count.path:
            text = f"The SPF record of {count.path[0]} leads back to {other}, in a circle."
            count.broken.append((text, f"the record without include:{other}"))
            continue
        records = _spf_of(other, ask)
        if len(records) != 1:
            text = (
                f"The SPF record of {count.path[0]} includes {other}, which has "
                f"{'none' if not records else len(records)}: then it counts as wrong."
            )
            count.broken.append((text, f"the record without {word}"))
            continue
        _follow(other, records[0], ask, count)
    count.path.pop()


def _mechanism(word: str) -> str:
    return word.partition(":")[0].partition("/")[0]


def _terms_remarks(domain: str, record: str) -> list[Remark]:
    terms = record.lower().split()[1:]
    found = []
    if "+all" in terms or "all" in terms:
        text = f"The SPF record of {domain} lets everybody send for it (+all)."
        found.append(Remark("broken", text, "the same record with ~all at its end"))
    elif not any(
        term in {"-all", "~all", "?all"} or term.startswith("redirect=") for term in terms
    ):
        text = f"The SPF record of {domain} does not say what to think of other servers."
        found.append(Remark("warning", text, "the same record with ~all at its end"))
    if any(_mechanism(term.lstrip("+-~?")) == "ptr" for term in terms):
        text = f"The SPF record of {domain} uses ptr, which receivers ignore (RFC 7208, 5.5)."
        found.append(Remark("warning", text, "the record without ptr"))
    return found


# --- DKIM ---------------------------------------------------------------------------------------


def _dkim(domain: str, ask: _Asker) -> list[Remark]:
    """One good key is enough."""
    found: list[Remark] = []
    for selector in SELECTORS:
        name = f"{selector}._domainkey.{domain}"
        for text in ask.texts(name):
            tags = _tags(text)
            if "p" not in tags or tags.get("v", "DKIM1") != "DKIM1":
                continue
            wrong = _wrong_key(name, tags)
            if wrong is None:
                return []
            found.append(wrong)
    if found:
        return found
    text = (
        f"{domain} shows no DKIM key under the usual names. Gmail and others want mail signed; "
        "if your provider signs under another name, all is well."
    )
    return [Remark("warning", text, "the TXT or CNAME record that your mail provider names")]


def _wrong_key(name: str, tags: dict[str, str]) -> Remark | None:
    mend = f"{name} TXT with the key that your mail provider names"
    key = "".join(tags["p"].split())
    if not key:
        return Remark("warning", f"The DKIM key {name} was taken back (p= is empty).", mend)
    try:
        size = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        return Remark("broken", f"The DKIM key {name} is cut or misspelt.", mend)
    if tags.get("k", "rsa").lower() == "rsa" and size < RSA_1024_BYTES:
        text = f"The DKIM key {name} has fewer than 1,024 bits, and receivers do not trust it."
        return Remark("broken", text, mend)
    return None


# --- DMARC --------------------------------------------------------------------------------------


def _dmarc(domain: str, ask: _Asker) -> list[Remark]:
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):  # the domain, and those above it
        above = ".".join(labels[start:])
        records = [_tags(one) for one in ask.texts(f"_dmarc.{above}")]
        records = [one for one in records if one.get("v") == "DMARC1"]
        if len(records) > 1:
            text = f"_dmarc.{above} has {len(records)} DMARC records, and receivers follow none."
            return [Remark("broken", text, f"one TXT record at _dmarc.{above}")]
        if records:
            policy = records[0].get("p", "").lower()
            if policy in {"none", "quarantine", "reject"}:
                return []
            text = f"The DMARC record of {above} names no policy (p=)."
            return [Remark("broken", text, f'_dmarc.{above} TXT "v=DMARC1; p=none"')]
    text = f"{domain} has no DMARC record, which Gmail and Yahoo want of whoever sends much."
    mend = f'_dmarc.{domain} TXT "v=DMARC1; p=none"'
    return [Remark("warning", text, mend)]


def _tags(text: str) -> dict[str, str]:
    """A list of tags, as DKIM and DMARC write them (RFC 6376, 3.2)."""
    pairs = (one.partition("=") for one in text.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


# --- All of it ----------------------------------------------------------------------------------


def resolver_for(
    seconds: float, servers: Sequence[str] = (), port: int = 53
) -> dns.resolver.Resolver:
    """Who asks: the name servers of this machine, or `servers`. Raises Unanswered without any."""
    try:
        resolver = dns.resolver.Resolver(configure=not servers)
    except dns.resolver.NoResolverConfiguration as error:
        raise Unanswered("no name server is known here") from error
    if servers:
        resolver.nameservers, resolver.port = list(servers), port
    resolver.timeout = resolver.lifetime = seconds
    return resolver
