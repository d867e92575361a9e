"""Text of a shop's letters: few words that are everywhere, many that are rare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


EVERYDAY = _words(
    "the to and a of I is it you in that for my have with on was this be not are at we as but or"
    " your me so if from can they has been will would when there which one just got all what do no"
)
ORDINARY = _words(
    "order parcel delivery address invoice refund payment card account email phone picture number"
    " box broken missing wrong late early friday monday week month yesterday today tomorrow please"
    " thank hello regards morning coffee grinder kettle filter scale burr lid handle cable manual"
    " warranty return exchange size colour black white steel glass large small spare part repair"
    " shop store website checkout voucher discount price shipping courier customs label tracking"
    " arrived ordered bought paid sent received opened tried cleaned waited asked answered promised"
    " water beans cup pot switch light noise smell leak crack scratch dent motor plug adapter"
)
RARE = tuple(
    f"{first}{second}{third}"
    for first in (
        "bar",
        "cor",
        "del",
        "fen",
        "gal",
        "hol",
        "jan",
        "kel",
        "lor",
        "mar",
        "nor",
        "pel",
    )
    for second in ("a", "e", "i", "o", "u", "an", "el", "in", "or", "ur")
    for third in ("ton", "field", "by", "wick", "dale", "son", "ster", "ham", "nick", "mont")
)
NAMES = _words(
    "Ada Bea Cem Dora Eli Finn Gesa Hugo Ines Jonas Kaja Lars Mona Nils Olga Paul Rosa Sven Tilda"
    " Uwe Vera Wim Yara Zoë Müller Schmidt García Novák Öztürk Nowak Dubois Rossi Jansen Silva"
)

# A rank's frequency falls with the rank, as in any language.
VOCABULARY: Sequence[str] = (*EVERYDAY, *ORDINARY, *RARE)
_WEIGHTS = list(accumulate(1 / (rank + 8) for rank in range(len(VOCABULARY))))


def sentence(random: Random) -> str:
    words = random.choices(VOCABULARY, cum_weights=_WEIGHTS, k=random.randint(5, 18))
    return f"{' '.join(words).capitalize()}."


def paragraph(random: Random, sentences: int = 4) -> str:
    return " ".join(sentence(random) for _ in range(sentences))


def letter(random: Random, chars: int) -> str:
    """Paragraphs with empty lines between them, of at least so many characters."""
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < chars:
        paragraphs.append(paragraph(random, random.randint(2, 6)))
    return "\n\n".join(paragraphs)


def name(random: Random) -> str:
    return f"{random.choice(NAMES)} {random.choice(NAMES)}"
