"""What a file is, by its bytes alone."""

from __future__ import annotations

import pytest

from attachments.kinds import SHOWN, type_of
from attachments.names import safe_name

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "image/jpeg"),
        (b"GIF89a\1\0\1\0\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7\n1 0 obj", "application/pdf"),
        (b"Dear all,\nsee below.", "text/plain"),
        ("Grüße, 你好".encode(), "text/plain"),
        (b"", "text/plain"),
        (b"<!doctype html><script>alert(1)</script>", "text/plain"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "text/plain"),
        (bytes(range(256)), "application/octet-stream"),
    ],
)
def test_the_bytes_tell(content: bytes, kind: str) -> None:
    assert type_of(content) == kind


def test_a_long_text_is_text_wherever_it_is_cut() -> None:
    for offset in range(4):
        assert type_of(b"x" * offset + "ü€😀".encode() * 3_000) == "text/plain"


def test_nothing_that_could_carry_a_script_is_shown() -> None:
    assert not {one for one in SHOWN if one.startswith("text/") or "svg" in one or "xml" in one}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("größe 📎 — 尺寸.png", "größe 📎 — 尺寸.png"),
        ("תמונה.jpg", "תמונה.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ('he said "hi".txt', 'he said "hi".txt'),
        ("archive.tar.gz", "archive.tar.gz"),
        ("CON", "CON"),
        ("nul\0l.txt", "null.txt"),
        ("two\r\nlines.txt", "two lines.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("", "file"),
        ("..", "file"),
        ("  \t ", "file"),
        ("a/", "file"),
    ],
)
def test_names_of_real_life_survive(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_long_name_keeps_its_ending() -> None:
    name = safe_name("ä" * 400 + ".docx")
    assert len(name) == 255
    assert name.endswith("ä.docx")
