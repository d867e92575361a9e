"""A word by mail to whoever is added to a conversation by their address: who did it, what it is
about, what they may see of it, and how they answer.

It hangs on the line that says so in the timeline, and leaves as every mail does. Answers to it find
the conversation by its Message-ID, and what is said later is below it in their mail program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.db.models import Q

from tickets.models import Conversation, Inbox, Message, OutgoingEmail, Participant, Ticket
from tickets.operations.acknowledging import NAME_MAX_CHARS, SUBJECT_MAX_CHARS, harmless
from tickets.operations.bounced import COMPLAINT
from tickets.operations.timeline import queue_email

FIELD = re.compile(r"\{(name|by|subject)\}")


class Said(NamedTuple):
    hello: str
    begins: str  # {by} is who added them, {subject} what it is about
    sees_all: str
    sees_later: str
    answers: str
    reads: str  # instead of `answers`, for who may not write there


TEXTS = {
    "en": Said(
        "Hello {name},",
        "{by} added you to a conversation: {subject}",
        "You get a mail of everything that is said in it. What was said before is below.",
        "You get a mail of everything that is said in it from now on.",
        "To say something, just answer this mail: everybody in the conversation gets it.",
        "You can read along. If you answer, that reaches us and not the others.",
    ),
    "de": Said(
        "Hallo {name},",
        "{by} hat Sie zu einer Unterhaltung hinzugefügt: {subject}",
        "Sie erhalten alles, was darin gesagt wird, per E-Mail. Das Bisherige steht unten.",
        "Sie erhalten ab jetzt alles, was darin gesagt wird, per E-Mail.",
        "Um etwas zu sagen, antworten Sie einfach auf diese E-Mail: Alle in der Unterhaltung "
        "bekommen es.",
        "Sie können mitlesen. Eine Antwort erreicht uns und nicht die anderen.",
    ),
    "fr": Said(
        "Bonjour {name},",
        "{by} vous a ajouté à une conversation : {subject}",
        "Vous recevez par e-mail tout ce qui s'y dit. Ce qui a été dit avant figure ci-dessous.",
        "Vous recevez désormais par e-mail tout ce qui s'y dit.",
        "Pour écrire, répondez simplement à ce message : tous les participants le reçoivent.",
        "Vous pouvez suivre la conversation. Une réponse nous parvient à nous, pas aux autres.",
    ),
    "es": Said(
        "Hola {name}:",
        "{by} le ha añadido a una conversación: {subject}",
        "Recibirá por correo todo lo que se diga en ella. Lo dicho hasta ahora está más abajo.",
        "A partir de ahora recibirá por correo todo lo que se diga en ella.",
        "Para decir algo, responda a este correo: lo reciben todos los participantes.",
        "Puede seguir la conversación. Si responde, nos llega a nosotros y no a los demás.",
    ),
    "it": Said(
        "Buongiorno {name},",
        "{by} l'ha aggiunta a una conversazione: {subject}",
        "Riceverà via e-mail tutto ciò che vi si dice. Quanto detto finora è qui sotto.",
        "D'ora in poi riceverà via e-mail tutto ciò che vi si dice.",
        "Per scrivere, risponda a questa e-mail: la ricevono tutti i partecipanti.",
        "Può seguire la conversazione. Una risposta arriva a noi e non agli altri.",
    ),
    "pt": Said(
        "Olá {name},",
        "{by} adicionou-o(a) a uma conversa: {subject}",
        "Recebe por e-mail tudo o que nela se disser. O que foi dito antes está abaixo.",
        "A partir de agora recebe por e-mail tudo o que nela se disser.",
        "Para dizer algo, basta responder a este e-mail: todos os participantes o recebem.",
        "Pode acompanhar a conversa. Uma resposta chega-nos a nós e não aos outros.",
    ),
    "nl": Said(
        "Hallo {name},",
        "{by} heeft u aan een gesprek toegevoegd: {subject}",
        "U krijgt alles wat er gezegd wordt per e-mail. Wat eerder gezegd is, staat hieronder.",
        "U krijgt vanaf nu alles wat er gezegd wordt per e-mail.",
        "Wilt u iets zeggen, beantwoord dan deze e-mail: iedereen in het gesprek krijgt het.",
        "U kunt meelezen. Een antwoord bereikt ons en niet de anderen.",
    ),
    "pl": Said(
        "Dzień dobry {name},",
        "{by} dodaje Cię do rozmowy: {subject}",
        "Wszystko, co zostanie w niej powiedziane, otrzymasz e-mailem. Wcześniejsze wiadomości "
        "są poniżej.",
        "Od teraz wszystko, co zostanie w niej powiedziane, otrzymasz e-mailem.",
        "Aby coś napisać, po prostu odpowiedz na tę wiadomość: dostaną ją wszyscy w rozmowie.",
        "Możesz czytać rozmowę. Odpowiedź trafi do nas, a nie do pozostałych.",
    ),
}


def invite(
    line: Message, seats: Iterable[Participant], addresses: Mapping[int, str], *, quiet: set[int]
) -> None:
    """Mail each of these new seats at the address, by person, that they were added by. `line` says
    in the timeline that they were. Nobody in `quiet` hears of it, nor who called a mail of ours
    spam, or whose address gave one back for good."""
    wanted = [seat for seat in seats if seat.person_id in addresses]
    lost = OutgoingEmail.objects.filter(person__in=[seat.person_id for seat in wanted]).filter(
        Q(bounce_hard=True) | Q(bounce_kind=COMPLAINT)
    )
    refused = set(lost.values_list("person", "address"))
    for seat in wanted:
        address = addresses[seat.person_id]
        if seat.person_id not in quiet and (seat.person_id, address) not in refused:
            queue_email(line, seat.person_id, address)


def is_invitation(message: Message) -> bool:
    """Is a mail that carries this message an invitation?"""
    return message.kind == Message.Kind.CHANGE


def invitation(outgoing: OutgoingEmail, ticket: Ticket, *, by: str) -> str:
    """What it says to one of them. `by` is who added them, as they know that person."""
    inbox: Inbox = ticket.inbox
    said = TEXTS.get(inbox.language.lower().partition("-")[0], TEXTS["en"])
    seat = Participant.objects.filter(
        conversation=ticket.conversation_id, person=outgoing.person_id
    ).first()
    name = harmless(outgoing.person.name, NAME_MAX_CHARS)
    if name == outgoing.address.partition("@")[0]:
        name = ""  # nobody is called that
    hello = said.hello if name else said.hello.replace(" {name}", "")
    subject = harmless(_subject(ticket), SUBJECT_MAX_CHARS)
    begins = said.begins if subject else said.begins.partition("{subject}")[0].rstrip(" :") + "."
    sees = said.sees_all if seat and not seat.sees_after_seq else said.sees_later
    is_reader = seat is not None and seat.rank == Participant.Rank.READER
    text = "\n\n".join([hello, begins, sees, said.reads if is_reader else said.answers])
    given = {"name": name, "by": harmless(by, NAME_MAX_CHARS), "subject": subject}
    return FIELD.sub(lambda found: given[found[1]], text)


def _subject(ticket: Ticket) -> str:
    conversation: Conversation = ticket.conversation
    return conversation.title or ticket.subject


def withdraw_invitation(conversation: Conversation, person_id: int) -> None:
    """Somebody has lost their seat: an invitation that has not begun to leave never does."""
    OutgoingEmail.objects.filter(
        message__conversation=conversation,
        message__kind=Message.Kind.CHANGE,
        person=person_id,
        state=OutgoingEmail.State.QUEUED,
    ).delete()
