"""Pictures and PDFs as cameras, offices and attackers make them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (80, 40), **options: Any) -> bytes:
    """The left half is red, the right half blue."""
    return saved(halves(size), kind, **options)


def halves(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A PNG (8-bit grey) that says it is this large, whatever `pixels` (deflated) hold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def deflated(size_bytes: int) -> bytes:
    """So many zeros, packed a thousand to one."""
    packer = zlib.compressobj(9)
    megabyte = bytes(1024 * 1024)
    pieces = [packer.compress(megabyte) for _ in range(size_bytes // len(megabyte))]
    return b"".join(pieces) + packer.flush()


def pdf(*, box: str = "0 0 200 100", objects: tuple[bytes, ...] = (), trailer: str = "") -> bytes:
    """One page whose left half is red; it draws /X, the first of `objects` (number 5)."""
    draw = stream("", b"1 0 0 rg 0 0 100 100 re f /X Do")
    page = f"<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents 4 0 R"
    page += "/Resources<</XObject<</X 5 0 R>>>>>>"
    fixed = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page.encode(),
        draw,
    )
    made, starts = b"%PDF-1.7\n", []
    for number, content in enumerate(fixed + objects, 1):
        starts.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = f"xref\n0 {len(starts) + 1}\n0000000000 65535 f \n"
    table += "".join(f"{start:010} 00000 n \n" for start in starts)
    end = f"trailer<</Root 1 0 R/Size {len(starts) + 1}{trailer}>>\nstartxref\n{len(made)}\n%%EOF\n"
    return made + table.encode() + end.encode()


def stream(about: str, content: bytes) -> bytes:
    return f"<<{about}/Length {len(content)}>>stream\n".encode() + content + b"\nendstream"


def locked_pdf() -> bytes:
    """A PDF that opens with a password (the entries of it are of a password nobody knows)."""
    secret = "<" + "5a" * 32 + ">"
    locked = f"/Encrypt<</Filter/Standard/V 1/R 2/O{secret}/U{secret}/P -4>>/ID[<00><00>]"
    return pdf(trailer=locked)


def nested_pdf(levels: int) -> bytes:
    """A form that draws ten forms that each draw ten forms …"""
    about = "/Type/XObject/Subtype/Form/BBox[0 0 500 500]/Resources<</XObject<</F %d 0 R>>>>"
    forms = [stream(about % (6 + level), b"/F Do " * 10) for level in range(levels)]
    return pdf(objects=(*forms, stream(about % 1, b"0 0 9 9 re f")))


def pdf_of_huge_image() -> bytes:
    """A page with an image of 60,000 × 60,000 points, packed twice into nearly nothing."""
    about = "/Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/DeviceRGB"
    about += "/BitsPerComponent 8/Filter[/FlateDecode/FlateDecode]"
    return pdf(objects=(stream(about, zlib.compress(deflated(256 * 1024**2), 9)),))
