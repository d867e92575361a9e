"""The charset of a text that does not name it, by how the letters would stand in its words.

Libraries for this want a page of text; what names no charset in mail is a subject or a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

SCORED_BYTES = 600  # beyond ASCII; with what stands between them
ASCII = bytes(range(128))
FEW_BYTES = 3  # so many make no word
BEYOND_ASCII = re.compile(rb"[A-Za-z]{0,20}[\x80-\xff][\x40-\x7e\x80-\xff]*")
# In the order in which they are believed, where they score the same.
CODECS = (
    *("cp1252", "gb18030", "cp932", "cp949", "cp950", "euc_jp", "cp1251", "koi8_u", "cp1250"),
    *("cp1253", "cp1255", "cp1256", "cp874", "cp1254", "iso8859_2", "iso8859_5", "cp866"),
    *("mac_roman", "cp850"),
)
# The letters beyond ASCII that are frequent in a language that uses them.
FREQUENT = frozenset(
    "оеаинтсрвлкмдпу" "αοιετσνηυρπκμλς" "יוהלאמרתבש" "اليمنترودبع" "านรกเมอลงวยตทดส่้ัีิ"
    "äöüßéèàçñáíóúâêîôûåøæãõìòùëïœ" "łąęśżźćńěščřžýůőűğşı" "іїё"
    "のにはをたがでとしていまなりするれおこかあんインスルト件様"
    "的一是不了在有我他这個中大来上国和地到以说時时要就出会可也你对生能而子那得于着下自之年过发後后作里用"
    "道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "您请謝谢訂订單单貨货客户戶服务務業企商品价價款付產产品发發票公司通知會议問问回復复轉转寄送請收確认定"
    "이다는을에의가고하지한서도사기인로어대해자리시일수정안있스나제부전상요주세회감"
)  # fmt: skip
NOT_LATIN_FROM = 0x370
KANA = range(0x3041, 0x30FD)
HANGUL = range(0xAC00, 0xD7A4)
HAN = range(0x4E00, 0xA000)
JAPANESE = frozenset({"cp932", "euc_jp"})
UMLAUTS = frozenset("äöüß")  # also of tests of other programs, all in a row
RARE = frozenset({"iso8859_5", "cp866", "mac_roman", "cp850"})
WESTERN = frozenset({"cp1252", "cp1250", "cp1254", "iso8859_2", "mac_roman", "cp850"})


def guessed(data: bytes) -> str:
    """The text in the charset that makes the most of it; Windows-1252 where none does."""
    return data.decode(likeliest(data), "replace")


def likeliest(data: bytes, codecs: Sequence[str] = CODECS) -> str:
    """Which of these codecs makes the most of the bytes; Windows-1252 where none does."""
    sample = _sample(data)
    if len(sample.translate(None, ASCII)) < FEW_BYTES:
        codecs = [one for one in codecs if one in WESTERN]
    best, codec = 0.0, "cp1252"
    for one in codecs:
        score = _score(sample, one)
        if score > best:
            best, codec = score, one
    return codec


def _sample(data: bytes) -> bytes:
    """The first words that hold a byte beyond ASCII."""
    words: list[bytes] = []
    room = SCORED_BYTES
    for match in BEYOND_ASCII.finditer(data[: 100 * SCORED_BYTES]):
        words.append(match[0])
        room -= len(match[0])
        if room < 0:
            break
    return b" ".join(words)


def _score(sample: bytes, codec: str) -> float:
    try:
        text = sample.decode(codec)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:
            return -1.0
        text = sample[: error.start].decode(codec)  # it was cut off
    total = 0.0
    before = " "
    for char in text:
        if char > "\x7f":
            total += _weight(char, before, codec)
        elif ord(before) >= NOT_LATIN_FROM and char.isalpha() and before.isalpha():
            total -= 1.0 if ord(before) >= KANA.start else 0.7  # a word of two scripts
        before = char
    return total * 0.6 if codec in RARE else total


def _weight(char: str, before: str, codec: str) -> float:
    """How well this sign stands behind that one, a point a byte."""
    point = ord(char)
    frequent = char in FREQUENT
    if point >= KANA.start and _is_latin(before):
        return -1.0
    if point in KANA:
        return 2.2 if codec in JAPANESE else -1.0
    if point in HANGUL:
        if codec != "cp949":
            return -1.0
        return 2.4 if frequent else 1.9 if _is_in(char, "euc_kr") else 0.3
    if point in HAN:
        if codec == "cp949":
            return -1.5
        return 2.0 if frequent else 0.9 if codec != "gb18030" or _is_in(char, "gb2312") else 0.3
    kind = _kind(char)
    if kind == "Ll" or kind == "Lu":
        return _letter(char, before, kind, codec, frequent=frequent)
    if kind == "Lo" or kind == "Mn":
        if _is_latin(before):
            return -0.7  # a word of two scripts
        return 1.1 if frequent else 0.5
    if char in "¿¡":
        return -1.0 if before.isalpha() else 0.4
    if char in "“”‘’„–—…«»€·、。，！？：；（）「」":
        return 0.7 if before <= "\x7f" or ord(before) > 0x2E80 else 0.2
    return -1.0


def _letter(char: str, before: str, kind: str, codec: str, *, frequent: bool) -> float:
    is_western = codec in WESTERN
    if kind == "Lu" and (before.islower() or _kind(before) == "Lo"):
        return -1.0  # a capital within a word
    if is_western and before > "\x7f" and before.isalpha():
        if char in UMLAUTS:
            return 0.4
        return -0.7 if kind == "Ll" else -0.9  # they stand alone
    if ord(char) >= NOT_LATIN_FROM and _is_latin(before):
        return -0.7  # a word of two scripts
    if frequent or char.lower() in FREQUENT:
        return 1.0
    return 0.3


def _is_latin(char: str) -> bool:
    return ord(char) < NOT_LATIN_FROM and char.isalpha()


@lru_cache(maxsize=1_000)
def _is_in(char: str, codec: str) -> bool:
    """Whether it is in the smaller set, of signs that are in use."""
    try:
        return len(char.encode(codec)) == 2  # EUC-KR writes the others in pieces
    except UnicodeEncodeError:
        return False


@lru_cache(maxsize=1_000)
def _kind(char: str) -> str:
    return unicodedata.category(char)
