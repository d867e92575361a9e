"""Messages that show files: sent once, to those who may see the message."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from attachments import storage
from attachments.models import Attachment, Blob, Check
from attachments.operations import purge
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.management.commands.check_invariants import problems
from tests import make
from tickets import events
from tickets.access import Viewer, access_file
from tickets.models import Inbox, Message, MessageFile, Ticket
from tickets.operations import files, post_note, post_reply
from tickets.operations.files import read_files
from tickets.queries import search_tickets

pytestmark = pytest.mark.django_db


def reply(who: Viewer, ticket: Ticket, *files: Attachment, body: str = "", **more: Any) -> Message:
    uuids = [file.uuid for file in files]
    return post_reply(who, ticket.conversation_id, body=body, via="web", files=uuids, **more)


def shown(message: Message) -> list[str]:
    return [file.attachment.name for file in message.files.all()]


def test_a_message_shows_its_files_in_their_order(alice: Viewer, ticket: Ticket) -> None:
    first, second = make.upload(alice, "b.png"), make.upload(alice, "a.png", b"words")
    message = reply(alice, ticket, first, second, body="Both of them.")
    assert message.file_count == 2
    assert shown(message) == shown(Message.objects.get(pk=message.pk)) == ["b.png", "a.png"]
    assert [file["name"] for file in events.as_json(message)["files"]] == ["b.png", "a.png"]


def test_two_files_of_one_name_are_two_files(alice: Viewer, ticket: Ticket) -> None:
    message = reply(
        alice, ticket, make.upload(alice, "a.txt", b"1"), make.upload(alice, "a.txt", b"2")
    )
    assert shown(message) == ["a.txt", "a.txt"]


def test_a_resend_is_one_message_with_its_files(alice: Viewer, ticket: Ticket) -> None:
    token, file = uuid4(), make.upload(alice)
    first = reply(alice, ticket, file, client_token=token)
    again = reply(alice, ticket, file, client_token=token)
    assert first == again
    assert shown(again) == ["photo.png"]
    assert MessageFile.objects.count() == 1


def test_a_file_is_shown_by_one_message_only(alice: Viewer, ticket: Ticket) -> None:
    file = make.upload(alice)
    reply(alice, ticket, file)
    with pytest.raises(Refused, match="no longer here"):
        reply(alice, ticket, file, body="And again.")
    assert ticket.conversation.messages.filter(body="And again.").count() == 0


def test_nobody_shows_what_somebody_else_uploaded(
    alice: Viewer, bob: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    file = make.upload(bob)
    for who in (alice, carol):
        with pytest.raises(Refused):
            reply(who, ticket, file)
    file.refresh_from_db()
    assert file.claimed_at is None


def test_too_many_files_are_refused_and_stay_as_they_are(
    alice: Viewer, inbox: Inbox, ticket: Ticket
) -> None:
    inbox.files_max = 1
    inbox.save()
    files = [make.upload(alice), make.upload(alice, "b.txt", b"2")]
    with pytest.raises(Refused, match="At most 1 file"):
        reply(alice, ticket, *files)
    with pytest.raises(Refused, match="At most 1 file"):
        post_note(
            alice, ticket.conversation_id, body="", via="web", files=[file.uuid for file in files]
        )
    assert not Attachment.objects.exclude(claimed_at=None).exists()


def test_a_file_that_is_too_large_for_this_inbox_is_refused(
    alice: Viewer, inbox: Inbox, ticket: Ticket
) -> None:
    file = make.upload(alice, "large.bin", bytes(1024 * 1024 + 1))
    inbox.file_max_mb = 1
    inbox.save()
    with pytest.raises(Refused, match=r"At most 1.0\sMB can be attached"):
        reply(alice, ticket, file)


def test_the_first_message_of_a_chat_may_be_a_photo(carol: Viewer, inbox: Inbox) -> None:
    chat = make.conversation(carol)
    file = make.upload(carol, "my kettle.png")
    post_reply(carol, chat.pk, body="", via="widget", inbox_id=inbox.pk, files=[file.uuid])
    ticket = Ticket.objects.get(conversation=chat)
    assert (ticket.subject, ticket.last_preview) == ("my kettle.png", "my kettle.png")


def test_a_message_is_found_by_the_names_of_its_files(alice: Viewer, ticket: Ticket) -> None:
    reply(alice, ticket, make.upload(alice, "Rechnung Straßburg.pdf"))
    assert [hit.ticket for hit in search_tickets(alice, "strassburg", [ticket.inbox_id])]


def test_a_file_of_a_note_is_for_staff(
    alice: Viewer, bob: Viewer, carol: Viewer, mallory: Viewer, ticket: Ticket
) -> None:
    file = make.upload(alice)
    post_note(alice, ticket.conversation_id, body="", via="web", files=[file.uuid])
    assert access_file(bob, file.uuid) == file
    for who in (carol, mallory):
        with pytest.raises(NotFound):
            access_file(who, file.uuid)


def test_a_customer_sees_the_files_of_what_they_can_read(
    alice: Viewer, carol: Viewer, ticket: Ticket
) -> None:
    theirs, ours = make.upload(carol), make.upload(alice, "b.txt", b"2")
    reply(carol, ticket, theirs)
    reply(alice, ticket, ours)
    assert access_file(carol, theirs.uuid) == theirs
    assert access_file(carol, ours.uuid) == ours
    with pytest.raises(NotFound):
        access_file(make.customer("Dave"), ours.uuid)


def test_a_file_whose_message_is_gone_belongs_to_nobody(alice: Viewer, ticket: Ticket) -> None:
    file = make.upload(alice)
    message = reply(alice, ticket, file)
    message.delete()
    file.refresh_from_db()
    assert (file.claimed_at, file.owner) == (None, "")


def test_a_virus_is_named_and_nothing_opens(alice: Viewer, ticket: Ticket) -> None:
    file = make.upload(alice)
    message = reply(alice, ticket, file)
    file.stored.virus = "Eicar-Test-Signature"
    file.stored.save()
    (told,) = events.as_json(Message.objects.get(pk=message.pk))["files"]
    assert (told["url"], told["preview"]) == ("", "")
    assert "Eicar-Test-Signature" in told["sentence"]


def test_a_message_without_files_costs_no_question_about_them(
    alice: Viewer, ticket: Ticket
) -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        post_reply(alice, ticket.conversation_id, body="No files here.", via="web")
    assert not [query["sql"] for query in asked if "attachment" in query["sql"]]
    with CaptureQueriesContext(connection) as asked:
        read_files(list(ticket.conversation.messages.all()[:5]))
    assert len(asked) == 1  # the messages themselves


def test_an_erased_message_leaves_no_bytes(alice: Viewer, ticket: Ticket) -> None:
    file = make.upload(alice, "secret.txt", b"only in this message")
    message = reply(alice, ticket, file)
    key = file.stored.key
    long_ago = now() - timedelta(days=2)
    Attachment.objects.update(created_at=long_ago)
    Blob.objects.update(created_at=long_ago)
    purge()
    assert storage.lies(key)
    message.delete()
    purge()
    assert not storage.lies(key)


def test_a_message_that_forgot_its_files_is_named(alice: Viewer, ticket: Ticket) -> None:
    message = reply(alice, ticket, make.upload(alice), body="Look.")
    assert list(problems()) == []
    Message.objects.filter(pk=message.pk).update(file_count=0)
    assert list(problems()) == [f"message {message.pk}: says 0 files, has 1"]


@pytest.mark.django_db(transaction=True)
def test_files_never_take_all_threads_of_a_worker(
    alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bells that ring while two look into files are left to those two."""
    begun = [make.upload(alice, f"{number}.txt", f"{number}".encode()) for number in range(5)]
    rows = [one.check_work for one in begun]
    Check.objects.update(state=Check.State.QUEUED, finished_at=None)
    Attachment.objects.update(state=Attachment.State.CHECKING)
    going, most = 0, 0
    lock, go = threading.Lock(), threading.Event()

    def slow(row: Check) -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        go.wait(5)
        with lock:
            going -= 1

    monkeypatch.setattr(files, "check_file", slow)

    def ring(pk: int) -> None:
        try:
            files.perform_checks(pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=ring, args=(row.pk,)) for row in rows]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while going < 2 or sum(thread.is_alive() for thread in threads) > files.CHECKS_AT_ONCE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join(10)
    assert most == files.CHECKS_AT_ONCE
    assert set(Check.objects.values_list("state", flat=True)) == {Check.State.DONE}


@pytest.mark.parametrize("asked", ["IMG_0001.jpg", "img_0001", "0001", "jpg", "img"])
def test_a_file_is_found_by_its_name_and_by_parts_of_it(
    alice: Viewer, ticket: Ticket, asked: str
) -> None:
    reply(alice, ticket, make.upload(alice, "IMG_0001.jpg"))
    assert [hit.ticket for hit in search_tickets(alice, asked, [ticket.inbox_id])]


@pytest.mark.parametrize("asked", ["jo@shop.example", "shop.example", "label.pdf", "pdf"])
def test_words_that_look_like_hosts_are_found_by_all_their_parts(
    alice: Viewer, ticket: Ticket, asked: str
) -> None:
    reply(alice, ticket, body="Send label.pdf to jo@shop.example, please.")
    assert [hit.ticket for hit in search_tickets(alice, asked, [ticket.inbox_id])]
