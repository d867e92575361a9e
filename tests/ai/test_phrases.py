"""What fixed phrases decide, and what they leave alone."""

from __future__ import annotations

import csv

import pytest

from ai.phrases import meaning_of
from tests.ai.corpora import corpus

MEANINGS = {
    "person": """
        I want a human | can I speak to someone? | AGENT!!! | let me talk to a real person
        Can I ask a person? | connect me with your team | human please | operator
        I don't want to talk to a bot | stop, no bot please | is there a human i can talk to
        Are you a bot? I want to speak to a human | Hi, could you put me through to a person
        Ich möchte mit einem Menschen sprechen | kann ich bitte mit einem Mitarbeiter reden
        je veux parler à un humain | puis-je parler à quelqu'un ? | passez-moi un conseiller
        quiero hablar con una persona | hablar con alguien | necesito un agente
        vorrei parlare con un operatore | quero falar com um atendente
        ik wil een medewerker spreken | mag ik met iemand praten
        jag vill prata med en människa | chcę rozmawiać z człowiekiem | Mensch bitte
    """,
    "question": """
        how many people does the kettle serve | can one person lift the grinder
        I don't need a human, just tell me the size | which agent do you use for descaling
        Is it safe for human consumption | my assistant ordered two kettles
        can someone tell me which filter fits | does someone have to sign for the parcel
        the operator of the café wants filters | contact lens cleaning
        Do I need a person to install it | I bought it for someone
        I need a kettle for four people | can I give a gift to someone
        hi, how do I descale | ok but where is my order | thanks, and how long is shipping
        are you open today | is it good | no | it does not work
    """,
    "greeting": """
        hi | Hello! | hey there | Guten Tag | bonjour | Hola, buenas tardes | good morning
        anyone there? | ? | is anybody there | hello???
    """,
    "thanks": """
        thanks | thank you so much! | ok | 👍 | great, that worked | Danke schön | got it
        merci beaucoup | perfect, thanks for your help | ok thanks bye
    """,
    "who_are_you": """
        are you a bot? | Am I talking to a human? | are you human | who are you
        bist du ein Mensch? | is this a bot
    """,
}


@pytest.mark.parametrize(
    ("meaning", "text"),
    [
        (meaning, text.strip())
        for meaning, texts in MEANINGS.items()
        for line in texts.strip().splitlines()
        for text in line.split("|")
    ],
)
def test_a_phrase_means_what_it_says(meaning: str, text: str) -> None:
    assert meaning_of(text) == meaning


def test_real_customers_who_want_a_person_are_understood_and_no_one_else() -> None:
    path = corpus("chat/bitext_customer_support_utterances.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["intent"], meaning_of(row["utterance"])) for row in csv.DictReader(file)]

    wanting = [meaning for intent, meaning in rows if intent == "contact_human_agent"]
    assert (len(wanting), set(wanting)) == (25, {"person"})
    others = [(i, m) for i, m in rows if not i.startswith("contact_")]
    assert [intent for intent, meaning in others if meaning != "question"] == []
