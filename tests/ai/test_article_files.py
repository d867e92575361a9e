"""Files of articles: attached by staff in the admin, had by everyone once the article is out."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from ai.models import Article, ArticleFile
from ai.operations import change_files
from attachments.models import Attachment
from helpdesk.lib.errors import Refused
from tests import make
from tests.fakes.pictures import picture
from tickets.access import Viewer, owner_of
from tickets.operations import post_note

pytestmark = pytest.mark.django_db


@pytest.fixture
def article(db: None) -> Article:
    return Article.objects.create(title="Descale", slug="descale", body="Use citric acid.")


@pytest.fixture
def root(alice: Viewer) -> Viewer:
    assert alice.user
    alice.user.is_superuser = True
    alice.user.save()
    return alice


def browser(who: Viewer) -> Client:
    client = Client()
    assert who.user
    client.force_login(who.user)
    return client


def save(who: Viewer, article: Article, **more: Any) -> Any:
    fields = {"title": article.title, "slug": article.slug, "body": article.body}
    address = f"/admin/ai/article/{article.pk}/change/"
    return browser(who).post(address, fields | {"published": "on"} | more)


def addresses(page: str) -> list[str]:
    return [part.split('"')[0] for part in page.split('href="') if part.startswith("/help/files/")]


def test_a_file_is_attached_shown_and_fetched_by_anybody(root: Viewer, article: Article) -> None:
    content = picture(size=(800, 400))
    upload = make.upload(root, "where the lid is.png", content)
    assert save(root, article, file=[str(upload.uuid)]).status_code == 302
    page = Client().get("/help/descale/").content.decode()
    (address,) = addresses(page)
    shown = Client().get(address, follow=True)
    assert shown["Content-Length"] == str(len(content))
    assert shown["Content-Type"] == "image/png"
    preview = Client().get(f"/help/files/{upload.uuid}/preview/", follow=True)
    assert preview["Content-Type"] == "image/webp"
    saved = Client().get(f"{address}?download", follow=True)
    assert saved["Content-Disposition"].startswith("attachment")


def test_a_file_of_a_draft_is_nobodys(root: Viewer, article: Article) -> None:
    upload = make.upload(root, "a.txt", b"not yet")
    change_files(article, owner=owner_of(root), add=[upload.uuid])
    Article.objects.update(published=False)
    for way in ("a.txt", "preview/"):
        assert Client().get(f"/help/files/{upload.uuid}/{way}").status_code == 404
        assert browser(root).get(f"/help/files/{upload.uuid}/{way}").status_code == 404


def test_files_of_conversations_have_no_door_here(alice: Viewer, ticket: Any) -> None:
    upload = make.upload(alice)
    post_note(alice, ticket.conversation_id, body="", via="web", files=[upload.uuid])
    for uuid in (upload.uuid, uuid4()):
        assert Client().get(f"/help/files/{uuid}/photo.png").status_code == 404


def test_a_removed_file_is_gone_and_belongs_to_nobody(root: Viewer, article: Article) -> None:
    upload = make.upload(root, "a.txt", b"old news")
    change_files(article, owner=owner_of(root), add=[upload.uuid])
    row = ArticleFile.objects.get()
    assert save(root, article, file_removed=[row.pk]).status_code == 302
    assert Client().get(f"/help/files/{upload.uuid}/a.txt").status_code == 404
    assert Attachment.objects.get().claimed_at is None


def test_only_ones_own_uploads_are_taken(root: Viewer, bob: Viewer, article: Article) -> None:
    theirs = make.upload(bob)
    with pytest.raises(Refused):
        change_files(article, owner=owner_of(root), add=[theirs.uuid])
    refused = save(root, article, file=[str(theirs.uuid)])
    assert refused.status_code == 200
    assert "One of the files is no longer here." in refused.content.decode()
    assert not ArticleFile.objects.exists()


def test_a_refused_form_keeps_what_was_uploaded(root: Viewer, article: Article) -> None:
    upload = make.upload(root, "kept.txt", b"kept")
    refused = save(root, article, title="", file=[str(upload.uuid)])
    assert refused.status_code == 200
    assert "kept.txt" in refused.content.decode()
    assert not ArticleFile.objects.exists()


def test_who_may_not_write_articles_attaches_nothing(bob: Viewer, article: Article) -> None:
    upload = make.upload(bob)
    assert save(bob, article, file=[str(upload.uuid)]).status_code == 403
    assert not ArticleFile.objects.exists()


def test_a_new_article_has_its_files_at_once(root: Viewer) -> None:
    upload = make.upload(root, "a.txt", b"new")
    fields = {"title": "New", "slug": "new", "body": "Words.", "published": "on"}
    added = browser(root).post("/admin/ai/article/add/", fields | {"file": [str(upload.uuid)]})
    assert added.status_code == 302
    assert [str(file) for file in Article.objects.get(slug="new").files.all()] == ["a.txt"]
