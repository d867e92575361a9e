"""The small picture of a file, whoever made the file and whatever for."""

from __future__ import annotations

import time
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from attachments import pictures
from attachments.kinds import type_of
from attachments.pictures import Preview, preview_of
from tests.fakes.pictures import (
    deflated,
    halves,
    locked_pdf,
    nested_pdf,
    pdf,
    pdf_of_huge_image,
    picture,
    png,
    saved,
    stream,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)
ORIENTATION, GPS = 0x0112, 0x8825


def drawn(content: bytes) -> Preview | None:
    return preview_of(BytesIO(content), type_of(content))


def seen(content: bytes) -> Image.Image:
    preview = drawn(content)
    assert preview is not None
    image = Image.open(BytesIO(preview.content), formats=["WEBP"])
    assert image.size == (preview.width, preview.height)
    return image


def like(image: Image.Image, x: float, y: float, colour: tuple[int, ...]) -> bool:
    """Is the point at these parts of width and height about this colour?"""
    mode = "RGBA" if len(colour) == 4 else "RGB"
    point = image.convert(mode).getpixel((int(image.width * x), int(image.height * y)))
    assert isinstance(point, tuple)
    return all(abs(got - want) < 40 for got, want in zip(point, colour, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "MPO"])
def test_a_picture_is_made_small_and_keeps_its_shape(kind: str) -> None:
    image = seen(picture(kind, (1280, 640)))
    assert image.size == (640, 320)
    assert like(image, 0.25, 0.5, RED)
    assert like(image, 0.75, 0.5, BLUE)


def test_a_small_picture_stays_as_small_as_it_is() -> None:
    assert seen(picture("PNG", (80, 40))).size == (80, 40)
    assert seen(picture("PNG", (3_000, 1))).size == (640, 1)


@pytest.mark.parametrize(
    ("orientation", "size", "red"),
    [
        (1, (80, 40), (0.2, 0.5)),
        (2, (80, 40), (0.8, 0.5)),
        (3, (80, 40), (0.8, 0.5)),
        (4, (80, 40), (0.2, 0.5)),
        (5, (40, 80), (0.5, 0.2)),
        (6, (40, 80), (0.5, 0.2)),
        (7, (40, 80), (0.5, 0.8)),
        (8, (40, 80), (0.5, 0.8)),
    ],
)
def test_a_photo_stands_upright(
    orientation: int, size: tuple[int, int], red: tuple[float, float]
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = seen(picture("JPEG", exif=exif))
    assert image.size == size
    assert like(image, *red, RED)


def test_where_a_photo_was_taken_stays_with_the_photo() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Kestrel Cameras"
    exif[GPS] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    photo = picture("JPEG", exif=exif, comment=b"a private remark", xmp=b"<x:xmpmeta/>")
    assert b"Kestrel Cameras" in photo
    preview = drawn(photo)
    assert preview is not None
    image = Image.open(BytesIO(preview.content))
    assert dict(image.getexif()) == {}
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)
    for told in (b"Kestrel", b"remark", b"xmpmeta", b"EXIF", b"XMP "):
        assert told not in preview.content


def test_colours_of_every_kind_become_those_of_a_screen() -> None:
    cmyk = halves((80, 40)).convert("CMYK")
    assert like(seen(saved(cmyk, "JPEG")), 0.25, 0.5, RED)
    deep = Image.new("I;16", (40, 40), 0x8000)
    assert like(seen(saved(deep, "PNG")), 0.5, 0.5, (128, 128, 128))
    assert like(seen(saved(Image.new("1", (40, 40), 1), "PNG")), 0.5, 0.5, (255, 255, 255))
    assert like(seen(saved(Image.new("L", (40, 40), 70), "JPEG")), 0.5, 0.5, (70, 70, 70))


def test_a_profile_of_colours_costs_no_picture_whether_it_can_be_read_or_not() -> None:
    screen = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (screen, b"not a profile", screen[:200]):
        assert like(seen(picture("JPEG", icc_profile=profile)), 0.25, 0.5, RED)
    clear = saved(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG", icc_profile=screen)
    assert like(seen(clear), 0.5, 0.5, (0, 0, 0, 0)) or like(seen(clear), 0.5, 0.5, (255, 0, 0, 0))


def test_what_is_transparent_stays_transparent() -> None:
    clear = (0, 0, 0, 0)
    image = Image.new("RGBA", (80, 40), (255, 0, 0, 255))
    image.paste(clear, (40, 0, 80, 40))
    palette = halves((80, 40)).convert("P")
    blue = palette.getpixel((70, 20))
    for content in (
        saved(image, "PNG"),
        saved(image, "WEBP"),
        saved(palette, "PNG", transparency=blue),
        saved(palette, "GIF", transparency=blue),
        saved(halves((80, 40)), "PNG", transparency=BLUE),
        saved(Image.merge("LA", image.split()[::3]), "PNG"),
    ):
        small = seen(content)
        assert like(small, 0.25, 0.5, (*RED, 255)) or like(small, 0.25, 0.5, (255,) * 4)
        point = small.convert("RGBA").getpixel((70, 20))
        assert isinstance(point, tuple)
        assert point[3] == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_what_moves_the_first_frame_is_drawn(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "blue")]
    moving = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert like(seen(moving), 0.5, 0.5, RED)


def test_of_a_pdf_the_first_page_is_drawn() -> None:
    image = seen(pdf())
    assert image.size == (400, 200)
    assert like(image, 0.25, 0.5, RED)
    assert like(image, 0.75, 0.5, (255, 255, 255))


@pytest.mark.parametrize(
    "box", ["0 0 9e9 9e9", "0 0 200000 100000", "0 0 0 0", "0 0 20000 1", "5 5 -5 -5"]
)
def test_a_page_of_any_size_is_a_small_picture(box: str) -> None:
    began = time.monotonic()
    preview = drawn(pdf(box=box))
    assert preview is None or max(preview.width, preview.height) <= 640
    assert time.monotonic() - began < 5


GIF_SCRIPT = b"GIF89a\x2f\x2a\x2f\x2a\0\0\0*/=1;alert(document.domain)//<script>alert(1)</script>"
JPEG = picture("JPEG", (640, 640))
NOTHING = {
    "an empty file": b"",
    "a text": b"Dear all",
    "a script in an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "a script that is a GIF too": GIF_SCRIPT,
    "half a PNG": picture("PNG", (640, 640))[:200],
    "half a JPEG": JPEG[: len(JPEG) // 2],
    "half a GIF": picture("GIF", (640, 640))[:300],
    "half a WebP": picture("WEBP", (640, 640))[:100],
    "half an AVIF": picture("AVIF", (640, 640))[:200],
    "half a PDF": pdf()[:90],
    "a PNG of noise": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
    "a locked PDF": locked_pdf(),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_broken_has_no_picture(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert drawn(NOTHING[name]) is None
    assert caplog.text == ""  # nothing that an operator could mend


def huge_jpeg() -> bytes:
    start = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:start] + b"\xff\xdc\xff\xdc" + JPEG[start + 4 :]


BOMBS = {
    "a PNG that says it is huge": png(2**31 - 1, 2**31 - 1, deflated(1024**2)),
    "a PNG of a gigapixel": png(32_000, 32_000, deflated(64 * 1024**2)),
    "a GIF that says it is huge": b"GIF89a\xff\xff\xff\xff" + picture("GIF")[10:],
    "a JPEG that says it is huge": huge_jpeg(),
    "a WebP of 80 bytes": saved(Image.new("L", (16_000, 16_000)), "WEBP", lossless=True, method=0),
    "a PDF that draws a million forms": nested_pdf(8),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_harms_nobody(name: str) -> None:
    bomb = BOMBS[name]
    assert len(bomb) < 2 * 1024**2
    began = time.monotonic()
    assert drawn(bomb) is None
    assert time.monotonic() - began < pictures.WAIT_SECONDS


def test_of_a_page_with_a_huge_picture_the_rest_is_drawn() -> None:
    assert like(seen(pdf_of_huge_image()), 0.25, 0.5, RED)


def test_a_small_picture_with_too_much_in_it_is_drawn_without_it() -> None:
    image = seen(png(40, 40, deflated(256 * 1024**2)))
    assert image.size == (40, 40)


def test_a_file_that_is_too_large_is_not_even_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SOURCE_MAX_BYTES", 1_000)
    assert drawn(picture("BMP", (80, 40))) is None


def test_a_crash_is_told_to_the_operator_and_is_no_picture(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pictures, "WAIT_SECONDS", 0.001)
    assert drawn(picture()) is None
    assert "No preview of a file of type image/png" in caplog.text


def test_a_pdf_that_holds_a_picture_shows_it() -> None:
    about = "/Type/XObject/Subtype/Form/BBox[0 0 200 100]"
    blue = stream(about, b"0 0 1 rg 100 0 100 100 re f")
    assert like(seen(pdf(objects=(blue,))), 0.75, 0.5, BLUE)
