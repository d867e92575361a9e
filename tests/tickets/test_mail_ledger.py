"""Server and ledger: whatever happens to a mailbox, each of its mails has a row, and one ticket."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils.timezone import now

from helpdesk.lib import work
from tests.fakes.imap import (
    Dovecot,
    Server,
    cutting,
    mail_program,
    mortal_dovecot,
    put,
)
from tests.fakes.mails import mail
from tests.tickets.conftest import need_dovecot
from tests.tickets.fetching import fetch, file_all, mailbox_on
from tickets.mail import fetch_imap
from tickets.mail.fetch_imap import Folder, Span
from tickets.models import InboundEmail, Inbox, Mailbox, Message, Ticket
from tickets.operations import ledger

pytestmark = pytest.mark.django_db


@pytest.fixture
def mortal() -> Iterator[Dovecot]:
    need_dovecot()
    with mortal_dovecot() as running:
        yield running


def fetch_and_compare(mailbox: Mailbox) -> Mailbox:
    Mailbox.objects.filter(pk=mailbox.pk).update(compared_at=None)
    return fetch(mailbox)


def bodies() -> list[str]:
    return sorted(Message.objects.values_list("body", flat=True))


def decisions() -> Counter[str]:
    return Counter(InboundEmail.objects.values_list("decision", flat=True))


# --- Comparing --------------------------------------------------------------------------------


def test_a_mail_below_the_cursor_without_a_row_is_found(imap_server: Server, inbox: Inbox) -> None:
    mailbox = mailbox_on(imap_server, inbox, "hole")
    put(imap_server, "hole", mail("One."), mail("Two."), mail("Three."))
    fetch(mailbox)
    InboundEmail.objects.get(uid=2).delete()
    fetch_and_compare(mailbox)
    found = InboundEmail.objects.get(uid=2)
    file_all()
    assert found.source.endswith("mail 2, found by comparing")
    assert bodies() == ["One.", "Three.", "Two."]
    assert (mailbox.missing_count, mailbox.error) == (0, "")


def test_what_is_too_much_for_one_comparison_is_missing_until_the_next(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "FIND_MAX", 2)
    mailbox = mailbox_on(imap_server, inbox, "holes")
    put(imap_server, "holes", *[mail() for _ in range(5)])
    fetch(mailbox)
    InboundEmail.objects.all().delete()
    assert fetch_and_compare(mailbox).missing_count == 3
    assert fetch(mailbox).missing_count == 1
    assert (fetch(mailbox).missing_count, InboundEmail.objects.count()) == (0, 5)


def test_comparing_is_not_done_with_every_fetch(imap_server: Server, inbox: Inbox) -> None:
    mailbox = mailbox_on(imap_server, inbox, "seldom")
    put(imap_server, "seldom", mail())
    fetch(mailbox)
    InboundEmail.objects.all().delete()
    first = mailbox.compared_at
    assert fetch(mailbox).compared_at == first
    assert InboundEmail.objects.count() == 0
    Mailbox.objects.update(compared_at=now() - ledger.COMPARE_EVERY - timedelta(seconds=1))
    fetch(mailbox)
    assert InboundEmail.objects.count() == 1


def test_a_mail_that_the_server_keeps_back_is_missing_until_it_is_had(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "locked")
    put(imap_server, "locked", mail("One."), mail("Two."))
    honest = Folder.raw

    def refuses(folder: Folder, uid: int, **more: bool) -> bytes:
        if uid == 1:
            raise fetch_imap.NotHandedOver("NO, mail 1 is locked")
        return honest(folder, uid, **more)

    with monkeypatch.context() as broken:
        broken.setattr(Folder, "raw", refuses)
        fetch_and_compare(mailbox)
        file_all()
        assert (mailbox.missing_count, bodies()) == (1, ["Two."])
        fetch_and_compare(mailbox)  # it is not asked for again at once
        assert InboundEmail.objects.get(uid=1).state == "failed"
    InboundEmail.objects.filter(uid=1).update(finished_at=now() - ledger.ASK_AGAIN_AFTER)
    fetch_and_compare(mailbox)
    file_all()
    fetch_and_compare(mailbox)
    assert (mailbox.missing_count, bodies()) == (0, ["One.", "Two."])


def test_a_mail_that_was_kept_back_and_is_gone_is_not_missing(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "vanished")
    put(imap_server, "vanished", mail("One."), mail("Two."))
    with monkeypatch.context() as broken:
        broken.setattr(
            Folder, "raw", lambda *_, **__: (_ for _ in ()).throw(fetch_imap.NotHandedOver("NO"))
        )
        assert fetch_and_compare(mailbox).missing_count == 2
    _remove(imap_server, "vanished", "1:2")
    assert fetch_and_compare(mailbox).missing_count == 0


def test_a_mail_removed_between_listing_and_reading_leaves_no_trace(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "removed")
    put(imap_server, "removed", mail("One."), mail("Two."), mail("Three."))
    honest = Folder.raw

    def late(folder: Folder, uid: int, **more: bool) -> bytes:
        if uid == 2:
            _remove(imap_server, "removed", "2")
        return honest(folder, uid, **more)

    monkeypatch.setattr(Folder, "raw", late)
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["One.", "Three."]
    assert InboundEmail.objects.count() == 2
    assert (mailbox.missing_count, mailbox.last_uid, mailbox.error) == (0, 3, "")


def test_fifty_thousand_mails_cost_a_glance(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's answers, not the mails: the commands and rows are those of a full mailbox."""
    mailbox = mailbox_on(imap_server, inbox, "full")
    asked: list[str] = []
    honest = Folder._search

    def counted(folder: Folder, criteria: str) -> set[int]:
        asked.append(criteria)
        return honest(folder, criteria)

    monkeypatch.setattr(Folder, "_search", counted)
    monkeypatch.setattr(fetch_imap, "MAILS_PER_SEARCH", 10)
    put(imap_server, "full", *[mail() for _ in range(25)])
    fetch_and_compare(mailbox)
    by_place = ["16:25 UID 1:25", "6:15 UID 1:25", "1:5 UID 1:25"]
    assert asked == [*by_place, *by_place]  # to fetch, and to compare
    asked.clear()
    fetch(mailbox)
    assert asked == []  # nothing new: the server is not even asked to search
    put(imap_server, "full", mail())
    fetch(mailbox)
    assert asked == ["UID 26:26"]


# --- What servers and other programs do -------------------------------------------------------


def test_a_new_uidvalidity_doubles_no_ticket(imap_server: Server, inbox: Inbox) -> None:
    mailbox = mailbox_on(imap_server, inbox, "renumbered", folder="Support")
    mails = [mail(f"Mail {n}.") for n in range(5)]
    put(imap_server, "renumbered", *mails, folder="Support")
    fetch_and_compare(mailbox)
    file_all()
    _make_anew(imap_server, "renumbered", "Support")
    put(imap_server, "renumbered", *reversed(mails), mail("New."), folder="Support")
    fetch_and_compare(mailbox)
    file_all()
    assert Ticket.objects.count() == 6
    assert decisions() == {"filed": 6, "duplicate": 5}
    assert (mailbox.last_uid, mailbox.missing_count) == (6, 0)


def test_numbers_that_are_given_a_second_time_hide_no_mail(
    imap_server: Server, inbox: Inbox
) -> None:
    """A server that came back from a backup, under the same UIDVALIDITY."""
    mailbox = mailbox_on(imap_server, inbox, "backup")
    put(imap_server, "backup", mail("One."), mail("Two."))
    fetch(mailbox)
    rows = InboundEmail.objects.filter(uid=2)
    rows.update(uid=7)  # as if 3 to 7 had been there, and were lost with the backup
    Mailbox.objects.update(last_uid=7)
    fetch(mailbox)
    assert mailbox.last_uid == 2
    put(imap_server, "backup", mail("Three."))
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["One.", "Three.", "Two."]


def test_a_mail_moved_away_and_back_is_one_ticket(imap_server: Server, inbox: Inbox) -> None:
    mailbox = mailbox_on(imap_server, inbox, "mover")
    put(imap_server, "mover", mail("One."), mail("Two."))
    fetch(mailbox)
    with mail_program(imap_server, "mover", "Archive") as program:
        program.select("INBOX")
        program.uid("MOVE", "1", "Archive")
    fetch_and_compare(mailbox)
    with mail_program(imap_server, "mover", "Archive") as program:
        program.uid("MOVE", "1", "INBOX")
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["One.", "Two."]
    assert decisions() == {"filed": 2, "duplicate": 1}
    assert mailbox.missing_count == 0


def test_what_another_program_reads_flags_or_answers_comes_in_too(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "other")
    put(imap_server, "other", mail("One."), mail("Two."))
    with mail_program(imap_server, "other") as program:
        program.store("1:2", "+FLAGS", r"(\Seen \Answered \Flagged)")
        fetch(mailbox)
        program.store("2", "+FLAGS", r"(\Deleted)")
    fetch_and_compare(mailbox)
    assert InboundEmail.objects.count() == 2


def test_gaps_between_numbers_cost_nothing(imap_server: Server, inbox: Inbox) -> None:
    mailbox = mailbox_on(imap_server, inbox, "gaps")
    put(imap_server, "gaps", *[mail(f"Mail {n}.") for n in range(6)])
    _remove(imap_server, "gaps", "1:2,4:5")
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["Mail 2.", "Mail 5."]
    assert mailbox.missing_count == 0


def test_enormous_numbers_are_found_by_place(
    imap_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers number by the clock: a search by ranges of numbers would never end."""
    put(imap_server, "clock", *[mail() for _ in range(7)])
    monkeypatch.setattr(fetch_imap, "MAILS_PER_SEARCH", 2)
    with fetch_imap.opened(_account(imap_server, "clock"), writable=False) as folder:
        assert folder.uids(Span(1, 1_700_000_000), most=5) == [1, 2, 3, 4, 5]
        places = [sorted(some) for some in folder.windows(Span(3, 1_700_000_000))]
    assert places == [[6, 7], [4, 5], [3], []]


def test_a_broken_mail_between_good_ones_is_a_row_of_its_own(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "poison")
    put(imap_server, "poison", mail("One."), b"\xff\xfe\r\n\x01 no mail at all", mail("Two."))
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["One.", "Two."]
    failed = InboundEmail.objects.get(state="failed")
    assert "names no sender" in failed.error
    assert mailbox.missing_count == 0  # its bytes are here


def test_a_mail_on_which_the_line_breaks_holds_up_none(imap_server: Server, inbox: Inbox) -> None:
    put(imap_server, "cut", mail("One."), mail("CUTHERE " * 10), mail("Two."))
    with cutting(imap_server, b"CUTHERE") as way:
        mailbox = mailbox_on(way, inbox, "cut")
        fetch_and_compare(mailbox)
        file_all()
        assert bodies() == ["One.", "Two."]
        assert "the line broke" in InboundEmail.objects.get(uid=2).error
        assert (mailbox.missing_count, mailbox.last_uid, mailbox.error) == (1, 3, "")
    Mailbox.objects.update(port=imap_server.port)
    work.retry(InboundEmail.objects.filter(uid=2))
    file_all()
    assert len(bodies()) == 3
    assert fetch_and_compare(mailbox).missing_count == 0


def test_a_line_that_breaks_on_every_mail_fails_none_for_good(
    imap_server: Server, inbox: Inbox
) -> None:
    put(imap_server, "cutall", *[mail("CUTHERE") for _ in range(5)])
    with cutting(imap_server, b"CUTHERE") as way:
        mailbox = mailbox_on(way, inbox, "cutall")
        fetch(mailbox)
    assert "broke off" in mailbox.error
    assert InboundEmail.objects.count() == 1  # the first, which looked like the culprit
    Mailbox.objects.update(port=imap_server.port)
    InboundEmail.objects.update(finished_at=now() - ledger.ASK_AGAIN_AFTER)
    fetch_and_compare(mailbox)
    file_all()
    assert Ticket.objects.count() == 5


def test_a_server_killed_in_the_middle_and_back_gives_the_rest(
    mortal: Dovecot, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(mortal.server, "killed", *[mail(f"Mail {n}.") for n in range(30)])
    mailbox = mailbox_on(mortal.server, inbox, "killed")
    honest = Folder.raw

    def killing(folder: Folder, uid: int, **more: bool) -> bytes:
        if uid == 28:
            mortal.kill()
        return honest(folder, uid, **more)

    with monkeypatch.context() as murder:
        murder.setattr(Folder, "raw", killing)
        fetch(mailbox)
    assert "cannot be reached" in mailbox.error
    assert InboundEmail.objects.count() == 27
    mortal.start()
    fetch_and_compare(mailbox)
    assert (mailbox.error, mailbox.missing_count) == ("", 0)
    assert InboundEmail.objects.count() == 30


def test_what_is_recorded_is_not_asked_for_again(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "again")
    put(imap_server, "again", mail("One."), mail("Two."))
    fetch(mailbox)
    Mailbox.objects.update(last_uid=0)
    monkeypatch.setattr(Folder, "raw", lambda *_, **__: 1 / 0)
    assert (fetch(mailbox).error, mailbox.last_uid) == ("", 2)


@pytest.mark.parametrize("name", ["Bestellungen & Rückfragen", "受信箱", 'a "quoted" \\ one'])
def test_a_folder_may_have_any_name(imap_server: Server, inbox: Inbox, name: str) -> None:
    mailbox = mailbox_on(imap_server, inbox, f"named{len(name)}", folder=name)
    put(imap_server, mailbox.username, mail("One."), folder=fetch_imap.quoted(name))
    assert fetch(mailbox).error == ""
    assert InboundEmail.objects.count() == 1


def test_a_folder_that_is_gone_is_named_and_read_again_when_it_is_back(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "gone", folder="Desk")
    put(imap_server, "gone", mail("One."), folder="Desk")
    fetch(mailbox)
    with mail_program(imap_server, "gone") as program:
        program.rename("Desk", "Elsewhere")
    assert "has no folder Desk" in fetch(mailbox).error
    with mail_program(imap_server, "gone") as program:
        program.rename("Elsewhere", "Desk")
    assert fetch_and_compare(mailbox).error == ""
    file_all()
    assert bodies() == ["One."]


def test_a_password_of_other_letters_opens_too(inbox: Inbox, mortal: Dovecot) -> None:
    config = mortal.folder / "dovecot.conf"
    mortal.kill()
    config.write_text(config.read_text().replace("password=secret", "password=Füße"))
    mortal.start()
    assert fetch(mailbox_on(mortal.server, inbox, "umlaut", password="Füße")).error == ""
    wrong = fetch(mailbox_on(mortal.server, inbox, "wrong", password="Fuße"))
    assert "refused the login of wrong" in wrong.error


# --- From now on ------------------------------------------------------------------------------


def begun(server: Server, inbox: Inbox, user: str, **more: object) -> Mailbox:
    mailbox = mailbox_on(server, inbox, user, **more)
    ledger.begin_from_now(mailbox)
    mailbox.save()
    return mailbox


def test_ten_years_of_mail_are_left_alone(imap_server: Server, inbox: Inbox) -> None:
    put(imap_server, "old", mail("Old."), mail("Older."))
    mailbox = begun(imap_server, inbox, "old")
    put(imap_server, "old", mail("New."))
    fetch_and_compare(mailbox)
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["New."]
    assert mailbox.missing_count == 0


def test_old_mail_that_somebody_moves_in_later_is_a_ticket(
    imap_server: Server, inbox: Inbox
) -> None:
    put(imap_server, "movein", mail("Old."), mail("In the archive."))
    with mail_program(imap_server, "movein", "Archive") as program:
        program.select("INBOX")
        program.uid("MOVE", "2", "Archive")
    mailbox = begun(imap_server, inbox, "movein")
    with mail_program(imap_server, "movein", "Archive") as program:
        program.uid("MOVE", "1", "INBOX")
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["In the archive."]


def test_a_new_uidvalidity_brings_no_old_mail_in(imap_server: Server, inbox: Inbox) -> None:
    old, new = mail("Old."), mail("New.")
    put(imap_server, "anewer", old, folder="Desk")
    mailbox = begun(imap_server, inbox, "anewer", folder="Desk")
    put(imap_server, "anewer", new, folder="Desk")
    fetch_and_compare(mailbox)
    file_all()
    _make_anew(imap_server, "anewer", "Desk")
    with mail_program(imap_server, "anewer", "Desk") as program:
        program.append("Desk", "", '"03-Mar-2015 10:00:00 +0000"', old)
        program.append("Desk", "", "", new)
        program.append("Desk", "", '"04-Mar-2015 10:00:00 +0000"', mail("Old, too."))
    put(imap_server, "anewer", mail("Newer."), folder="Desk")
    fetch_and_compare(mailbox)
    InboundEmail.objects.get(uid=4).delete()
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["New.", "Newer."]
    assert decisions() == {"filed": 2, "duplicate": 1}
    assert mailbox.missing_count == 0


def test_the_day_on_which_a_mailbox_began_is_cut_to_the_second(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "today", folder="Desk")
    put(imap_server, "today", mail("An hour ago."), folder="Desk")
    time.sleep(1.1)
    ledger.begin_from_now(mailbox)
    mailbox.uidvalidity = 1  # and it was made anew since
    mailbox.save()
    time.sleep(1.1)
    put(imap_server, "today", mail("Since then."), folder="Desk")
    fetch_and_compare(mailbox)
    file_all()
    assert bodies() == ["Since then."]


def _account(server: Server, user: str) -> Mailbox:
    return Mailbox(host=server.host, port=server.port, tls=False, username=user, password="secret")


def _remove(server: Server, user: str, uids: str) -> None:
    with mail_program(server, user) as program:
        program.uid("STORE", uids, "+FLAGS", r"(\Deleted)")
        program.expunge()


def _make_anew(server: Server, user: str, folder: str) -> None:
    with mail_program(server, user) as program:
        program.delete(folder)
        time.sleep(1.1)  # the server takes UIDVALIDITY from the clock
