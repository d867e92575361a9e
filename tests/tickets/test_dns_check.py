"""What DNS says about the domains that we send from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

import tickets.doctor
from helpdesk.lib.doctor import Finding
from tests import make
from tests.fakes.dns import Zone, name_server
from tickets.mail import dns_check
from tickets.mail.dns_check import Remark, Unanswered, is_reserved, remarks_on, resolver_for

DOMAIN = "tern.shop"
KEY = "A" * 216  # 162 bytes, as a key of 1,024 bits


@pytest.fixture(scope="module")
def server() -> Iterator[Zone]:
    with name_server() as zone:
        yield zone


@pytest.fixture
def zone(server: Zone) -> Zone:
    """A domain where all is well."""
    server.records = {
        (DOMAIN, "MX"): ["10 mx.tern.shop."],
        (DOMAIN, "TXT"): ['"google-site-verification=x"', '"v=spf1 mx include:spf.mail.shop -all"'],
        ("spf.mail.shop", "TXT"): ['"v=spf1 ip4:192.0.2.1 -all"'],
        (f"s1._domainkey.{DOMAIN}", "TXT"): [f'"v=DKIM1; k=rsa; " "p={KEY}"'],
        (f"_dmarc.{DOMAIN}", "TXT"): ['"v=DMARC1; p=none"'],
    }
    server.silent, server.failing, server.long = set(), set(), set()
    server.asked = []
    return server


def found(zone: Zone, domain: str = DOMAIN) -> list[Remark]:
    return remarks_on(domain, resolver_for(0.5, ["127.0.0.1"], zone.port))


def spf(zone: Zone, record: str) -> list[tuple[str, str]]:
    zone.records[DOMAIN, "TXT"] = [f'"{record}"']
    return [(one.level, one.text) for one in found(zone)]


def test_nothing_is_said_where_all_is_well(zone: Zone) -> None:
    assert found(zone) == []


def test_what_is_missing_is_named_with_the_line_that_mends_it(zone: Zone) -> None:
    zone.records = {(DOMAIN, "MX"): ["10 mx.tern.shop."]}
    missing = found(zone)
    assert [one.level for one in missing] == ["warning"] * 3
    assert [one.mend for one in missing] == [
        'tern.shop TXT "v=spf1 include:<your provider> ~all"',
        "the TXT or CNAME record that your mail provider names",
        '_dmarc.tern.shop TXT "v=DMARC1; p=none"',
    ]


def test_a_domain_that_takes_no_mail_hears_no_answer(zone: Zone) -> None:
    zone.records[DOMAIN, "MX"] = ["0 ."]
    assert [one.level for one in found(zone)] == ["broken"]
    assert "null MX" in found(zone)[0].text
    del zone.records[DOMAIN, "MX"]
    assert "has no mail server" in found(zone)[0].text
    zone.records[DOMAIN, "A"] = ["192.0.2.9"]  # then mail goes there (RFC 5321, 5.1)
    assert found(zone) == []


def test_two_spf_records_are_none(zone: Zone) -> None:
    zone.records[DOMAIN, "TXT"] += ['"v=spf1 -all"']
    assert [one.level for one in found(zone)] == ["broken"]
    assert "has 2 SPF records" in found(zone)[0].text


@pytest.mark.parametrize(
    ("record", "level", "words"),
    [
        ("v=spf1 +all", "broken", "lets everybody send"),
        ("v=spf1 all", "broken", "lets everybody send"),
        ("v=spf1 ip4:192.0.2.1", "warning", "does not say what to think of other servers"),
        ("v=spf1 ptr -all", "warning", "uses ptr"),
        ("v=spf1 include:nowhere.shop -all", "broken", "includes nowhere.shop, which has none"),
        ("v=spf1 include:tern.shop -all", "broken", "in a circle"),
    ],
)
def test_spf_that_receivers_do_not_follow(zone: Zone, record: str, level: str, words: str) -> None:
    ((said, text),) = spf(zone, record)
    assert (said, words in text) == (level, True), text


@pytest.mark.parametrize(
    "record",
    ["v=spf1 redirect=spf.mail.shop", "V=SPF1 include:%{i}.mail.shop ~ALL", "v=spf1 a/24 ?all"],
)
def test_spf_that_is_right(zone: Zone, record: str) -> None:
    assert spf(zone, record) == []


def test_more_than_ten_lookups_are_too_many(zone: Zone) -> None:
    for i in range(4):
        zone.records[f"{i}.shop", "TXT"] = ['"v=spf1 a mx -all"']
    three = " ".join(f"include:{i}.shop" for i in range(3))
    assert spf(zone, f"v=spf1 {three} a -all") == []  # three of three each, and one
    ((level, text),) = spf(zone, f"v=spf1 {three} a mx -all")
    assert (level, "needs 11 or more lookups" in text) == ("broken", True)


def test_a_circle_ends(zone: Zone) -> None:
    zone.records["a.shop", "TXT"] = ['"v=spf1 include:b.shop -all"']
    zone.records["b.shop", "TXT"] = ['"v=spf1 include:a.shop -all"']
    assert any("in a circle" in text for _, text in spf(zone, "v=spf1 include:a.shop -all"))


@pytest.mark.parametrize(
    ("key", "level", "words"),
    [
        ("", "warning", "was taken back"),
        ("A" * 125, "broken", "cut or misspelt"),
        ("A" * 124, "broken", "fewer than 1,024 bits"),
    ],
)
def test_a_dkim_key_that_helps_nobody(zone: Zone, key: str, level: str, words: str) -> None:
    zone.records[f"s1._domainkey.{DOMAIN}", "TXT"] = [f'"v=DKIM1; p={key}"']
    (one,) = found(zone)
    assert (one.level, words in one.text) == (level, True), one.text
    zone.records[f"s2._domainkey.{DOMAIN}", "TXT"] = [f'"p={KEY}"']  # one good one is enough
    assert found(zone) == []


def test_a_key_at_the_providers_is_found_and_an_ed25519_one_is_short(zone: Zone) -> None:
    del zone.records[f"s1._domainkey.{DOMAIN}", "TXT"]
    zone.records[f"k1._domainkey.{DOMAIN}", "CNAME"] = ["dkim.mail.shop."]
    zone.records["dkim.mail.shop", "TXT"] = [f'"k=ed25519; p={"A" * 44}"']
    assert found(zone) == []


def test_the_dmarc_record_above_counts_too(zone: Zone) -> None:
    for kind in ("MX", "TXT"):
        zone.records[f"help.{DOMAIN}", kind] = zone.records[DOMAIN, kind]
    zone.records[f"s1._domainkey.help.{DOMAIN}", "TXT"] = [f'"p={KEY}"']
    assert found(zone, f"help.{DOMAIN}") == []
    assert "_dmarc.shop" not in zone.asked


@pytest.mark.parametrize(
    "records", [['"v=DMARC1"'], ['"v=DMARC1; p=never"'], ['"v=DMARC1; p=none"'] * 2]
)
def test_dmarc_that_receivers_do_not_follow(zone: Zone, records: list[str]) -> None:
    zone.records[f"_dmarc.{DOMAIN}", "TXT"] = [
        record if i == 0 else record.replace("none", "reject") for i, record in enumerate(records)
    ]
    assert [one.level for one in found(zone)] == ["broken"]


def test_a_long_answer_comes_by_tcp(zone: Zone) -> None:
    zone.long = {DOMAIN}
    assert found(zone) == []


@pytest.mark.parametrize("how", ["silent", "failing"])
def test_no_answer_is_no_finding(zone: Zone, how: str) -> None:
    setattr(zone, how, {DOMAIN})
    with pytest.raises(Unanswered):
        found(zone)


def test_names_for_examples_are_not_looked_up() -> None:
    names = ("tern.example", "help.example.org", "shop.test", "localhost", "box")
    assert all(is_reserved(one) for one in names)
    assert not is_reserved("tern-kettle.com")
    assert not is_reserved("notexample.org")


# --- The doctor ---------------------------------------------------------------------------------


@pytest.fixture
def asked_here(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Zone:
    monkeypatch.setattr(
        dns_check, "resolver_for", lambda _: resolver_for(0.3, ["127.0.0.1"], zone.port)
    )
    return zone


@pytest.mark.django_db
def test_the_doctor_looks_at_every_domain_we_send_from(
    asked_here: Zone, settings: Settings
) -> None:
    make.inbox("Example", address="hello@shop.example")
    assert tickets.doctor.sending_domains() == Finding("ok", "No domain to look up.")
    make.inbox("Tern", address="hello@Tern.shop")
    make.inbox("Sales", address="sales@tern.shop")
    assert tickets.doctor.sending_domains() == Finding(
        "ok", "SPF, DKIM, DMARC and MX of tern.shop."
    )
    asked_here.records[DOMAIN, "TXT"] = ['"v=spf1 +all"']
    spoilt = tickets.doctor.sending_domains()
    assert spoilt.level == "broken"
    assert spoilt.found == "The SPF record of tern.shop lets everybody send for it (+all)."
    assert spoilt.advice == "Write into DNS: the same record with ~all at its end."


@pytest.mark.django_db
def test_the_doctor_is_not_alarmed_when_it_is_offline(asked_here: Zone) -> None:
    make.inbox("Tern", address="hello@tern.shop")
    asked_here.silent = {DOMAIN}
    told = tickets.doctor.sending_domains()
    assert told == Finding("ok", "Not looked up: no name server answers for tern.shop.")
