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

from tests.ai.corpora import BESIDE, corpus
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

HOSTILE = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><a title='--&gt;&lt;img src=1 onerror=1&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='data:text/html,<script>alert(1)</script>'></object>",
    "<embed src='javascript:alert(1)'>",
    "<base href='https://evil.example/'><a href='x'>x</a>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<form action='https://evil.example/'><input name=q><button formaction='javascript:1'>x</form>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='jAvA\tscript:alert(1)'>x</a>",
    "<a href='&#106;avascript&colon;alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='data:image/png;base64,AAAA'>x</a>",
    "<a href='cid:one@mail.example'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<a href='/tickets/1/solve/'>x</a>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
    "<img src='data:text/html,x'>",
    "<img src='/logout/'>",
    "<img src='//evil.example/x.png' srcset='//evil.example/y.png 2x'>",
    "<img lowsrc='javascript:alert(1)' dynsrc='javascript:alert(1)' src='cid:x'>",
    "<table background='javascript:alert(1)'><tr><td background='https://evil.example/'>x</table>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<p style='background:u\\72l(https://evil.example/)'>x</p>",
    "<p style='background:ur/**/l(https://evil.example/)'>x</p>",
    "<p style='background-image:image-set(\"https://evil.example/\" 1x)'>x</p>",
    "<p style='width:expression(alert(1))'>x</p>",
    "<p style='behavior:url(x.htc);-moz-binding:url(x.xml#a)'>x</p>",
    "<div style='position:fixed;top:0;left:0;width:100%;height:100%;z-index:99999'>x</div>",
    "<div style='position:absolute;inset:0'>x</div>",
    "<div style='height:100vh;width:100vw'>x</div>",
    "<div style='margin-top:-900px'>x</div>",
    "<a id=location name=cookie href='https://shop.example/'>x</a><img name=forms src='cid:x'>",
    "<p class='desk' contenteditable tabindex=1 accesskey=s onclick=alert(1)>x</p>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<video src=x onerror=alert(1)><source onerror=alert(1)></video>",
    "<textarea><img title='</textarea><img src=x onerror=alert(1)>'>",
    "<title><a title='</title><img src=x onerror=alert(1)>'>",
    "<xmp><img title='</xmp><img src=x onerror=alert(1)>'></xmp>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml version='1.0'?><html xmlns:x='http://www.w3.org/1999/xhtml'><x:script>alert(1)</x:script>",
    "<template><img src=x onerror=alert(1)></template>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<keygen autofocus onfocus=alert(1)><isindex type=image src=1 onerror=alert(1)>",
    '<a title="x>y" onclick="alert(1)" href="https://shop.example/">x</a>',
]
ALIVE = re.compile(
    r"</?+(?!(?:a|b|br|div|em|h1|img|p|table|tbody|td|tr|u)\b)"
    r"|\son\w+=|javascript|vbscript|data:(?!image/)|srcset|srcdoc|background=|url\(|expression"
    r"|position|z-index|behavior|binding|image-set|\s(?:id|name|class|tabindex)=|evil\.example/[xy]\.(?!png)",
    re.I,
)

NEWSLETTER = """
<html><head><title>News</title><style>.x{color:red}</style></head>
<body bgcolor="#f4f4f4" style="margin:0;background:#f4f4f4 url('https://shop.example/b.png')">
<div style="display:none;font-size:1px;max-height:0;overflow:hidden">Seen in the list only</div>
<table width="600" align="center" cellpadding="0" cellspacing="0" border="0"
       style="width:600px !important; border-collapse: collapse; font-family: 'Open Sans', Arial">
<tr><td colspan="2" bgcolor="#123456" valign="top" style="padding:12px 24px;color:#ffffff;
        background-color: rgb(18, 52, 86); text-align:center; border-radius: 6px">
<h1 style="font-size:28px">Spring <font color="#ff0000" face="Georgia" size="5">sale</font></h1>
<ul><li>Kettles</li><li>Mills</li></ul><ol start="3" type="a"><li>Third</li></ol>
<a href="https://shop.example/?a=1&amp;b=2" style="color:#fff">Look</a>
<a href="mailto:hello@shop.example">Write</a> <a href="tel:+49123">Call</a>
<img src="https://shop.example/kettle.jpg" width="280" height="160" alt="A kettle" border="0">
<img src="cid:logo@shop.example" alt="Logo"><img src="//shop.example/cup.png" alt="Cup">
<img src="data:image/png;base64,iVBORw0KGgo=" alt="Dot">
<img src="https://track.example/open?u=1" width="1" height="1">
<img src="https://track.example/open?u=2" style="width:1px;height:1px" alt="">
<o:p>&nbsp;</o:p><!--[if mso]><v:rect>Outlook</v:rect><![endif]-->
</td></tr></table></body></html>
"""


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


@pytest.mark.skipif(not (BESIDE / "xss").exists(), reason="needs xss of the corpora")
def test_nothing_alive_is_left_of_the_payloads_that_others_collected() -> None:
    pytest.importorskip("html5lib")
    folder = corpus("xss")
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


@pytest.mark.parametrize("source", sorted((BESIDE / "xss").glob("*.json")), ids=lambda p: p.stem)
def test_a_second_pass_changes_nothing_in_those_payloads(source: Path) -> None:
    for payload in payloads(source):
        for clean in (sanitize(payload), sanitize(_closed(payload))):
            assert sanitize(clean) == clean


def payloads(source: Path) -> Iterator[str]:
    found = json.loads(source.read_text())
    items = found if isinstance(found, list) else found.get("payloads") or found.values()
    for item in items:
        payload = item if isinstance(item, str) else item.get("payload")
        if isinstance(payload, str):
            yield payload


def test_the_command_prints_one_line_a_file(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p onclick=x>Hi</p>")
    asked = [sys.executable, *COMMAND, str(page)]
    found = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == {"file": str(page), "html": "<p>Hi</p>"}
