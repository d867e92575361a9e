"""Mails that are broken in every way: 20,000 of them with MAIL_FUZZ=20000, or `make fuzz`.

Plain Python instead of hypothesis: what breaks a mail is cutting, splicing and mislabelling whole
mails, which its strategies would have to be taught, and shrinking a mail of 20 kB takes it longer
than reading the one that is printed. The dice have a fixed seed; a failure names its number.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.fakes.mails import corpus_mails, mail, winmail
from tickets.mail.parse import parse_email

COUNT = int(os.environ.get("MAIL_FUZZ") or 5_000)
SEED = int(os.environ.get("MAIL_FUZZ_SEED") or 4)
SAMPLE_MAX_BYTES = 40_000  # larger ones are cut, so that there is time for many
EACH_MAX_SECONDS = 3.0  # of CPU

ICS = b"""BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r
DTSTART:16010101T030000\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r
END:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Mine:20250301T100000\r
DTEND;VALUE=DATE:20250302\r\nSUMMARY:Repair\\, urgent\r\nORGANIZER;CN="A: B":mailto:a@b.example\r
END:VEVENT\r\nEND:VCALENDAR\r\n"""

REPORT = b"""From: MAILER-DAEMON@x.example\r\nSubject: =?utf-8?q?Unzustellbar?=\r
Content-Type: multipart/report; report-type=delivery-status; boundary="r=_1"\r\n\r\n--r=_1\r\n\r
It was not delivered.\r\n--r=_1\r\nContent-Type: message/delivery-status\r\n\r
Reporting-MTA: dns; x.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r
Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <a@b.example> unknown\r\n--r=_1\r
Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@shop.example>\r\n--r=_1--\r\n"""

FLOWED = (
    b"From: =?koi8-r?b?8NLJ18XU?= <a@b.example>, (comment) c@d.example\nTo: friends: a@b, c@d;\n"
    b"Subject: =?iso-2022-jp?B?GyRCJUQhPCVrGyhC?= =?gb2312?q?=C4=E3?=\nDate: 3 Mar 2025 10:00 EST\n"
    b"Content-Type: text/plain; charset=iso-2022-jp; format=flowed; delsp=yes\n\n"
) + "> こんにちは \n> 注文\n\nbegin 644 x\n#86)C\n`\nend\n".encode("iso-2022-jp")

NAMED = b"""From: a@b.example\nContent-Type: multipart/related; boundary=q\n\n--q
Content-Type: text/html; charset=windows-1251\nContent-Transfer-Encoding: quoted-printable\n
<p>=CF=F0=E8=E2=E5=F2 <img src=3D"cid:i@x"></p><blockquote>x</blockquote>\n--q
Content-Type: image/png; name*0*=utf-8''%D0%9F; name*1=.png\nContent-ID: <i@x>
Content-Disposition: inline; filename="=?utf-8?b?0J8ucG5n?="\nContent-Transfer-Encoding: base64\n
aGVsbG8=\n--q\nContent-Type: application/pkcs7-mime; smime-type=signed-data\n\nMIAG\n--q
Content-Type: message/rfc822\n\nSubject: inner\n\ninner text\n--q--\n"""

CHARSETS = (
    *(b"utf-8", b"us-ascii", b"utf-7", b"utf-16", b"utf-32", b"gb18030", b"hz", b"big5", b"euc-kr"),
    *(b"iso-2022-jp", b"iso-2022-kr", b"shift_jis", b"koi8-u", b"windows-1255", b"x-unknown"),
    *(b"punycode", b"idna", b"unicode_escape", b"hex", b"undefined", b"utf-8-sig", b"cp037", b""),
)
ENCODINGS = (b"base64", b"quoted-printable", b"x-uuencode", b"8bit", b"binary", b"nonsense")
KINDS = (
    *(b"text/plain", b"text/html", b"text/calendar", b"multipart/mixed", b"multipart/related"),
    *(b"multipart/alternative", b"multipart/digest", b"multipart/encrypted", b"message/rfc822"),
    *(b"message/delivery-status", b"application/ms-tnef", b"application/pkcs7-mime", b"/", b""),
)
FIELDS = (
    *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"References", b"Content-Type"),
    *(b"Content-Disposition", b"Content-Transfer-Encoding", b"Content-ID", b"Received"),
    *(b"Content-Description", b"Content-Location", b"Auto-Submitted", b"Return-Path"),
)
TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\x1b$B",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\n\n",
        b" ",
        b"\t",
    ),
    *(b"=?", b"?=", b"=?utf-8?b?", b"=?utf-8?q?=ED=A0=80?=", b"=", b"=\n", b"==", b"--", b"\n--"),
    *(b'"', b"\\", b"<", b">", b"(", b")", b";", b":", b",", b"@", b"*0*=", b"''%00", b"boundary="),
    *(
        b"&#0;",
        b"&#xD800;",
        b"<!--",
        b"<blockquote>",
        b"begin 644 x\n",
        b"\nend\n",
        b"-----BEGIN PGP",
    ),
    *(b"BEGIN:VEVENT\n", b"DTSTART:99991231T235959\n", b"DURATION:P9999W\n", b"TZID=..", b"+AAA-"),
)


@pytest.fixture(scope="module")
def samples() -> list[bytes]:
    own = [
        *(mail(), mail("Grüße, 你好", subject="Größe?", files={"a.ics": ("text/calendar", ICS)})),
        mail(files={"winmail.dat": ("application/ms-tnef", winmail({"ä.txt": b"x"}, html="<p>"))}),
        *(REPORT, FLOWED, NAMED, base64.b64encode(NAMED)),
    ]
    return own * 12 + [path.read_bytes()[:SAMPLE_MAX_BYTES] for path in corpus_mails()]


Mutation = Callable[[bytearray, Random, list[bytes]], None]


def _flip(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    for _ in range(dice.choice((1, 3, 30))):
        raw[dice.randrange(len(raw))] = dice.randrange(256)


def _cut(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    at = dice.randrange(len(raw))
    del raw[at : at + dice.choice((1, 20, 500, len(raw)))]


def _repeat(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    at = dice.randrange(len(raw))
    raw[at:at] = raw[at : at + dice.choice((3, 80, 2_000))] * dice.choice((1, 2, 40))


def _splice(raw: bytearray, dice: Random, samples: list[bytes]) -> None:
    other = dice.choice(samples)
    start = dice.randrange(len(other) + 1)
    at = dice.randrange(len(raw))
    raw[at : at + dice.choice((0, 200))] = other[start : start + dice.choice((40, 400, 5_000))]


def _insert(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    for _ in range(dice.choice((1, 5))):
        at = dice.randrange(len(raw) + 1)
        raw[at:at] = dice.choice(TOKENS) * dice.choice((1, 1, 1, 2, 300))


def _field(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    lines = raw.count(b"\n", 0, 2_000)
    at = _line_start(raw, dice.randrange(lines + 1))
    value = bytes(raw[at : at + dice.choice((10, 200))]).replace(b"\n", dice.choice((b"", b"\n ")))
    kind = dice.choice(KINDS) + b"; charset=" + dice.choice(CHARSETS) + b"; boundary=q"
    raw[at:at] = (
        dice.choice(FIELDS) + b": " + dice.choice((value, kind, b"", dice.randbytes(9))) + b"\n"
    )


def _relabel(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    name, values = dice.choice(
        ((b"charset=", CHARSETS), (b"encoding: ", ENCODINGS), (b"ype: ", KINDS))
    )
    at = bytes(raw).lower().find(name, dice.randrange(len(raw)) if dice.random() < 0.3 else 0)
    if at >= 0:
        end = at + len(name)
        raw[end : end + dice.choice((0, 5, 12))] = dice.choice(values) + dice.choice(
            (b"", b"\n", b";")
        )


def _swap_boundary(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    at = raw.find(b"\n--", dice.randrange(len(raw)))
    if at >= 0:
        end = raw.find(b"\n", at + 1)
        line = bytes(raw[at : end if end > 0 else len(raw)])
        other = _line_start(raw, dice.randrange(raw.count(b"\n") + 1))
        raw[other:other] = line[1:] + dice.choice((b"", b"--", b" ", b"x")) + b"\n"


def _wrap(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    for level in range(dice.choice((1, 3, 60))):
        kind = dice.choice((b"multipart/mixed", b"multipart/alternative", b"message/rfc822"))
        name = b"w%d" % (level if dice.random() < 0.9 else 0)
        raw[:0] = b"Content-Type: " + kind + b"; boundary=" + name + b"\n\n--" + name + b"\n"
    if dice.random() < 0.5:
        raw += b"\n--w0--\n"


def _lengthen(raw: bytearray, dice: Random, _samples: list[bytes]) -> None:
    at = dice.randrange(len(raw))
    raw[at:at] = dice.choice((*TOKENS, b"a", b"a ", b"a@b.example, ")) * dice.choice(
        (2_000, 20_000)
    )


def _line_start(raw: bytearray, number: int) -> int:
    at = 0
    for _ in range(min(number, 60)):
        at = raw.find(b"\n", at) + 1
        if not at:
            return 0
    return at


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _cut, _repeat, _splice, _insert, _insert, _field, _field, _relabel, _relabel),
    *(_swap_boundary, _swap_boundary, _wrap),
)


def _mutated(dice: Random, samples: list[bytes]) -> bytes:
    raw = bytearray(dice.choice(samples))
    for _ in range(dice.randint(1, 6)):
        if raw:
            dice.choice(MUTATIONS)(raw, dice, samples)
    if raw and dice.random() < 0.02:
        _lengthen(raw, dice, samples)
    return bytes(raw)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def test_no_mail_however_broken_breaks_the_reader(samples: list[bytes]) -> None:
    for number in range(COUNT):
        raw = _mutated(Random(f"{SEED}.{number}"), samples)
        began = time.process_time()
        try:
            told = parse_email(raw).as_dict()
            json.dumps(told)
            for text in _texts(told):
                text.encode()  # no lone surrogate, which PostgreSQL refuses, as it does a NUL
                assert "\0" not in text, repr(text[:200])
        except Exception as error:
            error.add_note(f"mail {number} of seed {SEED}: {raw[:2_000]!r}")
            raise
        took = time.process_time() - began
        assert took < EACH_MAX_SECONDS, f"mail {number} of seed {SEED} took {took:.1f} s"
