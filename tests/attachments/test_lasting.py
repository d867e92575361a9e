"""Links that mails show instead of files: whom they let in, until when, and what they say then."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from attachments.lasting import SALT, address_of, lasting_link, link_of, revoke
from attachments.models import Attachment, Blob, FileLink
from attachments.operations import keep, purge
from helpdesk.lib.errors import NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def link(db: None) -> FileLink:
    (blob,) = keep([b"a film"])
    film = Attachment.objects.create(name="film.mp4", blob=blob, claimed_at=now())
    return lasting_link(film, "email:1")


def path(link: FileLink) -> str:
    return address_of(link).removeprefix(settings.SITE_URL)


def open_(address: str, method: str = "get", **more: Any) -> Any:
    return getattr(Client(), method)(address, **more)


def sentence(page: Any) -> str:
    found = re.search(r"<p data-sentence>(.*?)</p>", page.content.decode())
    assert found
    return found[1]


def test_whoever_has_the_link_has_the_file_without_a_login(link: FileLink) -> None:
    page = open_(path(link))
    assert page.status_code == 302
    assert page["Location"].startswith("/files/bytes/")
    assert page["Location"].endswith("/film.mp4")
    assert (page["Cache-Control"], page["X-Robots-Tag"]) == ("no-store", "noindex")
    assert open_(page["Location"]).status_code == 200
    saved = open_(open_(path(link) + "?download")["Location"])
    assert saved["Content-Disposition"].startswith("attachment;")


def test_head_leads_on_and_nothing_else_is_understood(link: FileLink) -> None:
    assert open_(path(link), "head").status_code == 302
    for method in ("post", "put", "patch", "delete", "options"):
        assert open_(path(link), method).status_code == 405


def test_the_name_in_the_address_is_only_for_people(link: FileLink) -> None:
    other = path(link).replace("film.mp4", "..%2f..%2fetc%2fpasswd")
    assert open_(open_(other)["Location"])["Content-Disposition"].endswith('"film.mp4"')


def test_a_token_that_is_not_ours_opens_nothing(link: FileLink) -> None:
    token = path(link).split("/")[3]
    hexed, _, signature = token.partition(".")
    other = FileLink(uuid=link.uuid, attachment=link.attachment)
    other.uuid = type(link.uuid)(int=link.uuid.int ^ 1)
    guesses = {
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.swapcase(),
        token[:-1],
        token + "A",
        hexed,
        str(link.uuid),
        str(link.pk),
        f"{link.pk}.{signature}",
        f"{other.uuid.hex}.{signature}",  # of a neighbour
        path(other).split("/")[3],  # ours, and of no link
        signing.Signer(salt="other", sep=".").sign(hexed),
        signing.Signer(key="another key", salt=SALT, sep=".").sign(hexed),
        "%00",
        "x",
    }
    for guess in guesses:
        page = open_(f"/files/l/{guess}/film.mp4")
        assert (page.status_code, page["Cache-Control"]) == (404, "no-store"), guess
        assert "film" not in page.content.decode()


def test_a_short_link_of_the_desk_is_no_lasting_one(link: FileLink) -> None:
    signed = open_(path(link))["Location"].split("/")[3]
    assert open_(f"/files/l/{signed}/film.mp4").status_code == 404
    token = path(link).split("/")[3]
    assert open_(f"/files/bytes/{token}/film.mp4").status_code == 404


def test_a_link_opens_its_file_to_the_end_of_its_last_day_everywhere(link: FileLink) -> None:
    last_day = now().date() + timedelta(days=30)
    assert link.last_day == last_day
    # UTC-12, where a day ends last.
    assert link.expires_at == datetime(*last_day.timetuple()[:3], tzinfo=UTC) + timedelta(hours=36)


def test_a_link_that_has_ended_says_how_to_get_the_file(link: FileLink) -> None:
    FileLink.objects.update(expires_at=datetime(2026, 11, 3, 12, tzinfo=UTC))
    page = open_(path(link))
    assert (page.status_code, page["Cache-Control"]) == (410, "no-store")
    assert sentence(page) == (
        "It opened its file until 2 November 2026. To get the file again, answer the mail it "
        "came with."
    )


def test_a_link_that_was_taken_back_says_so_for_good(link: FileLink) -> None:
    assert (revoke(FileLink.objects.all()), revoke(FileLink.objects.all())) == (1, 0)
    page = open_(path(link))
    assert (page.status_code, page["Cache-Control"]) == (410, "no-store")
    assert "has taken it back" in sentence(page)
    lasting_link(link.attachment, "email:1")
    assert open_(path(link)).status_code == 410


def test_a_file_in_which_a_virus_is_found_later_is_not_handed_out(link: FileLink) -> None:
    Blob.objects.update(virus="Eicar-Test-Signature")
    page = open_(path(link))
    assert (page.status_code, page["Cache-Control"]) == (403, "no-store")
    assert "A virus was found in this file" in sentence(page)


def test_a_file_whose_message_is_erased_is_gone_at_once_and_its_links_do_not_keep_it(
    link: FileLink,
) -> None:
    Attachment.objects.update(claimed_at=None)
    assert open_(path(link)).status_code == 404
    then = now() - timedelta(hours=25)
    Attachment.objects.update(created_at=then)
    Blob.objects.update(created_at=then)
    assert purge() == 1
    assert not FileLink.objects.exists()
    assert open_(path(link)).status_code == 404


def test_an_address_that_tries_too_often_waits(link: FileLink, settings: Settings) -> None:
    settings.FILE_LINKS_PER_MINUTE = 3
    tries = [open_(f"/files/l/guess-{n}/x").status_code for n in range(3)]
    assert tries == [404, 404, 404]
    page = open_(path(link))
    assert (page.status_code, page["Cache-Control"]) == (429, "no-store")
    assert 0 < int(page["Retry-After"]) <= 60
    assert open_(path(link), REMOTE_ADDR="192.0.2.7").status_code == 302


def test_a_database_without_the_key_opens_nothing(link: FileLink, settings: Settings) -> None:
    before = path(link)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new key" * 5
    assert open_(before).status_code == 302
    settings.SECRET_KEY_FALLBACKS = []
    assert open_(before).status_code == 404


def test_one_mail_has_one_link_to_a_file(link: FileLink) -> None:
    assert lasting_link(link.attachment, "email:1") == link
    assert lasting_link(link.attachment, "email:2") != link
    assert link_of(path(link).split("/")[3]) == link
    with pytest.raises(NotFound):
        link_of("x")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("it's (1).mp4", "it%27s%20%281%29.mp4"),
        ("100% 📎.mp4", "100%25%20%F0%9F%93%8E.mp4"),
        ("x" * 200 + ".mp4", "x" * 56 + ".mp4"),
    ],
)
def test_an_address_holds_no_sign_at_which_a_mail_program_would_end_it(
    link: FileLink, name: str, end: str
) -> None:
    Attachment.objects.update(name=name)
    link.attachment.refresh_from_db()
    assert path(link).split("/")[4] == end
    assert open_(path(link)).status_code == 302
