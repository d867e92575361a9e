"""Bytes to text, whatever the sender claimed about them. Pure, linear, never raises."""

from __future__ import annotations

import codecs
import re
import unicodedata
from encodings.aliases import aliases
from functools import lru_cache

from helpdesk.lib.text import clean
from tickets.mail.guess import guessed

# What senders write, and the codec that reads what they mean. Latin-1 is read as Windows-1252, and
# the national sets as the larger ones of Windows, as browsers do:
# https://encoding.spec.whatwg.org/#names-and-labels
MEANT = {
    "iso8859_1": "cp1252",
    "latin1": "cp1252",
    "latin_1": "cp1252",
    "ansi": "cp1252",
    "iso8859_8_i": "iso8859_8",
    "iso8859_8_e": "iso8859_8",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis620": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "gb_2312_80": "gb18030",
    "gb2312_80": "gb18030",
    "euc_cn": "gb18030",
    "hz_gb_2312": "hz",
    "ks_c_5601_1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "euc_kr": "cp949",
    "korean": "cp949",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "ms_kanji": "cp932",
    "windows_31j": "cp932",
    "iso_2022_jp": "iso2022_jp_ext",
    "iso_2022_jp_1": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "big5": "cp950",
    "big5_eten": "cp950",
    "koi8": "koi8_r",
    "koi8_ru": "koi8_u",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "unicode": "utf_16",
    "utf8mb4": "utf_8",
    "utf8mb3": "utf_8",
    "mac": "mac_roman",
    "macintosh": "mac_roman",
}
MEANT |= {f"cp{page}": f"iso8859_{page - 28590}" for page in range(28591, 28606)}
# Codecs of Python that are none of text, or take quadratic time (punycode, idna).
NOT_TEXT = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
    | {"tactis", "mbcs"}
)
KNOWN = frozenset(aliases.values()) - NOT_TEXT | {"cp874", "koi8_u", "cp720", "utf_8_sig"}
# Where a text is not in the charset it names, it may be in a relative of it.
RELATIVES = {
    "iso2022_jp_ext": ("cp932", "euc_jp"),
    "cp932": ("euc_jp",),
    "euc_jp": ("cp932",),
    "iso2022_kr": ("cp949",),
    "cp950": ("big5hkscs", "gb18030"),
    "gb18030": ("cp950",),
    "hz": ("gb18030",),
}
# They write other letters as ASCII: a text may be in one of them and show nothing but ASCII.
SEVEN_BITS = frozenset({"utf_7", "hz", "iso2022_jp_ext", "iso2022_kr"})
WIDE = frozenset({"utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"})
SAYS_NOTHING = frozenset(
    {"", "ascii", "us_ascii", "ansi_x3_4_1968", "unknown_8bit", "x_unknown", "unknown", "8bit"}
    | {"7bit", "binary", "none", "null", "default", "x_user_defined", "user_defined", "utf"}
)
# Where a byte below 128 is never part of another letter: what is done to text can be done to bytes.
LIKE_ASCII = frozenset(
    {"", "utf_8", "koi8_r", "koi8_u"}
    | {f"cp{page}" for page in range(1250, 1259)}
    | {f"iso8859_{part}" for part in range(1, 17)}
)
CONTROLS = bytes({*range(32), 127} - set(b"\t\n\r"))
ESCAPE = b"\x1b$"  # how ISO 2022 turns to Japanese, Chinese and Korean
NUMBERED = re.compile(r"^(?:windows|win|microsoft|ms|ibm|cp|dos)_?(\d{3,5})$")
ISO = re.compile(r"^iso_?8859_?(\d{1,2})(_[ie]|)(?:_\d{4})?$")
LABEL_MAX_CHARS = 60
GUESSED_BYTES = 20_000


@lru_cache(maxsize=256)
def codec_of(label: str) -> str:
    """Python's codec for what a sender calls a charset; "" where it says or means nothing."""
    key = _key(label)
    if key in SAYS_NOTHING:
        return ""
    for name in (key, key.removeprefix("x_"), key.removeprefix("cs")):
        name = NUMBERED.sub(r"cp\1", ISO.sub(r"iso8859_\1\2", name))
        codec = MEANT.get(name) or aliases.get(name, name)
        codec = MEANT.get(codec, codec)
        if codec in KNOWN:
            return codec
    return ""


def to_text(data: bytes, charset: str = "", *, unmarked: str = "") -> tuple[str, str]:
    """Decode `data` by the charset it claims; return the text and what was odd ("" if nothing).

    Where the claim is absent, unknown or wrong, these are tried: UTF-8, relatives of what it
    claims, `unmarked` (what the sender uses elsewhere), a guess, Windows-1252.
    """
    codec = codec_of(charset) if charset else ""
    if codec and (text := _claimed(data, codec)) is not None:
        return text, ""
    text = _unclaimed(data, codec, codec_of(unmarked) if unmarked else "")
    name = charset.strip(" \t\r\n\"'<>").lower()[:LABEL_MAX_CHARS]
    if codec or (name and not _says_nothing(name)):
        return text, f"The text is not in the charset it names ({name})."
    if data.isascii():
        return text, ""
    return text, "" if _is_utf8(data) else "The text does not name its charset; guessed."


def readable(data: bytes, charset: str = "") -> tuple[str, str]:
    """As `to_text`, and as we store text: NFC, newlines as \\n, no control characters.

    The same as `clean(to_text(…)[0])`, and faster for what nearly all mail is.
    """
    codec = codec_of(charset) if charset else ""
    if codec not in LIKE_ASCII or b"\x1b" in data or b"\0" in data:
        text, problem = to_text(data, charset)
        return clean(text).removeprefix("\ufeff"), problem
    text, problem = to_text(data.translate(None, CONTROLS).replace(b"\r\n", b"\n"), charset)
    if "\r" in text:
        text = text.replace("\r", "\n")
    if text.isascii():
        return text, problem
    if problem:
        return clean(text).removeprefix("\ufeff"), problem
    return unicodedata.normalize("NFC", text).removeprefix("\ufeff"), problem


def _says_nothing(name: str) -> bool:
    return _key(name) in SAYS_NOTHING


def _key(label: str) -> str:
    key = re.sub(r"[^a-z0-9]+", "_", label[:LABEL_MAX_CHARS].lower()).strip("_")
    return key.removeprefix("charset_")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _claimed(data: bytes, codec: str) -> str | None:
    """The text, if it is in that charset."""
    if codec in WIDE:
        return _wide(data, codec)
    text = _strict(data, codec)
    if text is None and codec == "iso2022_jp_ext":
        return _strict(_with_jis_x_0213(data), "iso2022_jp_2004")
    return text


def _unclaimed(data: bytes, codec: str, unmarked: str) -> str:
    if ESCAPE in data and codec not in SEVEN_BITS:
        for seven_bits in ("iso2022_jp_ext", "iso2022_kr"):
            text = _claimed(data, seven_bits)
            if text is not None:
                return text
    if unmarked in SEVEN_BITS and data.isascii() and (text := _claimed(data, unmarked)):
        return text
    if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} and (text := _wide(data, "utf_16")):
        return text
    for maybe in ("utf_8", *RELATIVES.get(codec, ()), unmarked, *RELATIVES.get(unmarked, ())):
        if not maybe or (maybe == unmarked and _is_hardly(data, maybe)):
            continue
        text = _strict(data, maybe)
        if text is not None:
            return text
    for maybe in (codec, "utf_8"):
        if maybe and (text := _almost(data, maybe, is_named=maybe == codec)):
            return text
    return guessed(data)


def _strict(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (LookupError, ValueError):
        return None


def _wide(data: bytes, codec: str) -> str | None:
    """UTF-16 and UTF-32. Many say so of text that is not: relays have converted it."""
    if codec in {"utf_16", "utf_32"} and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0")):
        if b"\0" not in data[:2_000]:
            return None if data.isascii() else _strict(data, f"{codec}_be")
        zeros_first = data[:2_000:2].count(0) > data[1:2_000:2].count(0)
        codec += "_be" if zeros_first else "_le"
    elif data.isascii() and b"\0" not in data:
        return None
    return _strict(data[: len(data) // 2 * 2] if "16" in codec else data, codec)


def _with_jis_x_0213(data: bytes) -> bytes:
    """Programs write signs that only JIS X 0213 has, such as a 1 in a circle, as if they were of
    JIS X 0208."""
    return data.replace(b"\x1b$B", b"\x1b$(Q").replace(b"\x1b$@", b"\x1b$(Q")


def _almost(data: bytes, codec: str, *, is_named: bool) -> str:
    """The text, if only a few of its bytes are wrong in that charset; "" otherwise."""
    marked = data.decode(codec, "replace")
    wrong = marked.count("\N{REPLACEMENT CHARACTER}")
    others = sum(1 for char in marked[:GUESSED_BYTES] if char > "\x7f") - wrong
    most = others if codec == "utf_8" else others // 2
    if wrong > most and not (is_named and wrong <= len(marked) // 100):
        return ""
    return data.decode(codec, "as_cp1252") if codec == "utf_8" else marked


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("as_cp1252", _as_cp1252)


def _is_hardly(data: bytes, codec: str) -> bool:
    """Whether these bytes make no words in a charset of western Europe, where letters beyond ASCII
    stand alone: programs say so of everything."""
    if codec not in {"cp1252", "cp1254", "iso8859_15"}:
        return False
    beyond = sum(1 for byte in data[:GUESSED_BYTES] if byte > 0xBF)
    in_row = sum(len(run) for run in re.findall(rb"[\x80-\xff]{4,}", data[:GUESSED_BYTES]))
    return in_row * 2 > beyond > 0
