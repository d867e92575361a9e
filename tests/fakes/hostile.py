"""HTML that wants to do something, and some that only wants to look good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.fakes.mails import CORPORA

# Lists that other projects published; none where they are not at hand.
COLLECTED = sorted((CORPORA / "xss").glob("*.json"))

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


def payloads(source: Path) -> Iterator[str]:
    found = json.loads(source.read_text())
    items = found if isinstance(found, list) else found.get("payloads") or found.values()
    for item in items:
        payload = item if isinstance(item, str) else item.get("payload")
        if isinstance(payload, str):
            yield payload
