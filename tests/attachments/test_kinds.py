"""What a file is, by its bytes alone."""

from __future__ import annotations

import gzip
import struct
import wave
import zipfile
from io import BytesIO

import pytest

from attachments.kinds import AUDIO, BRANDS, IMAGES, SHOWN, SIGNATURES, VIDEO, kind_of, type_of
from attachments.names import safe_name

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
SCRIPT = b"<html><script>alert(document.domain)</script>"
OFFICE = "application/vnd.openxmlformats-officedocument"
OPEN = "application/vnd.oasis.opendocument"


def zipped(*names: str, mimetype: str = "") -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr(zipfile.ZipInfo("mimetype"), mimetype)
        for name in names:
            archive.writestr(name, "<?xml version='1.0'?>" + name * 50)
    return out.getvalue()


def office(*names: str) -> bytes:
    return zipped("[Content_Types].xml", "_rels/.rels", "docProps/app.xml", *names)


def boxes(*brands: bytes) -> bytes:
    """How files of the MP4 family begin."""
    about = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(about)) + b"ftyp" + about + b"\0\0\0\x08free" + bytes(99)


def ogg(stream: bytes) -> bytes:
    return b"OggS\0\2" + bytes(20) + b"\1\x1e" + stream + bytes(40)


def matroska(name: bytes) -> bytes:
    start = b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\1\x42\xf7\x81\1\x42\xf2\x81\4\x42\xf3\x81\x08"
    return start + b"\x42\x82" + bytes([0x80 + len(name)]) + name + bytes(60)


def ole(stream: str = "") -> bytes:
    start = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b"\x3e\0\3\0\xfe\xff\x09\0"
    return start + bytes(480) + stream.encode("utf-16-le") + bytes(60)


def sound() -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(200))
    return out.getvalue()


PROGRAM = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0" + bytes(112) + b"PE\0\0L\1" + bytes(90)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        # pictures
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "image/jpeg"),
        (b"\xff\xd8\xff\xdb\0\x43" + bytes(60), "image/jpeg"),
        (b"GIF89a\1\0\1\0\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0" + bytes(30), "image/bmp"),
        (boxes(b"avif", b"mif1", b"miaf"), "image/avif"),
        (boxes(b"mif1", b"avif", b"miaf"), "image/avif"),
        (boxes(b"heic", b"mif1", b"heic"), "image/heic"),
        (boxes(b"mif1", b"mif1", b"heic"), "image/heic"),
        (b"II*\0\x08\0\0\0" + bytes(60), "image/tiff"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "image/jp2"),
        # sound and film
        (boxes(b"isom", b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
        (boxes(b"mp42", b"isom"), "video/mp4"),
        (boxes(b"iso5", b"dash"), "video/mp4"),
        (boxes(b"what", b"isom"), "video/mp4"),
        (boxes(b"qt  ", b"qt  "), "video/quicktime"),
        (b"\0\0\0\x08wide\0\0\1\0mdat" + bytes(60), "video/quicktime"),
        (boxes(b"3gp4", b"isom"), "video/3gpp"),
        (boxes(b"M4A ", b"mp42", b"isom"), "audio/mp4"),
        (matroska(b"webm"), "video/webm"),
        (matroska(b"matroska"), "video/x-matroska"),
        (ogg(b"\x80theora"), "video/ogg"),
        (ogg(b"\x01vorbis"), "audio/ogg"),
        (ogg(b"OpusHead"), "audio/ogg"),
        (sound(), "audio/wav"),
        (b"ID3\3\0\0\0\0\0\x0aTIT2" + bytes(60), "audio/mpeg"),
        (b"\xff\xfb\x90\x64" + bytes(60), "audio/mpeg"),
        (b"\xff\xf3\x40\xc4" + bytes(60), "audio/mpeg"),
        (b"\xff\xf1\x50\x80" + bytes(60), "audio/aac"),
        (b"fLaC\0\0\0\x22" + bytes(60), "audio/flac"),
        (b"RIFF\x24\0\0\0AVI LIST" + bytes(60), "video/x-msvideo"),
        # documents
        (b"%PDF-1.7\n1 0 obj", "application/pdf"),
        (b"\xef\xbb\xbf\r\n%PDF-1.4\n%\xe2\xe3", "application/pdf"),
        (office("word/document.xml"), f"{OFFICE}.wordprocessingml.document"),
        (office("xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet"),
        (office("ppt/presentation.xml"), f"{OFFICE}.presentationml.presentation"),
        (zipped("content.xml", mimetype=f"{OPEN}.text"), f"{OPEN}.text"),
        (zipped("content.xml", mimetype=f"{OPEN}.spreadsheet"), f"{OPEN}.spreadsheet"),
        (zipped("a.xhtml", mimetype="application/epub+zip"), "application/epub+zip"),
        (ole("WordDocument"), "application/msword"),
        (ole("Workbook"), "application/vnd.ms-excel"),
        (ole("__substg1.0_0037001F"), "application/vnd.ms-outlook"),
        (ole(), "application/x-ole-storage"),
        (b"{\\rtf1\\ansi Hello}", "application/rtf"),
        (b"{\\rtf1\\ansi \xe4}", "application/rtf"),
        (b"\x78\x9f\x3e\x22" + bytes(60), "application/ms-tnef"),
        # archives
        (zipped("word.docx", "xl.txt", "photo.jpg"), "application/zip"),
        (zipped(), "application/zip"),
        (zipped("page.html", mimetype="text/html"), "application/zip"),
        (gzip.compress(b"a", mtime=0), "application/gzip"),
        (b"Rar!\x1a\7\0" + bytes(60), "application/vnd.rar"),
        (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(60), "application/x-7z-compressed"),
        # programs
        (PROGRAM, "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\2\1\1" + bytes(60), "application/x-elf"),
        (b"\xcf\xfa\xed\xfe\7\0\0\1" + bytes(60), "application/x-mach-binary"),
        (zipped("META-INF/MANIFEST.MF", "A.class"), "application/java-archive"),
        (zipped("AndroidManifest.xml"), "application/vnd.android.package-archive"),
        # what people read, and browsers must not run
        (b"Dear all,\nsee below.", "text/plain"),
        ("Grüße, 你好".encode(), "text/plain"),
        ("Schöne Grüße; 12,50 €\r\n".encode("cp1252"), "text/plain"),
        ("Dear all,\r\nsee below.".encode("utf-16"), "text/plain"),
        (b"", "text/plain"),
        (b"Received: from a\r\nFrom: a@b.example\r\n\r\nSch\xf6n", "text/plain"),
        (b"<!doctype html><script>alert(1)</script>", "text/plain"),
        (b"<!doctype html>\xe4" + SCRIPT, "text/plain"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "text/plain"),
        (b"MZ, said the text", "text/plain"),
        (b"BMW, said the text", "text/plain"),
        # two things at once
        (b"GIF89a/*" + SCRIPT + b"*/=1;", "image/gif"),
        (b"GIF89a\x2f\x2a\0\0\0" + SCRIPT, "image/gif"),
        (SCRIPT + PNG, "text/html"),
        (bytes(range(256)), "application/octet-stream"),
    ],
)
def test_the_bytes_tell(content: bytes, media_type: str) -> None:
    assert type_of(content) == media_type


def test_what_is_shown_is_known_by_its_first_bytes() -> None:
    """Whatever else the sniffing library takes for a picture or a film is only downloaded."""
    assert {media_type for media_type, _begins in (*SIGNATURES, *BRANDS)} >= SHOWN


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        *((one, "image") for one in sorted(IMAGES)),
        *((one, "audio") for one in sorted(AUDIO)),
        *((one, "video") for one in sorted(VIDEO)),
        ("application/pdf", "pdf"),
        ("text/plain", "text"),
        ("text/html", "other"),
        ("image/svg+xml", "other"),
        ("image/heic", "other"),
        ("application/octet-stream", "other"),
        ("", "other"),
    ],
)
def test_pages_present_what_a_browser_can_show(media_type: str, kind: str) -> None:
    assert kind_of(media_type) == kind
    assert kind in {"text", "other"} or media_type in SHOWN


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
