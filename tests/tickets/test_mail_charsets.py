"""Bytes to text: what senders claim, what they mean, and what they do not say at all."""

from __future__ import annotations

import base64
import time

import pytest

from tickets.mail.charsets import codec_of, to_text
from tickets.mail.guess import guessed
from tickets.mail.headers import decoded
from tickets.mail.parse import parse_email

HELLO = {
    "zh": "您好，我的订单什么时候到？",
    "tw": "您好，我的訂單什麼時候到？",
    "ja": "こんにちは、注文はいつ届きますか？",
    "ko": "안녕하세요, 제 주문은 언제 도착하나요?",
    "ru": "Добрый день, когда придёт мой заказ?",
    "uk": "Доброго дня, коли прийде моє замовлення? Її немає.",
    "pl": "Dzień dobry, gdzie jest moje zamówienie? Dziękuję.",
    "el": "Καλημέρα, πότε θα έρθει η παραγγελία μου;",
    "he": "שלום, מתי תגיע ההזמנה שלי? תודה",
    "ar": "مرحبا، متى سيصل طلبي؟ شكرا جزيلا",
    "th": "สวัสดีครับ คำสั่งซื้อของฉันจะมาถึงเมื่อไร",
    "tr": "Merhaba, siparişim nerede? Teşekkürler, iyi günler.",
    "de": "Schöne Grüße, “später” – 5 €",
}


def mail(charset: str, data: bytes, encoding: str = "8bit") -> bytes:
    head = f"From: a@b.example\nContent-Type: text/plain; charset={charset}\n"
    return f"{head}Content-Transfer-Encoding: {encoding}\n\n".encode() + data


@pytest.mark.parametrize(
    ("charset", "codec", "language"),
    [
        ("utf-8", "utf-8", "zh"),
        ("gb2312", "gb18030", "zh"),
        ("GB18030", "gb18030", "zh"),
        ("hz-gb-2312", "hz", "zh"),
        ("big5", "cp950", "tw"),
        ("Big5-HKSCS", "big5hkscs", "tw"),
        ("iso-2022-jp", "iso2022_jp", "ja"),
        ("shift_jis", "cp932", "ja"),
        ("x-sjis", "cp932", "ja"),
        ("euc-jp", "euc_jp", "ja"),
        ("iso-2022-kr", "iso2022_kr", "ko"),
        ("euc-kr", "cp949", "ko"),
        ("ks_c_5601-1987", "cp949", "ko"),
        ("koi8-r", "koi8_r", "ru"),
        ("koi8-u", "koi8_u", "uk"),
        ("windows-1250", "cp1250", "pl"),
        ("windows-1251", "cp1251", "ru"),
        ("cp-1251", "cp1251", "ru"),
        ("windows-1253", "cp1253", "el"),
        ("windows-1254", "cp1254", "tr"),
        ("windows-1255", "cp1255", "he"),
        ("windows-1256", "cp1256", "ar"),
        ("windows-874", "cp874", "th"),
        ("iso-8859-1", "cp1252", "de"),
        ("iso-8859-2", "iso8859_2", "pl"),
        ("iso-8859-8-i", "cp1255", "he"),
        ("utf-7", "utf-7", "el"),
        ("unicode-1-1-utf-7", "utf-7", "de"),
        ("utf-16", "utf-16", "ru"),
        ("utf-16", "utf-16-be", "ru"),
        ("utf-16le", "utf-16-le", "de"),
    ],
)
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_text_in_the_charset_it_names(
    charset: str, codec: str, language: str, encoding: str
) -> None:
    data = HELLO[language].encode(codec)
    if encoding == "base64":
        data = base64.encodebytes(data)
    found = parse_email(mail(charset, data, encoding))
    assert found.text == HELLO[language]
    assert not [one for one in found.problems if "charset" in one]


@pytest.mark.parametrize(
    ("codec", "language"),
    [
        ("gb18030", "zh"),
        ("cp950", "tw"),
        ("cp932", "ja"),
        ("euc_jp", "ja"),
        ("iso2022_jp", "ja"),
        ("iso2022_kr", "ko"),
        ("cp949", "ko"),
        ("cp1251", "ru"),
        ("koi8_r", "ru"),
        ("koi8_u", "uk"),
        ("cp1253", "el"),
        ("cp1255", "he"),
        ("cp1256", "ar"),
        ("cp874", "th"),
        ("cp1252", "de"),
        ("utf-16", "ru"),
        ("utf-8", "ru"),
    ],
)
@pytest.mark.parametrize("charset", ["us-ascii", "x-unknown", "unknown-8bit", "no-such-thing"])
def test_text_in_a_charset_that_it_does_not_name(charset: str, codec: str, language: str) -> None:
    assert to_text(HELLO[language].encode(codec), charset)[0].lstrip("\ufeff") == HELLO[language]


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("gb18030", "转发：会议通知"),
        ("gb18030", "发票"),
        ("cp932", "ツール"),
        ("cp949", "회의 안내"),
        ("cp1251", "Привет"),
        ("koi8_r", "Привет"),
        ("cp1252", "Grüße"),
        ("cp1252", "Hélène"),
        ("cp1252", "It’s “fine”"),
    ],
)
def test_a_few_words_are_enough(codec: str, words: str) -> None:
    assert guessed(words.encode(codec)) == words
    subject = b"Subject: Re: " + words.encode(codec) + b"\n\nHello\n"
    assert parse_email(subject).subject == f"Re: {words}"


def test_what_the_text_below_claims_is_not_believed_of_words_it_cannot_be() -> None:
    head = b"From: a@b.example\nSubject: " + "会议通知，请确认".encode("gb18030")
    found = parse_email(head + b"\nContent-Type: text/plain; charset=iso-8859-1\n\nHello\n")
    assert found.subject == "会议通知，请确认"


@pytest.mark.parametrize(
    ("charset", "codec", "language"),
    [
        ("utf-8", "cp1252", "de"),
        ("utf-8", "cp1251", "ru"),
        ("us-ascii", "utf-8", "zh"),
        ("iso-2022-jp", "cp932", "ja"),
        ("iso-2022-kr", "cp949", "ko"),
        ("utf-16", "ascii", "en"),
        ("gb2312", "utf-8", "zh"),
    ],
)
def test_a_wrong_label_is_named_and_seen_through(charset: str, codec: str, language: str) -> None:
    words = HELLO.get(language, "Hello, all of this is ASCII.")
    text, problem = to_text(words.encode(codec), charset)
    assert text == words
    assert charset == "us-ascii" or charset in problem


def test_labels_that_are_written_twice_or_in_other_ways() -> None:
    assert codec_of("charset=utf-8") == "utf_8"
    assert codec_of(" 'UTF8' ") == "utf_8"
    assert codec_of("x-windows-1251") == codec_of("win1251") == codec_of("CP-1251") == "cp1251"
    assert codec_of("iso8859_2") == codec_of("ISO-8859-2:1987") == "iso8859_2"
    assert codec_of("x-unknown") == codec_of("") == codec_of("klingon") == ""


def test_a_stray_byte_costs_nothing_but_itself() -> None:
    mixed = "Größe und ".encode() + "Länge".encode("cp1252") + " – später".encode()
    assert to_text(mixed, "utf-8")[0] == "Größe und Länge – später"
    assert to_text(mixed, "")[0] == "Größe und Länge – später"


def test_signs_that_programs_write_into_a_charset_that_has_none_such() -> None:
    data = b"\x1b$B-!-j\x1b(B"  # a 1 in a circle and a bracketed sign, of row 13
    assert to_text(data, "iso-2022-jp") == ("①㈱", "")


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "hex", "rot13", "mbcs"])
def test_what_is_no_charset_is_not_decoded_with(charset: str) -> None:
    assert codec_of(charset) == ""
    assert to_text(b"abc-", charset)[0] == "abc-"
    began = time.process_time()
    to_text(b"a-b9c" * 200_000, charset)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("value", "charset", "meant"),
    [
        ("=?iso-8859-1?Q?Fr\udcf6sche?=", "", "Frösche"),  # bytes within a word
        ("\x1b$B$3$s\x1b(B", "", "こん"),
        ("Fr+APY-sche", "utf-7", "Frösche"),
        ("Fr+APY-sche", "utf-8", "Fr+APY-sche"),
        ("call +49-30", "utf-7", "call +49-30"),
        ("=?iso-2022-jp?B?g2OBW4OL?=", "", "ツール"),  # Shift JIS
        ("=?utf-8?Q?Really??= =?utf-8?Q?_yes?=", "", "Really? yes"),
        ("=?utf-8?Q?two words?=", "", "two words"),
        ("=?utf-8?q?a?= =?us-ascii?q??=\r\n =?utf-8?q?b?=", "", "ab"),
        ("=?utf-8?b?R3LDvMOfZQ?=", "", "Grüße"),  # without its padding
        ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "", "Grüße"),
        ("=?utf-8?q?never ends", "", "=?utf-8?q?never ends"),
        ("=?utf-8?q?open =?utf-8?q?=C3=A4?=", "", "=?utf-8?q?open ä"),
    ],
)
def test_words_in_headers(value: str, charset: str, meant: str) -> None:
    assert decoded(value, charset) == meant
