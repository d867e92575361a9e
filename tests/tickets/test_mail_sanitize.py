"""The HTML of mails: nothing in it lives, and honest mail keeps its looks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.fakes.hostile import COLLECTED, HOSTILE, NEWSLETTER, payloads
from tickets.mail import markup
from tickets.mail.markup import bounded
from tickets.mail.sanitize import (
    has_remote_pictures,
    pictures_named,
    sanitize,
    with_pictures,
)

COMMAND = [str(settings.BASE_DIR / "manage.py"), "parse_email", "--sanitize"]
TELLS = 'target="_blank" rel="noopener noreferrer nofollow"'

ALIVE = re.compile(
    r"</?+(?!(?:a|b|br|div|em|h1|img|p|table|tbody|td|tr|u)\b)"
    r"|\son\w+=|javascript|vbscript|data:(?!image/)|srcset|srcdoc|background=|url\(|expression"
    r"|position|z-index|behavior|binding|image-set|\s(?:id|name|class|tabindex)=|evil\.example/[xy]\.(?!png)",
    re.I,
)


@pytest.mark.parametrize("payload", HOSTILE)
def test_nothing_in_a_hostile_mail_lives(payload: str) -> None:
    for clean in (sanitize(payload), sanitize(_closed(payload))):
        tags = "".join(re.findall(r"<[^>]*>", clean))
        assert not ALIVE.search(tags), clean
        assert sanitize(clean) == clean


def test_a_newsletter_keeps_its_looks() -> None:
    clean = sanitize(NEWSLETTER)
    for kept in [
        '<div bgcolor="#f4f4f4" style="margin:0;background:#f4f4f4">',
        'cellpadding="0"',
        'width="600"',
        'align="center"',
        "width:600px;border-collapse:collapse;font-family:'Open Sans', Arial",
        'colspan="2"',
        'bgcolor="#123456"',
        'valign="top"',
        "background-color:rgb(18, 52, 86)",
        "text-align:center",
        '<font color="#ff0000" face="Georgia" size="5">sale</font>',
        "<ul><li>Kettles</li><li>Mills</li></ul>",
        '<ol start="3" type="a">',
        f'<a href="https://shop.example/?a=1&amp;b=2" style="color:#fff" {TELLS}>Look</a>',
        f'<a href="mailto:hello@shop.example" {TELLS}>Write</a>',
        f'<a href="tel:+49123" {TELLS}>Call</a>',
        'src="https://shop.example/kettle.jpg" width="280" height="160" alt="A kettle"',
        '<img src="cid:logo@shop.example" alt="Logo">',
        '<img src="https://shop.example/cup.png" alt="Cup">',
        '<img src="data:image/png;base64,iVBORw0KGgo=" alt="Dot">',
    ]:
        assert kept in clean
    for dropped in ("Seen in the list", "track.example", "News", "{color", "url(", "Outlook"):
        assert dropped not in clean
    assert sanitize(clean) == clean
    assert has_remote_pictures(clean)


def test_what_is_hidden_goes_with_all_inside_it() -> None:
    page = (
        "<p>a</p><div style='DISPLAY : none'><div>b<img src='cid:x'></div>c</div>"
        "<span hidden>d</span><p style='visibility:hidden'>e</p><p style='opacity:0'>f</p>"
        "<div style='overflow:hidden;max-height:0px'>g</div><img style='display:none' src='cid:y'>"
        "<p style='font-size:0'>h</p><p style='display:block'>i</p>"
    )
    assert re.sub(r"<[^>]*>", "", sanitize(page)) == "ahi"


def test_a_picture_without_a_size_is_no_pixel_and_one_that_came_along_never_is() -> None:
    page = '<img src="https://a.example/x.png"><img src="cid:x" width="1" height="1">'
    assert sanitize(page) == page


def test_pictures_that_came_along_are_found_and_shown() -> None:
    clean = sanitize(
        '<img src="cid:a%40b"><a href="https://shop.example/"><img src="cid:c&amp;d"></a>'
        '<img src="cid:gone" alt="Gone">'
    )
    assert pictures_named(clean) == {"a@b", "c&d", "gone"}
    shown = with_pictures(clean, {"a@b": "/files/1/a.png", "c&d": "/files/2/c&d.png"})
    assert shown == (
        '<a href="/files/1/a.png" target="_blank"><img src="/files/1/a.png"></a>'
        f'<a href="https://shop.example/" {TELLS}><img src="/files/2/c&amp;d.png"></a>'
        '<img alt="Gone">'
    )


# Each takes a naive parser minutes, gigabytes, or both.
BOMBS = {
    "deep": "<div>",
    "deep and never ended": "<div></x>",
    "ended in comments": "<div><!--</div>-->",
    "ended in attributes": '<div title="</div>">',
    "ended inside a table": "<div><table><tr><td></div></td></tr></table>",
    "ended in a foreign style": "<svg><style><!--</style></b>--></style></svg><b>",
    "ended in an ignored style": "<select><style><!--</style></b>--></style></select><b>",
    "tables": "<table><td>",
    "lists": "<ul><li>",
    "ampersands": "&",
    "named characters": "&amp;",
    "open tags": "<a ",
    "open comments": "<!--",
    "open quotes": '<a b="',
    "less than": "<",
    "paragraphs": "<i><p>",
    "hidden": "<div style='display:none'>",
    "hidden pieces": "<b hidden>x</b>",
    "pictures": "<img src=cid:x>",
}


def _bombs() -> Iterator[tuple[str, str]]:
    for name, piece in BOMBS.items():
        yield name, piece * (markup.HTML_MAX_CHARS // len(piece))
    yield "attributes", "<a " + "/".join(f"{i:x}" for i in range(300_000)) + ">"
    opened = "".join(f"<b a{i}>" for i in range(390))
    yield "reopened in every paragraph", f"<p>{opened}" + "<p>x</p>" * 200_000
    yield "a style", f"<p style='{'color:red;' * 150_000}'>x</p>"
    yield "a comment in a style", f"<p style='{'/*' * 500_000}'>x</p>"
    yield "an address", f"<a href='http://x/{'&' * 1_000_000}'>x</a>"


@pytest.mark.parametrize(("name", "page"), [pytest.param(*one, id=one[0]) for one in _bombs()])
def test_no_mail_takes_long(name: str, page: str) -> None:
    start = time.process_time()
    sanitize(page)
    assert time.process_time() - start < 10, name


def test_a_large_honest_mail_is_shown_as_a_small_one_is() -> None:
    """Beyond a size mails are written anew before they are parsed; that must not show."""
    pages = 60
    large = sanitize(NEWSLETTER * pages)
    assert len(NEWSLETTER) * pages > markup.SMALL_MAX_CHARS
    assert large.count("<td") == pages
    assert re.sub(r"\s+", "", large) == re.sub(r"\s+", "", sanitize(NEWSLETTER)) * pages


def test_a_sloppy_large_mail_keeps_its_tables_and_lists() -> None:
    page = "<p>One<p>Two<ul><li>a<li>b</ul><table><tr><td>1<td>2<tr><td>3</table><b>x<i>y</b>z</i>"
    assert sanitize(_closed(page)) == (
        "<p>One</p><p>Two</p><ul><li>a</li><li>b</li></ul><table><tbody><tr><td>1</td><td>2</td>"
        "</tr><tr><td>3</td></tr></tbody></table><b>x<i>y</i></b>z"
    )


def _closed(page: str) -> str:
    """The page as a large one would reach the parser."""
    return bounded(page + " " * markup.SMALL_MAX_CHARS).rstrip(" ")


@pytest.mark.skipif(not COLLECTED, reason="needs xss of the corpora (HELPDESK_CORPORA)")
def test_nothing_alive_is_left_of_the_payloads_that_others_collected() -> None:
    pytest.importorskip("html5lib")
    folder = COLLECTED[0].parent
    score = [sys.executable, folder.parents[1] / "score" / "xss.py", folder, "--misses=20"]
    ours = [sys.executable, "-W", "ignore", *COMMAND]
    found = subprocess.run(
        [*map(str, [*score, "--", *ours])],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert "alive 0" in found.stdout, found.stdout + found.stderr


@pytest.mark.parametrize("source", COLLECTED, ids=lambda source: source.stem)
def test_a_second_pass_changes_nothing_in_those_payloads(source: Path) -> None:
    for payload in payloads(source):
        for clean in (sanitize(payload), sanitize(_closed(payload))):
            assert sanitize(clean) == clean


def test_the_command_prints_one_line_a_file(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p onclick=x>Hi</p>")
    asked = [sys.executable, *COMMAND, str(page)]
    found = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == {"file": str(page), "html": "<p>Hi</p>"}
