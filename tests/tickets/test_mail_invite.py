"""Invitations, and mail that is signed or encrypted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime

import pytest

from tests.fakes.mails import mail
from tickets.mail.invite import Invite, read_invite
from tickets.mail.parse import ParsedEmail, parse_email

BERLIN = """\
BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


def calendar(event: str, *, method: str = "REQUEST", zone: str = "") -> bytes:
    told = f"METHOD:{method}\n" if method else ""
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\n{told}{zone}BEGIN:VEVENT\n{event}\nEND:VEVENT\n"
    return f"{text}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def read(event: str, *, method: str = "REQUEST", zone: str = "") -> Invite:
    found = read_invite(calendar(event, method=method, zone=zone), {})
    assert found is not None
    return found


def test_an_invitation_is_shown_and_stays_a_file() -> None:
    data = calendar(
        "DTSTART;TZID=Europe/Berlin:20250703T100000\nDTEND;TZID=Europe/Berlin:20250703T110000\n"
        "SUMMARY:Grinder\\, repair\nLOCATION:Hall 3\\; left\n"
        'ORGANIZER;CN="Doe: Jane":mailto:jane@shop.example\nUID:1'
    )
    found = parse_email(mail("See you.", files={"invite.ics": ("text/calendar", data)}))
    assert found.invite == Invite(
        method="REQUEST",
        summary="Grinder, repair",
        starts_at=datetime(2025, 7, 3, 8, tzinfo=UTC),
        ends_at=datetime(2025, 7, 3, 9, tzinfo=UTC),
        time_zone="Europe/Berlin",
        location="Hall 3; left",
        organizer="Doe: Jane <jane@shop.example>",
    )
    assert [(one.name, one.content) for one in found.attachments] == [("invite.ics", data)]
    shown = json.loads(json.dumps(found.as_dict()))["invite"]
    assert (shown["method"], shown["starts_at"]) == ("REQUEST", "2025-07-03T08:00:00+00:00")


def test_one_without_a_name_among_the_forms_of_the_text() -> None:
    raw = (
        b"From: a@b.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nCome!\n--b\n"
        b"Content-Type: text/calendar; method=CANCEL; charset=utf-8\n\n"
    )
    found = parse_email(raw + calendar("SUMMARY:Größe\nDTSTART:20250101", method="") + b"--b--\n")
    assert found.invite is not None
    assert (found.invite.method, found.invite.summary) == ("CANCEL", "Größe")
    assert [one.name for one in found.attachments] == ["invite.ics"]


@pytest.mark.parametrize(
    ("day", "hour"),
    [("20250115", 9), ("20250715", 8), ("20250330", 8), ("20251026", 9), ("20251025", 8)],
)
def test_a_zone_of_windows_is_read_from_the_calendar(day: str, hour: int) -> None:
    found = read(f"DTSTART;TZID=W. Europe Standard Time:{day}T100000", zone=BERLIN)
    assert isinstance(found.starts_at, datetime)
    assert found.starts_at.hour == hour
    assert found.time_zone == "W. Europe Standard Time"


@pytest.mark.parametrize(
    ("event", "starts_at", "ends_at"),
    [
        ("DTSTART;VALUE=DATE:20250301\nDTEND;VALUE=DATE:20250303", "2025-03-01", "2025-03-02"),
        ("DTSTART;VALUE=DATE:20250301\nDTEND;VALUE=DATE:20250301", "2025-03-01", "2025-03-01"),
        ("DTSTART:20250301T100000Z\nDURATION:PT1H30M", "2025-03-01T10", "2025-03-01T11:30"),
        ("DTSTART:20250301T100000", "2025-03-01T10:00:00+00:00", None),
        ("DTSTART;TZID=No/Where:20250301T100000", "2025-03-01T10:00:00+00:00", None),
        ("DTSTART;TZID=../../etc/passwd:20250301T100000", "2025-03-01T10", None),
        ("DTSTART:20259999T100000Z", None, None),
        ("DTSTART:soon", None, None),
        ("DTSTART:00010101T000000Z\nDURATION:P9999W", "0001-01-01", "0192"),
        ("DTSTART;VALUE=DATE:99991231\nDURATION:P9999W", "9999-12-31", None),
        ("SUMMARY:x", None, None),
    ],
)
def test_when_it_is(event: str, starts_at: str | None, ends_at: str | None) -> None:
    found = read(event)
    for moment, told in ((found.starts_at, starts_at), (found.ends_at, ends_at)):
        assert (moment is None) == (told is None)
        assert moment is None or moment.isoformat().startswith(told or "")
    assert isinstance(found.starts_at, date | None)


def test_long_lines_are_folded_and_other_parts_of_a_calendar_are_not_the_event() -> None:
    found = read(
        "SUMMARY:one\n  two\nBEGIN:VALARM\nSUMMARY:Reminder\nLOCATION:nowhere\nEND:VALARM\n"
        "ORGANIZER:MAILTO:jane@shop.example",
        zone=BERLIN + "X-WR-CALNAME:Mine\n",
    )
    assert (found.summary, found.location) == ("one two", "")
    assert found.organizer == "jane@shop.example"


def test_a_method_that_is_none_only_tells() -> None:
    assert read("SUMMARY:x", method="").method == "PUBLISH"
    assert read("SUMMARY:x", method="<b>").method == "PUBLISH"
    assert read("SUMMARY:x", method="reply").method == "REPLY"


def test_what_is_no_event_is_no_invitation() -> None:
    for data in (b"", b"BEGIN:VCALENDAR\nEND:VCALENDAR", b"\x00\xff", b"BEGIN:VEVENT\n" * 1_000):
        assert read_invite(data, {}) is None


# --- Signed and encrypted ---------------------------------------------------------------------


def held(kind: str, *inner: str) -> ParsedEmail:
    head = f"From: a@b.example\nContent-Type: {kind}; boundary=b\n\n"
    return parse_email((head + "".join(f"--b\n{one}\n" for one in inner) + "--b--\n").encode())


def cms(number: int) -> str:
    data = bytes.fromhex("30801d06092a864886f70d0107") + bytes([number]) + bytes(80)
    return base64.encodebytes(data).decode()


SMIME = "From: a@b.example\nContent-Transfer-Encoding: base64\nContent-Type: application/"


def test_a_signed_mail_is_labelled_and_its_signature_kept() -> None:
    found = held(
        "multipart/signed; protocol=application/pgp-signature",
        "\nHello.",
        "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----",
    )
    assert (found.protection, found.text) == ("signed", "Hello.")
    assert [one.name for one in found.attachments] == ["signature.asc"]


def test_an_encrypted_mail_says_what_it_is() -> None:
    found = held(
        "multipart/encrypted; protocol=application/pgp-encrypted",
        "Content-Type: application/pgp-encrypted\n\nVersion: 1",
        "Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----",
    )
    assert (found.protection, found.text) == ("encrypted", "")
    assert "It is encrypted with PGP: what it says is in an attached file." in found.problems
    assert [one.name for one in found.attachments] == ["version.asc", "encrypted.asc"]


@pytest.mark.parametrize(
    ("kind", "number", "protection"),
    [
        ("pkcs7-mime; smime-type=enveloped-data", 2, "encrypted"),
        ("x-pkcs7-mime; smime-type=signed-data; name=smime.p7m", 3, "signed"),
        ("pkcs7-mime; name=smime.p7m", 2, "signed"),
        ("pkcs7-mime; name=smime.p7m", 3, "encrypted"),
        ("pkcs7-mime; smime-type=authEnveloped-data", 3, "encrypted"),
    ],
)
def test_smime_in_one_piece(kind: str, number: int, protection: str) -> None:
    found = parse_email(f"{SMIME}{kind}\n\n{cms(number)}".encode())
    assert found.protection == protection
    assert [one.name for one in found.attachments] == ["smime.p7m"]
    assert any("what it says is in smime.p7m" in one for one in found.problems)


def test_a_signed_bill_in_a_plain_mail_does_not_make_it_signed() -> None:
    bill = "Content-Transfer-Encoding: base64\nContent-Type: application/pkcs7-mime; name=bill.p7m"
    found = held("multipart/mixed", "\nOur bill.", f"{bill}\n\n{cms(2)}")
    assert (found.protection, found.text) == ("", "Our bill.")


def test_pgp_armour_in_the_text() -> None:
    assert parse_email(mail("-----BEGIN PGP MESSAGE-----\n\nabc")).protection == "encrypted"
    assert parse_email(mail("Hi\n-----BEGIN PGP SIGNED MESSAGE-----\n\nabc")).protection == "signed"
    assert parse_email(mail("> -----BEGIN PGP MESSAGE-----\n\nabc")).protection == ""
    assert parse_email(mail("Send me a -----BEGIN PGP MESSAGE----- please")).protection == ""
