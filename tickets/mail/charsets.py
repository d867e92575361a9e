"""Bytes to text, whatever the sender claimed about them."""

from __future__ import annotations

# What senders write, and the codec that reads what they mean. Latin-1 is read as Windows-1252, as
# browsers do: https://encoding.spec.whatwg.org/#names-and-labels
MEANT = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "big5": "cp950",
    "x-windows-949": "cp949",
    "windows-874": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
}
ASCII = frozenset({"", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "8bit"})
GUESS_BYTES = 20_000


def to_text(data: bytes, charset: str = "", *, unmarked: str = "") -> tuple[str, str]:
    """Decode `data` by the charset it claims; return the text and what was odd ("" if nothing).

    Where the claim is absent, unknown or wrong, UTF-8 is tried, then `unmarked` (what the sender
    uses elsewhere), then a guess from the first GUESS_BYTES bytes, then Windows-1252. Never raises.
    """
    name = charset.strip(" \t\r\n\"'<>").lower()
    claimed = name not in ASCII
    if claimed:
        try:
            return data.decode(MEANT.get(name, name)), ""
        except (LookupError, ValueError):
            pass  # unknown, not a charset (`hex`), or not true: the tries below
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _guess(data, name or unmarked.lower())
        return text, f"The text is not the {name or 'ASCII'} it claims to be; guessed."
    return text, f"The text is not in the charset it names ({name[:40]})." if claimed else ""


def _guess(data: bytes, name: str) -> str:
    codec = MEANT.get(name, name)
    if name not in ASCII and _known(codec):
        text = data.decode(codec, "replace")
        if text.count("\N{REPLACEMENT CHARACTER}") <= len(text) // 100:
            return text  # a stray byte in an otherwise honest text
    if len(data) > 32:  # a guess from less is a coin thrown
        from charset_normalizer import from_bytes  # takes 50 ms to import, and is rarely needed

        best = from_bytes(data[:GUESS_BYTES]).best()
        if best is not None and _known(best.encoding):
            return data.decode(best.encoding, "replace")
    return data.decode("cp1252", "replace")


def _known(codec: str) -> bool:
    try:
        b"a".decode(codec, "replace")
    except (LookupError, ValueError):
        return False
    return True
