"""What somebody has not read in the widget reaches them by mail, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils.timezone import now
from pytest_django import Settings

from chat import presence, unread
from chat.models import UnreadMail
from chat.operations import resume_session
from chat.presence import Present
from helpdesk.lib import work
from tests import make
from tests.chat.conftest import Visitor
from tests.fakes.mails import mail
from tests.fakes.smtp import Inbox as Server
from tests.fakes.smtp import smtp_server
from tests.tickets.test_mail_copies import sent
from tests.tickets.test_mail_in import come_in
from tests.together import at_once
from tickets.access import Viewer
from tickets.mail.addresses import reply_address
from tickets.models import EmailAddress, Inbox, OutgoingEmail, Participant
from tickets.operations import mark_read, post_note
from tickets.operations.digests import mail_digest, unread_seats
from tickets.operations.seats import Guests, add_people

pytestmark = pytest.mark.django_db

VERA = "vera@mail.example"


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with smtp_server() as running:
        settings.SMTP_URL = running.url
        yield running


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> dict[int, Present]:
    """Who is here, or was, in place of Redis."""
    seen: dict[int, Present] = {}
    monkeypatch.setattr(presence, "present", lambda _conversation: list(seen.values()))
    return seen


def present(who: Visitor, *, gone_seconds: int = 0) -> Present:
    gone_at = now() - timedelta(seconds=gone_seconds) if gone_seconds else None
    person = who.session.person
    return Present(person.pk, person.name, "customer", is_here=not gone_seconds, gone_at=gone_at)


@pytest.fixture
def vera(visitor: Visitor, inbox: Inbox) -> Visitor:
    """A visitor who gave an address and has said something."""
    EmailAddress.objects.create(person=visitor.session.person, address=VERA)
    make.say(visitor.visit.viewer, visitor.session.conversation, "Hello?", inbox_id=inbox.pk)
    return visitor


def wait(seconds: int = 125) -> None:
    """Let time go by and the sweep come."""
    waiting = UnreadMail.objects.filter(state="queued")
    for row in waiting:
        UnreadMail.objects.filter(pk=row.pk).update(
            due_at=row.due_at - timedelta(seconds=seconds),
            posted_at=row.posted_at - timedelta(seconds=seconds),
        )
    for row in waiting.order_by("due_at"):
        work.perform(UnreadMail, row.pk, unread.mail_unread)


def mails() -> list[tuple[str, str, int | None]]:
    rows = (
        OutgoingEmail.objects.filter(message__kind="reply").order_by("pk").select_related("message")
    )
    return [(row.address, row.message.body, row.since_seq) for row in rows]


def seat(who: Visitor) -> Participant:
    return Participant.objects.get(person=who.session.person)


def test_what_a_visitor_who_is_gone_has_not_read_leaves_in_one_mail(
    vera: Visitor, alice: Viewer, server: Server
) -> None:
    where = vera.session.conversation
    for words in ("Hello Vera.", "It is **02**.", "Shall I put ten in?"):
        make.say(alice, where, words)
    post_note(alice, where.pk, body="Between us", via="web")
    assert mails() == []
    wait()
    assert [(address, body) for address, body, _since in mails()] == [(VERA, "Shall I put ten in?")]
    arrived = sent(OutgoingEmail.objects.get().message, server)[VERA]
    plain, html = arrived.get_body(("plain",)), arrived.get_body(("html",))
    assert plain is not None
    assert html is not None
    told = plain.get_content()
    order = [told.index(words) for words in ("Hello Vera.", "It is **02**.", "Shall I put ten in?")]
    assert order == sorted(order)
    assert "Alice from The Shop" in told
    assert "<strong>02</strong>" in html.get_content()
    assert "Between us" not in arrived.as_string()
    assert "Hello?" not in told  # her own


def test_it_is_mailed_once_however_often_it_is_asked(vera: Visitor, alice: Viewer) -> None:
    make.say(alice, vera.session.conversation, "Hello Vera.")
    wait()
    UnreadMail.objects.update(state="queued", lease=None)
    wait()
    assert len(mails()) == 1
    make.say(alice, vera.session.conversation, "Are you there?")
    wait()
    assert [body for _address, body, _since in mails()] == ["Hello Vera.", "Are you there?"]


def test_nothing_is_mailed_before_its_time(vera: Visitor, alice: Viewer) -> None:
    make.say(alice, vera.session.conversation, "Hello Vera.")
    wait(100)
    assert mails() == []


def test_what_was_read_is_not_mailed(vera: Visitor, alice: Viewer) -> None:
    said = make.say(alice, vera.session.conversation, "Hello Vera.")
    mark_read(vera.visit.viewer, vera.session.conversation_id, said.seq)
    wait()
    assert mails() == []


def test_while_they_are_here_it_waits_and_two_minutes_after_they_go_it_leaves(
    vera: Visitor, alice: Viewer, here: dict[int, Present]
) -> None:
    make.say(alice, vera.session.conversation, "Hello Vera.")
    here[vera.session.person_id] = present(vera)
    wait()
    assert mails() == []
    (waiting,) = UnreadMail.objects.filter(state="queued")
    assert 100 < (waiting.due_at - now()).total_seconds() <= 120
    here[vera.session.person_id] = present(vera, gone_seconds=121)
    wait()
    assert len(mails()) == 1


def test_a_page_that_nobody_looks_at_for_long_counts_as_gone(
    vera: Visitor, alice: Viewer, here: dict[int, Present]
) -> None:
    make.say(alice, vera.session.conversation, "Hello Vera.")
    here[vera.session.person_id] = present(vera)
    wait(1_000)
    assert len(mails()) == 1


def test_who_answers_the_mail_hears_by_mail_until_they_are_back_in_the_widget(
    vera: Visitor, alice: Viewer, inbox: Inbox
) -> None:
    where = vera.session.conversation
    make.say(alice, where, "Hello Vera.")
    wait()
    to = reply_address("hello@shop.example", where.pk)
    row = come_in(mail("By mail now.", sender=VERA, to=to))
    assert row.message is not None
    assert (row.message.conversation_id, seat(vera).reach) == (where.pk, "email")
    make.say(alice, where, "You hear this at once.")
    assert mails()[-1] == (VERA, "You hear this at once.", None)
    resume_session(inbox, vera.token)
    assert seat(vera).reach == "live"
    make.say(alice, where, "And this in the widget.")
    assert mails()[-1][1] == "You hear this at once."
    wait()
    assert [body for _address, body, _since in mails()][1:] == [
        "You hear this at once.",
        "And this in the widget.",
    ]


def test_who_gave_no_address_or_muted_it_or_left_is_mailed_nothing(
    vera: Visitor, alice: Viewer
) -> None:
    where = vera.session.conversation
    for change in (
        lambda: Participant.objects.filter(pk=seat(vera).pk).update(muted=True),
        lambda: Participant.objects.filter(pk=seat(vera).pk).update(muted=False, left_at=now()),
        lambda: EmailAddress.objects.all().delete(),
    ):
        change()
        make.say(alice, where, "Hello?")
        wait()
        assert mails() == []


def test_who_is_removed_at_that_moment_is_mailed_nothing(vera: Visitor, alice: Viewer) -> None:
    make.say(alice, vera.session.conversation, "Hello Vera.")
    (found,) = unread_seats(vera.session.conversation_id, 2)
    Participant.objects.filter(pk=found.pk).update(left_at=now())
    with transaction.atomic():
        assert not mail_digest(found)
    assert mails() == []


def test_an_inbox_without_an_address_mails_nothing(
    vera: Visitor, alice: Viewer, inbox: Inbox
) -> None:
    Inbox.objects.update(address=None)
    make.say(alice, vera.session.conversation, "Hello Vera.")
    wait()
    assert mails() == []
    assert set(UnreadMail.objects.values_list("state", flat=True)) == {"done"}


def test_in_a_group_what_one_visitor_says_is_mailed_to_another(
    vera: Visitor, alice: Viewer, stranger: Visitor
) -> None:
    where = vera.session.conversation
    make.say(vera.visit.viewer, where, "Alone")
    assert not UnreadMail.objects.exists()  # nobody else is there to read it
    add_people(alice, where.pk, Guests(addresses=["julie@mail.example"]))
    julie = Participant.objects.get(person__addresses__address="julie@mail.example")
    Participant.objects.filter(pk=julie.pk).update(reach="live")
    make.say(vera.visit.viewer, where, "Hello Julie")
    wait()
    assert [(address, body) for address, body, _since in mails()] == [
        ("julie@mail.example", "Hello Julie")
    ]


@pytest.mark.django_db(transaction=True)
def test_two_workers_and_two_rows_mail_it_once(vera: Visitor, alice: Viewer) -> None:
    for words in ("One", "Two"):
        make.say(alice, vera.session.conversation, words)
    UnreadMail.objects.update(due_at=now())
    rows = list(UnreadMail.objects.values_list("pk", flat=True)) * 2
    at_once(*[_performing(pk) for pk in rows])
    assert [body for _address, body, _since in mails()] == ["Two"]


def _performing(pk: int) -> Callable[[], object]:
    return lambda: work.perform(UnreadMail, pk, unread.mail_unread)
