"""Mails that come inside of mails, and what Outlook packs into winmail.dat."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import struct
import time
import tracemalloc

import pytest

from tests.fakes.mails import (
    CORPORA,
    FILE_CONTENT,
    HTML,
    TEXT,
    attribute,
    mail,
    properties,
    tnef,
    winmail,
)
from tickets.mail.parse import FILES_MAX, TNEF_MAX, ParsedEmail, parse_email
from tickets.mail.tnef import ENTRIES_MAX, unpacked

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + bytes(7)  # zeros at its end
FILES = {"größe 尺寸.png": PICTURE, "empty.txt": b"", "a.pdf": b"%PDF-1.7"}


def arrived(packed: bytes, text: str = "See the files.", name: str = "winmail.dat") -> ParsedEmail:
    return parse_email(mail(text, files={name: ("application/ms-tnef", packed)}))


def names(found: ParsedEmail) -> list[str]:
    return [one.name for one in found.attachments]


def test_the_files_come_out_byte_for_byte() -> None:
    found = arrived(winmail(FILES, text="Said in both places."))
    assert [(one.name, one.content) for one in found.attachments] == list(FILES.items())
    assert [one.type for one in found.attachments] == ["image/png", "text/plain", "application/pdf"]
    assert (found.text, found.html, found.problems) == ("See the files.", "", ())


def test_it_is_known_by_its_name_too() -> None:
    raw = mail(files={"WINMAIL.DAT": ("application/octet-stream", winmail(FILES))})
    assert names(parse_email(raw)) == list(FILES)


def test_a_picture_that_stands_in_the_text_is_inline() -> None:
    packed = winmail(FILES, content_ids={"größe 尺寸.png": "<logo@x>"})
    logo, *others = arrived(packed).attachments
    assert (logo.inline, logo.content_id) == (True, "logo@x")
    assert not any(one.inline for one in others)


def test_the_text_is_taken_where_the_mail_has_none() -> None:
    found = arrived(winmail(FILES, text="Grüße\r\naus Köln", html="<p>Grüße<br>aus Köln"), text="")
    assert (found.text, found.html) == ("Grüße\naus Köln", "<p>Grüße<br>aus Köln")
    assert arrived(winmail(html="<p>Yes.</p>"), text="").text == "Yes."


# The examples of MS-OXRTFCP, 3.1 and 3.2.
PACKED_RTF = {
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d"
    "0a800fa0": b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
    "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0": (
        b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    ),
    "1100000005000000" + b"MELA".hex() + "00000000" + b"{\\rtf".hex(): b"{\\rtf",
}


@pytest.mark.parametrize("packed", PACKED_RTF)
def test_a_text_that_is_only_there_as_rtf_is_a_file(packed: str) -> None:
    given = winmail(subject="A/B", rtf=bytes.fromhex(packed))
    (file,) = arrived(given, text="").attachments
    assert (file.name, file.content) == ("A-B.rtf", PACKED_RTF[packed])
    assert arrived(given).attachments == ()


def test_a_text_that_cannot_be_read_is_named() -> None:
    found = arrived(winmail(FILES, rtf=b"neither packed nor plain"), text="")
    assert names(found) == list(FILES)
    assert found.problems == ("The text in winmail.dat could not be read.",)
    assert arrived(winmail(FILES, rtf=b"neither packed nor plain")).problems == ()


def test_a_message_that_is_forwarded_is_its_text_and_its_files() -> None:
    inner = winmail(FILES, subject="Re: Mill", html="<p>Broken.</p>")
    found = arrived(winmail({"b.txt": b"b"}, packed=winmail(packed=inner)))
    assert names(found) == ["b.txt", "Re: Mill.html", *FILES]
    assert found.text == "See the files."


def test_what_is_forwarded_and_no_message_stays_a_file() -> None:
    (file,) = arrived(winmail(packed=b"a list of people")).attachments
    assert (file.name, file.content) == ("Untitled Attachment", b"a list of people")


def test_old_programs_write_names_in_their_code_page() -> None:
    packed = tnef(
        attribute(1, 0x9007, struct.pack("<I", 1251)),
        attribute(2, 0x9002, bytes(14)),
        attribute(2, 0x8010, "Счёт.doc\0".encode("cp1251")),
        attribute(2, 0x800F, b"1"),
        b"some more bytes",
    )
    assert names(arrived(packed)) == ["Счёт.doc"]


def begun(*attributes: bytes) -> bytes:
    return tnef(attribute(2, 0x9002, bytes(14)), *attributes)


BROKEN = {
    "no winmail.dat": b"PK\3\4 something else",
    "nothing": b"",
    "cut off": winmail(FILES)[:-300],
    "cut off in a head": winmail(FILES)[:12],
    "a file without a beginning": tnef(attribute(2, 0x800F, b"x")),
    "a file without content": begun(attribute(2, 0x8010, b"x.doc")),
    "too many files": tnef(*[attribute(2, 0x9002, b"")] * (ENTRIES_MAX + 1)),
    "a property of four billion": begun(
        attribute(2, 0x9005, struct.pack("<IHHI", 1, 0x1003, FILE_CONTENT, 2**32 - 1) + bytes(9))
    ),
    "four billion values of nothing": begun(
        attribute(2, 0x9005, struct.pack("<IHHI", 1, TEXT, FILE_CONTENT, 2**32 - 1)),
        attribute(1, 0x9003, struct.pack("<IHHI", 1, TEXT, HTML, 2**32 - 1) + bytes(2**19)),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_unpacked_stays_as_it_is(name: str) -> None:
    found = arrived(BROKEN[name])
    assert [(one.name, one.content) for one in found.attachments] == [("winmail.dat", BROKEN[name])]
    assert found.text == "See the files."
    assert "winmail.dat could not be unpacked" in found.problems[0]


def deep(levels: int) -> bytes:
    made = winmail(text="innermost")
    for _ in range(levels):
        made = winmail(packed=made)
    return made


HOSTILE = {
    "four billion properties": begun(
        attribute(1, 0x9003, struct.pack("<I", 2**32 - 1) + bytes(2**20)),
        attribute(2, 0x800F, b"x"),
    ),
    "many properties": begun(
        attribute(1, 0x9003, properties(*[(HTML, TEXT, b"")] * 500_000)), attribute(2, 0x800F, b"x")
    ),
    "many small attributes": tnef(attribute(1, 0x9999, b"") * 1_000_000),
    "many levels": deep(300),
    "large RTF": winmail(
        rtf=struct.pack("<IIII", 0, 1_000_000, 0x75465A4C, 0) + b"\xff" + b"\5\0" * 700_000
    ),
    "RTF that claims too much": winmail(
        rtf=struct.pack("<IIII", 0, 2**32 - 1, 0x75465A4C, 0) + b"\xff" + b"\0\x0f" * 9_000_000
    ),
    "large file": winmail({"a": bytes(20 * 1024 * 1024)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_winmail_takes_long(name: str) -> None:
    raw = mail(" ", files={"winmail.dat": ("application/ms-tnef", HOSTILE[name])})
    began = time.process_time()
    parse_email(raw)
    assert time.process_time() - began < 2.5


@pytest.mark.parametrize("name", ["many properties", "many small attributes", "many levels"])
def test_no_winmail_takes_much_more_than_it_is(name: str) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            unpacked(HOSTILE[name])
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(HOSTILE[name]) + 20_000_000


def test_of_many_in_one_mail_the_first_are_unpacked() -> None:
    kind = ("application/ms-tnef", winmail({"a.txt": b"a"}))
    found = parse_email(mail(files={f"{n}.dat": kind for n in range(TNEF_MAX + 2)}))
    assert names(found) == ["a.txt"] * TNEF_MAX + [f"{TNEF_MAX}.dat", f"{TNEF_MAX + 1}.dat"]


def test_one_with_more_files_than_a_page_can_show_stays_as_it_is() -> None:
    found = arrived(winmail({f"{number}.txt": b"a" for number in range(FILES_MAX + 1)}))
    assert names(found) == ["winmail.dat"]
    assert found.problems == (f"winmail.dat was not unpacked: more than {FILES_MAX} files.",)


def test_no_bytes_raise() -> None:
    dice = random.Random(11)
    whole = winmail(
        FILES, subject="S", text="T", rtf=bytes.fromhex(next(iter(PACKED_RTF))), packed=deep(3)
    )
    for _ in range(700):
        raw = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(raw))
            match dice.randrange(3):
                case 0:
                    del raw[at : at + dice.randint(1, 40)]
                case 1:
                    raw[at] = dice.randrange(256)
                case _:
                    raw[at:at] = dice.randbytes(dice.randint(1, 5))
        arrived(bytes(raw), text="")


@pytest.mark.skipif(not CORPORA.is_dir(), reason=f"the corpora are not in {CORPORA}")
def test_those_that_nobody_here_wrote_have_the_files_they_should() -> None:
    folder = CORPORA / "emails" / "tnefparse"
    stated = json.loads((folder / "expected.json").read_text())
    assert len(stated) > 8
    for name, case in stated.items():
        packed = unpacked((folder / "emails" / name).read_bytes())
        wanted = [one["filename"] for one in case["expected"]["attachments"]]
        assert [one.name for one in packed.files] == wanted, name


# --- Mails inside of mails --------------------------------------------------------------------

INNER = (
    b"Return-Path: <x@y.example>\r\n"
    b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?= and a line that is longer than what a library would "
    b"leave alone\r\n  folded  oddly\r\n"
    b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n"
    b"--inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
    b"From here on it is Gr\xfc\xdfe.\r\n.\r\n"
    b"--inner\nContent-Disposition: attachment; filename=a.txt\n\nfile\n--inner--  \r\n"
)


def holding(inner: bytes, head: str = "Content-Type: message/rfc822") -> bytes:
    start = "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    start += f"--x\r\n\r\nOuter.\r\n--x\r\n{head}\r\n\r\n"
    return start.encode() + inner + b"\r\n--x--\r\n"


def test_a_mail_inside_of_a_mail_is_kept_byte_for_byte() -> None:
    found = parse_email(holding(INNER))
    (file,) = found.attachments
    assert (file.content, file.type, found.text) == (INNER, "message/rfc822", "Outer.")
    assert file.name.startswith("Größe and a line that is longer")
    assert file.name.endswith(".eml")


def test_one_that_is_encoded_against_the_rules_is_decoded() -> None:
    head = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64"
    (file,) = parse_email(holding(base64.encodebytes(INNER), head)).attachments
    assert file.content == INNER


def test_a_subject_in_bare_bytes_is_read_as_the_text_below_it() -> None:
    inner = "Subject: 转发\r\nContent-Type: text/plain; charset=gb2312\r\n\r\n你好".encode("gb2312")
    assert names(parse_email(holding(inner))) == ["转发.eml"]


def test_a_given_name_wins_and_no_subject_is_no_trouble() -> None:
    head = "Content-Type: message/rfc822; name=kept.eml"
    assert names(parse_email(holding(INNER, head))) == ["kept.eml"]
    assert names(parse_email(holding(b"Hello"))) == ["message.eml"]
    assert names(parse_email(holding(b""))) == ["message.eml"]


def test_the_mails_of_a_digest_are_files() -> None:
    raw = holding(INNER, "X-Nothing: here").replace(b"multipart/mixed", b"multipart/digest", 1)
    found = parse_email(raw)
    assert [one.type for one in found.attachments] == ["message/rfc822"] * 2
    assert found.attachments[1].content == INNER
