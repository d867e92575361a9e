"""Header fields as people meant them. Every function is pure, linear and never raises.

Values come from `email` with the compat32 policy: text in which bytes beyond ASCII are lone
surrogates. RFC 5322 (addresses, ids), RFC 2047 (encoded words), RFC 2231 (parameters).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from helpdesk.lib.text import clean
from tickets.mail.charsets import SEVEN_BITS, codec_of, to_text

HEADER_MAX_CHARS = 100_000  # more of one field is not read
ADDRESSES_MAX = 1_000
BASE64_PIECES_FEW = 10
BASE64_PIECE_BYTES = 20  # of a text that is encoded piece by piece; less is noise
ID_MAX_CHARS = 255
REMEMBERED_CHARS = 48  # "text/plain; charset=utf-8": few of these are in nearly all mail
NAME_MAX_WORDS = 20  # pieces around the commas of one unquoted name

NOT_BASE64 = bytes(
    byte for byte in range(256) if not (chr(byte).isalnum() and byte < 128) and byte not in b"+/"
)
WORD_HEAD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?")
SHIFTING = re.compile(r"[\x1b+~]")  # what turns to other letters in ISO 2022, UTF-7, HZ
FOLD = re.compile(r"\r?\n(?=[ \t])|[\r\n]+")
PARAMETER = re.compile(r';\s*([^\s;=*]+)(\*(?:\d+\*?)?)?\s*=\s*("(?:\\.|[^"\\])*"?|[^;]*)', re.S)
ID_IN_BRACKETS = re.compile(r"<([^<>]+)>")
ADDRESS_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"?|\((?:\\.|[^()\\])*\)|<[^<>]*>|[,;:]|[^",;:<>()]+|.', re.S
)
# One person, as nearly all mail names them: Jane Doe <jane@example.org>
USUAL_ADDRESS = re.compile(r'("[^"\\]*"|[^"<>(),:;@\\]*)<([\w.+=/-]+@[\w.-]*\w)>', re.ASCII)
BETWEEN_ADDRESSES = re.compile(r"[\s\"<>(),;:\[\]]+")
ISO_DATE = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T\s](\d\d):(\d\d)(?::(\d\d))?(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?"
)
MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
USUAL_DATE = re.compile(
    rf"\w{{3}},  ?(\d\d?) ({'|'.join(re.findall('...', MONTHS))}) (\d{{4}}) (\d\d):(\d\d):(\d\d)"
    r" ([+-]\d{4})(?: \(\w{1,6}\))?",
    re.ASCII,
)
ROUTE = re.compile(r"^@[^:]*:")  # RFC 5322, 4.4: <@relay.example:jane@example.org>
COMMENT = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    email: str  # as written; compare with `addresses.normal`


def decoded(value: str, charset: str = "") -> str:
    """One line of readable text from a raw field body.

    Bytes that are marked as nothing are tried as UTF-8, then as `charset`: that of the text below.
    """
    value = value[:HEADER_MAX_CHARS]
    if "\n" in value or "\r" in value:
        value = FOLD.sub("", value)
    if "=?" in value:
        value = _decode_words(value, charset)
    else:
        value = _bare(value, charset)
        if value.isascii() and value.isprintable():
            return value.strip()
    return clean(value).replace("\n", " ").replace("\t", " ").strip()


def _bare(value: str, charset: str) -> str:
    """What stands outside of encoded words: ASCII, or against the rules in some charset, which
    may look like ASCII too (ISO-2022-JP, UTF-7)."""
    if value.isascii() and not (SHIFTING.search(value) and _may_shift(value, charset)):
        return value
    return to_text(value.encode("utf-8", "surrogateescape"), unmarked=charset)[0]


def _may_shift(value: str, charset: str) -> bool:
    return "\x1b" in value or codec_of(charset) in SEVEN_BITS


def _decode_words(value: str, charset: str) -> str:
    """Encoded words in a row and of one charset are joined as bytes: senders cut characters."""
    out: list[str] = []
    pending, pending_charset, place = bytearray(), "", 0
    for start, end, word_charset, data in _words(value):
        between = value[place:start]
        is_next = place > 0 and not between.strip()
        if pending and not (is_next and word_charset == pending_charset):
            out.append(to_text(bytes(pending), pending_charset)[0])
            pending.clear()
        if not is_next:
            out.append(_bare(between, charset))
        pending += data
        pending_charset, place = word_charset, end
    if pending:
        out.append(to_text(bytes(pending), pending_charset)[0])
    out.append(_bare(value[place:], charset))
    return "".join(out)


def _words(value: str) -> Iterator[tuple[int, int, str, bytes]]:
    """Place, charset and bytes of each encoded word. Blanks and question marks are let stand in
    them, as many programs do."""
    place, end = 0, -1
    while head := WORD_HEAD.search(value, place):
        place = head.end()
        if end < place:
            end = value.find("?=", place)
        if end < 0:
            return
        if value.find("=?", place, end) >= 0:
            continue  # it has no end of its own
        data = value[place:end].encode("utf-8", "surrogateescape")
        data = base64_bytes(data) if head[2] in "bB" else binascii.a2b_qp(data, header=True)
        place = end + 2
        yield head.start(), place, head[1].lower(), data


def base64_bytes(data: bytes) -> bytes:
    """Decode base64 as far as it goes: foreign characters are skipped, missing padding is added.

    Several padded pieces in a row (some senders encode line by line) are decoded one by one.
    """
    return base64_between(data, 0, len(data))


def base64_between(data: bytes, start: int, end: int) -> bytes:
    """The same for a piece of `data`, which is large, and is not copied."""
    padding = data.find(b"=", start, end)
    if padding >= 0 and data[padding:end].strip(b"= \t\r\n"):  # Python stops at the first padding
        pieces = [one for one in data[start:end].split(b"=") if one]
        if len(pieces) <= max(BASE64_PIECES_FEW, (end - start) // BASE64_PIECE_BYTES):
            return b"".join(map(_base64_piece, pieces))
        return _base64_piece(b"".join(pieces))
    try:
        return binascii.a2b_base64(memoryview(data)[start:end])
    except binascii.Error:
        return _base64_piece(data[start:end])


def _base64_piece(data: bytes) -> bytes:
    letters = data.translate(None, NOT_BASE64)
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """The first word of a structured field in lower case, and its parameters by lower-case name.

    Understands RFC 2231 pieces and charsets, and encoded words where they are not allowed. What is
    returned is shared: it must not be changed.
    """
    if len(value) < REMEMBERED_CHARS:
        return _parameters(value)
    return _read_parameters(value[:HEADER_MAX_CHARS])


@lru_cache(maxsize=500)
def _parameters(value: str) -> tuple[str, dict[str, str]]:
    return _read_parameters(value)


def _read_parameters(value: str) -> tuple[str, dict[str, str]]:
    first = value.partition(";")[0].strip(" \t\r\n\"'").lower()
    whole: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for name, star, text in PARAMETER.findall(value):
        name = name.lower()
        text = text.strip()
        if text.startswith('"'):
            # Programs of Windows write paths, whose \\ they do not escape.
            text = re.sub(r'\\(["\\])', r"\1", text[1:].removesuffix('"'))
        if star:
            number = int(star.strip("*")[:4] or 0)
            pieces.setdefault(name, {})[number] = (star.endswith("*"), text)
        else:
            whole.setdefault(name, FOLD.sub("", text) if name == "boundary" else decoded(text))
    for name, parts in pieces.items():
        whole[name] = _join_pieces([parts[number] for number in sorted(parts)])
    return first, whole


def _join_pieces(parts: list[tuple[bool, str]]) -> str:
    charset, data = "", bytearray()
    for index, (is_encoded, text) in enumerate(parts):
        if is_encoded and index == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        raw = text.encode("utf-8", "surrogateescape")
        data += unquote_to_bytes(raw) if is_encoded else raw
    return decoded(to_text(bytes(data), charset)[0])


def addresses(value: str, charset: str = "") -> list[Address]:
    """Who is named in From, To, Cc or Reply-To, in order, at most ADDRESSES_MAX of them.

    Groups are opened (`friends: a@x, b@x;`), comments become names where there is no other name,
    entries without an `@` are left out.
    """
    value = value[:HEADER_MAX_CHARS]
    if usual := USUAL_ADDRESS.fullmatch(value.strip()):
        return [Address(" ".join(_unquoted(usual[1], charset).split()), usual[2])]
    found: list[Address] = []
    words: list[str] = []
    angle = comment = ""
    has_at = is_closed = False
    for piece in [*ADDRESS_TOKEN.findall(value), ","]:
        first = piece[0]
        if first == "<" and len(piece) > 1:
            angle, is_closed = piece[1:-1], True
        elif first == "(" and len(piece) > 1:
            comment = piece[1:-1]
        elif piece == ":" and not (angle or has_at):
            words = []  # what stood before was the name of a group
        elif first not in ",;":
            words.append(piece)
            has_at = has_at or "@" in piece or "=?" in piece
        else:
            one = None
            if angle or has_at:
                one = _address("".join(words), angle, comment, charset)
            if one:
                found.append(one)
            elif piece == "," and not is_closed and 0 < len(words) <= NAME_MAX_WORDS:
                words.append(piece)  # an unquoted comma: Doe, Jane <jane@example.org>
                continue
            words, angle, comment = [], "", ""
            has_at = is_closed = False
    if not found:  # quotes or brackets that never close hide what follows them
        found = [Address("", word) for word in _words_with_at(decoded(value, charset))]
    return found[:ADDRESSES_MAX]


def _address(text: str, angle: str, comment: str, charset: str) -> Address | None:
    email = "".join(COMMENT.sub("", decoded(angle, charset)).split()).removeprefix("mailto:")
    if "@" in email:
        email = ROUTE.sub("", email)
        name = _unquoted(text, charset) or decoded(comment, charset)
    else:
        bare = next(iter(_words_with_at(decoded(text))), None)
        if bare is None:
            return None
        email, name = bare, decoded(comment, charset)
    return Address(" ".join(name.split()), email.strip("'\".<>"))


def _words_with_at(text: str) -> list[str]:
    return [word for word in BETWEEN_ADDRESSES.split(text) if "@" in word.strip("@")]


def _unquoted(text: str, charset: str) -> str:
    plain = re.sub(r'"((?:\\.|[^"\\])*)"', lambda m: re.sub(r"\\(.)", r"\1", m[1]), text)
    name = decoded(plain, charset).strip(" ,")
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1]
    return name.strip()


def message_ids(value: str) -> list[str]:
    """The ids of Message-ID, In-Reply-To or References without their angle brackets, in order.

    Prose around them is dropped; an id without brackets is taken where it holds an `@`. None is
    longer than ID_MAX_CHARS.
    """
    value = decoded(value)
    found = ID_IN_BRACKETS.findall(value)
    if not found:
        found = [word for word in re.split(r"[\s,;<>\"]+", value) if "@" in word]
    return unique("".join(one.split())[:ID_MAX_CHARS] for one in found)


def unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def moment(value: str) -> datetime | None:
    """A date field in UTC, or None where no date can be read or it lies outside 1970 to 2200."""
    value = decoded(value)[:200]
    try:
        if match := ISO_DATE.search(value):
            year, month, day, hour, minute, second, zone = match.groups()
            clock = (int(hour), int(minute), int(second or 0))
            found = datetime(int(year), int(month), int(day), *clock, tzinfo=UTC)
            found -= _offset(zone or "Z")
        elif match := USUAL_DATE.fullmatch(value):
            day, name, year, hour, minute, second, zone = match.groups()
            month = MONTHS.index(name) // 3 + 1
            clock = (int(hour), int(minute), min(int(second), 59))
            found = datetime(int(year), month, int(day), *clock, tzinfo=UTC) - _offset(zone)
        else:
            fields = parsedate_tz(value) or parsedate_tz(_tidy_date(value))
            if fields is None:
                return None
            found = datetime(*fields[:5], min(fields[5], 59), tzinfo=UTC)
            found -= timedelta(seconds=fields[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return found if 1970 <= found.year <= 2200 else None


def _tidy_date(value: str) -> str:
    """Without comments, and without the blanks that old programs put around colons."""
    return re.sub(r"\s{0,20}:\s{0,20}", ":", COMMENT.sub("", value))


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    digits = zone[1:].replace(":", "")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return span if zone[0] == "+" else -span
