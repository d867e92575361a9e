"""Fetching, from a real IMAP server and from folders."""

from __future__ import annotations

import imaplib
import os
import socket
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from helpdesk.lib import work
from tests.fakes.imap import PASSWORD, Server, flags, mail_program, put, trickling
from tests.fakes.mails import mail
from tests.tickets.fetching import fetch, file_all, mailbox_on
from tickets.mail import fetch_imap
from tickets.models import InboundEmail, Inbox, Mailbox, Message, Ticket
from tickets.operations import fetching

pytestmark = pytest.mark.django_db


def test_new_mails_are_recorded_once_and_the_cursor_follows(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "cursor")
    put(imap_server, "cursor", mail("One."), mail("Two."))
    fetch(mailbox)
    put(imap_server, "cursor", mail("Three."))
    fetch(mailbox)
    fetch(mailbox)
    file_all()
    assert [m.body for m in Message.objects.order_by("pk")] == ["One.", "Two.", "Three."]
    assert mailbox.last_uid == 3
    assert (mailbox.state, mailbox.error) == ("queued", "")
    assert mailbox.last_ok_at is not None


def test_nothing_changes_on_the_server(imap_server: Server, inbox: Inbox) -> None:
    put(imap_server, "quiet", mail(), mail())
    before = flags(imap_server, "quiet")
    fetch(mailbox_on(imap_server, inbox, "quiet"))
    assert InboundEmail.objects.count() == 2
    assert flags(imap_server, "quiet") == before
    assert all(b"Recent" in line and b"Seen" not in line for line in before)


def test_a_mailbox_may_ask_for_its_mails_to_be_marked_as_read(
    imap_server: Server, inbox: Inbox
) -> None:
    put(imap_server, "marked", mail())
    fetch(mailbox_on(imap_server, inbox, "marked", mark_seen=True))
    assert b"Seen" in flags(imap_server, "marked")[0]


def test_a_mail_that_could_not_be_stored_is_not_marked(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(imap_server, "unmarked", mail())
    monkeypatch.setattr(fetching, "record_inbound", lambda *_, **__: 1 / 0)
    fetch(mailbox_on(imap_server, inbox, "unmarked", mark_seen=True))
    assert b"Seen" not in flags(imap_server, "unmarked")[0]


def test_mail_that_another_program_has_read_comes_in_too(imap_server: Server, inbox: Inbox) -> None:
    put(imap_server, "shared", mail())
    with mail_program(imap_server, "shared") as program:
        program.store("1", "+FLAGS", r"(\Seen)")
    fetch(mailbox_on(imap_server, inbox, "shared"))
    assert InboundEmail.objects.count() == 1


def test_a_folder_made_anew_is_read_anew_and_nothing_doubles(
    imap_server: Server, inbox: Inbox
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "anew", folder="Support")
    old, new = mail("Old."), mail("New.")
    put(imap_server, "anew", old, mail("Gone."), folder="Support")
    fetch(mailbox)
    first = mailbox.uidvalidity
    with mail_program(imap_server, "anew") as program:
        program.delete("Support")
        time.sleep(1.1)  # the server takes UIDVALIDITY from the clock
    put(imap_server, "anew", old, new, folder="Support")
    fetch(mailbox)
    file_all()
    assert mailbox.uidvalidity != first
    assert InboundEmail.objects.count() == 4
    assert sorted(m.body for m in Message.objects.all()) == ["Gone.", "New.", "Old."]


def test_a_crash_between_mail_and_cursor_repeats_nothing(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "crash")
    put(imap_server, "crash", mail("One."), mail("Two."))
    with monkeypatch.context() as broken:
        broken.setattr(fetching, "_move_cursor", lambda *_: 1 / 0)
        fetch(mailbox)
    assert (mailbox.last_uid, InboundEmail.objects.count()) == (0, 2)
    fetch(mailbox)
    assert (mailbox.last_uid, InboundEmail.objects.count()) == (2, 2)


def test_a_mail_the_server_keeps_back_is_a_row_and_can_be_retried(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "keeps")
    put(imap_server, "keeps", mail("One."), mail("Two."), mail("Three."))
    honest = fetch_imap.Folder.raw

    def refuses(folder: fetch_imap.Folder, uid: int, **more: bool) -> bytes:
        if uid == 2:
            raise fetch_imap.NotHandedOver("NO, mail 2 is locked")
        return honest(folder, uid, **more)

    with monkeypatch.context() as broken:
        broken.setattr(fetch_imap.Folder, "raw", refuses)
        fetch(mailbox)
    file_all()
    failed = InboundEmail.objects.get(uid=2)
    assert (failed.state, failed.error) == ("failed", "NO, mail 2 is locked")
    assert mailbox.last_uid == 3
    work.retry(InboundEmail.objects.filter(pk=failed.pk))
    file_all()
    assert sorted(m.body for m in Message.objects.all()) == ["One.", "Three.", "Two."]


def test_one_broken_mailbox_does_not_delay_another(imap_server: Server, inbox: Inbox) -> None:
    broken = mailbox_on(imap_server, inbox, "broken")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        broken.port = nobody.getsockname()[1]
    broken.save()
    put(imap_server, "sound", mail())
    sound = mailbox_on(imap_server, inbox, "sound")
    fetch(broken)
    fetch(sound)
    assert broken.state == "queued"
    assert "cannot be reached" in broken.error
    assert (sound.error, InboundEmail.objects.count()) == ("", 1)


# A TLS record of 16 kB that never ends.
@pytest.mark.parametrize(("tls", "said"), [(False, b"* OK I am "), (True, b"\x16\x03\x03\x40\x00")])
def test_a_server_that_trickles_is_given_up(
    tls: bool, said: bytes, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_imap, "SESSION_SECONDS", 0.5)
    with trickling(said) as server:
        mailbox = mailbox_on(server, inbox, "carol")
        Mailbox.objects.filter(pk=mailbox.pk).update(tls=tls)
        began = time.monotonic()
        assert "cannot be reached" in fetch(mailbox).error
        assert time.monotonic() - began < 5


def test_a_server_that_falls_silent_is_given_up(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_imap, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailbox = mailbox_on(Server(*silent.getsockname()), inbox, "silent")
        began = time.monotonic()
        fetch(mailbox)
    assert time.monotonic() - began < 3
    assert "cannot be reached" in mailbox.error


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"password": "no"}, "refused the login of wrong"), ({"folder": "No such"}, "has no folder")],
)
def test_each_wrong_setting_is_named(
    imap_server: Server, inbox: Inbox, wrong: dict[str, str], said: str
) -> None:
    mailbox = mailbox_on(imap_server, inbox, "wrong")
    Mailbox.objects.filter(pk=mailbox.pk).update(**wrong)
    assert said in fetch(mailbox).error


def test_a_mail_beyond_all_measure_is_a_ticket_that_says_so(
    imap_server: Server, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RAW_MAX_BYTES", 2_000)
    put(imap_server, "large", mail("x" * 5_000, subject="All my pictures"))
    fetch(mailbox_on(imap_server, inbox, "large"))
    file_all()
    row = InboundEmail.objects.get()
    assert Ticket.objects.get().subject == "All my pictures"
    assert row.size_bytes < 2_000
    assert "Larger than 2,000 bytes" in row.problems[0]


def test_the_last_mail_is_not_taken_for_a_new_one(imap_server: Server) -> None:
    put(imap_server, "star", mail(), mail())
    with imaplib.IMAP4(imap_server.host, imap_server.port) as program:
        program.login("star", PASSWORD)
        program.select("INBOX", readonly=True)
        folder = fetch_imap.Folder(program, uidvalidity=1, uid_next=None, count=2)
        assert folder.highest_uid == 2
        assert folder.uids(fetch_imap.Span(3, 9), most=10) == []
        assert folder.uids(fetch_imap.Span(2, 9), most=10) == [2]


# --- Folders ----------------------------------------------------------------------------------


def folder_mailbox(inbox: Inbox, folder: Path) -> Mailbox:
    return Mailbox.objects.create(
        name=str(folder), inbox=inbox, kind=Mailbox.Kind.FOLDER, folder=str(folder)
    )


def drop(folder: Path, name: str, raw: bytes) -> Path:
    """A file that was finished a while ago."""
    path = folder / name
    path.write_bytes(raw)
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


def test_a_drop_folder_is_emptied_into_done(inbox: Inbox, tmp_path: Path) -> None:
    drop(tmp_path, "one.eml", mail("One."))
    drop(tmp_path, "two", mail("Two."))
    fetch(folder_mailbox(inbox, tmp_path))
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["one.eml", "two"]
    assert [path.name for path in tmp_path.iterdir()] == ["done"]
    assert InboundEmail.objects.count() == 2


def test_files_that_are_still_written_are_left_alone(inbox: Inbox, tmp_path: Path) -> None:
    for name in (".hidden", "half.tmp", "half.part"):
        drop(tmp_path, name, mail())
    (tmp_path / "fresh.eml").write_bytes(mail())
    (tmp_path / "folder").mkdir()
    fetch(folder_mailbox(inbox, tmp_path))
    assert InboundEmail.objects.count() == 0
    assert (tmp_path / "fresh.eml").exists()


def test_a_name_that_comes_again_overwrites_nothing(inbox: Inbox, tmp_path: Path) -> None:
    mailbox = folder_mailbox(inbox, tmp_path)
    for body in ("One.", "Two."):
        drop(tmp_path, "mail.eml", mail(body))
        fetch(mailbox)
    assert len(list((tmp_path / "done").iterdir())) == InboundEmail.objects.count() == 2


def test_a_maildir_is_read_from_new_to_cur(inbox: Inbox, tmp_path: Path) -> None:
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "new" / "1700000000.M1P2.host").write_bytes(mail())
    (tmp_path / "tmp" / "1700000000.M1P3.host").write_bytes(mail())
    fetch(folder_mailbox(inbox, tmp_path))
    assert InboundEmail.objects.count() == 1
    assert [path.name for path in (tmp_path / "cur").iterdir()] == ["1700000000.M1P2.host:2,"]


def test_a_folder_that_is_not_there_is_named_and_tried_again(inbox: Inbox, tmp_path: Path) -> None:
    mailbox = fetch(folder_mailbox(inbox, tmp_path / "missing"))
    assert mailbox.state == "queued"
    assert "is not a folder" in mailbox.error


def test_a_folder_of_our_own_is_made(inbox: Inbox, settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    mailbox = fetch(folder_mailbox(inbox, Path("mail/in")))
    assert mailbox.error == ""
    drop(tmp_path / "mail" / "in", "one.eml", mail())
    fetch(mailbox)
    assert InboundEmail.objects.count() == 1


def test_an_unreadable_file_does_not_hold_up_the_others(inbox: Inbox, tmp_path: Path) -> None:
    drop(tmp_path, "a.eml", mail("One."))
    drop(tmp_path, "b.eml", mail("Two."))
    honest = Path.read_bytes

    def refuses(path: Path) -> bytes:
        if path.name == "a.eml":
            raise PermissionError(13, "Permission denied")
        return honest(path)

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Path, "read_bytes", refuses)
        mailbox = fetch(folder_mailbox(inbox, tmp_path))
    assert InboundEmail.objects.count() == 1
    assert "a.eml: Permission denied" in mailbox.error
