"""An inbox's accent colour as the widget uses it: legible whatever was chosen (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

CONTRAST_MIN = 4.5
# What words in the accent colour stand on: the panel, and what is pressed or said there.
LIGHT, DARK = "#e9eaee", "#25282d"
WHITE, BLACK = "#ffffff", "#000000"

Rgb = tuple[int, int, int]


def palette(accent: str) -> dict[str, str]:
    """CSS variables for an accent such as "#3a50d5"; none for the colour that we come with.

    On the accent stands black or white, one of which always has enough contrast. Words in the
    accent colour are made darker on light ground, and lighter on dark, until they have it.
    """
    if not accent:
        return {}
    on = WHITE if contrast(accent, WHITE) >= CONTRAST_MIN else BLACK
    text = f"light-dark({toward(accent, BLACK, LIGHT)},{toward(accent, WHITE, DARK)})"
    return {"--accent": accent, "--on": on, "--accent-text": text}


def contrast(one: str, other: str) -> float:
    """From 1 to 21, as WCAG defines it."""
    lighter, darker = sorted((_luminance(_rgb(one)), _luminance(_rgb(other))), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def toward(colour: str, end: str, ground: str) -> str:
    """The colour nearest to `colour` on the way to `end` that is legible on `ground`."""
    for step in range(21):
        mixed = _mixed(_rgb(colour), _rgb(end), step / 20)
        if contrast(mixed, ground) >= CONTRAST_MIN:
            return mixed
    return end


def _mixed(one: Rgb, other: Rgb, share: float) -> str:
    parts = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


def _rgb(colour: str) -> Rgb:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _luminance(colour: Rgb) -> float:
    shares = (part / 255 for part in colour)
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
