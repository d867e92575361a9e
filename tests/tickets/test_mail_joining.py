"""Which conversation a mail joins, who takes part in it from then on, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from tests import make
from tests.fakes.mails import mail
from tests.tickets.test_mail_in import come_in, file_at_once, recorded, sent_to
from tickets.access import Viewer, visible_messages
from tickets.mail.addresses import reply_address
from tickets.mail.subjects import is_another_matter, matter
from tickets.models import (
    EmailAddress,
    InboundEmail,
    Inbox,
    Mailbox,
    Message,
    OutgoingEmail,
    Participant,
    Person,
    Ticket,
)
from tickets.operations import solve_ticket

pytestmark = pytest.mark.django_db


def token(ticket: Ticket) -> str:
    return reply_address("hello@shop.example", ticket.conversation_id)


def our_id(ticket: Ticket) -> str:
    return f"<{sent_to(ticket).rfc_message_id}>"


def two_tickets(alice: Viewer, carol: Viewer, inbox: Inbox) -> tuple[Ticket, Ticket]:
    """Each with a reply by mail in it."""
    made = make.ticket(carol, inbox, "One."), make.ticket(carol, inbox, "Two.")
    for ticket in made:
        make.say(alice, ticket, "Yes?")
    return made


def in_copy(ticket: Ticket) -> list[str]:
    seats = Participant.objects.filter(conversation=ticket.conversation_id, copied=True)
    return [*seats.order_by("pk").values_list("person__addresses__address", flat=True)]


def solved_long_ago(alice: Viewer, ticket: Ticket, days: int = 15) -> None:
    solve_ticket(alice, ticket.number)
    Ticket.objects.filter(pk=ticket.pk).update(solved_at=now() - timedelta(days=days))


# --- Where it belongs -------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["delivered_to", "x_original_to"])
def test_the_envelope_decides_before_the_fields_of_the_letter(
    alice: Viewer, carol: Viewer, inbox: Inbox, field: str
) -> None:
    one, two = two_tickets(alice, carol, inbox)
    for right, other in ((one, two), (two, one)):
        headers: dict[str, Any] = {field: token(right), "in_reply_to": our_id(other)}
        row = come_in(mail(to=token(other), **headers))
        assert row.conversation_id == right.conversation_id
        assert row.reason == f"The reply address named #{right.number}."


def test_an_address_in_to_decides_before_one_in_cc(
    alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    one, two = two_tickets(alice, carol, inbox)
    for right, other in ((one, two), (two, one)):
        row = come_in(mail(to=token(right), cc=token(other)))
        assert row.conversation_id == right.conversation_id


def test_an_address_in_cc_is_enough(ticket: Ticket) -> None:
    row = come_in(mail(to="dave@mail.example", cc=token(ticket), subject="Something else"))
    assert row.conversation_id == ticket.conversation_id


def test_an_id_of_ours_decides_before_one_of_theirs(
    alice: Viewer, carol: Viewer, inbox: Inbox
) -> None:
    one, two = two_tickets(alice, carol, inbox)
    come_in(mail(message_id="<theirs@mail.example>", in_reply_to=our_id(two)))
    row = come_in(mail(in_reply_to="<theirs@mail.example>", references=our_id(one)))
    assert row.conversation_id == one.conversation_id
    assert row.reason == f"References matched message 3 of #{one.number}."


def test_an_answer_to_somebody_elses_mail_joins_it(inbox: Inbox) -> None:
    come_in(mail(message_id="<first@mail.example>"))
    row = come_in(mail(sender="dave@mail.example", in_reply_to="<first@mail.example>"))
    assert Ticket.objects.count() == 1
    assert row.reason == f"In-Reply-To matched message 1 of #{Ticket.objects.get().number}."


# --- Which door -------------------------------------------------------------------------------


def test_a_mail_to_two_of_our_addresses_is_one_ticket_at_the_first_that_it_names(
    inbox: Inbox,
) -> None:
    other = make.inbox("Other", address="other@shop.example")
    copies = [
        mail(to="Hello@shop.example", cc="other@shop.example", message_id="<1@mail.example>"),
        mail(to="Hello@shop.example", cc="other@shop.example", message_id="<1@mail.example>"),
    ]
    # The copy that reaches the second mailbox is filed first.
    come_in(b"Delivered-To: other@shop.example\r\n" + copies[0])
    second = come_in(b"Delivered-To: hello@shop.example\r\n" + copies[1])
    assert (Ticket.objects.get().inbox, second.decision) == (inbox, "duplicate")
    assert not Participant.objects.filter(copied=True).exists()
    come_in(mail(to="other@shop.example, hello@shop.example"))
    assert Ticket.objects.latest("pk").inbox == other


def test_the_envelope_names_the_door_where_the_letter_does_not(inbox: Inbox) -> None:
    other = make.inbox("Other", address="other@shop.example")
    come_in(mail(to="undisclosed-recipients:;", delivered_to="other@shop.example"))
    assert Ticket.objects.get().inbox == other


# --- People in To and Cc ----------------------------------------------------------------------


def test_people_in_to_and_cc_take_part_and_hear_in_copy(alice: Viewer, inbox: Inbox) -> None:
    EmailAddress.objects.create(person=make.customer("Erin").person, address="erin@mail.example")
    come_in(
        mail(
            to="hello@shop.example, Dave D <Dave@mail.example>",
            cc="ERIN@mail.example, dave@mail.example, carol@mail.example",
        )
    )
    ticket = Ticket.objects.get()
    assert in_copy(ticket) == ["dave@mail.example", "erin@mail.example"]
    assert Person.objects.get(addresses__address="dave@mail.example").name == "Dave D"
    assert ticket.requester.name == "Carol"
    assert [entry.kind for entry in ticket.conversation.messages.all()] == ["reply"]
    make.say(alice, ticket, "Hello all.")
    sent = OutgoingEmail.objects.filter(message__body="Hello all.").order_by("pk")
    assert [(one.address, one.field) for one in sent] == [
        ("carol@mail.example", "to"),
        ("dave@mail.example", "cc"),
        ("erin@mail.example", "cc"),
    ]


def test_nobody_is_seated_who_is_no_customer(alice: Viewer, inbox: Inbox, ticket: Ticket) -> None:
    make.inbox("Other", address="other@shop.example")
    Mailbox.objects.create(name="m", inbox=inbox, kind="folder", folder="x", username="in@isp.test")
    EmailAddress.objects.create(person=alice.person, address="alice@home.example")
    come_in(
        mail(
            to="hello@shop.example, other+tag@shop.example, IN@isp.test, list@shop.example",
            cc="alice@desk.example, alice@home.example, no-reply@bank.example, "
            "MAILER-DAEMON@mx.example, not an address, carol@mail.example",
            delivered_to="list@shop.example",
        )
    )
    opened = Ticket.objects.latest("pk")
    assert opened != ticket
    assert in_copy(opened) == []


def test_an_address_that_leads_on_to_us_is_not_taken_for_a_person(inbox: Inbox) -> None:
    come_in(mail(to="info@shop-elsewhere.example", cc="dave@mail.example"))
    assert in_copy(Ticket.objects.get()) == ["dave@mail.example"]


def test_at_most_twenty_are_seated(inbox: Inbox) -> None:
    come_in(mail(cc=", ".join(f"p{n}@mail.example" for n in range(60))))
    assert len(in_copy(Ticket.objects.get())) == 20


@pytest.mark.parametrize(
    "headers",
    [{"list_id": "<news.mail.example>"}, {"auto_submitted": "auto-replied"}],
    ids=["list", "vacation"],
)
def test_a_list_or_a_machine_seats_nobody_else(ticket: Ticket, headers: dict[str, Any]) -> None:
    come_in(mail(to=token(ticket), cc="dave@mail.example", **headers))
    assert in_copy(ticket) == []


def test_who_is_put_in_copy_later_sees_nothing_earlier_and_a_line_says_so(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Between us.")
    come_in(mail("Dave knows more.", to=token(ticket), cc="Dave <dave@mail.example>"))
    dave = Person.objects.get(name="Dave")
    assert [m.body for m in visible_messages(Viewer(dave), ticket.conversation)] == [
        "Dave knows more."
    ]
    line = ticket.conversation.messages.latest("seq")
    assert line.change == {"field": "copied", "old": None, "new": "dave@mail.example"}
    assert (line.audience, line.author.name if line.author else "") == ("staff", "Carol")
    come_in(mail("And again.", to=token(ticket), cc="dave@mail.example"))
    assert ticket.conversation.messages.filter(change__field="copied").count() == 1


def test_who_was_taken_out_of_copy_stays_out(ticket: Ticket) -> None:
    come_in(mail(to=token(ticket), cc="dave@mail.example"))
    Participant.objects.filter(copied=True).update(left_at=now())
    come_in(mail(to=token(ticket), cc="dave@mail.example"))
    assert Participant.objects.get(copied=True).left_at is not None
    come_in(mail("But I want to.", sender="dave@mail.example", to=token(ticket)))
    assert Participant.objects.get(copied=True).left_at is None


@pytest.mark.django_db(transaction=True)
def test_two_mails_that_name_the_same_new_person_at_once_make_one(inbox: Inbox) -> None:
    file_at_once(
        *(
            recorded(mail(sender=f"s{n}@mail.example", cc=f"{copied}@mail.example"))
            for n, copied in enumerate(["dave", "dave", "s0", "s1"])
        )
    )
    assert EmailAddress.objects.filter(address="dave@mail.example").count() == 1
    assert InboundEmail.objects.filter(state="done", attempts=1).count() == 4


@pytest.mark.django_db(transaction=True)
def test_seats_taken_at_once_in_one_conversation_are_one_each(ticket: Ticket) -> None:
    file_at_once(
        *(
            recorded(mail(sender=sender, to=token(ticket), cc="erin@mail.example"))
            for sender in ("dave@mail.example", "erin@mail.example", "carol@mail.example")
        )
    )
    assert ticket.conversation.participants.count() == 3
    assert InboundEmail.objects.filter(state="done", attempts=1).count() == 3
    ticket.conversation.refresh_from_db()
    seqs = [*ticket.conversation.messages.order_by("seq").values_list("seq", flat=True)]
    assert seqs == list(range(1, ticket.conversation.last_seq + 1))


# --- Whom a form speaks for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        ("hello@shop.example", {}),
        ("wordpress@shop.example", {}),
        ("No-Reply@forms.example", {}),
        ("forms@forms.example", {"auto_submitted": "auto-generated"}),
    ],
)
def test_a_contact_form_speaks_for_whom_its_reply_to_names(
    alice: Viewer, inbox: Inbox, sender: str, headers: dict[str, Any]
) -> None:
    come_in(mail(sender=sender, reply_to="Carol <Carol@mail.example>", **headers))
    ticket = Ticket.objects.get()
    assert ticket.requester.name == "Carol"
    make.say(alice, ticket, "Hello Carol.")
    assert sent_to(ticket).address == "carol@mail.example"


def test_a_person_who_wants_answers_elsewhere_is_still_who_wrote(inbox: Inbox) -> None:
    come_in(mail(reply_to="other@mail.example"))
    assert Ticket.objects.get().requester.name == "Carol"


@pytest.mark.parametrize("address", ["alice@desk.example", "alice@home.example"])
def test_a_form_never_speaks_for_staff(alice: Viewer, ticket: Ticket, address: str) -> None:
    EmailAddress.objects.create(person=alice.person, address="alice@home.example")
    make.say(alice, ticket, "Hello.")
    row = come_in(
        mail("Pay here.", sender="noreply@forms.example", reply_to=address, to=token(ticket))
    )
    assert row.message is not None
    assert row.message.author != alice.person


def test_our_own_mail_under_another_id_is_known_by_its_reply_address(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Hello.")
    row = come_in(mail("Hello.", sender="hello@shop.example", reply_to=token(ticket)))
    assert (row.decision, ticket.conversation.messages.count()) == ("ignored", 2)
    assert row.reason.startswith("It is our own mail")


# --- Another subject --------------------------------------------------------------------------


def test_another_subject_long_after_opens_a_ticket_that_continues_the_old_one(
    alice: Viewer, ticket: Ticket
) -> None:
    make.say(alice, ticket, "Solved.")
    solved_long_ago(alice, ticket)
    row = come_in(mail("A kettle.", subject="Re: My kettle leaks", to=token(ticket)))
    new = Ticket.objects.latest("pk")
    assert (new.continues, row.conversation) == (ticket, new.conversation)
    assert row.reason.startswith(f"Opened #{new.number}: another subject, and #{ticket.number} was")
    said = [[(m.change or {}).get("field", m.kind), (m.change or {}).get("new")]
            for m in new.conversation.messages.order_by("seq")]  # fmt: skip
    assert said == [["reply", None], ["continues", ticket.number]]
    line = ticket.conversation.messages.latest("seq")
    assert line.change == {"field": "continued", "old": None, "new": new.number}
    ticket.refresh_from_db()
    assert ticket.status == "solved"
    again = come_in(mail("It still leaks.", subject="My kettle leaks", to=token(ticket)))
    assert again.conversation == new.conversation
    assert Ticket.objects.count() == 2


@pytest.mark.parametrize(
    ("subject", "days", "after_days"),
    [
        ("Re: [EXTERNAL] My grinder  arrived BROKEN.", 15, 14),
        ("AW: WG: My grinder arrived broken. [#12]", 15, 14),
        ("", 15, 14),
        ("Re: ", 15, 14),
        ("My kettle leaks", 13, 14),
        ("My kettle leaks", 400, 0),
    ],
)
def test_the_same_matter_joins_the_old_ticket(
    alice: Viewer, inbox: Inbox, ticket: Ticket, subject: str, days: int, after_days: int
) -> None:
    Inbox.objects.update(new_ticket_after_days=after_days)
    solved_long_ago(alice, ticket, days)
    come_in(mail("Hello?", subject=subject, to=token(ticket)))
    ticket.refresh_from_db()
    assert (Ticket.objects.count(), ticket.status) == (1, "open")


def test_another_subject_joins_a_ticket_that_is_not_solved(ticket: Ticket) -> None:
    come_in(mail(subject="Something else", to=token(ticket)))
    assert Ticket.objects.count() == 1


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ("Re: Order 7", "order  7", False),
        ("Fwd: AW: RE[2]: Größe", "GROSSE", False),
        ("回复：订单", "订单", False),
        ("[Shop] Re: Order", "Order [#12]", False),
        ("#381 Order", "Order (Ticket 381)", False),
        ("Order 7", "Order 8", True),
        ("Re: " + "long " * 60, "long " * 30 + "lo…", False),
        ("Short", "Short and then something", True),
        ("Kein Betreff", "Order", False),
    ],
)
def test_what_two_subjects_have_in_common(one: str, other: str, differs: bool) -> None:
    assert is_another_matter(one, other) is differs
    assert is_another_matter(other, one) is differs


def test_a_subject_of_marks_only_is_read_at_once() -> None:
    assert len(matter("Re: " * 100_000)) > 0


# --- What machines send -----------------------------------------------------------------------


def statuses(tickets: Sequence[Ticket]) -> list[tuple[str, bool]]:
    return [*Ticket.objects.filter(pk__in=[t.pk for t in tickets]).values_list("status", "unread")]


def test_an_automatic_reply_is_a_fact_that_changes_nothing(alice: Viewer, ticket: Ticket) -> None:
    make.say(alice, ticket, "Done.")
    before = Ticket.objects.values().get(pk=ticket.pk)
    row = come_in(mail("I am away.", to=token(ticket), auto_submitted="auto-replied"))
    assert (row.decision, row.nature) == ("filed", "vacation")
    assert Message.objects.get(body="I am away.").kind == "reply"
    assert Ticket.objects.values().get(pk=ticket.pk) == before


def test_an_automatic_reply_to_nothing_is_no_ticket(inbox: Inbox) -> None:
    row = come_in(mail("I am away.", auto_submitted="auto-replied"))
    assert (row.decision, Ticket.objects.count()) == ("ignored", 0)
    assert row.reason == "It is an automatic reply that answers no mail we know."


@pytest.mark.parametrize(
    ("headers", "nature"),
    [
        ({}, "person"),
        ({"auto_submitted": "auto-generated"}, "generated"),
        ({"list_id": "<news.mail.example>"}, "list"),
    ],
)
def test_people_programs_and_lists_open_tickets(
    inbox: Inbox, headers: dict[str, Any], nature: str
) -> None:
    row = come_in(mail(**headers))
    assert (row.decision, row.nature) == ("filed", nature)
    assert statuses([Ticket.objects.get()]) == [("open", True)]
