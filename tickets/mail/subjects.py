"""Whether two subjects name one matter. Pure.

Mail programs put marks in front of a subject ("Re:", "AW:", "[EXTERNAL]"), and people leave it or
write another one.
"""

from __future__ import annotations

import re

from helpdesk.lib.text import fold, words_of

# How programs mark answers and forwarded mails, in the languages they speak.
_ANSWER = (
    r"re|aw|antw?|sv|vs|ref?|rif|res?p?|odp|ynt|vá|bls|atb|ats|r"
    r"|回复|回覆|答复|答覆|返信|תגובה|رد|απ|ответ|отв"
)
_FORWARD = (
    r"fwd?|wg|tr|rv|enc|doorst|vl|vb|i|pd|továbbítás"
    r"|转发|轉寄|轉發|転送|הועבר|إعادة توجيه|προώ|пересл|пер"
)
_MARK = re.compile(
    rf"\s*(?:(?:{_ANSWER}|{_FORWARD})\s?(?:[\[(]\d{{1,4}}[\])]|\^\d{{1,4}})?\s?[:：]"
    r"|\[[^\[\]]{0,60}\]|[(\[]?#\d{1,18}[)\]]?[:：]?)",
    re.I,
)
_NUMBER = re.compile(r"[(\[]\s?(?:[\w-]{1,20}[\s:-])?#?\d{1,18}\s?[)\]]|#\d{1,18}\b")
MARKS_MAX = 40  # in front of one subject
CUT_CHARS = 100  # of a subject this long the rest may have been cut off on its way
# What programs write where somebody left the subject empty.
_EMPTY = frozenset({"", "no subject", "kein betreff", "sans objet", "sin asunto", "none", "null"})


def matter(subject: str) -> str:
    """What a subject names, without marks, tags and ticket numbers, as it is compared."""
    rest = subject
    for _ in range(MARKS_MAX):
        mark = _MARK.match(rest)
        if mark is None:
            break
        rest = rest[mark.end() :]
    return " ".join(words_of(fold(_NUMBER.sub(" ", rest))).split())


def is_another_matter(subject: str, before: str) -> bool:
    """Whether somebody who answers a mail called `before` wrote a subject of their own."""
    new, old = matter(subject), matter(before)
    if new in _EMPTY or old in _EMPTY:
        return False
    shorter = min(len(new), len(old))
    return new[:shorter] != old[:shorter] if shorter >= CUT_CHARS else new != old
