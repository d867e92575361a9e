"""Mails as a shop gets them, the same ones in every run: questions in plain text or with HTML,
answers in threads with what they quote, small attachments, and some mails twice."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from html import escape
from random import Random

from bench.words import letter, name, sentence

SHOP = "hello@shop.example"
SIZES_CHARS = (300, 600, 900, 1_500, 2_500, 4_000, 8_000)  # of what somebody wrote
ATTACHMENT_BYTES = (4_000, 24_000)
BEGAN_AT = datetime(2026, 1, 5, 8, tzinfo=UTC)

# Shares of all mails. What is left over are new questions.
TWICE = 0.05
ANSWERS = 0.40
WITH_HTML = 0.6
ATTACHED = 0.08

STYLE = "".join(
    f"p.mso{rank}, li.mso{rank}, div.mso{rank} {{margin:0cm; font-size:11.0pt;"
    ' font-family:"Calibri",sans-serif; mso-fareast-language:EN-US;}\n'
    for rank in range(12)
)


@dataclass(slots=True)
class Exchange:
    """A customer's mails on one matter."""

    sender: str
    address: str
    subject: str
    message_ids: list[str] = field(default_factory=list)
    last_text: str = ""


def mails(count: int, seed: int = 1) -> list[bytes]:
    """So many mails as they come from the wire, of about 2 to 60 kB."""
    random = Random(seed)
    made: list[bytes] = []
    exchanges: list[Exchange] = []
    while len(made) < count:
        lot = random.random()
        if made and lot < TWICE:
            made.append(random.choice(made[-200:]))
            continue
        if exchanges and lot < TWICE + ANSWERS:
            exchange = random.choice(exchanges[-200:])
        else:
            sender = name(random)
            address = f"customer-{len(made)}@mail.example"
            exchange = Exchange(sender, address, sentence(random)[:70])
            exchanges.append(exchange)
        made.append(_mail(random, exchange, len(made), seed))
    return made


def _mail(random: Random, exchange: Exchange, number: int, seed: int) -> bytes:
    sent_at = BEGAN_AT + timedelta(minutes=7 * number)
    message = EmailMessage(policy=SMTP)
    for header, value in _headers_of_the_way(random, number, sent_at):
        message[header] = value
    message["From"] = formataddr((exchange.sender, exchange.address))
    message["To"] = formataddr(("The Shop", SHOP))
    message["Date"] = format_datetime(sent_at)
    message_id = f"<{seed}.{number}.{random.getrandbits(64):x}@mail.example>"
    message["Message-ID"] = message_id
    if exchange.message_ids:
        message["Subject"] = f"Re: {exchange.subject}"
        message["In-Reply-To"] = exchange.message_ids[-1]
        message["References"] = " ".join(exchange.message_ids[-10:])
    else:
        message["Subject"] = exchange.subject

    text = letter(random, random.choice(SIZES_CHARS))
    if random.random() < 0.3:
        text += f"\n\nViele Grüße\n{exchange.sender}"
    quoted = exchange.last_text[:4_000]
    message.set_content(_plain(text, quoted, sent_at), cte="quoted-printable")
    if random.random() < WITH_HTML:
        html = _html(text, quoted, sent_at)
        message.add_alternative(
            html, subtype="html", cte=random.choice(["quoted-printable", "base64"])
        )
    if random.random() < ATTACHED:
        content = random.randbytes(random.randint(*ATTACHMENT_BYTES))
        message.add_attachment(content, "image", "jpeg", filename=f"picture-{number}.jpg")
    for place, part in enumerate(message.walk()):
        if part.is_multipart():  # or Python would draw lots for the boundary
            part.set_boundary(f"=_{seed}_{number}_{place}")
    exchange.message_ids.append(message_id)
    exchange.last_text = text
    return bytes(message)


def _headers_of_the_way(
    random: Random, number: int, sent_at: datetime
) -> Iterator[tuple[str, str]]:
    """What servers write on top of a letter."""
    for hop in range(random.randint(2, 5)):
        at = format_datetime(sent_at + timedelta(seconds=hop))
        token = f"{random.getrandbits(80):x}"
        yield (
            "Received",
            f"from mx{hop}.mail.example (mx{hop}.mail.example [192.0.2.{hop + 1}])"
            f" by in{hop}.shop.example with ESMTPS id {token} for <{SHOP}>; {at}",
        )
    signature = base64.b64encode(random.randbytes(256)).decode()
    folded = " ".join(textwrap.wrap(signature, 64))
    yield (
        "DKIM-Signature",
        "v=1; a=rsa-sha256; c=relaxed/relaxed; d=mail.example; s=2026;"
        f" h=from:to:subject:date:message-id; bh={signature[:44]}; b={folded}",
    )
    yield "Authentication-Results", "in.shop.example; dkim=pass header.d=mail.example; spf=pass"
    yield "X-Mailer", random.choice(["Postbox 7.1", "Mailbird", "Kestrel Mail 4"])
    yield "X-Scan-Number", str(number)


def _plain(text: str, quoted: str, at: datetime) -> str:
    if not quoted:
        return text
    lines = "\n".join(f"> {line}" for line in quoted.splitlines())
    return f"{text}\n\n{_attribution(at)}\n\n{lines}"


def _html(text: str, quoted: str, at: datetime) -> str:
    def paragraphs(words: str) -> str:
        return "".join(
            f'<p class="mso1" style="margin:0 0 12px 0"><span style="font-size:11pt">'
            f"{escape(part)}</span></p>\n"
            for part in words.split("\n\n")
        )

    quote = ""
    if quoted:
        quote = (
            f'<div class="gmail_quote"><div dir="ltr" class="gmail_attr">{escape(_attribution(at))}'
            "<br></div>"
            '<blockquote class="gmail_quote" style="margin:0 0 0 .8ex;border-left:1px solid #ccc">'
            f"{paragraphs(quoted)}</blockquote></div>"
        )
    return (
        f"<html><head><style><!--\n{STYLE}--></style></head>"
        f'<body lang="EN-GB"><div dir="ltr">{paragraphs(text)}</div>{quote}</body></html>'
    )


def _attribution(at: datetime) -> str:
    return f"On {at:%a, %d %b %Y at %H:%M}, The Shop <{SHOP}> wrote:"
