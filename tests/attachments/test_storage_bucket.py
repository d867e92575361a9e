"""Browsers send files straight to a bucket and fetch them there, with addresses we sign."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from django.urls import reverse
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from attachments import bucket as s3
from attachments import checks, storage
from attachments.links import Way, link_to
from attachments.models import Attachment, Blob, Check, new_key
from attachments.uploads import Limits, begin_upload, form_posted, upload_json
from helpdesk.env import read_env
from helpdesk.lib.errors import NotFound, Refused
from helpdesk.settings import file_origins
from tests.attachments.conftest import begin, said, store_in

NAMES = [
    "chip.png",
    "größe 📎.bin",
    'a "quoted" \\ name.txt',
    "تقرير.pdf",
    "🏳️‍🌈" * 30 + ".jpeg",
    "100%25 sure; filename=other.exe",
]

LOADED = """
import sys
import django
django.setup()
from django.conf import settings
import helpdesk.celery, helpdesk.urls, attachments.tasks
print(*(name for name in ("boto3", "botocore", "storages") if name in sys.modules))
"""

POLICY = """
from django.conf import settings
for words in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items():
    print(words[0], *words[1], sep=",")
"""


def post(form: storage.Form, content: bytes) -> httpx.Response:
    """What a browser does with a form and a file."""
    file = {"file": ("photo.jpg", content, "image/jpeg")}
    return httpx.post(form.url, data=form.fields, files=file)


def form_for(key: str, size_bytes: int) -> storage.Form:
    form = storage.upload_form(key, size_bytes)
    assert form
    return form


def url_of(key: str, name: str = "a.png", media_type: str = "image/png", shown: bool = True) -> str:
    url = storage.public_url(key, name=name, media_type=media_type, shown=shown)
    assert url
    return url


def name_saved_as(disposition: str) -> str:
    """As a browser reads it (RFC 6266): the name with a star, where there is one."""
    _, star, encoded = disposition.partition("filename*=utf-8''")
    if star:
        return unquote(encoded)
    return disposition.split('filename="')[1][:-1].replace('\\"', '"').replace("\\\\", "\\")


def test_a_browser_posts_a_file_straight_to_the_bucket(bucket: dict[str, str]) -> None:
    key, content = new_key(), bytes(range(256)) * 100

    form = form_for(key, len(content))

    assert form.url == f"{bucket['S3_PUBLIC_ENDPOINT_URL']}/{bucket['S3_BUCKET']}"
    assert storage.size(key) is None
    assert post(form, content).status_code == 204
    assert storage.size(key) == len(content)
    assert b"".join(storage.read(key, 0, len(content))) == content


def test_a_form_is_for_one_key_and_one_size_and_an_hour(bucket: dict[str, str]) -> None:
    key = new_key()
    form = form_for(key, 1_234)
    policy: dict[str, Any] = json.loads(base64.b64decode(form.fields["policy"]))
    assert ["content-length-range", 1_234, 1_234] in policy["conditions"]
    assert {"key": key} in policy["conditions"]
    assert {"bucket": bucket["S3_BUCKET"]} in policy["conditions"]
    left = datetime.fromisoformat(policy["expiration"]) - now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_what_a_form_let_through_shows_in_the_size(bucket: dict[str, str]) -> None:
    key = new_key()
    post(form_for(key, 10), b"many more bytes than were announced")
    assert storage.size(key) == 35


def test_a_form_that_is_used_again_does_not_reach_what_was_moved(bucket: dict[str, str]) -> None:
    key, checked = new_key(), new_key()
    form = form_for(key, 8)
    post(form, b"harmless")
    storage.move(key, checked)
    post(form, b"harmful!")
    assert b"".join(storage.read(checked, 0, 8)) == b"harmless"


@pytest.mark.django_db
def test_an_upload_goes_past_us_and_stays_what_was_looked_into(bucket: dict[str, str]) -> None:
    limits = Limits(max_bytes=100)
    attachment = begin_upload("person:1", name="a.txt", size_bytes=8, limits=limits)
    form = storage.Form(**upload_json(attachment)["to"])
    with pytest.raises(Refused, match="did not arrive"):
        form_posted("person:1", attachment.uuid)
    post(form, b"harmless")
    form_posted("person:1", attachment.uuid)
    checks.check(Check.objects.get(attachment=attachment), lambda attachment: None)
    post(form, b"harmful!")  # it is good for an hour

    attachment.refresh_from_db()
    assert attachment.state == "ready"
    assert httpx.get(link_to(attachment, "save")).content == b"harmless"


def test_nothing_arrives_in_pieces(bucket: dict[str, str]) -> None:
    with pytest.raises(Refused):
        storage.append(new_key(), 0, [b"piece"])


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_browser_gets_the_bytes_under_their_name(
    bucket: dict[str, str], name: str, shown: bool
) -> None:
    key = new_key()
    storage.put(key, b"the bytes")

    answer = httpx.get(url_of(key, name, "image/png", shown))

    assert answer.content == b"the bytes"
    assert answer.headers["Content-Type"] == ("image/png" if shown else "application/octet-stream")
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("inline" if shown else "attachment")
    assert name_saved_as(disposition) == name
    assert answer.headers["Cache-Control"] == "private, max-age=300"


def test_a_player_asks_for_a_part_of_it(bucket: dict[str, str]) -> None:
    key = new_key()
    storage.put(key, bytes(range(100)))
    answer = httpx.get(url_of(key), headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, bytes(range(10, 20)))


def test_an_address_is_good_for_minutes_where_browsers_reach_the_bucket(
    bucket: dict[str, str],
) -> None:
    url = urlsplit(url_of(new_key()))
    assert f"{url.scheme}://{url.netloc}" == bucket["S3_PUBLIC_ENDPOINT_URL"]
    asked = parse_qs(url.query)
    assert asked["X-Amz-Expires"] == [str(storage.LINK_SECONDS)]
    assert asked["X-Amz-Signature"]


@pytest.mark.parametrize(
    ("way", "media_type", "disposition", "content"),
    [
        ("show", "image/png", "inline", b"the picture"),
        ("save", "application/octet-stream", "attachment", b"the picture"),
        ("preview", "image/webp", "inline", b"a small one"),
    ],
)
@pytest.mark.django_db
def test_a_link_leads_to_the_bucket(
    bucket: dict[str, str], way: Way, media_type: str, disposition: str, content: bytes
) -> None:
    blob = Blob(sha256="0" * 64, size_bytes=11, type="image/png", preview_key=new_key())
    blob.save()
    storage.put(blob.key, b"the picture")
    storage.put(blob.preview_key, b"a small one")

    answer = httpx.get(link_to(Attachment.objects.create(name="chip.png", blob=blob), way))

    assert answer.content == content
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Content-Disposition"] == f'{disposition}; filename="chip.png"'


@pytest.mark.django_db
def test_what_may_carry_a_script_is_only_ever_saved(bucket: dict[str, str]) -> None:
    for media_type in ("text/html", "image/svg+xml", "text/plain"):
        blob = Blob(sha256="0" * 64, size_bytes=1, type=media_type)
        asked = parse_qs(urlsplit(link_to(Attachment(name="page", blob=blob), "show")).query)
        assert asked["response-content-type"] == ["application/octet-stream"]
        assert asked["response-content-disposition"][0].startswith("attachment")


def test_a_file_without_bytes_has_no_link(bucket: dict[str, str]) -> None:
    with pytest.raises(NotFound):
        link_to(Attachment(name="page"), "show")


def test_without_a_bucket_a_link_leads_to_us(folder: Path) -> None:
    blob = Blob(sha256="0" * 64, size_bytes=1, type="image/png")
    link = link_to(Attachment(pk=1, name="chip.png", blob=blob), "show")
    assert link.startswith(reverse("attachments:bytes", args=["x", "chip.png"]).split("x/")[0])


@pytest.mark.parametrize(
    "variables",
    [
        {"S3_REGION": "eu-central-1"},
        {"S3_REGION": "eu-central-1", "S3_ADDRESSING": "virtual"},
        {"S3_ENDPOINT_URL": "http://minio:9000", "S3_PUBLIC_ENDPOINT_URL": "https://a.example"},
        {"S3_ENDPOINT_URL": "https://a.example:9000/storage/s3"},
        {"S3_ENDPOINT_URL": "https://oss.example", "S3_ADDRESSING": "virtual"},
    ],
)
def test_pages_may_send_and_fetch_where_addresses_lead(
    settings: Settings, tmp_path: Path, variables: dict[str, str]
) -> None:
    known = {"S3_BUCKET": "shop-files", "S3_ACCESS_KEY": "k", "S3_SECRET_KEY": "s", **variables}
    store_in(settings, tmp_path, **known)
    (origin,) = file_origins(read_env({"SECRET_KEY": "k" * 50, **known}))
    for address in (url_of(new_key()), form_for(new_key(), 1).url):
        url = urlsplit(address)
        assert f"{url.scheme}://{url.netloc}" == origin
        assert (
            url.path.startswith("/shop-files")
            or origin.startswith("https://shop-files.")
            or (url.path.startswith("/storage/s3/shop-files"))
        )


def test_the_policy_names_the_bucket_where_there_is_one(tmp_path: Path) -> None:
    def policy(**variables: str) -> dict[str, list[str]]:
        rows = [line.split(",") for line in said(begin(POLICY, data=tmp_path, variables=variables))]
        return {name: values for name, *values in rows}

    without = policy()
    there = policy(S3_BUCKET="files", S3_PUBLIC_ENDPOINT_URL="https://files.example/")
    for directive in ("connect-src", "img-src", "media-src"):
        assert there[directive] == [*without[directive], "https://files.example"]
    assert there["default-src"] == without["default-src"]


@pytest.mark.parametrize("variables", [{}, {"S3_BUCKET": "files"}])
def test_nothing_waits_for_boto3_before_the_first_file(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    assert said(begin(LOADED, data=tmp_path, variables=variables)) == []


def test_all_threads_share_one_client(bucket: dict[str, str]) -> None:
    clients = []

    def work() -> None:
        place = storage.storage()
        assert isinstance(place, s3.Bucket)
        storage.size(new_key())
        clients.append(place.connection.meta.client)

    work()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 5
    assert len(set(map(id, clients))) == 1


def test_a_storage_that_falls_silent_is_given_up(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store_in(
            settings,
            tmp_path,
            S3_BUCKET="files",
            S3_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
            S3_ACCESS_KEY="k",
            S3_SECRET_KEY="s",
        )
        began = time.monotonic()
        with pytest.raises(OSError, match="timeout"):
            storage.size("key")
    assert time.monotonic() - began < 20
