"""What Outlook and Exchange pack into winmail.dat (MS-OXTNEF). Pure.

A reader of our own: those that are published loop four billion times over a file of thirty bytes
that asks for it, and cut the zeros off the end of files.
"""

from __future__ import annotations

import mimetypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tickets.mail.charsets import to_text

SIGNATURE = 0x223E9F78
# Of one winmail.dat, attributes and properties, those of packed messages included. Real ones have
# some hundred; these cost a tenth of a second.
ENTRIES_MAX = 50_000
DEPTH_MAX = 4
RTF_MAX_BYTES = 1_000_000  # of one winmail.dat in all; these cost a quarter of a second
UNNAMED = "Untitled Attachment"  # as Outlook calls it
UNKNOWN = "application/octet-stream"

# Attributes (MS-OXTNEF, 2.1.3.2)
SUBJECT = 0x8004
BODY = 0x800C
ATTACH_DATA = 0x800F
ATTACH_TITLE = 0x8010
ATTACH_BEGINS = 0x9002
MESSAGE_PROPERTIES = 0x9003
ATTACH_PROPERTIES = 0x9005
CODE_PAGE = 0x9007
OF_ATTACHMENTS = frozenset({ATTACH_DATA, ATTACH_TITLE, ATTACH_PROPERTIES})
HEAD = struct.Struct("<BHHI")  # level, name, type, size
LEVELS = (1, 2)  # of the message, of a file
CHECKSUM_BYTES = 2
FIRST_AT = 6  # behind the signature and a key
# Properties (MS-OXPROPS)
P_SUBJECT = 0x0037
P_BODY = 0x1000
P_RTF = 0x1009
P_HTML = 0x1013
P_DISPLAY_NAME = 0x3001
P_DATA = 0x3701
P_SHORT_NAME = 0x3704
P_LONG_NAME = 0x3707
P_TYPE = 0x370E
P_CONTENT_ID = 0x3712
P_HTML_CODE_PAGE = 0x3FDE
KNOWN = frozenset({P_SUBJECT, P_BODY, P_RTF, P_HTML, P_DISPLAY_NAME, P_DATA, P_SHORT_NAME})
KNOWN |= {P_LONG_NAME, P_TYPE, P_CONTENT_ID, P_HTML_CODE_PAGE}
P_PACKED_MESSAGE = -1  # ours: a P_DATA that is a message
NAMED = 0x8000  # from here on a property is told by a GUID and a name
IID_BYTES = 16
# Types of properties (MS-OXCDATA, 2.11.1)
MANY = 0x1000
TEXT_8_BIT, TEXT_UNICODE, OBJECT, BINARY = 0x001E, 0x001F, 0x000D, 0x0102
SIZES = {0x02: 2, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 2, 0x14: 8}
SIZES |= {0x40: 8, 0x48: 16}
PACKED_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")  # IID_IMessage

CHARSETS = {20127: "ascii", 20866: "koi8-r", 21866: "koi8-u", 65001: "utf-8"}
CHARSETS |= {28590 + part: f"iso-8859-{part}" for part in range(1, 16)}
CHARSETS |= {50220: "iso-2022-jp", 50221: "iso-2022-jp", 51932: "euc-jp", 51949: "euc-kr"}


RTF_PACKED, RTF_PLAIN = 0x75465A4C, 0x414C454D  # LZFu, MELA (MS-OXRTFCP, 2.1.3.1)
RTF_KNOWN = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
RTF_WINDOW = 4_096
RTF_HEAD = struct.Struct("<IIII")


@dataclass(frozen=True, slots=True)
class PackedFile:
    name: str
    type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Packed:
    """A message as it was packed."""

    subject: str
    text: str
    html: str
    rtf: bytes  # only where there is neither text nor HTML
    is_illegible: bool  # it has words, and they cannot be read
    files: tuple[PackedFile, ...]

    def words(self) -> list[PackedFile]:
        """What it says, as a file."""
        stem = self.subject.replace("/", "-")[:150] or "message"
        if self.html:
            return [PackedFile(f"{stem}.html", "text/html", self.html.encode())]
        if self.text:
            return [PackedFile(f"{stem}.txt", "text/plain", self.text.encode())]
        return [PackedFile(f"{stem}.rtf", "application/rtf", self.rtf)] if self.rtf else []


def unpacked(data: bytes) -> Packed:
    """What is in a winmail.dat. Messages that are packed in it become files, as do their files.

    Raises ValueError for what is none, is cut off, or has more than ENTRIES_MAX entries.
    """
    try:
        return _Reader().message(data, depth=0)
    except struct.error as error:
        raise ValueError("It is cut off.") from error


class _Reader:
    def __init__(self) -> None:
        self._left = ENTRIES_MAX
        self._rtf_bytes_left = RTF_MAX_BYTES

    def message(self, data: bytes, depth: int) -> Packed:
        about: dict[int, bytes] = {}
        attachments: list[dict[int, bytes]] = []
        for name, value in self._attributes(data):
            if name == ATTACH_BEGINS:
                attachments.append({})
            if name in OF_ATTACHMENTS:
                if not attachments:
                    raise ValueError("A file has no beginning.")
                attachments[-1][name] = value
            else:
                about.setdefault(name, value)
        charset = _charset(about.get(CODE_PAGE, b""))
        properties = self._properties(about.get(MESSAGE_PROPERTIES, b""), charset)
        html_charset = _charset(properties.get(P_HTML_CODE_PAGE, b""))
        text = _words(properties.get(P_BODY) or about.get(BODY, b""), charset)
        html = _words(properties.get(P_HTML, b""), html_charset)
        packed_rtf = properties.get(P_RTF, b"")
        rtf = b""
        if isinstance(packed_rtf, bytes) and not (text or html):
            rtf = _rtf(packed_rtf, self._rtf_bytes_left)
            self._rtf_bytes_left -= len(rtf)
        return Packed(
            subject=_words(properties.get(P_SUBJECT) or about.get(SUBJECT, b""), charset),
            text=text,
            html=html,
            rtf=rtf,
            is_illegible=bool(packed_rtf) and not (text or html or rtf),
            files=tuple(file for one in attachments for file in self._files(one, charset, depth)),
        )

    def _attributes(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        if struct.unpack_from("<I", data)[0] != SIGNATURE:
            raise ValueError("It does not begin as a winmail.dat does.")
        at = FIRST_AT
        while at + HEAD.size <= len(data):
            level, name, _kind, size = HEAD.unpack_from(data, at)
            if level not in LEVELS:
                break  # some programs add a few bytes of their own
            self._spend()
            at += HEAD.size
            if at + size > len(data):
                raise ValueError("It is cut off.")
            yield name, data[at : at + size]
            at += size + CHECKSUM_BYTES
        if at == FIRST_AT:
            raise ValueError("There is nothing in it.")

    def _properties(self, data: bytes, charset: str) -> dict[int, bytes | str]:
        """Those we know, the first value of each. What follows a fault is lost."""
        found: dict[int, bytes | str] = {}
        try:
            for name, kind, value in self._values(data):
                if kind == TEXT_UNICODE:
                    found.setdefault(name, value.decode("utf-16-le", "replace").strip("\0"))
                elif kind == TEXT_8_BIT:
                    found.setdefault(name, _words(value, charset))
                elif kind == OBJECT and value.startswith(PACKED_MESSAGE):
                    found.setdefault(P_PACKED_MESSAGE, value[IID_BYTES:])
                elif kind in {BINARY, OBJECT} or name == P_HTML_CODE_PAGE:
                    found.setdefault(name, value[IID_BYTES:] if kind == OBJECT else value)
        except struct.error:
            pass
        return found

    def _values(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Name, type and value of each property. Raises struct.error where that cannot be read."""
        count = struct.unpack_from("<I", data)[0] if data else 0
        at = 4
        for _ in range(count):
            kind, name = struct.unpack_from("<HH", data, at)
            at += 4
            if name >= NAMED:
                is_text, length = struct.unpack_from("<II", data, at + IID_BYTES)
                at += IID_BYTES + 8 + (_padded(length) if is_text else 0)
            size = SIZES.get(kind & ~MANY)
            number = 1
            if size is None or kind & MANY:
                number = struct.unpack_from("<I", data, at)[0]
                at += 4
            for _ in range(number):
                self._spend()
                length = size
                if length is None:
                    length = struct.unpack_from("<I", data, at)[0]
                    at += 4
                if at + length > len(data):
                    raise struct.error
                if name in KNOWN:
                    yield name, kind & ~MANY, data[at : at + length]
                at += _padded(length)

    def _files(
        self, attachment: dict[int, bytes], charset: str, depth: int
    ) -> Iterator[PackedFile]:
        properties = self._properties(attachment.get(ATTACH_PROPERTIES, b""), charset)

        title = _words(attachment.get(ATTACH_TITLE, b""), charset)
        names = [properties.get(one, b"") for one in (P_LONG_NAME, P_SHORT_NAME, P_DISPLAY_NAME)]
        names.insert(1, title)
        name = next(filter(None, (_words(one, charset) for one in names)), UNNAMED)
        packed = properties.get(P_PACKED_MESSAGE)
        inside = self._inside(packed, depth) if isinstance(packed, bytes) else []
        if inside:
            yield from inside
            return
        content = packed or properties.get(P_DATA, attachment.get(ATTACH_DATA))
        if not isinstance(content, bytes):
            raise ValueError("A file has no content.")
        kind = _words(properties.get(P_TYPE, b""), charset) or mimetypes.guess_type(name)[0]
        content_id = _words(properties.get(P_CONTENT_ID, b""), charset).strip("<> ")
        yield PackedFile(name, (kind or UNKNOWN).lower(), content, content_id)

    def _inside(self, packed: bytes, depth: int) -> list[PackedFile]:
        """A packed message as files; none where it cannot be read, or is no message but, say, a
        list of people."""
        if depth == DEPTH_MAX:
            return []
        try:
            message = self.message(packed, depth + 1)
        except (ValueError, struct.error):
            return []
        return [*message.words(), *message.files]

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("It has too many entries.")


def _charset(number: bytes | str) -> str:
    if not isinstance(number, bytes) or len(number) < 4:
        return ""
    page = struct.unpack_from("<I", number)[0]
    return CHARSETS.get(page) or f"cp{page}"


def _words(value: bytes | str, charset: str) -> str:
    return (value if isinstance(value, str) else to_text(value, charset)[0]).strip("\0")


def _padded(length: int) -> int:
    return length + -length % 4


def _rtf(packed: bytes, most_bytes: int) -> bytes:
    """RTF out of its packing (MS-OXRTFCP); empty where it is broken or larger than that."""
    if len(packed) < RTF_HEAD.size:
        return b""
    _size, size, kind, _checksum = RTF_HEAD.unpack_from(packed)
    data = packed[RTF_HEAD.size :]
    if size > most_bytes or kind not in {RTF_PACKED, RTF_PLAIN}:
        return b""
    if kind == RTF_PLAIN:
        return data[:size]
    out = bytearray(RTF_KNOWN)
    wanted = len(out) + size
    at = 0
    while len(out) < wanted and at < len(data):
        flags = data[at]
        at += 1
        for bit in range(8):
            if not flags >> bit & 1:
                out += data[at : at + 1]
                at += 1
                continue
            if at + 2 > len(data):
                break
            place = data[at] << 4 | data[at + 1] >> 4
            length = (data[at + 1] & 15) + 2
            at += 2
            back = (len(out) - place) % RTF_WINDOW
            if back == 0 or back > len(out):
                return bytes(out[len(RTF_KNOWN) : wanted])
            start = len(out) - back
            piece = out[start : start + length]
            out += (piece * length)[:length] if back < length else piece  # it may repeat itself
    return bytes(out[len(RTF_KNOWN) : wanted])
