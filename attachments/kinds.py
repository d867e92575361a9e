"""What kind of file some bytes are, and whether a browser may show them on our pages."""

from __future__ import annotations

import re
from typing import Literal

import puremagic

SNIFFED_BYTES = 8_192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
PDF = "application/pdf"

# Shown in the browser under their own type. Everything else is only ever downloaded: HTML and SVG
# can carry scripts, and nobody knows what the next format can carry.
IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"}
)
AUDIO = frozenset({"audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/flac", "audio/aac"})
VIDEO = frozenset({"video/mp4", "video/webm", "video/ogg", "video/quicktime"})
SHOWN = IMAGES | AUDIO | VIDEO | {PDF}
# What the small pictures are that we make of files.
PREVIEW = "image/webp"

Kind = Literal["image", "video", "audio", "pdf", "text", "other"]

ZIP = "application/zip"
OLE = "application/x-ole-storage"  # Office before 2007, and Outlook's messages
HEIC = "image/heic"
# How files begin. Whatever is shown is known here and nowhere else; the rest of this table is what
# puremagic takes for something else or for nothing.
SIGNATURES = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("image/png", rb"\x89PNG\r\n\x1a\n"),
        ("image/jpeg", rb"\xff\xd8\xff"),
        ("image/gif", rb"GIF8[79]a"),
        ("image/webp", rb"RIFF....WEBP"),
        ("image/bmp", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
        ("audio/wav", rb"(?:RIFF|RF64)....WAVE"),
        ("audio/flac", rb"fLaC\0"),
        ("audio/ogg", rb"OggS.{24}(?:\x01vorbis|OpusHead|\x7fFLAC|Speex   )"),
        ("video/ogg", rb"OggS.{24}\x80theora"),
        ("audio/mpeg", rb"ID3[\x02-\x04]\0"),
        ("audio/mpeg", rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]"),  # layer III without a tag
        ("audio/aac", rb"\xff[\xf0\xf1\xf8\xf9][\x40-\x7f]"),
        ("video/webm", rb"\x1a\x45\xdf\xa3.{1,40}?\x42\x82.webm"),
        ("video/x-matroska", rb"\x1a\x45\xdf\xa3.{1,40}?\x42\x82.matroska"),
        ("video/quicktime", rb"\0...(?:moov|mdat|wide|pnot)"),  # before files named their brand
        ("video/x-msvideo", rb"RIFF....AVI "),
        (PDF, rb"(?:\xef\xbb\xbf)?\s{0,1000}%PDF-"),
        ("application/rtf", rb"\{\\rtf"),
        ("application/vnd.microsoft.portable-executable", rb"MZ.{0,62}?\0"),
        ("application/x-elf", rb"\x7fELF"),
        ("application/x-mach-binary", rb"[\xce\xcf]\xfa\xed\xfe"),
        ("application/gzip", rb"\x1f\x8b\x08"),
        ("application/vnd.rar", rb"Rar!\x1a\x07"),
        ("application/ms-tnef", rb"\x78\x9f\x3e\x22"),
        (ZIP, rb"PK(?:\x03\x04|\x05\x06)"),
        (OLE, rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    )
)

# ISO 14496-12: the first brand is the file's own, the others say who else can read it.
FTYP = re.compile(rb"\0...ftyp(....)....((?:....)*)", re.DOTALL)
BRANDS = (
    ("image/avif", re.compile(rb"avi[fs]")),
    (HEIC, re.compile(rb"he[iv][cmsx]")),
    ("video/quicktime", re.compile(rb"qt  ")),
    ("audio/mp4", re.compile(rb"(?:M4[AB]|F4[AB]) ")),
    ("video/3gpp", re.compile(rb"3g[eghprst]\d")),
    ("video/3gpp2", re.compile(rb"3g2.")),
    ("video/mp4", re.compile(rb"iso\w|mp4\d|avc1|dash|(?:M4V|F4V) |MSNV|hvc1|XAVC|cmf[2cv]")),
)

# The names in a ZIP, and what it is if one of them is there.
ENTRY = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
ENTRIES = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (b"AndroidManifest.xml", "application/vnd.android.package-archive"),
    (b"META-INF/MANIFEST.MF", "application/java-archive"),
)
# OpenDocument and EPUB write their type into the first entry, not deflated.
NAMED = re.compile(
    rb"PK\x03\x04.{26}mimetype(application/(?:vnd\.oasis\.[a-z.-]+|epub\+zip))", re.DOTALL
)
STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__substg1.0_", "application/vnd.ms-outlook"),
)
CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def type_of(content: bytes) -> str:
    """The media type of a file, read from its first SNIFFED_BYTES bytes; its name and what was
    said of it count for nothing. What is readable is text/plain, whatever it is written in and in
    whichever charset, HTML and SVG included."""
    head = content[:SNIFFED_BYTES]
    kind = next((kind for kind, begins in SIGNATURES if begins.match(head)), "")
    if kind == ZIP:
        return _in_zip(head)
    if kind == OLE:
        return _in_ole(head)
    if kind := kind or _of_brand(head):
        return kind
    if not CONTROLS.search(head):
        return TEXT
    try:
        found = [one.mime_type.lower() for one in puremagic.magic_string(head)]
    except (puremagic.PureError, ValueError, IndexError):
        return UNKNOWN
    return next((one for one in found if one and one not in SHOWN), UNKNOWN)


def kind_of(media_type: str) -> Kind:
    """How pages present a file of this type: what a browser cannot show on them is "other"."""
    if media_type in IMAGES:
        return "image"
    if media_type in VIDEO:
        return "video"
    if media_type in AUDIO:
        return "audio"
    if media_type == PDF:
        return "pdf"
    return "text" if media_type == TEXT else "other"


def _of_brand(head: bytes) -> str:
    box = FTYP.match(head)
    if box is None:
        return ""
    own, others = box[1], box[2][: max(0, int.from_bytes(head[:4]) - 16)]
    for brand in (own, *(others[at : at + 4] for at in range(0, len(others), 4))):
        for kind, names in BRANDS:
            if names.fullmatch(brand):
                return kind
    return ""


def _in_zip(head: bytes) -> str:
    if named := NAMED.match(head):
        return named[1].decode()
    names = [
        head[entry.end() : entry.end() + int.from_bytes(entry[1], "little")]
        for entry in ENTRY.finditer(head)
    ]
    return next((kind for begin, kind in ENTRIES if any(n.startswith(begin) for n in names)), ZIP)


def _in_ole(head: bytes) -> str:
    """Which program wrote it is told by its directory, which lies anywhere in the file."""
    return next((kind for name, kind in STREAMS if name.encode("utf-16-le") in head), OLE)
