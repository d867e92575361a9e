"""What is shown of a mail that answers another, as text and as HTML."""

from __future__ import annotations

import json
import random
import re
import time
import unicodedata
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import nh3
import pytest
from django.core.management import call_command

from tests.fakes.mails import CORPORA
from tickets.mail.reply import TRIED_MAX, split_reply
from tickets.mail.reply_html import split_html
from tickets.mail.text import html_to_text

REPLIES = CORPORA / "replies"
PAIRS_MIN = 0.90  # of the published pairs; those not followed are in docs/reply-misses.md
REPLY = "Yes, it is here.\nThank you!"

INTRODUCTIONS = """\
On Mon, 3 Mar 2025 at 10:00, Maya Tern <maya@shop.example> wrote:
On Monday, March 3rd, 2025 at 10:00 AM, Maya Tern <maya@shop.example> wrote:
On Mar 3, 2025, at 10:00, Maya Tern <maya@shop.example> wrote:
On 03/03/2025 10:00 AM, Maya Tern wrote:
On 3-Mar-2025, at 10:00, Maya Tern <maya@shop.example> sent:
Am Mo., 3. März 2025 um 10:00 Uhr schrieb Maya Tern <maya@shop.example>:
Am 03.03.25 um 10:00 schrieb Maya Tern:
Maya Tern <maya@shop.example> hat am 03.03.2025 10:00 geschrieben:
Maya Tern <maya@shop.example> schrieb am Mo., 3. März 2025, 10:00:
Le lun. 3 mars 2025 à 10:00, Maya Tern <maya@shop.example> a écrit :
Le 03/03/2025 à 10:00, Maya Tern a écrit :
El lun, 3 mar 2025 a las 10:00, Maya Tern (<maya@shop.example>) escribió:
Il giorno lun 3 mar 2025 alle ore 10:00 Maya Tern <maya@shop.example> ha scritto:
Il 03/03/2025 10:00, Maya Tern ha scritto:
Em seg., 3 de mar. de 2025 às 10:00, Maya Tern <maya@shop.example> escreveu:
Op ma 3 mrt 2025 om 10:00 schreef Maya Tern <maya@shop.example>:
Op 3 mrt 2025, om 10:00 heeft Maya Tern <maya@shop.example> het volgende geschreven:
Den man. 3. mar. 2025 kl. 10.00 skrev Maya Tern <maya@shop.example>:
man. 3. mar. 2025 kl. 10:00 skrev Maya Tern <maya@shop.example>:
Den mån 3 mars 2025 kl 10:00 skrev Maya Tern <maya@shop.example>:
ma 3. maalisk. 2025 klo 10.00 Maya Tern (maya@shop.example) kirjoitti:
Maya Tern <maya@shop.example> kirjoitti 3.3.2025 kello 10.00:
pon., 3 mar 2025 o 10:00 Maya Tern <maya@shop.example> napisał(a):
W dniu 3.03.2025 o 10:00, Maya Tern pisze:
po 3. 3. 2025 v 10:00 odesílatel Maya Tern <maya@shop.example> napsal:
Dne 3. 3. 2025 v 10:00 Maya Tern napsal(a):
po 3. 3. 2025 o 10:00 Maya Tern <maya@shop.example> napísal(a):
Maya Tern <maya@shop.example> ezt írta (időpont: 2025. márc. 3., H, 10:00):
Maya Tern <maya@shop.example>, 3 Mar 2025 Pzt, 10:00 tarihinde şunu yazdı:
пн, 3 мар. 2025 г. в 10:00, Maya Tern <maya@shop.example>:
03.03.2025 10:00, Maya Tern пишет:
3 марта 2025 г., в 10:00, Maya Tern <maya@shop.example> написал(а):
пн, 3 бер. 2025 р. о 10:00 Maya Tern <maya@shop.example> пише:
Pe lun., 3 mar. 2025 la 10:00, Maya Tern <maya@shop.example> a scris:
2025年3月3日(月) 10:00 Maya Tern <maya@shop.example>:
2025/03/03 10:00、Maya Tern <maya@shop.example>のメール:
Maya Tern <maya@shop.example> 于2025年3月3日周一 10:00写道：
Maya Tern <maya@shop.example> 於 2025年3月3日 週一 上午10:00寫道：
2025년 3월 3일 (월) 오전 10:00, Maya Tern <maya@shop.example>님이 작성:
Vào Th 2, 3 thg 3, 2025 vào lúc 10:00 Maya Tern <maya@shop.example> đã viết:
Στις Δευ 3 Μαρ 2025 στις 10:00 π.μ., ο/η Maya Tern <maya@shop.example> έγραψε:
pon, 3. ožu 2025. u 10:00 Maya Tern <maya@shop.example> napisao je:
\u202bבתאריך יום ב׳, 3 במרץ 2025 ב-10:00 מאת \u202aMaya <\u202am@shop.example\u202c\u200f>:\u202c
في الاثنين، 3 مارس 2025 في 10:00 ص تمت كتابة ما يلي بواسطة Maya Tern <maya@shop.example>:
---- On Mon, 03 Mar 2025 10:00:00 +0100 Maya Tern <maya@shop.example> wrote ---
""".splitlines()

HEADERS = """\
From: Maya Tern|Sent: Monday, March 3, 2025 10:00|To: Carol|Subject: Kettle
*From:* Maya Tern <maya@shop.example>|*Date:* Monday, 3 March 2025|*To:* Carol|*Subject:* Kettle
From: Maya Tern <maya@shop.example>|Reply-To: desk@shop.example|Date: 3 March 2025|To: Carol
From: Maya Tern|[mailto:maya@shop.example]|Sent: Monday, March 3, 2025|To: Carol
Date: Mon, 3 Mar 2025 10:00:00 +0100|To: carol@mail.example
Von: Maya Tern|Gesendet: Montag, 3. März 2025 10:00|An: Carol|Betreff: Kanne
De : Maya Tern|Envoyé : lundi 3 mars 2025 10:00|À : Carol|Objet : Bouilloire
De : Maya <maya@shop.example>|Date : 03/03/25 10:00|À : carol@mail.example Objet : Bouilloire
De: Maya Tern|Enviado el: lunes, 3 de marzo de 2025 10:00|Para: Carol|Asunto: Tetera
De: Maya Tern|Enviada em: segunda-feira, 3 de março de 2025|Para: Carol|Assunto: Chaleira
Da: Maya Tern|Inviato: lunedì 3 marzo 2025 10:00|A: Carol|Oggetto: Bollitore
Van: Maya Tern|Verzonden: maandag 3 maart 2025 10:00|Aan: Carol|Onderwerp: Ketel
Fra: Maya Tern|Sendt: 3. marts 2025 10:00|Til: Carol|Emne: Kedel
Från: Maya Tern|Skickat: den 3 mars 2025 10:00|Till: Carol|Ämne: Kittel
Lähettäjä: Maya Tern|Lähetetty: maanantai 3. maaliskuuta 2025|Vastaanottaja: Carol|Aihe: Pannu
Od: Maya Tern|Wysłano: poniedziałek, 3 marca 2025 10:00|Do: Carol|Temat: Czajnik
Od: Maya Tern|Odesláno: pondělí 3. března 2025 10:00|Komu: Carol|Předmět: Konvice
Feladó: Maya Tern|Elküldve: 2025. március 3., hétfő 10:00|Címzett: Carol|Tárgy: Kanna
Kimden: Maya Tern|Gönderildi: 3 Mart 2025 Pazartesi 10:00|Kime: Carol|Konu: Çaydanlık
От: Maya Tern|Отправлено: 3 марта 2025 г. 10:00|Кому: Carol|Тема: Чайник
差出人: Maya Tern|送信日時: 2025年3月3日 10:00|宛先: Carol|件名: やかん
发件人: Maya Tern|发送时间: 2025年3月3日 10:00|收件人: Carol|主题: 水壶
보낸 사람: Maya Tern|보낸 날짜: 2025년 3월 3일 10:00|받는 사람: Carol|제목: 주전자
________________________________|From: Maya Tern|Sent: Monday, March 3, 2025|To: Carol
====|Message du : 03/03/2025 10:00|De : Maya <maya@shop.example>|A : carol@mail.example
-----Original Message-----
-------- Ursprüngliche Nachricht --------|Von: Maya Tern|Datum: 03.03.25 10:00
-------- Oprindelig besked --------|Fra: Maya Tern
-----Message d'origine-----
------- Original Message -------|On Monday, March 3rd, 2025, Maya <maya@shop.example> wrote:
##- Please type your reply above this line -##
---|*Previous Replies*
""".splitlines()

OWN_WORDS = """\
As I wrote on 3 March 2025, these are the items:|- one|- two
On 3 March 2025 I wrote:|Please send it.
On Monday at 10:00 my husband wrote:|Please come.||And nobody came.
On 3 March 2025 the courier wrote:|Your parcel is lost.||Please send another.
Am 03.03.2025 schrieb Ihre Kollegin:|Das ist bezahlt.||Und was nun?
The courier wrote on 3 March 2025:|Your parcel is lost.||And now?
On the box is <maya@mail.example> wrote: nothing.
Am 3. März 2025 schrieb ich Ihnen wegen folgender Punkte:|- eins
From: Berlin|To: Munich|Date: 3 March 2025|Please book it.
Hello,|Name: Carol|From: carol@mail.example|Subject: Question|Where is it?
Hello,|Data: 3 maja|Miejsce: Kraków|Proszę o rezerwację.
The fair:||Date: Wednesday 3, October 2025|Time: 7 : 00am|Address: 130 Fox St||Bring your ID.
Please send it on 3 March 2025 to bob@mail.example with these words:|Hello
In your mail of 3 March 2025 you wrote:|It comes on Monday.|Where is it?
A month ago, 3 March 2025, your colleague wrote:|It comes on Monday.|Where is it?
Please answer by 3 March 2025 to Bob <bob@mail.example>:|he has the kettle.
Order list:|--------------------|2 kettles|--------------------|Where are they?
Hello||----||More of it|====|And more
On it:||  def f():|      return 1
> This is a quote.||And this is my answer.
> all of it is a quote
One||> Two|>> Three||Four
Please call me|before ten
Sent from my desk, which is easier than my phone.
I have the invoice.|Sent by mail last week.
Sent from my iPhone||This is below, and long enough to be what somebody wrote just now.
See below.||---------- Forwarded message ---------|From: Maya <maya@shop.example>|Date: Mon||Hi
See below.||Begin forwarded message:||> From: Maya <maya@shop.example>|> Date: Mon||> Hi
Thank you,|Carol
The form:|____________________________|Name and date
""".splitlines()


def words(text: str) -> str:
    return re.sub(r"\s+", "", text)


# --- Text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("introduction", INTRODUCTIONS)
@pytest.mark.parametrize("quote", ["> Is it there?\n> Maya", "Is it there?\nMaya"])
def test_a_quote_is_known_by_its_introduction_in_any_language(
    introduction: str, quote: str
) -> None:
    split = split_reply(f"{REPLY}\n\n{introduction}\n\n{quote}")
    assert split.visible == REPLY
    assert split.rest.startswith(introduction)


@pytest.mark.parametrize(
    "introduction", [one for one in INTRODUCTIONS if " <" in one and one[0] != "-"]
)
@pytest.mark.parametrize("broken", [" <\n", "\n<"])
def test_an_introduction_may_be_wrapped(introduction: str, broken: str) -> None:
    split = split_reply(f"{REPLY}\n\n{introduction.replace(' <', broken, 1)}\n\n> Is it there?")
    assert split.visible == REPLY


@pytest.mark.parametrize("header", HEADERS)
def test_a_quote_is_known_by_its_header_in_any_language(header: str) -> None:
    header = header.replace("|", "\n")
    split = split_reply(f"{REPLY}\n\n{header}\n\nIs it there?\nMaya")
    assert split.visible == REPLY
    assert words(split.rest) == words(f"{header}Is it there?Maya")


@pytest.mark.parametrize("text", OWN_WORDS)
@pytest.mark.parametrize("above", ["", "Hello,\n\n"])
def test_what_may_be_somebodys_own_words_is_shown(text: str, above: str) -> None:
    text = text.replace("|", "\n")
    text = text if text[0] == ">" else above + text
    assert (split_reply(text).visible, split_reply(text).rest) == (text, "")


INTRODUCED = "On Mon, 3 Mar 2025 at 10:00, Maya <maya@shop.example> wrote:"


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        (f"{INTRODUCED}\n> Is it?\n> Maya\n\nYes.", "Yes."),
        (f"Hello,\n\n{INTRODUCED}\n\n> Is it?\n\nYes.\n\nCarol", "Hello,\n\nYes.\n\nCarol"),
        (f"{INTRODUCED}\n> Is it?\n\nYes.\n-- \nCarol", "Yes."),
        (f"Yes.\n\n{INTRODUCED}\n> Is it?\n-- \nCarol", "Yes."),
        # A line that the sender's program has wrapped is no answer.
        (
            f"Yes.\n\n{INTRODUCED}\n> See (https://shop.example/copper\n-and-black)\n> Maya",
            "Yes.",
        ),
        (
            f"Yes.\n\n{INTRODUCED}\n> It is the one that we have sent on Monday with the"
            " courier to have it at"
            "\nyour address\n> Maya",
            "Yes.",
        ),
        ("Yes.\n> On Mon, 3 Mar 2025, Maya <maya@shop.example> wrote:\n>\n> Is it?", "Yes."),
        ("Yes.\n\n> Is it?\n> Maya", "Yes."),
        (f"Yes. It is--- {INTRODUCED}\n> Is it?", "Yes. It is"),
        (f"Yes, it is. {INTRODUCED}\n> Is it?", "Yes, it is."),
        (f"Yes.\n\n{INTRODUCED}\n> Is it?\n\nFrom: Bob\nSent: Monday\nTo: Maya\n\nOld", "Yes."),
        ("Yes.\n\n2025/3/3 Maya Tern <maya@shop.example>\n\n> Is it?", "Yes."),
        ("Yes.\n\nMaya Tern wrote, on 03/03/25 10:00:\n> Is it?", "Yes."),
        (
            "Yes.\n\nOn Nov 30, 2024, at 12:47 PM, Maya <\n416ffd3258d4d2fa4c85cfa4c44e1721d66e\n"
            "@shop.example>wrote:\n\n> Is it?",
            "Yes.",
        ),
        (
            "Yes.\n\nSent from Yahoo Mail on Android\n\n"
            "On Mon, Mar 3, 2025 at 10:00, Maya<maya@shop.example> wrote:   Is it?\nMaya",
            "Yes.",
        ),
        ("Yes.\n\nZitat von Maya <maya@shop.example>:\n\n> Is it?", "Yes."),
    ],
)
def test_text_above_and_below_a_quote_stays(text: str, visible: str) -> None:
    assert split_reply(text).visible == visible


def test_answers_between_quotes_stay_with_what_they_answer() -> None:
    shown = f"{INTRODUCED}\n> Is it there?\n\nYes.\n\n> And the lid?\nNo."
    split = split_reply(f"{shown}\n\n> Maya\n> Tern & Kettle\n\n-- \nCarol")
    assert split.visible == shown
    assert split.rest == "> Maya\n> Tern & Kettle\n\n-- \nCarol"


def test_text_between_and_below_two_quotes_stays() -> None:
    quote = f"{INTRODUCED}\n> Is it?"
    text = f"Yes.\n\n{quote}\n\nMore.\n\n{quote}\n\nEnd."
    assert split_reply(text).visible == text


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nCarol\n+49 30 1",
        "--\nCarol\n\nSent from my iPhone",
        "Sent from my iPhone",
        "Sent from my Verizon Wireless BlackBerry",
        "Sent from my phone, please excuse typos.",
        "Get Outlook for iOS<https://aka.ms/x>",
        "Sent from Mail for Windows",
        "(sent from a phone)",
        "Von meinem iPhone gesendet",
        "Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.",
        "Gesendet von Outlook für Android",
        "Envoyé de mon iPhone",
        "Enviado desde mi iPhone",
        "Enviado do meu iPhone",
        "Inviato da iPhone",
        "Verstuurd vanaf mijn iPhone",
        "Skickat från min iPhone",
        "Wysłane z iPhone'a",
        "Отправлено с iPhone",
        "iPhoneから送信",
        "从我的 iPhone 发送",
        "나의 iPhone에서 보냄",
        "iPhone'umdan gönderildi",
        "____________________________\nkettles mailing list\nhttps://lists.example/kettles",
    ],
)
def test_a_signature_is_cut_alone_and_above_a_quote(signature: str) -> None:
    assert split_reply(f"{REPLY}\n\n{signature}").visible == REPLY
    assert split_reply(f"{REPLY}\n\n{signature}\n\n{INTRODUCED}\n> Is it?").visible == REPLY


def test_a_long_text_below_two_dashes_is_no_signature() -> None:
    text = "Hello\n\n--\n" + "\n".join(f"item {n}" for n in range(13))
    assert split_reply(text).rest == ""


def test_a_mail_of_nothing_but_a_quote_is_shown() -> None:
    for text in (f"{INTRODUCED}\n> Is it?", "From: Maya\nSent: Monday\nTo: Carol\n\nHello", ""):
        assert (split_reply(text).visible, split_reply(text).rest) == (text, "")


def test_both_halves_hold_every_word_in_its_order() -> None:
    """Of any mixture of lines. What stood in the middle comes first in `rest`."""
    dice = random.Random(4)
    pieces = [
        *INTRODUCTIONS,
        *"|".join([*HEADERS, *OWN_WORDS]).split("|"),
        "",
        "",
        "> quoted",
        "> ",
    ]
    for _ in range(1_500):
        text = "\n".join(dice.choices(pieces, k=dice.randint(1, 14)))
        split = split_reply(text)
        assert sorted(words(split.visible + split.rest)) == sorted(words(text))
        lines = iter(text.split())
        assert all(word in lines for word in split.visible.split())


@pytest.mark.parametrize(
    "text",
    [
        "x:\n" * 300_000,
        "From: a@b.example\n" * 100_000,
        "On 3 Mar 2025 10:00 a@b.example\n" * 60_000 + "wrote:\n",
        ("On Mon, 3 Mar 2025 Maya <maya@shop.example>\n" * 3 + "says:\n") * 20_000,
        "> On 3 Mar 2025, a@b.example:\nx\n" * 50_000,
        f"x\n{INTRODUCED}\n" + "> a\nb\n" * 200_000,
        "x" + "\n" * 1_000_000 + "y:",
        "--\n" * 500_000,
        "Sent from my iPhone\n" * 100_000,
        "-" * 1_000_000 + "\n" + "_" * 1_000_000,
        "-- original " * 100_000,
        "<" * 500_000 + ":\n> x",
        "a@" * 500_000 + ":\n> x",
        " On Mon 3" * 100_000 + " a@b.example wrote:\n> x",
    ],
    ids=str,
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    split_reply(text)
    assert time.process_time() - began < 2.5


def test_a_text_of_colons_is_looked_at_only_so_often() -> None:
    text = "x:\n" * (TRIED_MAX + 1) + f"{INTRODUCED}\n> Is it?"
    assert split_reply(text).rest == "> Is it?"


# --- HTML -------------------------------------------------------------------------------------

ATTRIBUTION = escape(INTRODUCED)
OUTLOOK = (
    "<p class=MsoNormal><b>From:</b> Maya &lt;maya@shop.example&gt; <br><b>Sent:</b> Monday, March"
    " 3, 2025 10:00<br><b>To:</b> Carol<br><b>Subject:</b> Kettle</p><p>Is it there?</p>"
)
UNKNOWN_FIELDS = (
    "<p><b>Kwa:</b> Carol<br><b>Kutoka:</b> Maya<br><b>Mada:</b> Birika</p><p>Is it?</p>"
)

KINDS = {
    "Gmail": '<div dir="ltr">Yes.</div><br><div class="gmail_quote">'
    f'<div dir="ltr" class="gmail_attr">'
    f'{ATTRIBUTION}<br></div><blockquote class="gmail_quote" style="border-left:1px solid #ccc">'
    "<p>Is it there?</p></blockquote></div>",
    "Gmail, older": '<div>Yes.</div><div class="gmail_extra"><br><div class="gmail_quote">'
    f'{ATTRIBUTION}<br><blockquote class="gmail_quote">Is it there?</blockquote></div><br></div>',
    "Gmail in a container": '<div>Yes.</div><div class="gmail_quote gmail_quote_container"><div>'
    "Kila siku Maya aliandika</div>Is it there?</div>",
    "Apple Mail": '<body>Yes.<br><div><br><blockquote type="cite"><div>On 3 Mar 2025, at 10:00,'
    ' Maya &lt;maya@shop.example&gt; wrote:</div><br class="Apple-interchange-newline"><div>'
    "Is it there?</div></blockquote></div><br></body>",
    "iCloud": f"<div>Yes.</div><div><br></div><div>{ATTRIBUTION}</div><div><br></div>"
    '<blockquote type="cite"><div>Is it there?</div></blockquote>',
    "Thunderbird": f'<p>Yes.</p><div class="moz-cite-prefix">{ATTRIBUTION}<br></div>'
    '<blockquote type="cite" cite="mid:1@x"><p>Is it there?</p></blockquote>',
    "Thunderbird in an unknown language": '<p>Yes.</p><div class="moz-cite-prefix">Maya aliandika:'
    '<br></div><blockquote type="cite"><p>Is it there?</p></blockquote>',
    "Outlook": '<div class="WordSection1"><p class=MsoNormal>Yes.<o:p></o:p></p><p class=MsoNormal>'
    "<o:p>&nbsp;</o:p></p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt"
    f" 0cm 0cm 0cm'>{OUTLOOK}</div></div></div>",
    "Outlook in an unknown language": "<p>Yes.</p><div style='border:none;border-top:solid #B5C4DF"
    f" 1.0pt'>{UNKNOWN_FIELDS}</div>",
    "Outlook on the web": '<div>Yes.</div><div id="appendonsend"></div><hr tabindex="-1"><div'
    f' id="divRplyFwdMsg" dir="ltr">{OUTLOOK}</div>',
    "Outlook, forwarded on": '<div>Yes.</div><div id="x_x_divRplyFwdMsg">Nani: Maya</div>'
    "<div>Is it?</div>",
    "Outlook 2003": f'<p>Yes.</p><div class="OutlookMessageHeader" lang="en-us" align="left"><hr>'
    f"{OUTLOOK}</div>",
    "Outlook for phones": '<div>Yes.</div><div id="mail-editor-reference-message-container"><div>'
    f"{OUTLOOK}</div></div>",
    "Hotmail": '<div>Yes.<br><br><hr id="stopSpelling">Date: Mon, 3 Mar 2025<br>From: '
    "maya@shop.example<br>To: carol@mail.example<br>Subject: Kettle<br><br>Is it there?</div>",
    "A rule and a header": "Yes.<div><hr><div><b>From: maya@shop.example</b> <b>Date: 3 Mar 2025"
    "</b></div><div>Is it there?</div></div>",
    "Yahoo": '<div>Yes.</div><div id="yahoo_quoted_1" class="yahoo_quoted"><div><div>On Monday, '
    "3 March 2025 at 10:00:00 GMT, Maya &lt;maya@shop.example&gt; wrote: </div><div><br></div>"
    "<div>Is it there?</div></div></div>",
    "Yahoo, pasted": '<div>Yes.</div><div class="ydp1f2e3dyahoo_quoted">'
    "<div>Maya, Kila siku:</div><div>Is it there?</div></div>",
    "Outlook for phones, signed": '<div>Yes.</div><div>Get <a href="https://aka.ms/o0ukef">Outlook'
    f' for iOS</a></div><hr><div id="divRplyFwdMsg">{OUTLOOK}</div>',
    "Proton": '<div>Yes.</div><div class="protonmail_quote"><div>On Monday, March 3rd, 2025,'
    ' Maya &lt;maya@shop.example&gt; wrote:</div><blockquote class="protonmail_quote" type="cite">'
    "Is it there?</blockquote></div>",
    "Zimbra": '<div>Yes.<br><br><hr id="zwchr" data-marker="__DIVIDER__">'
    '<div data-marker="__HEADERS__">'
    '<b>From: </b>"Maya" &lt;maya@shop.example&gt;<br><b>To: </b>"Carol"<br><b>Sent: </b>Monday'
    "</div><div>Is it there?</div></div>",
    "Zoho": '<div>Yes.</div><div class="zmail_extra"><div>---- On Mon, 03 Mar 2025 10:00:00 +0100'
    " Maya &lt;maya@shop.example&gt; wrote ---</div><div>Is it there?</div></div>",
    "AOL": "<div>Yes.<br><br><div>-----Original Message-----<br>From: Maya &lt;m@shop.example"
    "&gt;<br>To: Carol<br>Sent: Mon, Mar 3, 2025<br><br>Is it there?</div></div>",
    "mail.ru": "<p>Yes.</p><br>Понедельник, 3 марта 2025, 10:00 +03:00 от Maya "
    "&lt;maya@shop.example&gt;:<br><blockquote style='border-left:1px solid #0857A6'>Is it there?"
    "</blockquote>",
    "Yandex": '<div>Yes.</div><div> </div><div>03.03.2025, 10:00, "Maya" &lt;<a href='
    '"mailto:maya@shop.example">maya@shop.example</a>&gt;:</div><blockquote>Is it there?'
    "</blockquote>",
    "A bare quote": "<p>Yes.</p><blockquote>Is it there?</blockquote>",
    "No quote but an introduction": f"<p>Yes.</p><div>{ATTRIBUTION}</div><div>Is it there?</div>",
    "A signature": "<div>Yes.</div><div>-- <br></div><div>Is it there? &amp; Co.</div>",
    "A phone": "<div>Yes.</div><div><br></div><div>Sent from my iPhone</div>",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_quote_in_html_is_known_in_the_ways_of_mail_programs(kind: str) -> None:
    split = split_html(KINDS[kind])
    assert html_to_text(nh3.clean(split.visible)) == "Yes."
    quoted = html_to_text(nh3.clean(split.quoted))
    assert quoted
    both = html_to_text(split.visible) + html_to_text(split.quoted)
    assert words(both).replace(">", "") == words(html_to_text(KINDS[kind])).replace(">", "")


@pytest.mark.parametrize(
    ("markup", "visible"),
    [
        # below a quote, below what holds one, and between quotes
        (f"<div>{ATTRIBUTION}</div><blockquote type=cite>Is it?</blockquote><p>Yes.</p>", "Yes."),
        (
            f'<p>Hello</p><div class="gmail_quote">{ATTRIBUTION}<div>Is it?</div></div>'
            "<p>Carol</p>",
            "Hello\n\nCarol",
        ),
        (
            f'<div class="gmail_quote"><div>{ATTRIBUTION}</div><blockquote>Is it?</blockquote>Yes.'
            "<blockquote>And the lid?</blockquote>No.</div>",
            f"{INTRODUCED}\n\n> Is it?\n>\nYes.\n\n> And the lid?\n>\nNo.",
        ),
        # a forwarded mail
        (
            '<p>See below.</p><div class="gmail_quote"><div>---------- Forwarded message ---------'
            "<br>From: Maya</div>Hello</div>",
            "See below.\n\n---------- Forwarded message ---------\nFrom: Maya\nHello",
        ),
        # what somebody has marked or indented in Gmail
        (
            '<p>He says</p><blockquote class="gmail_quote">Boil dry</blockquote>',
            "He says\n\n> Boil dry\n>",
        ),
        (
            '<p>He says</p><blockquote style="margin:0 0 0 40px;border:none;padding:0px">Boil dry'
            "</blockquote>",
            "He says\n\nBoil dry",
        ),
        ("<p>Hello</p><div style='border-top:solid #E1E1E1 1pt'>Carol: kettles</div>", None),
        ("<div class='gmail_quote'>All of it</div>", None),
        ("<blockquote><p>All of it</p></blockquote>", None),
        ("<div class=yahoo_quoted></div><p>Hello</p>", None),
        ("", None),
    ],
)
def test_own_words_in_html_stay(markup: str, visible: str | None) -> None:
    split = split_html(markup)
    if visible is None:
        assert (split.visible, split.quoted) == (markup, "")
    assert html_to_text(split.visible) == (html_to_text(markup) if visible is None else visible)


def test_a_picture_below_a_quote_is_somebodys_own() -> None:
    quote = f"<div>{ATTRIBUTION}</div><blockquote>Is it?</blockquote>"
    split = split_html(f'{quote}<div><img src="cid:1@x"></div>')
    assert split.visible == '<div><img src="cid:1@x"></div>'


def test_a_quote_looks_as_it_did() -> None:
    """It begins with the tags that are open where it was cut."""
    markup = (
        '<html><body bgcolor="white"><table><tr><td><p>old<p><font color="red">Yes.<br><br>'
        f"{ATTRIBUTION}<br>Is it there?</font></td></tr></table></body></html>"
    )
    split = split_html(markup)
    assert split.quoted.startswith('<table><tr><td><p><font color="red">On Mon')
    assert split.visible.endswith("Yes.<br><br>")
    assert nh3.clean(split.visible).endswith("</p></td></tr></tbody></table>")


def test_lines_that_no_tag_makes_are_cut_where_they_begin() -> None:
    split = split_html("<pre>Yes.\n\nOn 1 March 2025, Maya wrote:\n&gt; Is it?\n\nCarol</pre>Bye.")
    assert split.visible == "<pre>Yes.\n\nCarol</pre>Bye."
    assert split.quoted == "<pre>On 1 March 2025, Maya wrote:\n&gt; Is it?\n\n"


def test_where_the_place_of_a_line_is_not_known_all_is_shown() -> None:
    markup = "<pre>Yes.\n&#10;\nOn 1 March 2025, Maya wrote:\n&gt; Is it?</pre>"
    assert split_html(markup) == (markup, "")


def test_a_split_is_a_pair() -> None:
    visible, quoted = split_html("<p>Yes.</p><blockquote>Is it?</blockquote>")
    assert (visible, html_to_text(quoted)) == ("<p>Yes.</p>", "> Is it?\n>")


def test_what_no_one_sees_is_no_quote() -> None:
    hidden = (
        f"<!-- {ATTRIBUTION} --><style>From: x</style><div style='display:none'>{ATTRIBUTION}</div>"
    )
    markup = f"<p>Yes.</p>{hidden}<p>No.</p>"
    assert split_html(markup).quoted == ""


HOSTILE = [
    *("<div>", "<div class=gmail_quote>x", "<blockquote>x", "<a ", '<b "<b ', "<!--", "<style"),
    *("<style>", "<!", "<p style='display:none'>x", "<ul><li>x", "<td>x", "&amp", "<", "</p>"),
    *("<font><p>", "<img alt=x>", "<a href=http://x>y<p>", f"<p>x</p>{ATTRIBUTION}<br>"),
    "<div style='border-top:solid #E1E1E1'>From: x",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_no_html_takes_long(unit: str) -> None:
    markup = unit * (500_000 // len(unit))
    began = time.process_time()
    text = html_to_text(markup)
    split = split_html(markup)
    assert time.process_time() - began < 2.5
    assert len(text) < 20_000_000
    assert len(split.visible) + len(split.quoted) < 1_200_000


def test_a_page_that_is_too_large_is_shown_as_a_whole() -> None:
    markup = KINDS["Gmail"] + " " * 2_000_000
    assert split_html(markup).quoted == ""


def test_a_split_of_html_takes_about_a_millisecond() -> None:
    """A coarse guard; some 20 kB, of which most is quoted."""
    rows = "".join(
        f'<p class="mso1" style="margin:0"><span>Row {n} of it</span></p>' for n in range(300)
    )
    markup = KINDS["Gmail"].replace("<p>Is it there?</p>", rows)
    split_html(markup)
    took = []
    for _ in range(5):
        began = time.process_time()
        split_html(markup)
        took.append(time.process_time() - began)
    assert min(took) < 0.008


# --- HTML as text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<table><tr><th>Item<th>Price<tr><td>Kettle<td>49 €</table>", "Item Price\nKettle 49 €"),
        ("<ol><li>one<li>two<ul><li>deep</ul></ol>", "1. one\n2. two\n\n  - deep"),
        ("<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n\n- two"),
        ("a<br><br><br>b<br></div><div>c", "a\n\nb\nc"),
        (
            "<p class=MsoNormal>a<o:p></o:p></p><p><o:p>&nbsp;</o:p></p><p>&nbsp;</p><p>b</p>",
            "a\n\nb",
        ),
        ("<div>a&nbsp;&nbsp;b   c\n d</div>", "a  b c d"),
        ("<blockquote>a<blockquote>b</blockquote>c</blockquote>", "> a\n>\n>> b\n>>\n> c\n>"),
        (
            "<a href='https://shop.example/x?a=1&amp;b=2'>here</a>",
            "here <https://shop.example/x?a=1&b=2>",
        ),
        ("<a href=https://shop.example>shop.example</a>", "shop.example"),
        ("<a href='javascript:x'>here</a>", "here"),
        ("<div style='display: none; max-height:0'>See all<div>x</div></div><p>Hi</p>", "Hi"),
        ("<span style='mso-hide:all'>See all</span>Hi", "Hi"),
        ("<p style='display:none'>never closed, Hi", "never closed, Hi"),
        ("<title>t</title><style>p{}</style><!-- c --><script>if (a<b) x()</script>Hi", "Hi"),
        ("<![if !mso]>Hi<![endif]>", "Hi"),
        ('<span title="a > b">Hi</span>', "Hi"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("Hi<a href='x", "Hi"),
        ("<pre>a\n  b</pre>c", "a\n  b\nc"),
        ("a<hr>b", "a\n---\nb"),
        ('<img alt="Logo"><img src="cid:1">', "[Logo]"),
    ],
)
def test_html_as_text(markup: str, text: str) -> None:
    assert html_to_text(markup) == text


def test_a_deep_quote_does_not_grow_with_its_depth() -> None:
    assert len(html_to_text("<blockquote>x" * 1_000)) < 100_000


# --- The command, and replies that nobody here wrote ------------------------------------------


def test_the_command_splits_html_by_its_markup(tmp_path: Path) -> None:
    for kind in ("Gmail in a container", "Outlook in an unknown language"):
        (tmp_path / "a.html").write_text(KINDS[kind])
        out = StringIO()
        call_command("parse_email", "--reply", str(tmp_path / "a.html"), stdout=out)
        assert json.loads(out.getvalue())["visible_reply"] == "Yes."


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def _plain(text: str) -> str:
    if re.search(r"</?[a-zA-Z]", text) and ">" in text:
        reader = _Text()
        reader.feed(text)
        text = "".join(reader.found)
    return words(unicodedata.normalize("NFC", text))


def _pairs() -> Iterator[tuple[str, str, bool]]:
    """What came, what another project shows of it, and whether it is HTML."""
    for path in sorted(REPLIES.glob("*/trimmed/*")):
        body = path.parents[1] / "emails" / path.name
        yield body.read_text(errors="replace"), path.read_text(errors="replace"), False
    for path in sorted(REPLIES.glob("*/pairs.json")):
        for pair in json.loads(path.read_text()):
            file = pair.get("input_file", "")
            if file.endswith(".eml"):
                continue
            came = pair.get("input") or (path.parent / file).read_text(errors="replace")
            yield came, pair["expected_reply"], pair.get("format") == "html"
    for path in sorted(REPLIES.glob("*/expected.json")):
        expected: dict[str, Any] = json.loads(path.read_text())
        for name, one in expected.items():
            shown = (one.get("expected") or {}).get("visible_reply")
            if shown is not None:
                yield (path.parent / "emails" / name).read_text(errors="replace"), shown, False


@pytest.mark.skipif(not REPLIES.is_dir(), reason=f"the corpora are not in {CORPORA}")
def test_published_replies_are_split_as_their_projects_do() -> None:
    answers = [
        _plain(html_to_text(split_html(came).visible) if is_html else split_reply(came).visible)
        == _plain(shown)
        for came, shown, is_html in _pairs()
    ]
    assert len(answers) > 80
    assert sum(answers) / len(answers) >= PAIRS_MIN
