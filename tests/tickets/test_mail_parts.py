"""Mail that is put together badly, and files that nobody named."""

from __future__ import annotations

import base64
import binascii
import time
from datetime import UTC, datetime

import pytest

from tickets.mail import parts
from tickets.mail.headers import addresses, base64_bytes, moment, parameters
from tickets.mail.parse import ParsedEmail, parse_email
from tickets.mail.parts import read_parts

FROM = "From: a@b.example\n"


def parsed(text: str) -> ParsedEmail:
    return parse_email(text.encode("utf-8", "surrogateescape"))


def files(found: ParsedEmail) -> list[str]:
    return [file.name for file in found.attachments]


# --- Headers ----------------------------------------------------------------------------------


def test_a_line_that_lost_its_indentation_belongs_to_the_field_above() -> None:
    found = parsed("Received: from x\nby y with ESMTP\nTo: c@d.example\nSubject: Hi\n\nHello\n")
    assert (found.subject, found.text) == ("Hi", "Hello")
    assert [one.email for one in found.to] == ["c@d.example"]
    assert "A field of the header is broken." in found.problems


def test_a_text_right_below_the_header_is_text() -> None:
    found = parsed("From: a@b.example\nSubject: Hi\nHello,\nwhat is: this?\nFrom: me\n\nBye\n")
    assert (found.subject, found.text) == ("Hi", "Hello,\nwhat is: this?\nFrom: me\n\nBye")


def test_a_text_without_a_header_is_text() -> None:
    assert parsed("Hello there,\n\nthis is all.").text == "Hello there,\n\nthis is all."
    assert parsed("").text == ""
    assert parsed("\n\nHello").text == "Hello"


def test_the_lines_of_a_mailbox_file_are_no_header() -> None:
    found = parsed("From a@b.example Mon Mar  3 10:00:00 2025\nFrom: a@b.example\n\nFrom here on\n")
    assert (found.text, found.problems[:1]) == ("From here on", ("Names no Message-ID.",))
    assert found.sender is not None


def test_lines_may_end_as_on_old_macs() -> None:
    found = parse_email(b"From: a@b.example\rSubject: Hi\r\rHello\rthere\r")
    assert (found.subject, found.text) == ("Hi", "Hello\nthere")


def test_a_header_beyond_the_limit_is_cut_off_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "HEADER_MAX_BYTES", 1_000)
    found = parsed(f"Subject: Hi\n{'X-A: b' * 40}\n" + "X-C: d\n" * 300 + "From: a@b.example\n\nHo")
    assert (found.subject, found.text) == ("Hi", "Ho")
    assert "header is larger than 1,000 bytes" in found.problems[0]


def test_what_a_mail_does_not_name_is_named() -> None:
    problems = parsed("Subject: Hi\n\nHello").problems
    assert problems == ("Names no Message-ID.", "Names no date.", "Names no sender.")


def test_who_sent_it_and_when_is_taken_from_where_it_is_left() -> None:
    found = parsed(
        "Received: from x by y; Mon, 3 Mar 2025 10:00:00 +0000\nSender: S <s@b.example>\n\nHello"
    )
    assert found.sender is not None
    assert found.sender.email == "s@b.example"
    assert found.date == datetime(2025, 3, 3, 10, tzinfo=UTC)
    broken = "Received: x; Mon, 3 Mar 2025 10:00:00 +0000\nDate: yesterday\nFrom: a@b.example\n\nHi"
    assert parsed(broken).date == datetime(2025, 3, 3, 10, tzinfo=UTC)


def test_dates_of_old() -> None:
    assert moment("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600") == datetime(
        1997, 11, 21, 15, 55, 6, tzinfo=UTC
    )


def test_an_entry_without_an_address_is_not_part_of_the_next() -> None:
    assert [one.name for one in addresses('"Lamps" <>, "Ltd" <l@b.example>')] == ["Ltd"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("x; filename*=utf-8''R%C3%A9sum%C3%A9.pdf", "Résumé.pdf"),
        ("x; filename*0*=iso-8859-1'de'%E4; filename*1=b; filename*2*=%FC.txt", "äbü.txt"),
        ("x; filename*1=b.txt; filename*0=a", "ab.txt"),
        ("x; filename*=\"utf-8''%C3%A4.txt\"", "ä.txt"),
        ("x; filename*=us-ascii''W%F6lbung.jpg", "Wölbung.jpg"),
        ("x; filename==?utf-8?q?=C3=A4?=.txt", "ä.txt"),
        ('x; filename="=?utf-8?b?w6Q=?=\n =?utf-8?b?w7Y=?=.txt"', "äö.txt"),
        ("x; filename=a b.txt", "a b.txt"),
        ('x; filename="a;b.txt"', "a;b.txt"),
        (r'x; filename="say \"hi\".txt"', 'say "hi".txt'),
        (r'x; filename="C:\TEMP\a.png"', r"C:\TEMP\a.png"),
        ("x; filename=a.txt; filename=b.txt", "a.txt"),
        ("x; FILENAME = a.txt ;", "a.txt"),
        ("x; filename*=no-such''%41.txt", "A.txt"),
        ("x; filename*=''''.txt", "''.txt"),
    ],
)
def test_names_of_files(value: str, name: str) -> None:
    assert parameters(value)[1]["filename"] == name


# --- Boundaries -------------------------------------------------------------------------------

TWO = "--{0}\n\nOne\n--{0}\nContent-Type: text/plain; name=a.txt\n\nTwo\n--{0}--\nbelow"


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ("boundary=b", "b"),
        ('boundary="b"', "b"),
        ('boundary="b c"', "b c"),
        ('boundary="----=_Next\n _Part"', "----=_Next _Part"),  # folded within
        ('boundary="b   "', "b"),
        ("boundary==?x?=", "=?x?="),
        ("BOUNDARY = b", "b"),
        ("boundary='b'", "'b'"),
    ],
)
def test_parts_between_boundaries(told: str, used: str) -> None:
    found = parsed(f"{FROM}Content-Type: multipart/mixed; {told}\n\nabove\n{TWO.format(used)}")
    assert (found.text, files(found)) == ("One", ["a.txt"])


@pytest.mark.parametrize("told", ["", "; boundary=", "; boundary=other", '; boundary="never'])
def test_a_boundary_that_is_not_the_one_that_is_named_is_found(told: str) -> None:
    found = parsed(
        f"{FROM}Content-Type: multipart/mixed{told}\n\nabove\n--b\nContent-Type: text/plain\n\n"
        "One\n--b\nContent-Type: text/plain; name=a.txt\n\nTwo\n--b--\n"
    )
    assert (found.text, files(found)) == ("One", ["a.txt"])
    assert "A boundary between parts is not the one that is named." in found.problems


def test_parts_that_are_not_there_leave_the_text() -> None:
    found = parsed(f"{FROM}Content-Type: multipart/mixed; boundary=b\n\nJust text.\n--\nCarol")
    assert found.text == "Just text.\n--\nCarol"
    assert "A part says it has parts, and has none." in found.problems


def test_a_container_that_never_ends_ends_with_the_one_around_it() -> None:
    found = parsed(
        f"{FROM}Content-Type: multipart/mixed; boundary=o\n\n--o\n"
        "Content-Type: multipart/alternative; boundary=i\n\n--i\n\nPlain\n"
        "--i\nContent-Type: text/html\n\n<p>HTML</p>\n--o\n"
        "Content-Type: text/plain; name=a.txt\n\nTwo"
    )
    assert (found.text, found.html, files(found)) == ("Plain", "<p>HTML</p>", ["a.txt"])
    assert found.attachments[0].content == b"Two"


def test_a_boundary_that_begins_another_is_not_taken_for_it() -> None:
    found = parsed(
        f"{FROM}Content-Type: multipart/mixed; boundary=b\n\n--b\n"
        "Content-Type: multipart/mixed; boundary=b2\n\n--b2\n\nOne\n--b2\n\nTwo\n--b2--\n--b\n\n"
        "Three\n--b--"
    )
    assert found.text == "One\nTwo\nThree"


def test_the_line_break_before_a_boundary_is_none_of_the_file() -> None:
    for end in ("\n", "\r\n"):
        text = FROM + "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
        text += "Content-Type: a/b; name=x\n\n12\n\n--b--\n"
        (file,) = parsed(text.replace("\n", end)).attachments
        assert file.content == f"12{end}".encode()


def test_a_header_that_a_boundary_cuts_off() -> None:
    found = parsed(
        f"{FROM}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain;\n"
        "--b\n\nTwo\n--b--"
    )
    assert found.text == "Two"


def test_a_part_is_read_once_however_many_boundaries_there_are() -> None:
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(40))
    raw = (FROM + nested + "\nword\n" + "--b0x\n" * 400_000).encode()
    began = time.process_time()
    assert parse_email(raw).text.startswith("word")
    assert time.process_time() - began < 10  # a second or two; once for each boundary, a minute


def test_nothing_of_a_mail_but_headers_is_copied() -> None:
    raw = (FROM + "Content-Type: multipart/mixed; boundary=b\n\n" + TWO.format("b")).encode()
    found = read_parts(raw)
    assert [raw[one.start : one.end] for one in found.every[1:]] == [b"One", b"Two"]


# --- Contents ---------------------------------------------------------------------------------


def test_base64_of_all_kinds() -> None:
    assert base64_bytes(b"aGVsbG8") == b"hello"
    assert base64_bytes(b"aGVs\r\n bG8=\r\n") == b"hello"
    assert base64_bytes(b"aGU=\nbGxv\n") == b"hello"  # encoded piece by piece
    assert base64_bytes(b"aGVsbG8gdGhlcmUsIGFsbA==\nb2YgeW91LCBoZWxsbyB0aGVy\n") == (
        b"hello there, allof you, hello ther"
    )
    assert base64_bytes(b"!") == b""


def test_a_text_that_is_not_base64_although_it_says_so() -> None:
    found = parsed(f"{FROM}Content-Transfer-Encoding: base64\n\nThis is plain text, is it not?")
    assert found.text == "This is plain text, is it not?"
    assert "A part is not the base64 it claims to be." in found.problems


def uuencoded(name: str, data: bytes) -> str:
    lines = [binascii.b2a_uu(data[at : at + 45]).decode() for at in range(0, len(data), 45)]
    return f"begin 644 {name}\n{''.join(lines)}`\nend\n"


def test_files_that_are_uuencoded_in_a_text_are_files() -> None:
    data = bytes(range(256))
    text = f"See both:\n\n{uuencoded('a.png', data)}\n{uuencoded('b', b'x')}\nCarol"
    found = parsed(f"{FROM}\n{text}")
    assert found.text.split() == ["See", "both:", "Carol"]
    assert [(one.name, one.type, one.content) for one in found.attachments] == [
        ("a.png", "image/png", data),
        ("b", "application/octet-stream", b"x"),
    ]


def test_what_only_looks_uuencoded_stays_text() -> None:
    text = "begin 644 x\nthis is prose, and it goes on for quite a while before the line ends\nend"
    assert parsed(f"{FROM}\n{text}").text == text
    assert parsed(f"{FROM}\nbegin 644 x\n#86)C\nno end").attachments == ()


def test_lines_that_say_they_hold_more_than_they_do_take_no_memory() -> None:
    head = f"{FROM}Content-Type: a/b; name=x\nContent-Transfer-Encoding: x-uuencode\n\n"
    (file,) = parsed(head + "begin 644 x\n" + "M\n" * 1_000).attachments
    assert file.size < 3_000


@pytest.mark.parametrize(
    ("flowed", "meant"),
    [
        ("delsp=yes", "onetwo\n> quoted\nthree"),
        ("delsp=no", "one two\n> quoted\nthree"),
    ],
)
def test_flowed_text_and_the_blanks_at_its_breaks(flowed: str, meant: str) -> None:
    head = f"{FROM}Content-Type: text/plain; format=flowed; {flowed}\n\n"
    assert parsed(f"{head}one \n two\n> quoted\nthree").text == meant


# --- Names that nobody gave -------------------------------------------------------------------


def part(head: str, content: str = "x") -> str:
    return f"--b\n{head}\n\n{content}\n"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("Content-Type: image/png\nContent-ID: <image001.png@01D>", "image001.png"),
        ("Content-Type: image/png\nContent-ID: <abc@x>", "image.png"),
        ("Content-Type: image/jpg", "image.jpg"),
        ("Content-Type: image/png\nContent-Location: file:///tmp/a%20b/Logo.png", "Logo.png"),
        ("Content-Type: message/delivery-status", "delivery status.txt"),
        (
            "Content-Type: message/delivery-status\nContent-Description: Delivery report",
            "Delivery report.txt",
        ),
        ("Content-Type: message/rfc822\nContent-Description: Returned mail", "Returned mail.eml"),
        ("Content-Type: application/pgp-signature\nContent-Description: A sign", "signature.asc"),
        ("Content-Type: text/calendar", "invite.ics"),
        ("Content-Type: application/pdf\nContent-Description: our ../bill", "our ..-bill.pdf"),
        ("Content-Type: nonsense; name=report.pdf", "report.pdf"),
        ("Content-Type: x/y", "file"),
        (r'Content-Type: x/y; name="C:\TEMP\a.bin"', "a.bin"),
    ],
)
def test_a_file_is_called_by_what_is_said_about_it(head: str, name: str) -> None:
    text = f"{FROM}Content-Type: multipart/mixed; boundary=b\n\n{part('', 'Hi')}{part(head)}--b--"
    assert files(parsed(text)) == [name]


def test_no_two_files_that_nobody_named_are_called_the_same() -> None:
    image = part("Content-Type: image/png")
    text = f"{FROM}Content-Type: multipart/mixed; boundary=b\n\n{image}{image}{image}--b--"
    assert files(parsed(text)) == ["image.png", "image1.png", "image2.png"]


def test_a_type_that_is_none_is_told_by_the_name() -> None:
    text = f"{FROM}Content-Type: multipart/mixed; boundary=b\n\n{part('', 'Hi')}"
    found = parsed(
        text + part("Content-Disposition: attachment; filename=a.pdf\nContent-Type: pdf")
    )
    assert found.attachments[0].type == "application/pdf"


def test_a_page_beside_the_page_of_the_text_is_a_file() -> None:
    page = "Content-Type: text/html"
    text = f"{FROM}Content-Type: multipart/related; boundary=b\n\n"
    found = parsed(f"{text}{part(page, '<p>One')}{part(page, '<p>Two')}--b--")
    assert (found.html, files(found)) == ("<p>One", ["document.html"])
    found = parsed(f"{text}{part('', 'One')}{part(page, '<p>Two')}--b--")
    assert (found.text, found.html, files(found)) == ("One\nTwo", "<p>Two", [])


def test_a_form_of_the_text_that_few_programs_show_is_no_file() -> None:
    text = f"{FROM}Content-Type: multipart/alternative; boundary=b\n\n{part('', 'Hi')}"
    assert (
        parsed(f"{text}{part('Content-Type: text/x-amp-html', '<html amp>')}--b--").attachments
        == ()
    )


def test_an_image_that_the_text_shows_is_inline() -> None:
    image = base64.b64encode(b"png").decode()
    head = "Content-Type: image/png\nContent-ID: < logo@x >\nContent-Transfer-Encoding: base64"
    text = f"{FROM}Content-Type: multipart/related; boundary=b\n\n"
    (file,) = parsed(
        f"{text}{part('Content-Type: text/html', '<img src=cid:logo@x>')}{part(head, image)}--b--"
    ).attachments
    assert (file.inline, file.content_id, file.content) == (True, "logo@x", b"png")
