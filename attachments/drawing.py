"""Draws the small picture of one file: a program of its own, started by attachments.pictures.

What is drawn comes from strangers and is taken apart by libraries in C. Here it can eat no more
than this process may have, and a crash ends this process only.

The file is its standard input, the media type its argument. It writes width and height (two
bytes each, big-endian) and a WebP, or nothing where there is nothing to draw. It imports nothing
of ours, so that it runs within hundredths of a second and knows no secret.
"""

from __future__ import annotations

import resource
import struct
import sys
import warnings
from io import BytesIO
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, ImageCms, ImageOps

SIDE_MAX = 640  # pixels
# What the best phones take is 50 megapixels. Measured at that size: 0.2 to 0.6 GB and 0.2 to 3 s,
# of WebP and AVIF 0.9 GB.
PIXELS_MAX = 50_000_000
MEMORY_MAX_BYTES = 1024**3
CPU_MAX_SECONDS = 8
QUALITY = 80
PDF = "application/pdf"
# Only the reader of the sniffed type is asked, whatever else the file could be taken for. No TIFF,
# EPS or SVG: what reads them is large and old, and no browser shows the first two.
FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
}
PDF_SCALE_MAX = 2.0  # pixels a point: a stamp is not drawn as large as a poster
HEAD = struct.Struct(">HH")


def main(kind: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_MAX_SECONDS, CPU_MAX_SECONDS))
    if sys.platform == "linux":  # macOS knows this limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    file = sys.stdin.buffer
    try:
        drawn = _page(file) if kind == PDF else _picture(file, FORMATS[kind])
        out = BytesIO()
        drawn.save(out, "WEBP", quality=QUALITY)
    except Exception:  # noqa: BLE001  (readers raise nearly anything over a broken file)
        return
    sys.stdout.buffer.write(HEAD.pack(*drawn.size) + out.getvalue())


def _picture(file: BinaryIO, name: str) -> Image.Image:
    """The first frame as it was meant to be seen. Nothing that is told about it comes along."""
    warnings.simplefilter("ignore")  # oddities of what is told about it
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # more would each take memory that is counted here
    Image.MAX_IMAGE_PIXELS = PIXELS_MAX  # for what the readers look at before and after us
    image: Image.Image = Image.open(file, formats=[name])
    if image.width * image.height > PIXELS_MAX:
        raise ValueError
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in {"1", "P"}:  # these cannot be made smaller as they are
        image = image.convert("RGB")
    image.thumbnail((SIDE_MAX, SIDE_MAX))
    if image.mode == "I;16":  # `convert` would make white of all that is not nearly black
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    profile = image.info.get("icc_profile")
    if profile:
        image = _in_srgb(image, profile)
    if image.mode != "RGBA":
        image = image.convert("RGB")
    return ImageOps.exif_transpose(image)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The colours as the camera's or the printer's profile means them, where it can be read."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        meant = ImageCms.profileToProfile(
            image, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return meant or image


def _page(file: BinaryIO) -> Image.Image:
    """The first page. Raises an error of pdfium for what is broken, or opens with a password."""
    import pypdfium2

    page = pypdfium2.PdfDocument(file)[0]
    scale = min(SIDE_MAX / max(page.get_size()), PDF_SCALE_MAX)
    drawn: Image.Image = page.render(scale=scale).to_pil()
    return drawn


if __name__ == "__main__":
    main(sys.argv[1])
