"""Markdown of people, as HTML that may be shown anywhere."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Literal

import pytest

from helpdesk.lib.markdown import TAGS, pictures_in, readable, words_as_html
from tests.ai.corpora import corpus

FILE = "0b6f1c1e-4a57-4f0e-9d43-0d8f3a1f0a11"


def test_words_lists_quotes_and_code_are_shown_as_they_are_meant() -> None:
    html = words_as_html("**Sorry**, *Carol*.\n\n- one\n- two\n\n> You said\n\n`x < 1`")
    assert "<strong>Sorry</strong>, <em>Carol</em>." in html
    assert "<ul>\n<li>one</li>\n<li>two</li>\n</ul>" in html
    assert "<blockquote>\n<p>You said</p>\n</blockquote>" in html
    assert "<code>x &lt; 1</code>" in html


def test_lines_stay_lines() -> None:
    assert words_as_html("Best\nMaya") == "<p>Best<br>\nMaya</p>\n"


@pytest.mark.parametrize(
    "text",
    [
        "Total\n---",  # a heading, to Markdown
        "    four blanks",  # code
        "[1]: https://shop.example",  # a name for an address, shown nowhere
        "AT&amp;T &copy;",
        "<b>bold</b> <script>alert(1)</script>",
    ],
)
def test_nothing_that_was_typed_without_meaning_it_is_lost(text: str) -> None:
    html = words_as_html(text)
    shown = html.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    for word in text.replace("---", "").split():
        assert word in shown
    assert "<h" not in html.replace("<hr>", "")
    assert "<pre" not in html
    assert "<script" not in html


def test_addresses_are_links_whatever_is_in_them() -> None:
    html = words_as_html("See https://shop.example/a_b_/_c_d?e=1&f=2. Or notes.py.")
    assert 'href="https://shop.example/a_b_/_c_d?e=1&amp;f=2"' in html
    assert html.count("<a ") == 1


def test_links_open_beside_a_page_and_lead_nowhere_from_a_mail_without_a_host() -> None:
    text = "[a](https://shop.example) [b](/tickets/1/) [c](javascript:alert(1))"
    page, mail = words_as_html(text), words_as_html(text, where="mail")
    assert 'rel="nofollow noopener"' in page
    assert 'target="_blank"' in page
    assert 'href="/tickets/1/"' in page
    assert "/tickets/1/" not in mail
    assert 'href="javascript' not in page + mail


def test_only_pictures_of_this_message_are_shown() -> None:
    text = f"![the lid](/files/{FILE}/lid.png) ![x](https://evil.example/pixel.gif)"
    shown = words_as_html(text, {FILE: "cid:1@shop.example"}, where="mail")
    assert '<img src="cid:1@shop.example" alt="the lid">' in shown
    assert '<a href="https://evil.example/pixel.gif">x</a>' in shown
    hidden = words_as_html(text)
    assert "[the lid]" in hidden
    assert "<img" not in hidden


def test_pictures_are_words_to_a_reader_of_text() -> None:
    text = f"Look: ![the lid](/files/{FILE}/lid.png)\n![](/files/{FILE}/a%20b.png)"
    assert readable(text) == "Look: [the lid]\n[a b.png]"
    assert pictures_in(text) == [FILE]


@pytest.mark.parametrize("where", ["page", "mail"])
def test_what_stands_in_an_attribute_is_no_tag(where: Literal["page", "mail"]) -> None:
    """So that the styles of a mail are written at tags only."""
    html = words_as_html(
        '[a](https://x.example "<code>") ![<pre>](https://x.example/<td>) <https://x.example/?<h2>',
        where=where,
    )
    assert not any(f"<{tag}" in html for tag in ("code", "pre", "td", "h2"))


def test_no_known_attack_survives() -> None:
    for name in ("dompurify", "owasp", "list_payloadsallthethings"):
        for row in json.loads(corpus(f"xss/{name}.json").read_text(encoding="utf-8")):
            text = row if isinstance(row, str) else row["payload"]
            _Harmless().feed(words_as_html(text, {FILE: "cid:1@x.example"}, where="mail"))


class _Harmless(HTMLParser):
    """Raises on the first tag or attribute that could act."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS | {"s"}
        for name, value in attrs:
            assert name in {"href", "title", "start"}
            if name == "href":
                assert (value or "").startswith(("http:", "https:", "mailto:", "tel:", "cid:"))
