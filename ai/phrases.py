"""What a message asks for, as far as fixed phrases tell: a decision without a model.

Phrases are compared folded: without case, accents and punctuation.
"""

from __future__ import annotations

import re
from typing import Literal

from helpdesk.lib.text import fold

Meaning = Literal["greeting", "thanks", "who_are_you", "person", "question"]

# Only the beginning decides: nobody asks for a person in the tenth paragraph only.
READ_CHARS = 1_000

_WORD = re.compile(r"[^\W_]+")

# --- Small talk: a message made of nothing but these words ------------------------------------

GREETING_WORDS = frozenset(
    word
    for line in (
        "hi hello hey heya hiya yo howdy sup greetings good morning afternoon evening day",
        "is are anybody anyone somebody someone here there you test testing please",
        "hallo hallochen moin servus gruezi gruss gott guten tag morgen abend jemand da bitte",
        "bonjour bonsoir salut coucou hola buenas buenos dias tardes noches",
        "buongiorno buonasera ciao salve ola oi bom dia boa tarde noite",
        "goedemorgen goedemiddag goedenavond goedendag hoi dag",
        "hej hejsan hei god dzien dobry czesc cześć ahoj merhaba",
    )
    for word in line.split()
)
# A thanks, a well or a farewell by itself …
THANKS_SIGNS = frozenset(
    word
    for line in (
        "thanks thank thankyou thx ty tysm cheers appreciated appreciate",
        "ok okay okey k kk alright great perfect cool nice super top wonderful excellent awesome",
        "amazing brilliant fine got works worked helped helps helpful sorted solved",
        "bye goodbye tschuss adios danke dankeschon dank merci gracias grazie obrigado obrigada",
        "bedankt tack tak takk dzieki dziekuje dekuji",
    )
    for word in line.split()
)
# … and what people put around it.
THANKS_WORDS = THANKS_SIGNS | frozenset(
    word
    for line in (
        "you very so much a lot many it that this did the trick was is all now right good",
        "have weekend for your help everything again no worries see later yes yep yeah",
        "vielen schon sehr beaucoup muchas mil mille muito je wel hartelijk tot ziens",
    )
    for word in line.split()
)

_MACHINE = r"(?:bot|bots|chatbot|robot|robots|machine|computer|program|ai|ki|ia)"
_WHO = re.compile(
    r"^(?:(?:who|what) (?:are|r) (?:you|u)\b"
    r"|(?:are|r) (?:you|u) (?:an? |even |really |just )*"
    rf"(?:human|(?:real )?person|real|{_MACHINE})\b"
    r"|(?:am i|is this|is it|is that)(?: (?:talking|speaking|chatting|writing))?(?: (?:to|with))?"
    rf" (?:an? |some )?(?:human|(?:real )?person|{_MACHINE})\b"
    rf"|(?:bist du|sind sie) (?:eine? )?(?:mensch|echt|roboter|maschine|{_MACHINE})\b"
    rf"|(?:es tu|etes vous|tu es|vous etes) (?:une? )?(?:humaine?|{_MACHINE})\b"
    rf"|(?:eres|es usted) (?:una? )?(?:human[oa]|persona|maquina|{_MACHINE})\b"
    rf"|sei (?:una? )?(?:uman[oa]|persona|{_MACHINE})\b)"
)

# --- Asking for a person ----------------------------------------------------------------------

_EN = (
    r"(?:humans?|human being|person|people|agents?|operator|representative|rep|advis[eo]r|"
    r"assistant|employee|colleague|manager|supervisor|somebody|someone|support|staff|team|"
    r"customer (?:service|support|care|assistance|seervice))"
)
_PERSON = re.compile(
    "|".join(
        (
            # English
            r"\b(?:talk|talkin[gt]?|speak|speaking|chat|chatting|connect|connected|transfer|"
            r"transferred|forward|escalate|contact|contacting|reach|reaching|call|calling|"
            rf"put me|get (?:in touch|through|hold))\b(?: \w+){{0,4}}? {_EN}\b",
            r"\b(?:(?<!do )i (?:want|need|would like|d like|would prefer|d prefer)|id like|"
            r"get me|give me|bring me|ask)(?: (?:to|for|with|an?|the|your|some|real|live|actual))*"
            r" (?:human|person|agent|operator|representative|manager|supervisor|colleague)\b",
            rf"\b(?:can|could|may|let me) (?:i )?ask (?:an? |your )?(?:real )?{_EN}\b",
            r"\b(?:human|person|someone|somebody|agent|operator|representative)"
            r" (?:\w+ ){0,3}?(?:talk|speak|chat) (?:to|with)\b",
            r"\b(?:human|live|real) (?:agent|person|operator|support|representative|being)\b",
            # German
            r"\b(?:mit|zu|an|von) (?:\w+ ){0,3}?(?:mensch|menschen|mitarbeiter|mitarbeiterin|"
            r"person|berater|beraterin|kollegen|kollegin|jemand|jemande[mn]|kundenservice|"
            r"kundendienst|support) (?:\w+ ){0,4}?(?:sprechen|reden|chatten|schreiben|verbinden|"
            r"weiterleiten|verbunden)\b",
            r"\b(?:echte|richtige|lebende)[rnms]? (?:mensch|menschen|person|mitarbeiter)\b",
            r"\b(?:will|mochte|moechte|brauche)(?: \w+){0,2}? (?:menschen|mitarbeiter)\b",
            # French
            r"\b(?:parler|discuter|echanger|contacter|joindre|passez|mettez|veux|voudrais)\b"
            r"(?: \w+){0,5}? (?:humaine?|personne|quelqu un|conseill(?:er|ere)|agent|operateur|"
            r"service client|responsable)\b",
            # Spanish
            r"\b(?:hablar|contactar|comunicar|comunicarme|paseme|pasame|quiero|necesito|chatear)\b"
            r"(?: \w+){0,4}? (?:human[oa]|persona|alguien|agente|operador|operadora|asesora?|"
            r"representante|atencion al cliente)\b",
            # Italian
            r"\b(?:parlare|contattare|chattare|passami|passatemi|voglio|vorrei)\b(?: \w+){0,4}? "
            r"(?:uman[oa]|persona|qualcuno|operatore|operatrice|agente|servizio clienti)\b",
            # Portuguese
            r"\b(?:falar|conversar|contactar|quero|preciso|gostaria)\b(?: \w+){0,4}? "
            r"(?:human[oa]|pessoa|alguem|atendente|agente|operador)\b",
            # Dutch
            r"\b(?:praten|spreken|chatten|verbind)\b(?: \w+){0,4}? (?:mens|persoon|medewerker|"
            r"medewerkster|iemand|klantenservice)\b",
            r"\b(?:mens|persoon|medewerker|medewerkster|iemand|klantenservice) (?:\w+ ){0,3}?"
            r"(?:praten|spreken|chatten)\b",
            # Swedish, Danish, Norwegian
            r"\b(?:prata|tala|snakke|tale)\b(?: \w+){0,3}? (?:manniska|person|nagon|menneske|noen|"
            r"nogen|medarbetare|medarbejder|medarbeider)\b",
            # Polish
            r"\b(?:rozmawiac|porozmawiac|po[lł]acz\w*)\b(?: \w+){0,3}? (?:cz[lł]owiekiem|"
            r"konsultantem|kims|pracownikiem|osob[aą])\b",
        )
    )
)
# "I do not need a human" asks for none.
_NOT = re.compile(
    r"\b(?:no need|(?:do not|don t|dont|didn t|not|nicht|kein|keinen|ne|pas|sin|non|nao|geen|niet)"
    r"(?: \w+)? (?:need|want|have to|brauche|besoin|necesito|bisogno|preciso|nodig))\b"
)
# "No bot!" asks for a person in other words.
_NO_BOT = re.compile(
    r"\b(?:no|not|stop|hate|without|don t want|do not want|dont want)(?: (?:to|an?|any|this|the|"
    rf"more|with|talk|talking|speak|speaking|chat|chatting))* {_MACHINE}\b"
)
# A message that is little more than the word itself: "agent!!", "a human please".
_ALONE = re.compile(
    r"^(?:an? |the |real |live |please |pls |bitte |eine[nr]? |echte[nr] |une? |una |een )*"
    r"(?:human(?: being| agent| support)?|person|agent|operator|representative|rep|support|"
    r"mensch|menschen|mitarbeiter|humaine?|conseill(?:er|ere)|human[oa]|persona|agente|operatore|"
    r"operador|atendente|uman[oa]|mens|medewerker|manniska|menneske|konsultant)"
    r"(?: (?:please|pls|now|here|bitte|jetzt|svp|aub|alstublieft|s il vous plait|por favor|"
    r"per favore))*$"
)


def meaning_of(text: str) -> Meaning:
    """What a customer's message asks for. Anything but fixed phrases is a question."""
    folded = _folded(text)
    words = set(folded.split())
    if not words:
        # "?" wants a reaction like a greeting does, "👍" none but a friendly end.
        return "greeting" if "?" in text else "thanks"
    # "Am I talking to a human?" asks who we are; what comes after it may ask for a person.
    rest = _WHO.sub("", folded).strip()
    if _wants_person(rest):
        return "person"
    if rest != folded:
        return "who_are_you"
    if words <= GREETING_WORDS:
        return "greeting"
    if words <= THANKS_WORDS | GREETING_WORDS and words & THANKS_SIGNS:
        return "thanks"
    return "question"


def _wants_person(folded: str) -> bool:
    if _ALONE.search(folded) or _NO_BOT.search(folded):
        return True
    found = _PERSON.search(folded)
    return found is not None and not _NOT.search(folded[: found.end()])


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(fold(text[:READ_CHARS])))
