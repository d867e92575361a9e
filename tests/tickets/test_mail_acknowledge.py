"""Telling whoever opened a ticket by mail that it is here; off unless the inbox says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from django.utils.timezone import now

from helpdesk.lib.errors import Refused
from tests.fakes.mails import mail
from tests.tickets.test_mail_in import come_in
from tickets.models import Inbox, Message, OutgoingEmail, Ticket
from tickets.operations import acknowledging
from tickets.operations.acknowledging import TEXTS, words
from tickets.operations.hours import hours_as_text, is_open, read_hours
from tickets.operations.letters import letter_for

pytestmark = pytest.mark.django_db

WEEKDAYS = {str(day): ["09:00", "17:30"] for day in range(5)}
THURSDAY = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)


@pytest.fixture
def door(inbox: Inbox) -> Inbox:
    inbox.acknowledges = True
    inbox.save()
    return inbox


def fresh(*args: Any, **fields: Any) -> bytes:
    """A mail that was written just now."""
    raw = mail(*args, **fields)
    return raw.replace(b"Mon, 03 Mar 2025 10:00:00 +0000", format_datetime(now()).encode())


def said() -> list[str]:
    return list(Message.objects.filter(author=None, kind="reply").values_list("body", flat=True))


def test_it_is_off_until_it_is_switched_on(inbox: Inbox) -> None:
    come_in(fresh())
    assert said() == []
    assert not OutgoingEmail.objects.exists()


def test_a_new_ticket_is_acknowledged_once(door: Inbox) -> None:
    come_in(fresh(message_id="<one@mail.example>"))
    ticket = Ticket.objects.get()
    (body,) = said()
    assert body.startswith("Hello Carol,")
    assert f"number {ticket.number}: Broken grinder" in body
    row = OutgoingEmail.objects.get()
    assert (row.address, row.is_automatic) == ("carol@mail.example", True)
    come_in(fresh("And one more thing.", in_reply_to="<one@mail.example>"))
    assert len(said()) == 1


def test_it_changes_nothing_about_the_ticket(door: Inbox) -> None:
    come_in(fresh())
    ticket = Ticket.objects.get()
    assert (ticket.status, ticket.first_reply_at, ticket.unread) == ("open", None, True)
    assert ticket.last_preview == "My grinder arrived broken."
    assert ticket.waiting_since is not None


def test_the_mail_says_that_no_person_wrote_it(door: Inbox) -> None:
    come_in(fresh())
    row = OutgoingEmail.objects.get()
    letter = letter_for(row, row.message, Ticket.objects.get())
    assert letter.is_automatic
    assert letter.from_name == "The Shop"


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_submitted": "auto-replied"},
        {"auto_submitted": "auto-generated"},
        {"return_path": "<>"},
        {"list_id": "<news.mail.example>", "list_unsubscribe": "<mailto:x@mail.example>"},
        {"sender": "no-reply@mail.example"},
        {"sender": "MAILER-DAEMON@mail.example"},
        {"sender": "hello+anything@shop.example"},
        {"subject": "Out of office: Broken grinder"},
    ],
)
def test_machines_and_ourselves_hear_nothing(door: Inbox, fields: dict[str, str]) -> None:
    come_in(fresh(**fields))
    assert said() == []


def test_old_mail_of_a_mailbox_that_is_read_for_the_first_time_is_not_answered(door: Inbox) -> None:
    come_in(mail())
    assert Ticket.objects.count() == 1
    assert said() == []


def test_an_inbox_may_have_words_of_its_own_and_others_out_of_hours(door: Inbox) -> None:
    door.acknowledgement = "Hi {name}, we are here. {number} {other} {0} {name.__class__}"
    door.acknowledgement_away = "Nobody is here."
    door.hours, door.time_zone = WEEKDAYS, "Europe/Vienna"
    ticket = Ticket(number=7, subject="Tea")
    here = words(door, THURSDAY, name="Carol", ticket=ticket, address="c@mail.example")
    assert here == "Hi Carol, we are here. 7 {other} {0} {name.__class__}"
    night = THURSDAY.replace(hour=23)
    away = words(door, night, name="Carol", ticket=ticket, address="c@mail.example")
    assert away == "Nobody is here."


@pytest.mark.parametrize("language", ["de", "fr", "es", "it", "pt-br", "nl", "pl", "xx", "en"])
def test_without_words_of_its_own_it_speaks_the_inboxs_language(door: Inbox, language: str) -> None:
    door.language = language
    ticket = Ticket(number=7, subject="Tea")
    text = words(door, THURSDAY, name="Carol", ticket=ticket, address="c@mail.example")
    begins = TEXTS.get(language[:2], TEXTS["en"])[:3]
    assert text.startswith(begins)
    assert "{" not in text
    assert "Carol" in text
    assert "7" in text


def test_a_strangers_words_bring_no_link_into_our_mail(door: Inbox) -> None:
    ticket = Ticket(number=7, subject="Win at https://evil.example/x [now](http://evil.example)")
    text = words(door, THURSDAY, name="www.evil.example", ticket=ticket, address="c@mail.example")
    assert "evil.example" not in text
    assert "](" not in text


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        (THURSDAY, True),
        (THURSDAY.replace(hour=7, minute=59), False),  # 8:59 in Vienna
        (THURSDAY.replace(hour=16, minute=29), True),
        (THURSDAY.replace(hour=16, minute=30), False),
        (THURSDAY.replace(day=28), False),  # a Saturday
    ],
)
def test_hours_are_those_of_the_inboxs_clock(door: Inbox, moment: datetime, there: bool) -> None:
    door.hours, door.time_zone = WEEKDAYS, "Europe/Vienna"
    assert is_open(door, moment) is there


def test_hours_are_written_as_people_write_them() -> None:
    assert read_hours(" 9-17.30 ") == ["09:00", "17:30"]
    assert read_hours("00:00–24:00") == ["00:00", "24:00"]
    assert read_hours("") is None
    assert hours_as_text(["09:00", "17:30"]) == "09:00-17:30"
    for wrong in ("always", "17-9", "9", "25-26"):
        with pytest.raises(Refused, match=r"such as 9:00-17:30"):
            read_hours(wrong)


def test_what_goes_wrong_there_never_costs_the_ticket(
    door: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "words", lambda *_args, **_kwargs: 1 / 0)
    come_in(fresh())
    assert Ticket.objects.count() == 1
    assert said() == []
