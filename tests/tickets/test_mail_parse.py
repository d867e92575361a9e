"""One mail, taken apart."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from datetime import UTC, datetime
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.fakes.mails import CORPORA, corpus_mails, mail
from tickets.mail import parse, parts
from tickets.mail.headers import Address, addresses, decoded, message_ids, moment, parameters
from tickets.mail.parse import ParsedEmail, parse_email
from tickets.mail.reply import split_reply
from tickets.mail.text import html_to_text


def parsed(text: str) -> ParsedEmail:
    return parse_email(text.encode("latin-1"))


MIXED = """\
From: =?utf-8?q?J=C3=B6rg?= <joerg@mail.example>
To: "Doe, Jane" <jane@shop.example>, list: a@shop.example, b@shop.example;
Delivered-To: jane+tag@shop.example
Subject: =?utf-8?b?R3LDtsOf?= =?utf-8?b?ZQ==?=
Message-ID: <1@mail.example>
In-Reply-To: Your message of Monday <0@mail.example>
References: <a@x.example>
 <b@x.example>
Date: Mon, 3 Mar 2025 12:00:00 +0200 (EET)
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: multipart/related; boundary="r"

--r
Content-Type: multipart/alternative; boundary="a"

--a
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=F6=DFe?
--a
Content-Type: text/html; charset=utf-8

<p>Gr\u00c3\u00b6\u00c3\u009fe?</p>
--a--
--r
Content-Type: image/png
Content-ID: <logo@x>
Content-Disposition: inline; filename=logo.png
Content-Transfer-Encoding: base64

aGVsbG8=
--r--
--m
Content-Type: application/pdf; name="old.pdf"
Content-Disposition: attachment; filename*0*=utf-8''R%C3%A9; filename*1="chnung.pdf"
Content-Transfer-Encoding: base64

aGVsbG8=
--m--
"""


def test_a_mail_of_many_parts() -> None:
    found = parsed(MIXED)
    assert found.sender == Address("Jörg", "joerg@mail.example")
    assert found.to == (
        Address("Doe, Jane", "jane@shop.example"),
        Address("", "a@shop.example"),
        Address("", "b@shop.example"),
    )
    assert found.delivered_to == ("jane+tag@shop.example",)
    assert found.subject == "Größe"
    assert (found.message_id, found.in_reply_to) == ("1@mail.example", "0@mail.example")
    assert found.references == ("a@x.example", "b@x.example")
    assert found.date == datetime(2025, 3, 3, 10, tzinfo=UTC)
    assert (found.text, found.html.strip()) == ("Größe?", "<p>Größe?</p>")
    logo, bill = found.attachments
    assert (logo.name, logo.type, logo.inline, logo.content_id) == (
        "logo.png",
        "image/png",
        True,
        "logo@x",
    )
    assert (bill.name, bill.size, bill.inline) == ("Réchnung.pdf", 5, False)
    assert bill.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert found.problems == ()


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", "Größe 北京".encode(), "Größe 北京"),
        ("gb2312", "北京東".encode("gb18030"), "北京東"),
        ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("ks_c_5601-1987", "안녕하세요".encode("cp949"), "안녕하세요"),
        ("windows-1251", "Привет".encode("cp1251"), "Привет"),
        ("iso-8859-1", "“smart”".encode("cp1252"), "“smart”"),
        ("no-such-charset", "Größe".encode(), "Größe"),
        ("us-ascii", "Größe".encode(), "Größe"),
    ],
)
def test_text_in_any_charset(charset: str, data: bytes, text: str) -> None:
    head = f"From: a@b.example\nContent-Type: text/plain; charset={charset}\n\n".encode()
    text = parse_email(head + data).text
    assert text in {
        "Größe 北京",
        "北京東",
        "こんにちは",
        "안녕하세요",
        "Привет",
        "“smart”",
        "Größe",
    }


def test_a_charset_that_is_not_true_is_named() -> None:
    head = b"From: a@b.example\nContent-Type: text/plain; charset=utf-8\n\n"
    found = parse_email(head + "Größe und Länge".encode("cp1252"))
    assert found.text == "Größe und Länge"
    assert "not in the charset it names (utf-8)" in found.problems[0]


def test_bytes_in_a_header_are_read_as_the_text_below_is() -> None:
    head = (
        "From: Иван <i@b.example>\nSubject: Привет\nContent-Type: text/plain; charset=koi8-r\n\nДа"
    )
    found = parse_email(head.encode("koi8-r"))
    assert found.sender is not None
    assert (found.subject, found.sender.name, found.text) == ("Привет", "Иван", "Да")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("=?utf-8?b?w?= =?utf-8?b?7Y=?=", "\ufffd\ufffd"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "ö"),  # a character in two words
        ("a =?x-no?q?b?= c", "a b c"),
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("two\r\n lines", "two lines"),
        ("nul\x00here", "nulhere"),
    ],
)
def test_encoded_words(value: str, meant: str) -> None:
    assert decoded(value) == meant or "\ufffd" in meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("carol@mail.example", [("", "carol@mail.example")]),
        ("Doe, Jane <j@x.example>", [("Doe, Jane", "j@x.example")]),
        ("j@x.example (Jane)", [("Jane", "j@x.example")]),
        ("<@relay.example:j@x.example>", [("", "j@x.example")]),
        ("undisclosed-recipients:;", []),
        ('"never closed <j@x.example>', [("", "j@x.example")]),
        ("nobody", []),
        ("", []),
    ],
)
def test_addresses(value: str, meant: list[tuple[str, str]]) -> None:
    assert [(one.name, one.email) for one in addresses(value)] == meant


def test_names_and_ids_and_dates_that_are_not_as_they_should_be() -> None:
    assert parameters('a/b; NAME="x;y.txt"; size=3')[1] == {"name": "x;y.txt", "size": "3"}
    assert message_ids("a@b.example c@d.example") == ["a@b.example", "c@d.example"]
    assert moment("2025-03-03 10:00:00 +0100") == datetime(2025, 3, 3, 9, tzinfo=UTC)
    assert moment("yesterday") is None
    assert moment("Mon, 99 Foo 9999 99:99:99 +9999") is None


def test_flowed_text_is_joined() -> None:
    head = "From: a@b.example\nContent-Type: text/plain; format=flowed\n\n"
    assert parsed(head + "one \ntwo\n>> q \n>> r\n-- \nme").text == "one two\n>> q r\n-- \nme"


def test_an_attached_mail_is_a_file_and_not_text() -> None:
    inner = mail("The inner text.", subject="Inner").decode()
    head = "From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nOuter.\n--x\n"
    found = parsed(f"{head}Content-Type: message/rfc822\n\n{inner}\n--x--\n")
    assert found.text == "Outer."
    assert [one.name for one in found.attachments] == ["Inner.eml"]


def test_lines_before_the_header_and_blanks_before_its_colons() -> None:
    found = parsed("\n\n---- Forwarded ----\nFrom : a@b.example\nSubject  : Hi\n\nHello :\n")
    assert found.sender is not None
    assert (found.sender.email, found.subject, found.text) == ("a@b.example", "Hi", "Hello :")


# --- Limits -----------------------------------------------------------------------------------


def test_parts_beyond_the_limit_are_named_and_the_first_are_read() -> None:
    text = "--b\n\nword\n" * (parts.PARTS_MAX + 5)
    found = parsed(f"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n{text}--b--")
    assert "More than 1,000 parts" in found.problems[0]
    assert found.text.count("word") == parts.PARTS_MAX - 1


@pytest.mark.parametrize("levels", [parts.DEPTH_MAX + 2, 400, 3_000])
def test_levels_beyond_the_limit_are_named_and_the_outer_ones_are_read(levels: int) -> None:
    text = "From: a@b.example\n"
    for n in range(levels):
        text += f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n\nword\n--b{n}\n'
    found = parsed(text)
    assert any("Nested deeper" in one or "More than" in one for one in found.problems)
    assert "word" in found.text


def test_bytes_beyond_the_limit_are_named_and_the_first_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parse, "RAW_MAX_BYTES", 1_000)
    found = parse_email(mail("x" * 5_000, subject="Large"))
    assert found.subject == "Large"
    assert "Larger than 1,000 bytes" in found.problems[0]


HOSTILE = {
    "letters": b"Subject: " + b"a" * 200_000 + b"\xff\n\n" + b"b" * 200_000 + b"\xff",
    "blanks": b"From:" + b"\n " * 100_000 + b"x\n\nx",
    "address and colons": b"To: a@b.example" + b":" * 200_000 + b"\n\nx",
    "strays": b"Subject: a\n" + b"stray\n" * 100_000 + b"From: a@b.example\n\nx",
    "open words": b"Subject: " + b"=?a?b?x " * 20_000 + b"?=\n\nx",
    "dashes": b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b\n\n"
    + b"\n--" * 300_000,
    "no codec": b"Content-Type: text/plain; charset=punycode\n\n" + b"a-b9c" * 200_000,
    "flowed": b"Content-Type: text/plain; format=flowed\n\n" + b"a \n" * 300_000,
    "padding": b"Content-Transfer-Encoding: base64\n\n" + b"YQ==\n" * 200_000,
    "uuencoded": b"From: a@b.example\n\n" + b"begin 644 x\n" * 50_000 + b"end\n",
    "calendar": b"Content-Type: text/calendar\n\nBEGIN:VEVENT\nA" + b';B="' * 200_000,
    "header": b"From: " + b"a," * 200_000 + b"\n\nx",
    "quotes": b'To: "' + b"\\" * 200_000 + b"\n\nx",
    "words": b"Subject: " + b"=?a?b?" * 50_000 + b"\n\nx",
    "references": b"References: " + b"<" * 200_000 + b"\n\nx",
    "parameters": b"Content-Type: text/plain;" + b' a="' * 50_000 + b"\n\nx",
    "tags": b"Content-Type: text/html\n\n" + b"<div>" * 200_000,
    "open tag": b"Content-Type: text/html\n\n" + b"<a " * 200_000,
    "comments": b"Content-Type: text/html\n\n" + b"<!--" * 200_000,
    "blank lines": b"From: a@b.example\n\nx" + b"\n" * 300_000 + b"y",
    "introductions": b"From: a@b.example\n\n" + (b"On " + b"a b " * 60 + b"wrote\n") * 2_000,
    "colons": b"From: a@b.example\n\n" + b"From:\n" * 50_000,
    "uuencode": b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + b"M\n" * 100_000,
    "boundary": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 200_000,
    "bounce": b"From: mailer-daemon@x.example\nSubject: failure notice\n\n" + b"a@" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_takes_long(name: str) -> None:
    began = time.process_time()
    parse_email(HOSTILE[name])
    assert time.process_time() - began < 2.5


def test_no_bytes_raise() -> None:
    """Cuts, swaps and noise in mails that have everything."""
    dice = random.Random(7)
    samples = [MIXED.encode("latin-1"), mail(), *HOSTILE.values()]
    samples = [one[:4_000] for one in samples]
    for _ in range(400):
        raw = bytearray(dice.choice(samples))
        for _ in range(dice.randint(1, 12)):
            at = dice.randrange(len(raw) + 1)
            match dice.randrange(4):
                case 0:
                    del raw[at : at + dice.randint(1, 60)]
                case 1:
                    raw[at:at] = dice.randbytes(dice.randint(1, 8))
                case 2:
                    other = dice.choice(samples)
                    start = dice.randrange(len(other))
                    raw[at:at] = other[start : start + dice.randint(1, 200)]
                case _:
                    raw[at:at] = dice.choice([b"=?", b"--m", b"\r\n", b"\x00", b"boundary=", b'"'])
        json.dumps(parse_email(bytes(raw)).as_dict()).encode("ascii")


# --- Text and replies -------------------------------------------------------------------------


def test_html_becomes_the_text_a_person_reads() -> None:
    text = html_to_text(
        "<style>p {}</style><p>Hello <b>Carol</b>,<br>see <a href='https://x.example/y'>this</a>.</p>"
        "<ul><li>one<li>two</ul><blockquote>said<blockquote>before</blockquote></blockquote>"
        "<table><tr><td>a<td>b</table><script>alert(1)</script>&lt;3 <img alt='Logo'>"
    )
    assert text == (
        "Hello Carol,\nsee this <https://x.example/y>.\n\n- one\n- two\n\n"
        "> said\n>\n>> before\n>>\na b\n\n<3 [Logo]"
    )


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("Yes.\n\nOn 1 March 2025, Maya <m@x.example> wrote:\n> Really?", "Yes."),
        ("Ja.\n\nAm 01.03.2025 um 10:00 schrieb Maya:\n> Wirklich?", "Ja."),
        ("Oui.\n\nLe 1 mars 2025 à 10:00,\nMaya <m@x.example> a écrit :\n\n> Vraiment ?", "Oui."),
        ("Yes.\n\n-----Original Message-----\nFrom: Maya\nSent: today\n\nReally?", "Yes."),
        ("Yes.\n\nFrom: Maya\nSent: Monday\nTo: Carol\nSubject: Really?\n\nReally?", "Yes."),
        ("Yes.\n\n> Really?\n> Yes?", "Yes."),
        ("Yes.\n\nThank you,\nCarol", "Yes.\n\nThank you,\nCarol"),
        ("Yes.\n-- \nCarol\n+49 30 1", "Yes."),
        ("Yes.\n\nSent from my iPhone", "Yes."),
        ("On it:\n\n  def f():\n      return 1", "On it:\n\n  def f():\n      return 1"),
        ("- one\n- two", "- one\n- two"),
        ("> all of it is a quote", "> all of it is a quote"),
        ("", ""),
    ],
)
def test_what_somebody_wrote_just_now(text: str, visible: str) -> None:
    assert split_reply(text).visible == visible


def test_both_halves_hold_every_line() -> None:
    text = "One.\n\nTwo.\n\nOn 1 March 2025, Maya <m@x.example> wrote:\n> Three.\n\n-- \nCarol"
    split = split_reply(text)
    together = f"{split.visible}\n{split.rest}".split()
    assert together == text.split()


# --- Commands ---------------------------------------------------------------------------------


def test_the_command_prints_one_object_a_line_without_a_database(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail("One."))
    (tmp_path / "b.eml").write_bytes(b"\xff\x00")
    out = StringIO()
    call_command("parse_email", str(tmp_path / "a.eml"), str(tmp_path / "b.eml"), stdout=out)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["file"], first["visible_reply"]) == (str(tmp_path / "a.eml"), "One.")
    assert set(first) >= {
        *("file", "message_id", "in_reply_to", "references", "from", "to", "cc", "reply_to"),
        *("subject", "date", "text", "html", "visible_reply", "attachments", "auto_submitted"),
        *("bounce", "problems"),
    }
    assert (second["from"], second["problems"][-1]) == (None, "Names no sender.")


def test_the_command_splits_bare_bodies(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>Yes.</p><blockquote>Really?</blockquote>")
    out = StringIO()
    call_command("parse_email", "--reply", str(tmp_path / "a.html"), stdout=out)
    assert json.loads(out.getvalue())["visible_reply"] == "Yes."


def test_the_command_reads_stdin_and_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(mail("From stdin."))))
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("parse_email", "missing.eml", "-", stdout=out, stderr=err)
    assert json.loads(out.getvalue())["text"] == "From stdin."
    assert "missing.eml: No such file" in err.getvalue()


# --- Mails that nobody here wrote -------------------------------------------------------------


@pytest.mark.skipif(not CORPORA.is_dir(), reason=f"the corpora are not in {CORPORA}")
def test_every_mail_of_the_corpora_has_an_answer() -> None:
    answers: list[dict[str, Any]] = []
    for path in corpus_mails():
        answers.append(json.loads(json.dumps(parse_email(path.read_bytes()).as_dict())))
    assert len(answers) > 500
    assert sum(bool(one["from"]) for one in answers) > 450
    assert sum(bool(one["text"] or one["attachments"]) for one in answers) > 500


def test_a_parse_costs_less_than_the_library_alone() -> None:
    """A coarse guard; the figures are the benchmark's."""
    from email import message_from_bytes
    from email.policy import default

    raw = mail(base64.b64encode(random.Random(1).randbytes(3_000)).decode() + "\n> quoted" * 50)
    raw = (
        b"".join(b"Received: from a by b; Mon, 3 Mar 2025 10:00:00 +0000\r\n" for _ in "1234") + raw
    )

    def cost(parser: Any) -> float:
        began = time.process_time()
        for _ in range(100):
            parser()
        return time.process_time() - began

    def library() -> None:
        message = message_from_bytes(raw, policy=default)
        message.get_content()
        assert all(str(value) for value in message.values())

    assert cost(lambda: parse_email(raw)) < 2 * cost(library)
