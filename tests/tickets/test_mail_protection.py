"""Mails that came signed or encrypted, as staff see them."""

from __future__ import annotations

import pytest

from helpdesk.lib import work
from tests.tickets.conftest import Enter
from tickets.access import Viewer
from tickets.models import InboundEmail, Inbox, Message
from tickets.operations.fetching import record_inbound
from tickets.operations.filing import file_inbound

pytestmark = pytest.mark.django_db

HEAD = "From: carol@mail.example\nTo: hello@shop.example\nSubject: Secret\nMIME-Version: 1.0\n"
SIGNED = """Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"

--b

The grinder arrived.
--b
Content-Type: application/pgp-signature

-----BEGIN PGP SIGNATURE-----
--b--
"""
ENCRYPTED = """Content-Type: multipart/encrypted; boundary=b; protocol="application/pgp-encrypted"

--b
Content-Type: application/pgp-encrypted

Version: 1
--b
Content-Type: application/octet-stream; name=encrypted.asc

-----BEGIN PGP MESSAGE-----
--b--
"""
PLAIN = "\nThe grinder arrived.\n"


def filed(mail: str) -> Message:
    row = record_inbound((HEAD + mail).encode())
    assert row
    work.perform(InboundEmail, row.pk, file_inbound)
    return Message.objects.get(inbound_email=row.pk)


@pytest.mark.parametrize(
    ("mail", "chip", "body", "files"),
    [
        (SIGNED, "Signed", "The grinder arrived.", ["signature.asc"]),
        (ENCRYPTED, "Encrypted", "only a mail program that has the key", ["encrypted.asc"]),
        (PLAIN, None, "The grinder arrived.", []),
    ],
)
def test_a_chip_says_that_it_was_signed_or_encrypted(
    mail: str,
    chip: str | None,
    body: str,
    files: list[str],
    enter: Enter,
    alice: Viewer,
    inbox: Inbox,
) -> None:
    message = filed(mail)
    assert body in message.body
    kept = {file.attachment.name for file in message.files.select_related("attachment")}
    assert kept >= set(files)
    page = enter(alice).get(f"/tickets/{message.conversation.ticket.number}/").content.decode()
    for words, about in (("Signed", "was not checked"), ("Encrypted", "cannot be read here")):
        assert (f">{words}</span>" in page) == (words == chip)
        assert (about in page) == (words == chip)
