"""A word to whoever opened a ticket by mail: it is here, and when it will be looked at."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.utils.timezone import now

from tickets.mail.addresses import without_tag
from tickets.mail.parse import ParsedEmail
from tickets.mail.render import one_line
from tickets.models import Inbox, Message, Person, Ticket
from tickets.operations.hours import is_open
from tickets.operations.loop_guard import let_through
from tickets.operations.timeline import Hearer, append_entry, locked, queue_email

log = logging.getLogger(__name__)

# Whoever wrote longer ago knows that it arrived; so nobody hears of an old mailbox being read.
MAX_AGE = timedelta(days=1)
NAME_MAX_CHARS = 60
SUBJECT_MAX_CHARS = 120
ADDRESS = re.compile(r"\b(?:https?:|www\.)\S*", re.I)
FIELD = re.compile(r"\{(name|number|subject)\}")
SPEAKS = str.maketrans({"[": "(", "]": ")", "<": "(", ">": ")", "`": "'", "*": "", "_": " "})

# What is said where the inbox has no words of its own.
TEXTS = {
    "en": (
        "Hello {name},\n\nthank you for your message. It has arrived, and we will answer as soon "
        "as we can.\n\nYour request has the number {number}: {subject}\n\n"
        "If there is anything to add, just answer this mail."
    ),
    "de": (
        "Hallo {name},\n\nvielen Dank für Ihre Nachricht. Sie ist angekommen, und wir antworten so "
        "bald wie möglich.\n\nIhre Anfrage hat die Nummer {number}: {subject}\n\n"
        "Möchten Sie etwas ergänzen, antworten Sie einfach auf diese E-Mail."
    ),
    "fr": (
        "Bonjour {name},\n\nmerci pour votre message. Il nous est bien parvenu, et nous vous "
        "répondrons dès que possible.\n\nVotre demande porte le numéro {number} : {subject}\n\n"
        "Pour ajouter quelque chose, répondez simplement à ce message."
    ),
    "es": (
        "Hola {name}:\n\nGracias por su mensaje. Lo hemos recibido y le responderemos lo antes "
        "posible.\n\nSu solicitud tiene el número {number}: {subject}\n\n"
        "Si desea añadir algo, responda a este correo."
    ),
    "it": (
        "Buongiorno {name},\n\ngrazie per il suo messaggio. È arrivato e le risponderemo al più "
        "presto.\n\nLa sua richiesta ha il numero {number}: {subject}\n\n"
        "Se desidera aggiungere qualcosa, risponda a questa e-mail."
    ),
    "pt": (
        "Olá {name},\n\nobrigado pela sua mensagem. Já a recebemos e responderemos assim que "
        "possível.\n\nO seu pedido tem o número {number}: {subject}\n\n"
        "Se quiser acrescentar algo, basta responder a este e-mail."
    ),
    "nl": (
        "Hallo {name},\n\nbedankt voor uw bericht. Het is aangekomen en we antwoorden zo snel "
        "mogelijk.\n\nUw vraag heeft nummer {number}: {subject}\n\n"
        "Wilt u iets toevoegen, beantwoord dan deze e-mail."
    ),
    "pl": (
        "Dzień dobry {name},\n\ndziękujemy za wiadomość. Dotarła do nas i odpowiemy najszybciej, "
        "jak to możliwe.\n\nTwoje zgłoszenie ma numer {number}: {subject}\n\n"
        "Jeśli chcesz coś dodać, po prostu odpowiedz na tę wiadomość."
    ),
}


def acknowledge(ticket: Ticket, person: Person, address: str, mail: ParsedEmail) -> None:
    """Tell `person` that the mail which has just opened `ticket` is here, in the transaction that
    files it.

    It is the helpdesk's own message, neither a first reply nor anybody's turn. Nothing is written
    to machines, to addresses of our own, about mail older than MAX_AGE, and beyond what the loop
    guard lets through. Whatever goes wrong with it is logged: the ticket is there all the same.
    """
    try:
        with transaction.atomic():
            _acknowledge(ticket, person, address, mail)
    except (OperationalError, InterfaceError):
        raise  # the filing cannot go on either
    except Exception:
        log.exception("ticket %s: not acknowledged", ticket.number)


def _acknowledge(ticket: Ticket, person: Person, address: str, mail: ParsedEmail) -> None:
    moment = now()
    if not mail.may_be_answered or (mail.date is not None and moment - mail.date > MAX_AGE):
        return
    inbox = Inbox.objects.get(pk=ticket.inbox_id)
    ours = Inbox.objects.filter(address__iexact=without_tag(address))
    if not inbox.acknowledges or not inbox.address or ours.exists():
        return
    conversation = ticket.conversation = locked(ticket.conversation_id)
    if not let_through(ticket, [Hearer(person.pk, address)]):
        return
    message = Message(
        kind=Message.Kind.REPLY,
        via=Message.Via.SYSTEM,
        body=words(inbox, moment, name=person.name, ticket=ticket, address=address),
    )
    append_entry(conversation, message)
    queue_email(message, person.pk, address, is_automatic=True)


def words(inbox: Inbox, moment: datetime, *, name: str, ticket: Ticket, address: str) -> str:
    """What is said at this moment, filled in."""
    text = inbox.acknowledgement
    if inbox.acknowledgement_away.strip() and not is_open(inbox, moment):
        text = inbox.acknowledgement_away
    language = inbox.language.lower().partition("-")[0]
    text = text.strip() or TEXTS.get(language, TEXTS["en"])
    name = harmless(name, NAME_MAX_CHARS)
    if name == address.partition("@")[0]:
        name = ""  # nobody is called that
    subject = harmless(ticket.subject, SUBJECT_MAX_CHARS)
    if not name:
        text = text.replace(" {name}", "")
    # At once, so that what is filled in is not filled in itself.
    given = {"name": name, "number": str(ticket.number), "subject": subject}
    return FIELD.sub(lambda found: given[found[1]], text)


def harmless(text: str, max_chars: int) -> str:
    """A stranger's words in a mail of ours: on one line, and no link. Who writes in under
    somebody else's address must not get us to send them one."""
    text = ADDRESS.sub("…", one_line(text)).translate(SPEAKS).strip()
    return text if len(text) <= max_chars else f"{text[: max_chars - 1].rstrip()}…"
