"""The public help pages and the admin's, and what Markdown may become."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from ai import operations
from ai.markdown import as_html, sections
from ai.models import Answer, Article
from helpdesk.lib.markdown import TAGS
from tests.ai.conftest import DEMO_ARTICLES, ask
from tests.ai.corpora import corpus
from tickets.access import Viewer
from tickets.models import Desk, Inbox


@pytest.mark.django_db
@pytest.mark.usefixtures("shelf")
class TestHelp:
    def test_anyone_sees_all_articles_without_logging_in(self, client: Client) -> None:
        Desk.objects.create(name="Tern & Kettle")
        page = client.get("/help/").content.decode()
        assert page.count("<li>") == len(list(DEMO_ARTICLES.glob("*.md")))
        assert "Tern &amp; Kettle" in page
        assert 'href="/help/descale-the-harbour-kettle/"' in page
        assert "White flakes, a cloudy film" in page

    def test_the_search_finds_by_any_word_best_first(self, client: Client) -> None:
        page = client.get("/help/", {"q": "my kettle has limescale"}).content.decode()
        assert "Descale the Harbour kettle" in page[: page.index("</li>")]
        assert "Batteries of the Slate scale" not in page

    @pytest.mark.parametrize(
        "query", ["zebra", "<script>alert(1)</script>", "\x00", "' | ! &", "x" * 5_000, "   "]
    )
    def test_any_search_has_an_answer(self, client: Client, query: str) -> None:
        response = client.get("/help/", {"q": query})
        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()

    def test_an_article_shows_its_text_and_its_parts(self, client: Client) -> None:
        page = client.get("/help/slate-scale-batteries/").content.decode()
        assert '<h1 dir="auto">Batteries of the Slate scale' in page
        assert '<a href="#on-change-the-batteries" dir="auto">' in page
        assert '<h2 id="on-change-the-batteries">' in page
        assert "Keywords" not in page

    def test_what_is_not_published_looks_like_what_is_not_there(self, client: Client) -> None:
        Article.objects.filter(slug="slate-scale-batteries").update(published=False)
        assert client.get("/help/slate-scale-batteries/").status_code == 404
        assert client.get("/help/no-such-article/").status_code == 404
        assert "Slate" not in client.get("/help/", {"q": "slate scale battery"}).content.decode()

    def test_a_page_takes_few_queries(
        self, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_max_num_queries(2):
            client.get("/help/")
        with django_assert_max_num_queries(3):
            client.get("/help/", {"q": "kettle"})

    def test_the_pages_are_read_only(self, client: Client) -> None:
        assert client.post("/help/").status_code == 405
        assert client.post("/help/slate-scale-batteries/").status_code == 405

    def test_articles_are_loaded_once_and_edits_are_kept(self) -> None:
        article = Article.objects.get(slug="slate-scale-batteries")
        assert article.title == "Batteries of the Slate scale, and why it switches off"
        assert article.keywords.startswith("battery, ")
        assert article.body.startswith("The Slate runs on two AAA")
        Article.objects.filter(pk=article.pk).update(title="Edited")
        assert operations.load_articles(DEMO_ARTICLES) == 0
        article.refresh_from_db()
        assert article.title == "Edited"


@pytest.mark.django_db
def test_an_empty_shelf_says_so(client: Client) -> None:
    assert "No articles yet" in client.get("/help/").content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("shelf")
def test_the_admin_lists_articles_and_answers(
    admin_client: Client, carol: Viewer, shop: Inbox
) -> None:
    ask(carol, shop, "How do I descale my kettle?")
    Answer.objects.update(state="failed", prompt_tokens=1200, completion_tokens=80)
    for page in (
        "/admin/ai/article/?q=kettle",
        "/admin/ai/article/add/",
        "/admin/ai/answer/?q=kettle&outcome__exact=",
        f"/admin/ai/answer/{Answer.objects.get().pk}/change/",
    ):
        assert admin_client.get(page).status_code == 200
    assert "1,200 / 80" in admin_client.get("/admin/ai/answer/").content.decode()
    form = {"action": "try_again", "_selected_action": [Answer.objects.get().pk]}
    admin_client.post("/admin/ai/answer/", form)
    assert Answer.objects.get().state == "queued"


def test_headings_keep_below_the_pages_own_and_have_unique_anchors() -> None:
    html = as_html("# Top\n\n## Top\n\n##### Deep\n\n### 日本")
    assert '<h2 id="on-top">Top</h2>' in html
    assert '<h2 id="on-top-2">Top</h2>' in html
    assert '<h4 id="on-deep">Deep</h4>' in html
    assert '<h3 id="on-section">日本</h3>' in html
    assert [part.anchor for part in sections("# A\n\n## A")] == ["on-a", "on-a-2"]


def test_only_harmless_links_are_links() -> None:
    html = as_html(
        "[a](https://a.example) [b](javascript:alert(1)) [c](/help/x/) <b onclick=x>raw</b> "
        "![i](https://evil.example/i.png)"
    )
    assert '<a href="https://a.example" rel="noopener noreferrer">a</a>' in html
    assert '<a href="/help/x/"' in html
    assert "javascript:alert(1)</a>" not in html
    assert "&lt;b onclick=x&gt;raw&lt;/b&gt;" in html
    assert "<img" not in html


def test_no_known_attack_survives_in_an_article() -> None:
    for name in ("dompurify", "owasp", "list_payloadsallthethings"):
        for row in json.loads(corpus(f"xss/{name}.json").read_text(encoding="utf-8")):
            _Harmless().feed(as_html(row if isinstance(row, str) else row["payload"]))


class _Harmless(HTMLParser):
    """Raises on the first tag or attribute that could act."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name in {"href", "title", "id", "rel", "start"}
            if name == "href":
                assert (value or "").partition(":")[0].lower() not in {"javascript", "data"}
